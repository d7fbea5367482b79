"""`nuspill benchmark toys`: toys per second beside loops of iminuit, pyhf and ROOT."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from ...reco.cluster.workers import Here
from ...reco.experiment import load
from ..options.output import Output, json_option
from .stopwatch import Tasks, best_of, machine

if TYPE_CHECKING:
    from ...toys.construction.neyman import Construction
    from ...toys.counts.model import Data

NSI = ("nsi.u.ee", "nsi.u.mumu")


@click.command()
@click.option("--toys", type=click.IntRange(1000), default=200_000, show_default=True)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Fewer toys, twice: for CI.")
@json_option
def command(toys: int, repeat: int, quick: bool, output: Output) -> None:
    """Measure toys per second: thrown, fitted at a point and globally.

    The reference problem has 20 bins, a strength and two pulls; its toys are also thrown with
    NumPy and fitted by iminuit (MIGRAD, strategy 0, a χ² of a few lines of NumPy), and where they
    are installed by pyhf and by ROOT (RooFit and Minuit 2). Then toys of two NSI couplings, with
    the global minimum, of ess-csi and ess-ar.
    """
    import numpy as np

    from ...toys.construction.ensemble import Ensemble
    from ...toys.construction.neyman import Construction
    from ...toys.counts.combination import build
    from ...toys.counts.problem import reference_problem

    if quick:
        toys, repeat = 20_000, 2
    model = reference_problem()
    reference = Construction(model, (("mu", np.ones(1)),), Ensemble("fixed"), 1, model.asimov())
    planes = {
        name: Construction(
            build([load(name)], NSI),
            tuple((coupling, np.linspace(0.0, 0.1, 2)) for coupling in NSI),
            Ensemble(),
            1,
            build([load(name)], NSI).asimov(),
        )
        for name in ("ess-csi", "ess-ar")
    }
    tasks: Tasks = {
        "toys_per_second_1_thread": lambda: toys_of_first_point(reference, toys, 1),
        "toys_per_second_2_threads": lambda: toys_of_first_point(reference, toys, 2),
        "iminuit_toys_per_second": lambda: _iminuit(reference, 40 if quick else 200),
    }
    if find_spec("ROOT"):
        tasks["root_toys_per_second"] = _root(reference, 20 if quick else 100)
    if find_spec("pyhf"):
        tasks["pyhf_toys_per_second"] = _pyhf(reference, 4 if quick else 20)
    for name, plane in planes.items():
        plane.warm()
        for threads in (1, 2):
            key = f"{name.replace('-', '_')}_nsi_toys_per_second_{threads}_threads"
            tasks[key] = partial(toys_of_first_point, plane, toys // 4, threads)
    times = best_of(tasks, repeat)
    result = {key: timing.rate for key, timing in times.items()}
    for peer in ("iminuit", "pyhf", "root"):
        if f"{peer}_toys_per_second" in result:
            result[f"ratio_to_{peer}"] = (
                result["toys_per_second_1_thread"] / result[f"{peer}_toys_per_second"]
            )
    rows = [[key.replace("_", " "), value] for key, value in result.items()]
    output.table(f"best of {repeat}", ["", "value"], rows)
    output.json(result | {"toys": toys, "repeats": repeat, "machine": machine()})


def toys_of_first_point(construction: Construction, toys: int, threads: int) -> int:
    """Throw and fit toys of the first grid point in pieces."""
    from ...toys.records.distribute import throw_tasks

    piece = max(toys // 16, 1)
    tasks = [(0, low, min(low + piece, toys)) for low in range(0, toys, piece)]
    return sum(
        len(statistic.value) for _, statistic in throw_tasks(construction, tasks, Here(threads))
    )


def _data(construction: Construction, toys: int) -> Data:
    """Toys thrown by NumPy, as a physicist would throw them."""
    import numpy as np

    from ...toys.counts.model import Data

    model = construction.model
    random = np.random.default_rng(1)
    counts = random.poisson(model.counts(model.truth), (toys, model.bins)).astype(float)
    centre = random.normal(0.0, 1.0, (toys, model.variables)) * (model.weight > 0)
    return Data(counts, np.zeros((1, model.bins)), centre)


def _iminuit(construction: Construction, toys: int) -> int:
    """Throw, fit at the point and fit freely, one toy after the other, as leanly as in NumPy."""
    import numpy as np
    from iminuit import Minuit

    model = construction.model
    background = model.counts([0.0, 0.0, 0.0])
    signal = model.counts([1.0, 0.0, 0.0]) - background
    data = _data(construction, toys)
    for n, centre in zip(data.counts, data.centre, strict=True):
        log_n = np.log(n)

        def chi2(
            mu: float, s: float, b: float, n: Any = n, log_n: Any = log_n, c: Any = centre
        ) -> Any:
            expected = mu * (1 + 0.1 * s) * signal + (1 + 0.01 * b) * background
            counts = 2 * np.sum(expected - n + n * (log_n - np.log(expected)))
            return counts + (s - c[1]) ** 2 + (b - c[2]) ** 2

        fit = Minuit(chi2, 1.0, 0.0, 0.0, name=("mu", "s", "b"))
        fit.errordef, fit.strategy = 1.0, 0
        fit.fixed["mu"] = True
        fit.migrad()
        fit.fixed["mu"] = False
        fit.migrad()
    return toys


def _pyhf(construction: Construction, toys: int) -> Any:
    """Task that fits the toys of `_data` with pyhf's own fits."""
    import pyhf

    model = construction.model
    signal = (model.counts([1.0, 0.0, 0.0]) - model.counts([0.0, 0.0, 0.0])).tolist()
    background = model.counts([0.0, 0.0, 0.0]).tolist()

    def shifted(counts: list[float], part: float) -> dict[str, list[float]]:
        return {
            "hi_data": [x * (1 + part) for x in counts],
            "lo_data": [x * (1 - part) for x in counts],
        }

    samples = [
        {
            "name": "signal",
            "data": signal,
            "modifiers": [
                {"name": "mu", "type": "normfactor", "data": None},
                {"name": "s", "type": "histosys", "data": shifted(signal, 0.10)},
            ],
        },
        {
            "name": "background",
            "data": background,
            "modifiers": [{"name": "b", "type": "histosys", "data": shifted(background, 0.01)}],
        },
    ]
    histfactory = pyhf.Model({"channels": [{"name": "bins", "samples": samples}]}, poi_name="mu")
    data = _data(construction, toys)
    order = [histfactory.config.par_order.index(name) for name in ("s", "b")]
    auxiliary = [sorted(order).index(k) for k in order]

    def task() -> int:
        for counts, centre in zip(data.counts, data.centre, strict=True):
            aux = [0.0, 0.0]
            for place, value in zip(auxiliary, centre[1:], strict=True):
                aux[place] = float(value)
            observed = [*counts.tolist(), *aux]
            pyhf.infer.mle.fixed_poi_fit(1.0, observed, histfactory)
            pyhf.infer.mle.fit(observed, histfactory)
        return toys

    return task


def _root(construction: Construction, toys: int) -> Any:
    """Task that fits the toys of `_data` with RooFit's Poisson terms and Minuit 2."""
    import ROOT

    model = construction.model
    background = model.counts([0.0, 0.0, 0.0])
    signal = model.counts([1.0, 0.0, 0.0]) - background
    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.FATAL)
    space = ROOT.RooWorkspace("space")
    space.factory("mu[1, -1, 3]")
    for pull, width in (("s", 0.10), ("b", 0.01)):
        space.factory(f"{pull}[0, -8, 8]")
        space.factory(f"Gaussian::pull_{pull}(centre_{pull}[0, -10, 10], {pull}, 1)")
        space.factory(f"PolyVar::factor_{pull}({pull}, {{1, {width}}})")
    terms = ["pull_s", "pull_b"]
    for i, (s, b) in enumerate(zip(signal, background, strict=True)):
        space.factory(f"prod::signal_{i}({s}, mu, factor_s)")
        space.factory(f"prod::background_{i}({b}, factor_b)")
        space.factory(f"sum::expected_{i}(signal_{i}, background_{i})")
        space.factory(f"Poisson::bin_{i}(count_{i}[0, 1e9], expected_{i}, true)")
        terms.append(f"bin_{i}")
    space.factory(f"PROD::model({', '.join(terms)})")
    observed = [space.var(f"count_{i}") for i in range(model.bins)]
    observed += [space.var("centre_s"), space.var("centre_b")]
    names = ROOT.RooArgSet(*observed)
    data = _data(construction, toys)
    asimov = ROOT.RooDataSet("asimov", "", names)
    asimov.add(names)
    nll = space.pdf("model").createNLL(asimov)

    def task() -> int:
        for counts, centre in zip(data.counts, data.centre, strict=True):
            for variable, value in zip(observed, (*counts, *centre[1:]), strict=True):
                variable.setVal(float(value))
            single = ROOT.RooDataSet("data", "", names)
            single.add(names)
            nll.setData(single, False)
            for name in ("mu", "s", "b"):
                space.var(name).setVal(float(name == "mu"))
            for constant in (True, False):
                space.var("mu").setConstant(constant)
                minimizer = ROOT.RooMinimizer(nll)
                minimizer.setPrintLevel(-1)
                minimizer.setStrategy(0)
                minimizer.minimize("Minuit2", "migrad")
        return toys

    return task
