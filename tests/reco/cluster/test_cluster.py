"""Blocks on a cluster: the results of one process, in order, whatever dies; and who is trusted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from nuspill import ExperimentError, OutputError, load, plan, read, write_parts
from nuspill.reco.cluster.cluster import Cluster
from nuspill.reco.cluster.connect import describe_cluster, open_cluster
from nuspill.reco.cluster.workers import AHEAD, Here, Made, Progress, Workers, nothing
from nuspill.reco.runs.folder import pieces, read_log
from nuspill.reco.runs.layout import MAKING, Options, PartWork, restore_run
from nuspill.reco.runs.verify import join_parts, part_is_right, wrong_files

pytest.importorskip("distributed")

YEARS = 1.0


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine."""
    with open_cluster("local:2") as found:
        yield found


@pytest.fixture(scope="module")
def run():
    """A run of 2e5 events."""
    return plan(load("ess-csi"), 5, years=YEARS)


@dataclass(frozen=True)
class Squares:
    """Work that is done at once, or kills its worker the first times that a task is made."""

    marks: Path | None = None
    deaths: int = 0
    wrong: int = -1

    def warm(self):
        """Nothing is shared."""

    def make(self, task):
        """Square of a number."""
        if task == self.wrong:
            raise ExperimentError(f"task {task} cannot be done")
        if self.marks is not None and task % 5 == 0:
            number = len(list(self.marks.glob(f"{task}-*")))
            if number < self.deaths:
                (self.marks / f"{task}-{number}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return task**2


def same(a, b):
    """Columns, types and every bit of their values are equal."""
    assert list(a) == list(b)
    for name, values in a.items():
        assert values.dtype == b[name].dtype, name
        assert values.tobytes() == b[name].tobytes(), name


def test_in_order_and_not_too_far_ahead(cluster):
    """Fails if results are not in order, or more blocks are asked for than wait for their turn."""
    asked = []

    def tasks():
        for task in range(150):
            asked.append(task)
            yield task

    for number, (task, made) in enumerate(cluster.compute(Squares(), tasks())):
        assert (task, made.result) == (number, number**2)
        assert len(asked) <= number + 1 + AHEAD * 2
    assert number == 149


def test_as_they_come(cluster):
    """Fails if a block is lost or doubled when the order does not matter."""
    made = list(cluster.compute(Squares(), range(100), ordered=False))
    assert sorted(task for task, _ in made) == list(range(100))
    assert all(m.result == task**2 for task, m in made)
    assert list(cluster.compute(Squares(), [])) == []


def test_two_at_once(cluster):
    """Fails if work that ends takes the same work of another client with it."""
    first = cluster.compute(Squares(), range(60))
    assert next(first)[1].result == 0
    assert [made.result for _, made in cluster.compute(Squares(), range(3))] == [0, 1, 4]
    assert [made.result for _, made in first] == [n**2 for n in range(1, 60)]


@pytest.mark.parametrize("ordered", [True, False])
def test_workers_that_die(ordered, cluster, tmp_path):
    """Fails if a block of a worker that is killed is lost, doubled, or stops the others."""
    made = list(cluster.compute(Squares(tmp_path, 1), range(12), ordered))
    assert len(list(tmp_path.iterdir())) == 3
    assert sorted((task, m.result) for task, m in made) == [(n, n**2) for n in range(12)]


def test_error_of_a_block(cluster):
    """Fails if an error in a worker is not the error here, or the cluster is of no use after it."""
    with pytest.raises(ExperimentError, match="task 7 cannot be done"):
        list(cluster.compute(Squares(wrong=7), range(50)))
    assert [m.result for _, m in cluster.compute(Squares(), range(3))] == [0, 1, 4]


def test_other_sources(cluster, monkeypatch):
    """Fails if a worker with other sources than the client makes anything."""
    monkeypatch.setattr("nuspill.reco.cluster.worker.sources_digest", lambda: "another")
    with pytest.raises(ExperimentError, match="other sources"):
        list(cluster.compute(Squares(deaths=3), range(5)))


def test_tables_of_the_client(cluster, tmp_path, monkeypatch):
    """Fails if workers need the file of a form factor, or make anything with another."""
    monkeypatch.chdir(tmp_path)  # where the workers are not
    (tmp_path / "f.csv").write_text("0,1\n1,0.5\n")
    run = plan(load("ess-csi", {"interaction.form_factor": "f.csv"}), 5, years=0.01)
    (tmp_path / "f.csv").unlink()
    write_parts(run, tmp_path / "parts", 1, workers=cluster)
    same(read(tmp_path / "parts")[0], run.make(0, run.events))


def test_parts(cluster, run, tmp_path):
    """Fails if parts of a cluster are not the run, bit for bit, or anything else is left."""
    counts = write_parts(run, tmp_path / "parts", 9, workers=cluster)
    write_parts(run, tmp_path / "here", 9, workers=Here(1))
    events = run.make(0, run.events)
    same(read(tmp_path / "parts")[0], events)
    same(read(tmp_path / "here")[0], events)
    assert sum(row["total"] for row in counts.table()) == run.events
    names = {f"part-{number:05d}.root" for number in range(9)}
    assert {p.name for p in (tmp_path / "parts").iterdir()} == names | {
        "manifest.json",
        "log.jsonl",
    }
    assert set(pieces(tmp_path / "parts")) == names
    made = [entry for entry in read_log(tmp_path / "parts") if entry["what"] == "piece"]
    assert all(entry["worker"].startswith("tcp://127.0.0.1:") for entry in made)


def test_number_of_parts_by_time(cluster, run, tmp_path):
    """Fails if parts of no given number are not found again when the run goes on."""
    write_parts(run, tmp_path / "parts", None, workers=cluster)
    names = sorted(pieces(tmp_path / "parts"))
    (tmp_path / "parts" / names[-1]).unlink()
    write_parts(run, tmp_path / "parts", None, workers=cluster)
    assert sorted(pieces(tmp_path / "parts")) == names
    same(read(tmp_path / "parts")[0], run.make(0, run.events))


@dataclass(frozen=True)
class Elsewhere(Workers):
    """A cluster whose workers do not see the folder, and make each part in this process."""

    remote: ClassVar[bool] = True
    name = "elsewhere"
    progress: Progress = nothing

    def threads(self):
        """Of it."""
        return 1

    def compute(self, work, tasks, ordered=True, bulky=False):
        """Make parts where there is no such folder."""
        away = PartWork(work.run, Path("/no/such/folder"), work.token, work.options)
        for task in tasks:
            yield task, Made(away.make(task), 0.1, "away")


def test_parts_that_are_sent_back(run, tmp_path):
    """Fails if parts of workers that see no common folder are not the run."""
    write_parts(run, tmp_path / "parts", 3, workers=Elsewhere())
    same(read(tmp_path / "parts")[0], run.make(0, run.events))
    assert list(wrong_files(tmp_path / "parts")) == []


def test_what_was_given_up_is_not_taken(cluster, run, tmp_path):
    """Fails if a part that a worker writes for a client that is gone comes into the run."""
    folder = tmp_path / "parts"
    write_parts(run, folder, 3, workers=cluster)
    (folder / MAKING).mkdir()
    (folder / MAKING / "0123456789abcdef").write_bytes(b"half a part")
    (folder / "part-00001.root").unlink()
    write_parts(run, folder, 3, workers=cluster)
    assert not (folder / MAKING).exists()
    same(read(folder)[0], run.make(0, run.events))


@pytest.mark.parametrize("options", [{}, {"selected_only": True}, {"format": "rntuple"}], ids=str)
def test_joined_and_verified(options, run, tmp_path):
    """Fails if parts made one file are not the run, a right part is wrong, or a wrong one right."""
    folder = tmp_path / "parts"
    write_parts(run, folder, 4, **options)
    again, kept = restore_run(folder)
    assert kept == Options(4, **options)
    assert all(part_is_right(again, kept, folder, number) for number in range(4))
    counts = join_parts([folder], tmp_path / "one.root")
    events = run.make(0, run.events)
    if kept.selected_only:
        events = {name: values[events["selected"]] for name, values in events.items()}
    found, told = read(tmp_path / "one.root")
    same(found, events)
    assert (told["first_event"], told["events"]) == (0, run.events)
    assert told["generated"] == counts.table()
    (folder / "part-00001.root").write_bytes((folder / "part-00002.root").read_bytes())
    assert [part_is_right(again, kept, folder, n) for n in range(4)] == [True, False, True, True]
    assert list(wrong_files(folder)) == ["part-00001.root"]
    with pytest.raises(OutputError, match=rf"^{folder}/part-00001\.root: is damaged"):
        join_parts([folder], tmp_path / "two.root")
    with pytest.raises(OutputError, match="among the parts"):
        join_parts([folder], folder / "part-00001.root", overwrite=True)
    (folder / "part-00001.root").unlink()
    with pytest.raises(OutputError, match="1 of 4 parts are not there"):
        join_parts([folder], tmp_path / "two.root")
    assert not (tmp_path / "two.root").exists()


def test_interrupted_from_the_terminal(tmp_path):
    """Fails if Ctrl-C, which workers get too, is more than one line, or loses what is done."""
    code = "from nuspill.scripts.cli import main; main()"
    options = ["--years", "60", "--parts", "60", "-o", "parts", "--cluster", "local:2"]
    client = subprocess.Popen(
        [sys.executable, "-c", code, "generate", "ess-csi", *options],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not list(tmp_path.glob("parts/part-*.root")):
        assert client.poll() is None
        time.sleep(0.05)
    os.killpg(client.pid, signal.SIGINT)
    errors = client.communicate(timeout=120)[1]
    assert client.returncode == 2
    assert errors.splitlines() == [
        "nuspill: interrupted; what is done is kept, go on with: nuspill resume parts"
    ]
    assert pieces(tmp_path / "parts")
    assert not list(wrong_files(tmp_path / "parts"))


def test_restored_with_weights_and_places(tmp_path):
    """Fails if a run that its folder alone describes is not the same run."""
    settings = {"detector.geometry": {"shape": "box", "size": [10.0, 20.0, 30.0], "modules": 7}}
    weights = {"nsi": {"interaction.nsi.u.ee": 0.2}}
    run = plan(load("ess-csi", settings), 5, years=0.1, place=True, weights=weights)
    write_parts(run, tmp_path / "parts", 2)
    again, _ = restore_run(tmp_path / "parts")
    same(again.make(0, again.events), run.make(0, run.events))
    assert again.experiment == run.experiment


def test_listens_on_loopback_only(cluster):
    """Fails if scheduler or workers of ours can be reached from another machine."""
    import psutil

    me = psutil.Process()
    found = [
        connection.laddr.ip
        for process in [me, *me.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(found) >= 3
    assert set(found) <= {"127.0.0.1", "::1"}


FILES = {
    "empty": ("", "is not a table"),
    "no yaml": ("a: [", "cannot be read"),
    "tag": ("cluster: !!python/object/apply:os.system ['touch pwned']", "cannot be read"),
    "unknown": ("adress: tcp://x:1", "unknown key 'adress'"),
    "both": ("{address: 'tcp://x:1', cluster: distributed.LocalCluster}", "either"),
    "neither": ("scale: 3", "either"),
    "foreign": ("cluster: subprocess.Popen", "is not a class of"),
    "foreign by name": ("cluster: distributedx.LocalCluster", "is not a class of"),
    "within": ("cluster: distributed.os.system", "No module"),
    "a function": ("cluster: distributed.wait", "is not a class of clusters"),
    "not a cluster": ("cluster: distributed.Client", "is not a class of clusters"),
    "no class": ("cluster: distributed.NoCluster", "NoCluster"),
    "scale": ("{cluster: distributed.LocalCluster, scale: many}", "'many'"),
    "security": ("{address: 'tcp://x:1', security: 3}", "security"),
    "security key": ("{address: 'tls://x:1', security: {tls_file: a}}", "tls_file"),
    "address": ("address: 'tcp://127.0.0.1'", "PROTOCOL://HOST:PORT"),
    "port": ("address: 'tcp://127.0.0.1:abc'", "PROTOCOL://HOST:PORT"),
    "no certificates": ("address: 'tls://127.0.0.1:9'", "certificates"),
    "no such batch system": (
        "{cluster: dask_jobqueue.SLURMCluster, options: {cores: 1, memory: 1GB}}",
        "sbatch",
    ),
    "temporary": ("{address: 'tls://x:1', security: true}", "temporary"),
}


@pytest.mark.parametrize("case", FILES)
def test_cluster_files_that_are_refused(case, tmp_path, monkeypatch):
    """Fails if a file that is no description of a Dask cluster is taken, or runs anything."""
    monkeypatch.chdir(tmp_path)
    text, message = FILES[case]
    if "jobqueue" in text:
        pytest.importorskip("dask_jobqueue")
        monkeypatch.setenv("PATH", "")
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=re.escape(message)) as error, open_cluster(str(path)):
        pass
    assert str(path) in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["cluster.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "local:0",
        "local:x",
        "local:99999",
        "here",
        "tcp://",
        "tcp:x",
        "no.yaml",
        "x.yml",
        "tcp://x",
        "tcp://x:y",
        "tcp://x:1:2",
        "tcp://:1",
    ],
)
def test_texts_that_name_no_cluster(text):
    """Fails if a text that names no cluster is taken for one."""
    with pytest.raises(ExperimentError):
        describe_cluster(text)


def test_cluster_file(tmp_path):
    """Fails if a cluster of Dask that a file names is not used, or not with its options."""
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "cluster: distributed.LocalCluster\n"
        "options: {n_workers: 1, threads_per_worker: 3, processes: false}\n"
    )
    with open_cluster(str(path)) as found:
        assert isinstance(found, Cluster)
        assert found.threads() == 3


def test_batch_system(run, tmp_path):
    """Fails if jobs of dask_jobqueue, here scripts of its own shell, do not make the same parts."""
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "cluster.yaml").write_text(
        "cluster: dask_jobqueue.local.LocalCluster\n"
        "options: {cores: 1, processes: 1, memory: 1GB, interface: lo}\n"
        "scale: 2\n"
    )
    code = "from nuspill.scripts.cli import main; main()"
    options = ["--years", str(YEARS), "--seed", "5", "--parts", "4", "--cluster", "cluster.yaml"]
    command = [sys.executable, "-c", code, "generate", "ess-csi", "-o", "parts", *options]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    same(read(tmp_path / "parts")[0], run.make(0, run.events))


def certificates(folder):
    """Keys of a certificate authority of its own, as files; and `security` of a cluster file."""
    from distributed import Security

    folder.mkdir()
    pem = Security.temporary()
    found = {}
    for key in ("tls_ca_file", "tls_client_cert", "tls_client_key", "tls_scheduler_cert",
                "tls_scheduler_key", "tls_worker_cert", "tls_worker_key"):  # fmt: skip
        path = folder / f"{key}.pem"
        path.write_text(getattr(pem, key))
        found[key] = str(path)
    return found


def test_temporary_certificates(run, tmp_path):
    """Fails if connections are not encrypted when asked for, or parts then are others."""
    path = tmp_path / "cluster.yaml"
    path.write_text("{cluster: distributed.LocalCluster, options: {n_workers: 1}, security: true}")
    with open_cluster(str(path)) as found:
        assert found.client.scheduler.address.startswith("tls://")
        assert all(worker.startswith("tls://") for worker in found.client.nthreads())
        write_parts(run, tmp_path / "parts", 2, workers=found)
    same(read(tmp_path / "parts")[0], run.make(0, run.events))


def test_certificates_of_ones_own(tmp_path, monkeypatch):
    """Fails if a scheduler is not reached with its certificates, or is with others or none."""
    from distributed import LocalCluster, Security

    monkeypatch.setattr("nuspill.reco.cluster.connect.CONNECT", 3)
    mine, other = certificates(tmp_path / "mine"), certificates(tmp_path / "other")
    options = {"n_workers": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(security=Security(**mine, require_encryption=True), **options) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")

        def described(security):
            path = tmp_path / "cluster.yaml"
            path.write_text(json.dumps({"address": address} | security))
            return str(path)

        client = {key: value for key, value in mine.items() if "client" in key or "ca" in key}
        with open_cluster(described({"security": client})) as found:
            assert [task**2 for task in range(5)] == [
                made.result for _, made in found.compute(Squares(), range(5))
            ]
        for security in ({"security": other}, {}):
            refused = pytest.raises((OutputError, ExperimentError), match=r"cluster\.yaml")
            with refused, open_cluster(described(security)):
                pass


def test_no_scheduler(monkeypatch):
    """Fails if a scheduler that does not answer is no OutputError."""
    monkeypatch.setattr("nuspill.reco.cluster.connect.CONNECT", 0.5)
    with pytest.raises(OutputError, match="cannot be reached"), open_cluster("tcp://127.0.0.1:9"):
        pass


def test_without_dask(monkeypatch):
    """Fails if a missing Dask is not told with what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExperimentError, match=r"nuspill\[cluster\]"):
        describe_cluster("local:2")


def test_nothing_is_unpickled_from_disk():
    """Fails if sources of ours load a pickle, but for what comes from the client over the wire."""
    import nuspill.reco.cluster.worker as worker

    root = Path(worker.__file__).parents[2]
    unsafe = re.compile(r"pickle\.loads?\(|allow_pickle=True|yaml\.(unsafe_|full_)?load\(|\beval\(")
    found = [
        path.name
        for package in ("generator", "reco", "toys", "scripts")
        for path in (root / package).rglob("*.py")
        if unsafe.search(path.read_text("utf-8"))
    ]
    assert found == ["worker.py"]
