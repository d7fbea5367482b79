"""`nuspill benchmark measured`: toys of CsI 2021 in energy and time beside a loop of iminuit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ...reco.experiment import load
from ..options.output import Output, json_option
from .stopwatch import Tasks, best_of, machine
from .toys import toys_of_first_point

if TYPE_CHECKING:
    from ...toys.construction.neyman import Construction

NAME, PRESET = "sns-csi-2021", "shapes"


@click.command()
@click.option("--toys", type=click.IntRange(1000), default=20_000, show_default=True)
@click.option("--iminuit", "peer", type=click.IntRange(1), default=10, show_default=True,
              help="Toys that iminuit fits.")  # fmt: skip
@click.option("--rates", is_flag=True, help="Nuisance parameters of rates alone.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True)
@json_option
def command(toys: int, peer: int, rates: bool, repeat: int, output: Output) -> None:
    """Measure toys per second of sns-csi-2021: thrown, fitted at a point and freely.

    It has 99 bins of energy and time, a strength, and nuisance parameters for the signal, each
    background and, unless --rates, the quenching and the efficiency. iminuit (MIGRAD, strategy 0)
    fits the same polynomial, one matrix times a vector of NumPy.
    """
    import numpy as np

    from ...toys.construction.ensemble import Ensemble
    from ...toys.construction.neyman import Construction
    from ...toys.counts.combination import build

    model = build([load(NAME, preset=None if rates else PRESET)], ["strength"])
    c = Construction(model, (("strength", np.ones(1)),), Ensemble("fixed"), 1, model.asimov())
    c.warm()
    tasks: Tasks = {
        "toys_per_second_1_thread": partial(toys_of_first_point, c, toys, 1),
        "toys_per_second_2_threads": partial(toys_of_first_point, c, toys, 2),
        "iminuit_toys_per_second": partial(_iminuit, c, peer),
    }
    result: dict[str, Any] = {key: timing.rate for key, timing in best_of(tasks, repeat).items()}
    ours, theirs = result["toys_per_second_1_thread"], result["iminuit_toys_per_second"]
    result |= {"ratio_to_iminuit": ours / theirs}
    result |= {"bins": model.bins, "nuisances": len(model.nuisances)}
    rows = [[key.replace("_", " "), value] for key, value in result.items()]
    output.table(f"best of {repeat}", ["", "value"], rows)
    output.json(result | {"toys": toys, "repeats": repeat, "machine": machine()})


def _iminuit(construction: Construction, toys: int) -> int:
    """Throw, fit at the point and fit freely, one toy after the other, as leanly as in NumPy."""
    import numpy as np
    from iminuit import Minuit

    model = construction.model
    powers, coefficients = model.expected.arrays(model.bins)
    weight, random = model.weight, np.random.default_rng(1)
    means = model.counts(model.truth)
    for _ in range(toys):
        n = random.poisson(means).astype(float)
        centre = random.normal(size=model.variables) * (weight > 0)
        constant = np.sum(n * np.log(np.maximum(n, 1.0)) - n)

        def chi2(*z: float, n: Any = n, centre: Any = centre, constant: Any = constant) -> Any:
            expected = np.maximum(np.prod(np.array(z) ** powers, axis=1) @ coefficients, 1e-9)
            counts = 2 * (np.sum(expected - n * np.log(expected)) + constant)
            return counts + np.sum(weight * (z - centre) ** 2)

        fit = Minuit(chi2, *model.truth, name=model.names)
        fit.errordef, fit.strategy = 1.0, 0
        fit.fixed["strength"] = True
        fit.migrad()
        fit.fixed["strength"] = False
        fit.migrad()
    return toys
