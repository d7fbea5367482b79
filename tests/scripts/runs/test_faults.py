"""Runs on a cluster while things are killed and disks fill: nothing is lost, nothing doubled.

NUSPILL_FAULTS=N injects N faults into events, and as many into toys (by default a few of each).
Scheduler, workers and client are processes of their own, as someone would start them by hand.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from nuspill import load, plan, read
from nuspill.reco.runs.folder import pieces, read_log
from nuspill.toys.records.record import load_record

pytest.importorskip("distributed")
FAULTS = int(os.environ.get("NUSPILL_FAULTS", "2"))
LIMIT = 300
"""Seconds after which something hangs."""
RUNS = {
    "events": ("generate", "ess-csi", "--years", 3, "--parts", 30, "--compression", "lzma:3"),
    "toys": ("toys", "ess-ar", "--years", 0.1, "--scan", "strength=0.5:1.5:20", "--toys", 20000),
}
MAIN = "from nuspill.scripts.cli import main; main()"
COMMANDS = {
    "scheduler": "from distributed.cli.dask_scheduler import main; main()",
    "worker": "from distributed.cli.dask_worker import main; main()",
    "client": MAIN,
}


class Machines:
    """A scheduler, two workers and a client."""

    def __init__(self, folder):
        self.folder = folder
        self.log = (folder / "machines.log").open("wb")
        self.open()

    def open(self):
        """Start scheduler and workers."""
        self.file = self.folder / f"{time.monotonic_ns()}.json"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0",
                                    "--dashboard-address", "127.0.0.1:0",
                                    "--scheduler-file", self.file)  # fmt: skip
        wait_for(self.file.exists)
        wait_for(lambda: self.file.read_text().rstrip().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]
        assert self.address.startswith("tcp://127.0.0.1:")
        self.workers = [self.worker(), self.worker()]

    def start(self, what, *arguments):
        """Start a process."""
        command = [sys.executable, "-c", COMMANDS[what], *map(str, arguments)]
        output = subprocess.PIPE if what == "client" else self.log
        return subprocess.Popen(command, stdout=output, stderr=output, text=True, cwd=self.folder)

    def worker(self):
        """Start a worker of one thread that nobody watches over."""
        return self.start("worker", self.address, "--nthreads", "1", "--no-nanny", "--host",
                          "127.0.0.1", "--dashboard-address", "127.0.0.1:0",
                          "--local-directory", self.folder)  # fmt: skip

    def client(self, *arguments):
        """Start a command on this cluster."""
        return self.start("client", *arguments, "--cluster", self.address)

    def close(self):
        """End all."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path):
    """Scheduler and workers, ended afterwards."""
    place = tmp_path / "machines"
    place.mkdir()
    found = Machines(place)
    yield found
    found.close()
    found.log.close()


def wait_for(condition, process=None):
    """Look until something is so, or a process has ended; fails when it takes too long."""
    limit = time.monotonic() + LIMIT
    while not condition():
        if process is not None and process.poll() is not None:
            return False
        assert time.monotonic() < limit, "nothing happens"
        time.sleep(0.02)
    return True


def ended(process):
    """Exit status and standard error of a client; fails if it hangs."""
    output, errors = process.communicate(timeout=LIMIT)
    return process.returncode, output, errors


def progress(folder):
    """Whole files that the log tells."""
    try:
        return len(pieces(folder))
    except OSError:
        return 0


def fill(disk):
    """Fill a file system."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            return


@pytest.fixture
def disk(request, tmp_path):
    """A small file system of its own, or a folder where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    yield place, mounted
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def inject(what, machines, client, disk, choice):
    """Make something go wrong; tells whether the client has ended by it."""
    if what == "worker":
        k = choice.randrange(2)
        machines.workers[k].send_signal(signal.SIGKILL)
        machines.workers[k].wait()
        machines.workers[k] = machines.worker()
        return False
    if what == "client":
        client.send_signal(signal.SIGKILL)
        ended(client)
        return True
    if what == "scheduler":
        machines.close()
        status, _, errors = ended(client)
        machines.open()
        assert status in (0, 2), errors
        if status == 2:
            assert len(errors.splitlines()) == 1, errors
            assert "tcp://127.0.0.1:" in errors
        return True
    fill(disk)
    status, _, errors = ended(client)
    (disk / "ballast").unlink()
    assert status in (0, 2), errors
    if status == 2:
        assert len(errors.splitlines()) == 1, errors
        assert "No space left" in errors
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_faults(kind, machines, disk, tmp_path):
    """Fails if a run that is disturbed hangs, or differs by a bit from one that is not."""
    place, mounted = disk
    choice = random.Random(os.environ.get("NUSPILL_FAULTS_SEED", kind))
    kinds = ["worker", "client", *(["disk"] if mounted else []), "scheduler"]
    planned = [kinds[n % len(kinds)] for n in range(FAULTS)]
    choice.shuffle(planned)
    made, number = 0, 0
    while made < FAULTS:
        folder = place / f"run{number}"
        client = machines.client(*RUNS[kind], "-o", folder)
        while made < FAULTS:
            before = progress(folder)
            if not wait_for(partial(working, folder, before, kind), client):
                break
            time.sleep(choice.uniform(0, 0.3 if kind == "events" else 3))
            if client.poll() is not None:
                break
            over = inject(planned[made], machines, client, place, choice)
            made += 1
            if over:
                if not (folder / "manifest.json").exists():
                    client = machines.client(*RUNS[kind], "-o", folder)
                else:
                    client = machines.client("resume", folder)
        status, _, errors = ended(client)
        assert (status, errors) == (0, ""), errors
        check(kind, folder)
        number += 1
    sys.stderr.write(f"\n{kind}: {made} faults in {number} runs: {' '.join(planned)}\n")


def working(folder, before, kind):
    """Whether workers are at it: another file is whole, or a session has started."""
    if kind == "events":
        return progress(folder) > before
    try:
        starts = sum(entry["what"] == "start" for entry in read_log(folder))
        return starts > working.seen.get(folder, 0) and not working.seen.update({folder: starts})
    except OSError:
        return False


working.seen = {}


def check(kind, folder):
    """Compare a run that was disturbed with what it should be, bit for bit."""
    left = {path.name for path in folder.iterdir()}
    if kind == "events":
        assert left == {"manifest.json", "log.jsonl", *(f"part-{n:05d}.root" for n in range(30))}
        run = plan(load("ess-csi"), years=3)
        expected = run.make(0, run.events)
        found = read(folder)[0]
        assert list(found) == list(expected)
        for name, values in expected.items():
            assert found[name].tobytes() == values.tobytes(), name
        return
    assert not [name for name in left if name.startswith(".")]
    record = load_record(folder)
    from nuspill.toys.records.restore import restore

    construction = restore(record)
    for point, statistic in enumerate(record.by_point(20)):
        assert statistic.value.tobytes() == construction.toys(point, 0, 20_000).value.tobytes()
    assert len([task for task in record.done() if task[0] < 20]) == 20  # and some round limits
