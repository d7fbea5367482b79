"""A coupling of one's own: fails if rates, models or scans must know of it elsewhere."""

import numpy as np
import pytest
from nuspill import Axis, load, scan_1d
from nuspill.generator.coupling import Matrix, Nsi, coupling
from nuspill.generator.rate import above, channels
from nuspill.toys.counts.combination import build

Z, N = 54, 78
XENON = [{"name": "Xe", "z": Z, "n": N, "mass": 131.29}]
SAME = -2 * (Z * (0.5 - 2 * 0.23867) - N / 2) / (3 * (Z + N))
"""ε^q_ee with which Z g_p + N g_n of ν_e, to which it adds 3 (Z + N) ε, has the other sign."""


class Universal(Nsi):
    """Interactions with both quarks alike, ε^q = ε^u = ε^d."""

    q: Matrix = coupling(Matrix(), "with both quarks", label=r"$\epsilon^{{q,V}}_{{{}}}$")

    def of(self, lepton):
        both = (self.q.diagonal(lepton), *self.q.off_diagonal(lepton))
        return tuple((u + q, d + q) for (u, d), q in zip(super().of(lepton), both, strict=True))


def with_universal(**entries):
    experiment = load("ess-xe", {"target.material": XENON})
    nsi = Universal(q=Matrix(**entries))
    interaction = experiment.interaction.model_copy(update={"nsi": nsi})
    return experiment.model_copy(update={"interaction": interaction})


def test_rates():
    """Fails if the rate of ν_e is not that of the other sign, or of half the charge a quarter."""

    def by_flavour(**entries):
        e = with_universal(**entries)
        return {c.flavour.name: above(c, 1.0) for c in channels(e.source, e.target, e.interaction)}

    plain = by_flavour()
    for x, factor in ((0.0, 1.0), (SAME, 1.0), (SAME / 2, 0.0), (SAME / 4, 0.25)):
        changed = by_flavour(ee=x)
        assert changed["nue"] == pytest.approx(factor * plain["nue"], abs=1e-9 * plain["nue"])
        assert changed["numu"] == plain["numu"]


def test_model_and_scan():
    """Fails if a fit of it knows another charge, or another label, than its class says."""
    model = build([with_universal()], ["nsi.q.ee", "nsi.q.mumu"])
    assert [p.label for p in model.parameters] == [
        r"$\epsilon^{q,V}_{ee}$",
        r"$\epsilon^{q,V}_{\mu\mu}$",
    ]
    counts = [model.counts([x, 0.0, *model.truth[2:]]) for x in (0.0, SAME / 2, SAME)]
    np.testing.assert_allclose(counts[2], counts[0], rtol=1e-12)
    assert np.all(counts[1] < counts[0])
    one = build([with_universal()], ["nsi.q.ee"])
    found = scan_1d(one, Axis("nsi.q.ee", 0.0, SAME, 3), 0.9)
    chi2 = np.asarray(found.delta_chi2)
    assert chi2[[0, 2]] == pytest.approx(0, abs=1e-6)
    assert chi2[1] > 1
