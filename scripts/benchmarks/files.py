"""`nuspill benchmark files`: a large run as parts and as one file: made, checked, read, joined."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ..options.computing import Computing, cluster_option
from ..options.output import Output, json_option
from .stopwatch import machine

NAME = "ess-csi"
NUSPILL = (sys.executable, "-c", "from nuspill.scripts.cli import main; main()")
PART = 2_000_000
"""Events of a part where no cluster decides."""
SHARE = "0.005"
"""Share of the parts that `nuspill verify` makes again."""
ITERATE = """
import sys, uproot
names = ["time", "window", "selected", "e_reco"]
events = chosen = total = 0
for block in uproot.iterate(sys.argv[1] + ":events", names, step_size=1_000_000, library="np"):
    kept = block["selected"] & (block["window"] == 1)
    events += len(kept)
    chosen += int(kept.sum())
    total += float(block["e_reco"][kept].sum(dtype="f8"))
print(events, chosen, total / chosen)
"""
DATAFRAME = """
import os, sys, ROOT
ROOT.EnableImplicitMT(os.cpu_count())
data = ROOT.RDataFrame("events", sys.argv[1])
kept = data.Filter("selected && window == 1")
events, chosen, mean = data.Count(), kept.Count(), kept.Mean("e_reco")
print(events.GetValue(), chosen.GetValue(), mean.GetValue())
"""
READERS = {"uproot.iterate": ITERATE, "RDataFrame": DATAFRAME}
PRECISION = 1e-6
"""Relative error of a mean of float32 that readers add up in another order."""


@dataclass(frozen=True)
class Step:
    """What was done with a run, in a process of its own."""

    what: str
    seconds: float
    peak_mb: float
    """Peak memory of the largest process."""

    def as_json(self, events: int) -> dict[str, object]:
        """Content for JSON, with the rate for so many events."""
        return asdict(self) | {"events_per_s": events / self.seconds}


@click.command()
@click.option(
    "--events",
    type=click.IntRange(1_000_000),
    default=100_000_000,
    show_default=True,
    help="Of the run, about.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where 70 bytes an event are free; by default the folder of temporary files.",
)
@cluster_option
@json_option
def command(events: int, directory: Path | None, computing: Computing, output: Output) -> None:
    """Measure a large run of ess-csi, each step in a process of its own.

    Parts are made, verified, read (uproot.iterate and RDataFrame count the selected events of
    beam-on and take their mean energy), and joined (nuspill merge and hadd); the joined files are
    read too. All readers must find the same. RDataFrame and hadd need ROOT's Python package. Peak
    memory is that of the largest process of a step.
    """
    from ...reco.experiment import load
    from ...reco.runs.run import plan

    years = events / plan(load(NAME), 1, years=1).events
    cluster = computing.cluster
    division = ["--cluster", cluster] if cluster else ["--parts", str(-(-events // PART))]
    root = importlib.util.find_spec("ROOT")
    hadd = Path(str(root.origin)).parent / "bin" / "hadd" if root else None
    readers = {name: code for name, code in READERS.items() if root or name != "RDataFrame"}
    steps: list[Step] = []

    def step(what: str, *command: str) -> str:
        seconds, peak, output = measured(command)
        steps.append(Step(what, seconds, peak))
        return output

    with tempfile.TemporaryDirectory(prefix="nuspill-benchmark-", dir=directory) as place:
        parts, joined = f"{place}/parts", f"{place}/one.root"
        options = [NAME, "--years", repr(years), "-o", parts, "--json", "-", *division]
        made = json.loads(step("generate", *NUSPILL, "generate", *options))
        selected = sum(row["selected"] for row in made["counts"] if row["window"] == "on")
        means = []

        def read(what: str, files: str) -> None:
            for name, code in readers.items():
                output = step(f"{name}, {what}", sys.executable, "-W", "ignore", "-c", code, files)
                number, chosen, mean = output.split()
                if (int(number), int(chosen)) != (made["events"], selected):
                    raise click.ClickException(f"{name} counts {output} in {what}")
                means.append(float(mean))

        step("verify", *NUSPILL, "verify", parts, "--share", SHARE)
        read("parts", f"{parts}/part-*.root")
        step("nuspill merge", *NUSPILL, "merge", parts, "-o", joined)
        read("the file of merge", joined)
        if hadd is not None:
            Path(joined).unlink()
            step(
                "hadd -ff",
                str(hadd),
                "-ff",
                joined,
                *map(str, sorted(Path(parts).glob("part-*.root"))),
            )
            read("the file of hadd", joined)
    if max(means) - min(means) > PRECISION * max(means):
        raise click.ClickException(f"mean energies differ: {means}")
    title = f"{made['events']} events, {made['bytes'] / 1e9:.2f} GB as parts"
    shown = [[s.what, s.seconds, made["events"] / s.seconds / 1e6, s.peak_mb] for s in steps]
    output.table(title, ["", "s", "million events/s", "peak, MB"], shown)
    numbers = {key: made[key] for key in ("events", "bytes", "years", "seed")}
    each = [s.as_json(made["events"]) for s in steps]
    output.json({"machine": machine(), "run": numbers, "steps": each})


def measured(command: tuple[str, ...]) -> tuple[float, float, str]:
    """Seconds of a process, peak memory of it or its largest child, MB, and what it printed."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            last = errors.read().strip().splitlines()[-1:]
            raise click.ClickException(f"{' '.join(command[:6])} ...: {' '.join(last)}")
        return seconds, usage.ru_maxrss / 1024, output.read()
