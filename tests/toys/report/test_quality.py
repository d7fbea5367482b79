"""Quality of fits: significance, goodness of fit by χ² and by toys."""

import numpy as np
import pytest
from nuspill import load
from nuspill.reco.cluster.workers import Here
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting
from nuspill.toys.report.fitted import fitted
from nuspill.toys.report.quality import goodness, goodness_by_toys, significance
from nuspill.toys.report.report import models, report
from scipy.stats import chi2, kstest


def counts(*numbers):
    return np.array([numbers], float)


def test_significance_of_one_bin():
    """Fails if q is not 2 (n ln(n/b) − n + b), the known one of counts beside a background."""
    model = counting([10.0], [100.0])
    fit = fitted(model, Data(counts(130.0), np.zeros((1, 1)), np.zeros((1, 1))))
    result = significance(fit, model.fixed({"mu": 0.0}))
    assert result.q == pytest.approx(2 * (130 * np.log(1.3) - 30), rel=1e-9)
    assert result.sigma == pytest.approx(np.sqrt(result.q))
    below = fitted(model, Data(counts(80.0), np.zeros((1, 1)), np.zeros((1, 1))))
    assert significance(below, model.fixed({"mu": 0.0})).sigma == 0.0


def test_significance_of_on_and_off():
    """Fails if it is not that of Li and Ma, for a background measured in beam-off."""
    tau, n, m = 2.0, 140.0, 200.0
    settings = {"analysis.statistic": "on-off", "analysis.edges": [1.0, 46.1],
                "analysis.signal_uncertainty": 0.0, "windows.off_ratio": tau}  # fmt: skip
    both = models([load("ess-csi", settings)], ["strength"])
    own = float(both.model.tau[0])
    fit = fitted(both.model, Data(counts(n), counts(m), np.zeros((1, 1))))
    total = n + m
    li_ma = 2 * (
        n * np.log((1 + own) * n / total) + m * np.log((1 + 1 / own) * m / total)
    )  # fmt: skip
    assert own == pytest.approx(tau)
    assert significance(fit, both.without).q == pytest.approx(li_ma, rel=1e-6)


def test_impossible_without_signal():
    """Fails if counts in a bin that expects signal alone do not exclude that there is none."""
    model = counting([10.0, 5.0], [0.0, 5.0])
    fit = fitted(model, Data(counts(8.0, 9.0), np.zeros((1, 2)), np.zeros((1, 1))))
    result = significance(fit, model.fixed({"mu": 0.0}))
    assert np.isinf(result.q)
    assert result.as_json()["sigma"] is None
    assert "impossible" in str(result)


def test_dropping_the_signal_of_couplings():
    """Fails if no signal is another model for a coupling than for the strength."""
    experiment = load("ess-csi", {"exposure.years": 0.1})
    by_strength, by_coupling = (models([experiment], [name]) for name in ("strength", "nsi.u.ee"))
    data = by_strength.model.asimov()
    results = [report(both, data) for both in (by_strength, by_coupling)]
    assert results[0].significance.q == pytest.approx(results[1].significance.q, rel=1e-6)
    assert results[0].significance.q > 100
    assert results[0].components == pytest.approx(results[1].components, rel=1e-6)


def test_degrees_and_p_value():
    """Fails if degrees are not bins and pulls less variables, or p is not the tail of χ²."""
    model = counting([50.0] * 8, [100.0] * 8, 0.1)
    rng = np.random.default_rng(1)
    data = Data(rng.poisson(150.0, (1, 8)).astype(float), np.zeros((1, 8)), np.zeros((1, 2)))
    result = goodness(fitted(model, data))
    assert result.degrees == 7
    assert result.p_value == pytest.approx(chi2.sf(result.chi2, 7))
    one = counting([10.0], [5.0])
    assert (
        goodness(fitted(one, Data(counts(12.0), np.zeros((1, 1)), np.zeros((1, 1))))).p_value
        is None
    )


def test_toys_give_the_chi2_distribution_of_many_counts():
    """Fails if p by toys is another than by χ² where counts are many, or depends on threads."""
    model = counting([500.0] * 6, [1000.0] * 6, 0.1, 0.05)
    rng = np.random.default_rng(2)
    data = Data(rng.poisson(1500.0, (1, 6)).astype(float), np.zeros((1, 6)), np.zeros((1, 3)))
    fit = fitted(model, data)
    results = [goodness_by_toys(fit, 20_000, 7, Here(n)) for n in (1, 2)]
    assert results[0] == results[1]
    assert results[0].toys_p_value == pytest.approx(results[0].p_value, abs=0.015)
    assert results[0].toys_error == pytest.approx(np.sqrt(0.25 / 20_000), rel=0.3)


def test_p_values_by_toys_are_uniform():
    """Fails if p by toys of data of few counts, for which χ² has no such distribution, is not."""
    model = counting([3.0] * 5, [1.0] * 5, 0.1)
    rng = np.random.default_rng(3)
    p = []
    for _ in range(300):
        data = Data(rng.poisson(4.0, (1, 5)).astype(float), np.zeros((1, 5)),
                    np.array([[0.0, rng.normal()]]))  # fmt: skip
        p.append(goodness_by_toys(fitted(model, data), 300, 5, Here(1)).toys_p_value)
    assert kstest(p, "uniform").pvalue > 1e-3
