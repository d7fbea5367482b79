"""The compiled fit: derivatives by finite differences, and minima against iminuit's.

The problems are random small models, made without an experiment: counts down to zero, many bins
and one, strengths that can hardly be told apart, beam-off counts, bounds, couplings squared.
"""

import numpy as np
import pytest
from iminuit import Minuit
from nuspill.reco.cluster.workers import Here
from nuspill.reco.errors import ExperimentError
from nuspill.toys.counts.binning import numbered
from nuspill.toys.counts.model import Data, Model, Nuisance, Section
from nuspill.toys.counts.parameter import Parameter
from nuspill.toys.counts.polynomial import Polynomial
from nuspill.toys.effects.effect import Quenching
from nuspill.toys.fit.likelihood import Chi2
from nuspill.toys.fit.local import local_fit, take
from nuspill.toys.fit.search import search
from nuspill.toys.kernels.deviance import evaluate as kernel_evaluate
from nuspill.toys.kernels.lanes import Objective, new_lanes
from nuspill.toys.kernels.status import CONVERGED, HIGHER, RUNNING, STATUS


def random_model(rng, kind):
    """A model of a kind: linear, degenerate, squares (apart) or mixed (not apart)."""
    bins = int(rng.choice([1, 2, 5, 12, 40]))
    on_off = rng.random() < 0.4
    couplings = 1 if bins == 1 or (kind == "linear" and rng.random() < 0.5) else 2
    pulls = int(rng.integers(0, 3))
    size = couplings + pulls
    exposure = 10 ** rng.uniform(-1, 4)
    shapes = rng.dirichlet(np.ones(bins), couplings + 1) * exposure
    if kind == "degenerate" and couplings == 2:
        shapes[1] = shapes[0] * (1 + 1e-4 * rng.normal(size=bins))
    x = [Polynomial.variable(i, size) for i in range(couplings)]
    lower = -np.inf
    if kind in {"linear", "degenerate"}:
        signal = sum((v * s for v, s in zip(x, shapes, strict=False)), x[0] * 0.0)
        truth, lower = rng.uniform(0.2, 2.0, couplings), 0.0
    elif kind == "squares":
        offset = rng.uniform(-1, 1, couplings)
        signal = sum((((v + o) ** 2) * s for v, o, s in zip(x, offset, shapes, strict=False)),
                     x[0] * 0.0)  # fmt: skip
        truth = rng.normal(size=couplings)
    else:
        slopes = rng.uniform(0.3, 1.5, (2, couplings))
        charge = [sum((v * a for v, a in zip(x, row, strict=True)), 0.5) for row in slopes]
        signal = charge[0] ** 2 * shapes[0] + charge[1] ** 2 * shapes[-1]
        truth = rng.normal(size=couplings)
    beside = 10 ** rng.uniform(-2, 3) * rng.dirichlet(np.ones(bins))
    beside += 1e-6
    expected = signal
    nuisances = []
    for k in range(pulls):
        eta = Polynomial.variable(couplings + k, size)
        effect = signal * (eta * 0.1) if k == 0 else eta * (beside * 0.02)
        expected = expected + effect
        nuisances.append(Nuisance(f"pull{k}", Quenching(), 0.1))
    tau = np.zeros(bins)
    if on_off:
        tau = np.full(bins, 10 ** rng.uniform(-1, 1))
        if pulls == 2:  # N must stay positive at any pull: no second one
            expected = signal + signal * (Polynomial.variable(couplings, size) * 0.1)
    else:
        expected = expected + beside
    parameters = tuple(Parameter(f"x{i}", "", "", lower) for i in range(couplings))
    return Model(
        parameters,
        tuple(nuisances),
        expected,
        bins,
        np.append(truth, np.zeros(pulls)),
        tau,
        np.where(tau > 0, beside, 0.0),
        (Section("test", slice(0, bins), None, numbered(bins)),),
    )


def random_data(rng, model, sets):
    """Poisson counts about the truth, and now and then none at all."""
    mean = model.counts(model.truth)
    counts = rng.poisson(mean, (sets, model.bins)).astype(float)
    off = rng.poisson(model.tau * model.background, (sets, model.bins)).astype(float)
    if rng.random() < 0.5 and mean.sum() < 30:  # with more, pulls of −10 σ make signal negative
        counts[0] = 0
    if rng.random() < 0.2:
        off[0] = 0
    centre = np.where(model.weight > 0, rng.normal(size=(sets, model.variables)), 0.0)
    return Data(counts, off, centre)


def by_minuit(model, data, number, start):
    """Least χ² by MIGRAD with exact derivatives, from one start."""
    cost = Chi2(model, data, number)
    minuit = Minuit(cost, start, grad=cost.gradient, name=model.names)
    minuit.limits = list(zip(model.lower, model.upper, strict=True))
    minuit.strategy = 0
    minuit.tol = 1e-3
    minuit.migrad()
    return cost(np.clip(minuit.values, model.lower, model.upper)), np.array(minuit.values)


KINDS = ("linear", "degenerate", "squares", "mixed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_derivatives(kind, seed):
    """Fails if χ², gradient or Hessian of the kernel are not those of finite differences.

    The kernel runs uncompiled, so that its parts can be called.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    model = random_model(rng, kind)
    data = random_data(rng, model, 1)
    free = tuple(range(model.variables))
    p = len(free)
    objective = Objective(
        terms=model.terms(free),
        tau=model.tau,
        free=np.array(free),
        weight=model.weight,
        lower=model.lower,
        upper=model.upper,
    )
    lanes = new_lanes(objective)
    lanes.counts[:], lanes.off[:] = data.counts[0][:, None], data.off[0][:, None]
    lanes.centre[:] = data.centre[0][:, None]
    point = model.truth + np.where(model.weight > 0, 0.3, 0.05)

    def evaluate(z):
        trial = lanes.trial
        trial.z[:] = np.asarray(z, float)[:, None]
        kernel_evaluate.py_func(objective, lanes)
        lower = np.zeros((p, p))
        lower[np.tril_indices(p)] = trial.hessian[:, 5]
        assert np.all(trial.chi2 == trial.chi2[5])
        return trial.chi2[5], trial.gradient[:, 5].copy(), lower + np.tril(lower, -1).T

    value, gradient, hessian = evaluate(point)
    cost = Chi2(model, data)
    assert value == pytest.approx(cost(point), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradient, cost.gradient(point), rtol=1e-10, atol=1e-10)
    step = 1e-5
    for i in range(p):
        shift = step * np.eye(p)[i]
        slope = (cost(point + shift) - cost(point - shift)) / (2 * step)
        assert gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-6 * (1 + abs(value)))
        bend = (cost.gradient(point + shift) - cost.gradient(point - shift)) / (2 * step)
        np.testing.assert_allclose(
            hessian[i], bend, rtol=1e-6, atol=1e-6 * (1 + np.abs(hessian).max())
        )


def compare(kind, models, sets, seed):
    """Ours less iminuit's χ² and whether ours converged, for each problem."""
    worse, status = [], []
    for number in range(models):
        rng = np.random.default_rng([seed, KINDS.index(kind), number])
        model = random_model(rng, kind)
        data = random_data(rng, model, sets)
        ours = search(model).fit(data, workers=Here(1))
        for i in range(sets):
            starts = [model.truth, ours.values[i]]  # the second: is there a way down from ours?
            if kind in {"squares", "mixed"}:  # several minima
                starts += [model.truth * s + rng.normal(size=model.variables) for s in (-1, 1)]
            theirs = min(by_minuit(model, data, i, start)[0] for start in starts)
            cost = Chi2(model, data, i)
            again = cost(ours.values[i])
            assert ours.chi2[i] == pytest.approx(again, rel=1e-9, abs=1e-8)
            assert np.all(ours.values[i] >= model.lower)
            assert np.all(ours.values[i] <= model.upper)
            worse.append(ours.chi2[i] - theirs)
            status.append(ours.status[i])
    return np.array(worse), np.array(status)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "models"), [
    ("linear", 120), ("degenerate", 80), ("squares", 30), ("mixed", 20),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_against_iminuit(kind, models):
    """Fails if, in 1000 problems, a minimum is 1e-6 above MIGRAD's and converged, or one fails."""
    worse, status = compare(kind, models, 4, seed=1)
    bad = np.flatnonzero(worse > 1e-6)
    assert bad.size == 0, f"problems {bad}: worse by {worse[bad]}, status {status[bad]}"
    assert np.count_nonzero(status) == 0, f"status {status[status != 0]}"


@pytest.mark.parametrize("kind", KINDS)
def test_threads_order_and_blocks(kind, monkeypatch):
    """Fails if a result changes, by a bit, with threads, neighbours, lanes or the size of tasks."""
    rng = np.random.default_rng(KINDS.index(kind))
    model = random_model(rng, kind)
    data = random_data(rng, model, 300)
    found = search(model)
    once = found.fit(data, workers=Here(1))
    monkeypatch.setattr("nuspill.toys.fit.local.SETS_A_TASK", 37)
    some = np.sort(rng.choice(300, 41, replace=False))
    mixed = rng.permutation(300)
    for order, threads in ((np.arange(300), 3), (np.arange(300), 2), (mixed, 2), (some, 1)):
        again = found.fit(take(data, order), workers=Here(threads))
        for a, b in zip(once, again, strict=True):
            np.testing.assert_array_equal(a[order], b)
    alone = [found.fit(take(data, np.array([i])), workers=Here(1)) for i in range(5)]
    np.testing.assert_array_equal([fit.chi2[0] for fit in alone], once.chi2[:5])


def test_failure_is_reported():
    """Fails if a fit that cannot start comes back as converged, or no counts are fitted."""
    model = random_model(np.random.default_rng(1), "linear")
    data = model.asimov()
    for count in (np.nan, -1.0, np.inf):
        with pytest.raises(ExperimentError, match="0 or more"):
            Data(np.full_like(data.counts, count), data.off, data.centre)
    start = np.full((1, model.variables), np.nan)
    fits = local_fit(model, data, start, workers=Here(1))
    assert fits.status[0] != 0


@pytest.mark.parametrize("kind", KINDS)
def test_higher_minima_are_left(kind):
    """Fails if a limit above the minimum changes a fit, or one far below it does not end it."""
    rng = np.random.default_rng(3)
    model = random_model(rng, kind)
    data = random_data(rng, model, 200)
    start = model.truth[None]
    whole = local_fit(model, data, start)
    above = local_fit(model, data, start, highest=whole.chi2 + 1e-6)
    for a, b in zip(whole, above, strict=True):
        np.testing.assert_array_equal(a, b)
    below = local_fit(model, data, start, highest=whole.chi2 - 100)
    early = below.status == HIGHER
    assert np.count_nonzero(early) > 150
    assert np.all(below.chi2[early] >= whole.chi2[early] - 1e-9 * (1 + whole.chi2[early]))
    assert below.steps.mean() <= whole.steps.mean()


def test_every_status_has_a_meaning():
    """Fails if a code is left out of the table, is given twice, or is that of no result."""
    assert list(STATUS) == list(range(len(STATUS)))
    assert STATUS[CONVERGED] == "converged"
    assert len(set(STATUS.values())) == len(STATUS)
    assert RUNNING not in STATUS
