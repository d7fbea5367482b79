"""The slower search finds fits that are not the least, and no others."""

import numpy as np
import pytest
from nuspill import load
from nuspill.toys.construction.ensemble import Ensemble, Truth
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.construction.throw import throw
from nuspill.toys.counts.combination import build
from nuspill.toys.fit.audit import GAIN, gains, summed
from nuspill.toys.fit.local import local_fit
from nuspill.toys.fit.search import search

SYSTEMATICS = [
    {"name": "q", "effect": "quenching", "uncertainty": 0.05},
    {"name": "f", "effect": "flux", "uncertainty": 0.05},
]
LOW = {"exposure.years": 0.02}
# experiments, settings, parameters, those that are held with their values
CASES = {
    "angle, change of flavour profiled": (["ess-csi"], {}, ["sin2w", "radius.emu"], {"sin2w": 0.2}),
    "moment at 0, angle": (
        ["ess-csi", "ess-ar"], {}, ["moment.numu", "sin2w"], {"moment.numu": 0.0},
    ),
    "two fills, angle": (
        ["ess-xe", "ess-xe-ar"], {"exposure.years": 1.5}, ["sin2w", "radius.emu"], {"sin2w": 0.22},
    ),
    "three radii": (
        ["ess-xe", "ess-xe-ar"], {"exposure.years": 1.5},
        ["radius.ee", "radius.mumu", "radius.emu"], {"radius.ee": 10.0},
    ),
    "a valley": (["ess-csi"], {}, ["nsi.u.ee", "nsi.d.ee"], {"nsi.d.ee": 0.1}),
    "on-off, no signal": (
        ["ess-si"], {"analysis.statistic": "on-off", "analysis.systematic": SYSTEMATICS},
        ["strength"], {"strength": 0.0},
    ),
    "systematics": (
        ["ess-csi"], {"analysis.systematic": SYSTEMATICS}, ["nsi.u.ee", "nsi.u.mumu"],
        {"nsi.u.ee": 0.1, "nsi.u.mumu": 0.1},
    ),
    "few counts": (["ess-ar"], LOW, ["nsi.u.ee", "nsi.d.mumu"], {"nsi.u.ee": 0.5}),
    "four, on carbon and fluorine": (
        ["ess-c3f8"], {}, ["nsi.u.ee", "nsi.d.ee", "nsi.u.mumu", "nsi.d.mumu"], {"nsi.u.ee": 0.1},
    ),
    "strength and change of flavour": (
        ["ess-csi"], {}, ["strength", "nsi.u.emu"], {"nsi.u.emu": 0.3},
    ),
    "strength and two couplings, which are nearly one": (
        ["ess-csi"], {}, ["strength", "nsi.u.ee", "nsi.u.mumu"], {"nsi.u.ee": 0.3},
    ),
    "strength of one nucleus": (
        ["ess-ar"], {}, ["strength", "nsi.u.ee", "nsi.u.mumu"], {"nsi.u.ee": 0.3},
    ),
    "scaled background, moments": (
        ["ess-ge"], {"analysis.statistic": "on-off-scaled"}, ["moment.numu", "moment.nue"],
        {"moment.numu": 3.0},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_fit_can_be_improved(case):
    """Fails if the slower search lowers χ² of any of 100 toys by 1e-5, or a fit does not converge.

    Held at the values of the case and free; the toys are thrown there.
    """
    names, settings, free, values = CASES[case]
    model = build([load(name, settings) for name in names], free)
    truth = model.truth.copy()
    for name, value in values.items():
        truth[model.number(name)] = value
    data = throw(model, Ensemble(), Truth(truth, model.background), 7, 0, 0, 100)
    for held in ([], list(values)):
        if len(held) == model.variables:
            continue
        fits = search(model, held).around(truth).fit(data, truth[None])
        assert not np.any(fits.status)
        audit = summed(gains(model, data, fits, [model.number(name) for name in held]))
        assert audit.improvable == 0, audit


def test_a_fit_that_stays_is_found():
    """Fails if fits that stay at a saddle, or in the wrong valley, pass."""
    model = build([load("ess-csi")], ["nsi.u.ee", "nsi.u.mumu"])
    values = model.truth.copy()
    values[:2] = 0.3, 0.1
    data = throw(model, Ensemble(), Truth(values, model.background), 7, 0, 0, 40)
    start = model.truth[None].copy()
    start[0, :2] = -0.5, 0.8
    wrong = local_fit(model, data, start)
    found = gains(model, data, wrong)
    least = search(model).fit(data, values[None]).chi2
    np.testing.assert_allclose(found, np.maximum(wrong.chi2 - least, 0), atol=1e-5)
    assert summed(found).improvable == np.count_nonzero(wrong.chi2 > least + GAIN) > 5


def test_audit_of_a_construction():
    """Fails if toys are counted twice, or an audit says other than its number."""
    model = build([load("ess-csi")], ["nsi.u.ee"])
    axes = (("nsi.u.ee", np.linspace(-0.1, 0.4, 3)),)
    c = Construction(model, axes, Ensemble(), 1, model.asimov())
    audit = c.audit(0, 1000, 40)
    assert audit.largest < GAIN
    assert str(audit) == "0 of 40 checked fits could be improved by more than 1e-05"
    assert c.audit(5, 2, 40).checked == 12  # of 3 points with 2 toys each
