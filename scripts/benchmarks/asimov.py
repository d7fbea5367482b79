"""`nuspill benchmark asimov`: an NSI plane with both pulls profiled, beside an iminuit loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...reco.cluster.workers import Here
from ...reco.experiment import load
from ..options.output import Output, json_option
from .stopwatch import best_of, machine

if TYPE_CHECKING:
    from ...generator.arrays import Array
    from ...toys.counts.model import Model

DETECTORS = ("ess-csi", "ess-si", "ess-xe", "ess-ge", "ess-ar", "ess-c3f8")
PLANE = ("nsi.u.ee", "nsi.u.mumu")


@click.command()
@click.option("--points", type=click.IntRange(11), default=201, show_default=True, help="An axis.")
@click.option(
    "--sample", type=click.IntRange(1), default=60, show_default=True,
    help="Points of each plane that iminuit is tried on.",
)  # fmt: skip
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True)
@click.option("--quick", is_flag=True, help="A coarse plane, twice: for CI.")
@json_option
def command(points: int, sample: int, repeat: int, quick: bool, output: Output) -> None:
    """Measure points of the NSI plane per second, of all six detectors.

    Side by side: the compiled fit on one and two threads, and iminuit (MIGRAD, strategy 0, a χ² of
    a few lines of NumPy), which profiles the same two pulls at some of the points. The largest
    difference of χ² between the two, relative where χ² is above one, is in the table.
    """
    import numpy as np

    from ...toys.counts.combination import build
    from ...toys.fit.search import search

    if quick:
        points, sample, repeat = 51, 10, 2
    models = [build([load(name)], PLANE) for name in DETECTORS]
    x = np.linspace(-0.3, 0.7, points)
    plane = np.stack([g.ravel() for g in np.meshgrid(x, x)], axis=1)
    starts = [_start(model, plane) for model in models]
    searches = [search(model, PLANE) for model in models]
    data = [model.asimov() for model in models]
    chosen = np.random.default_rng(1).choice(len(plane), sample, replace=False)

    def ours(threads: int) -> int:
        for fitter, asimov, start in zip(searches, data, starts, strict=True):
            fitter.fit(asimov, start, Here(threads))
        return len(models) * len(plane)

    def minuit(number: int, point: int) -> float:
        return _minuit(models[number], data[number].counts[0], starts[number][point])

    def peer() -> int:
        for number in range(len(models)):
            for point in chosen:
                minuit(number, point)
        return len(models) * sample

    times = best_of(
        {
            "points_per_second_1_thread": lambda: ours(1),
            "points_per_second_2_threads": lambda: ours(2),
            "iminuit_points_per_second": peer,
        },
        repeat,
    )
    result = {key: timing.rate for key, timing in times.items()}
    result["seconds_of_the_planes"] = (
        len(models) * len(plane) / result["points_per_second_2_threads"]
    )
    result["ratio_to_iminuit"] = (
        result["points_per_second_2_threads"] / result["iminuit_points_per_second"]
    )
    result["ratio_to_iminuit_1_thread"] = (
        result["points_per_second_1_thread"] / result["iminuit_points_per_second"]
    )
    result["largest_difference"] = max(
        abs(searches[i].fit(data[i], starts[i][[point]]).chi2[0] - minuit(i, point))
        / max(1.0, minuit(i, point))
        for i in range(len(models))
        for point in chosen[:10]
    )
    rows = [[key.replace("_", " "), value] for key, value in result.items()]
    title = f"{points} x {points} points, {len(models)} detectors, best of {repeat}"
    output.table(title, ["", "value"], rows)
    output.json(result | {"points": points, "repeats": repeat, "machine": machine()})


def _minuit(model: Model, n: Array, at: Array) -> float:
    """The least χ² over the two pulls, by MIGRAD; counts `n`, shape (bins,), variables `at`."""
    import numpy as np
    from iminuit import Minuit

    nominal = model.counts(at)
    shifts = [model.counts(at + step) - nominal for step in np.eye(len(at))[len(PLANE) :]]
    log_n = np.log(n)

    def chi2(s: float, b: float) -> float:
        expected = nominal + s * shifts[0] + b * shifts[1]
        if expected.min() <= 0:
            return 1e9
        value: float = 2 * np.sum(expected - n + n * (log_n - np.log(expected)))
        return value + s * s + b * b

    fit = Minuit(chi2, 0.0, 0.0, name=("s", "b"))
    fit.errordef, fit.strategy = 1.0, 0
    fit.migrad()
    value: float = fit.fval
    return value


def _start(model: Any, plane: Any) -> Any:
    import numpy as np

    start = np.repeat(model.truth[None], len(plane), axis=0)
    start[:, [model.number(name) for name in PLANE]] = plane
    return start
