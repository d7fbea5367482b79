"""COHERENT's germanium of 2024: published numbers, and a fit with plain NumPy and iminuit."""

import numpy as np
import pytest
from iminuit import Minuit
from nuspill import ExperimentError, load
from nuspill.reco.expectation import expectations
from nuspill.toys.counts.combination import build
from nuspill.toys.observed.observed import observed
from nuspill.toys.report.report import models, report
from scipy.special import kl_div

NAMES = ["sns-ge-2024", "sns-ge-2024-wide"]


def test_the_rate_is_published():
    """Fails if 1.5 to 8.5 keV_ee do not hold 34.4 events to 2 %, or 35.1 ± 3.6 as printed."""
    experiment = load("sns-ge-2024")
    selected = sum(e.selected[1] for e in expectations(experiment) if e.component < 10)
    assert selected == pytest.approx(34.4, rel=0.02)
    steady = sum(e.selected[1] for e in expectations(experiment) if e.component >= 10)
    assert steady == pytest.approx(212, rel=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_fit(name, shared):
    """Fails if it is not 19 to 22 counts, +9 −8, whichever the edges; or not that of iminuit."""
    ge_2024 = shared / "coherent_ge_2024"
    experiment = load(name)
    built = models([experiment], ["strength"])
    model = built.model
    data = observed(model, [experiment], [str(ge_2024)])
    assert data.counts.sum() == 236
    result = report(built, data)
    assert 19 <= result.components["signal"] <= 22
    per_strength = result.components["signal"] / result.fit.values[0]
    low, high = per_strength * result.fit.errors[0]
    assert (abs(low), abs(high)) == (pytest.approx(8.5, abs=0.7), pytest.approx(9.4, abs=0.7))

    on, off = (
        np.loadtxt(ge_2024 / f"{window}_counts_10x9.csv", delimiter=",") for window in ("on", "off")
    )
    signal = next(c for c in model.components if c.name == "signal").on.at(model.truth)
    shape = np.repeat(off.sum(axis=0)[:, None] / 10, 10, axis=1).ravel()

    def chi2(strength, eta):
        expected = strength * signal + shape * 1.0687**eta
        return 2 * kl_div(on.T.ravel(), expected).sum() + eta**2

    minuit = Minuit(chi2, 1.0, 0.0)
    minuit.errordef = 1
    minuit.migrad()
    assert minuit.values[0] == pytest.approx(result.fit.values[0], rel=2e-3)
    assert minuit.fval == pytest.approx(result.fit.chi2, abs=0.02)


def test_other_folders_are_refused(tmp_path):
    """Fails if a folder without the counts, or with others, is fitted or not named."""
    experiment = load("sns-ge-2024")
    model = build([experiment], ["strength"])
    with pytest.raises(ExperimentError, match="is not the release coherent-ge-2024"):
        observed(model, [experiment], [str(tmp_path)])
    for window in ("on", "off"):
        np.savetxt(tmp_path / f"{window}_counts_10x9.csv", np.ones((9, 10)), delimiter=",")
    with pytest.raises(ExperimentError, match=r"on_counts_10x9\.csv: has 9 lines of 10 counts"):
        observed(model, [experiment], [str(tmp_path)])
