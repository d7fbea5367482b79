"""The free yield of the release of 2021, with every background pulled by its own uncertainty."""

import numpy as np
import pytest
from csi_2021 import PE, TIME
from nuspill import build, load
from nuspill.toys.counts.model import Data
from nuspill.toys.fit.local import local_fit
from nuspill.toys.fit.search import search
from scipy.optimize import brentq

SETTINGS = {"analysis.signal_uncertainty": 0.0, "analysis.factors": "linear"}


def test_yield_and_backgrounds(shared):
    """Fails if the best fit is not 309 (+32 -31) with 17.0 BRN, 5.5 NIN and 1272 of steady state.

    Its χ² is 84.4 in 99 bins, and no signal is 11.5 standard deviations off.
    """
    model = build([load("sns-csi-2021", SETTINGS)], ["strength"])
    events = np.loadtxt(shared / "coherent_csi_2021" / "dataBeamOnC.txt")
    counts = np.histogram2d(events[:, 0], events[:, 1], [PE, TIME])[0].ravel()
    assert counts.sum() == 1578
    zeros = np.zeros((1, model.bins))
    data = Data(counts[None], zeros, np.zeros((1, model.variables)))
    best = search(model).fit(data)
    on = {c.name: c.on.at(best.values[0]).sum() for c in model.components}
    due = {"signal": 308.9, "brn": 17.0, "nin": 5.5, "steady": 1272.1}
    assert on == pytest.approx(due, abs=0.1)
    assert best.chi2[0] == pytest.approx(84.38, abs=0.1)

    def higher(strength):
        start = best.values[:1].copy()
        start[0, 0] = strength
        return local_fit(model, data, start, [0]).chi2[0] - best.chi2[0]

    assert np.sqrt(higher(0.0)) == pytest.approx(11.5, abs=0.1)
    strength = best.values[0, 0]
    ends = [brentq(lambda s: higher(s) - 1, strength, strength * f) for f in (0.7, 1.3)]
    low, high = (np.array(ends) / strength - 1) * on["signal"]
    assert (low, high) == pytest.approx((-31.2, 32.1), abs=0.2)
