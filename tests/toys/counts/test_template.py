"""Templates: the response in bins, and quadrature against generated events."""

from itertools import pairwise

import numpy as np
import pytest
from nuspill import ExperimentError, generate, load, shipped_experiments
from nuspill.generator.coupling import structure_couplings
from nuspill.reco.expectation import background_in_bins
from nuspill.reco.response.detector import Shift
from nuspill.toys.counts.binning import energy_edges
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.template import templates
from scipy.special import ndtr
from scipy.stats import chi2, poisson

SHIPPED = shipped_experiments()
LEAST = 1e-4
"""p-value below which agreement is refused; seeds are fixed."""


@pytest.mark.parametrize("name", SHIPPED)
def test_rows_sum_to_the_selection(name):
    """Fails if bins that cover everything lose a selected recoil, or count one twice."""
    experiment = load(name)
    detector, top = experiment.detector, experiment.energy_top
    recoil = np.geomspace(0.03, experiment.end_point, 60)
    for scale in ("keV_nr", "reco"):
        inner = energy_edges(experiment)
        edges = np.concatenate([[-np.inf], inner, [np.inf]])
        rows = detector.bin_probability(recoil, edges, scale, top)
        assert np.all(rows >= 0)
        np.testing.assert_allclose(
            rows.sum(axis=1), detector.selection_probability(recoil, top), rtol=1e-9, atol=3e-5
        )


def test_gaussian_bins_in_closed_form():
    """Fails if the chance of a bin is not a difference of Gaussian integrals times the plateau."""
    experiment = load("ess-csi")
    edges = np.array([1.0, 1.7, 3.0, 10.0, 46.1])
    recoil = np.array([0.2, 0.9, 1.0, 2.4, 9.0, 40.0])
    found = experiment.detector.bin_probability(recoil, edges, "keV_nr", experiment.energy_top)
    sigma = 0.3 * np.sqrt(recoil)[:, None]
    expected = 0.8 * np.diff(ndtr((edges - recoil[:, None]) / sigma), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_photoelectron_bins_by_sums():
    """Fails if a bin of photo-electrons is not the sum of Poisson terms times the acceptance."""
    experiment = load("sns-csi-2017")
    edges = np.asarray(experiment.analysis.edges)
    recoil = np.array([2.0, 8.0, 15.0, 30.0])
    found = experiment.detector.bin_probability(recoil, edges, "reco", experiment.energy_top)
    n = np.arange(200)
    accept = 0.6655 / (1 + np.exp(-0.4942 * (n - 10.8507)))
    accept = np.where((n >= 6) & (n <= 30), accept, 0.0)
    for row, t in zip(found, recoil, strict=True):
        weight = poisson.pmf(n, 13.348 * 0.0878 * t) * accept
        np.testing.assert_allclose(row, _half_open(n, edges, weight), atol=1e-12)


def _half_open(n, edges, weight):
    """Sums of weights in bins that hold their lower edge alone."""
    return [weight[(n >= a) & (n < b)].sum() for a, b in pairwise(edges)]


def test_shifts():
    """Fails if a shift moves something other than it says: energy, width or threshold."""
    experiment = load("ess-csi")
    detector, top = experiment.detector, experiment.energy_top
    edges = np.array([1.0, 2.0, 4.0, 10.0, 46.1])
    t = np.array([0.5, 1.5, 3.0, 20.0])

    def chance(recoil, **shift):
        return detector.bin_probability(recoil, edges, "keV_nr", top, Shift(**shift))

    np.testing.assert_array_equal(chance(t), detector.bin_probability(t, edges, "keV_nr", top))
    np.testing.assert_allclose(chance(t, energy=1.1), chance(1.1 * t), atol=1e-12)
    narrow = 0.8 * np.diff(ndtr((edges - t[:, None]) / (0.15 * np.sqrt(t)[:, None])), axis=1)
    np.testing.assert_allclose(chance(t, width=0.5), narrow, atol=1e-12)
    up = chance(t, threshold=1.2)
    np.testing.assert_allclose(up[:, 1:], chance(t)[:, 1:], atol=1e-12)
    cut = 0.8 * np.diff(ndtr((np.array([1.2, 2.0]) - t[:, None]) / (0.3 * np.sqrt(t)[:, None])))
    np.testing.assert_allclose(up[:, :1], cut, atol=1e-12)
    lower = chance(t, threshold=0.5)  # bins stay where they are
    np.testing.assert_allclose(lower, chance(t), atol=1e-12)

    photo = load("sns-csi-2017")
    args = np.asarray(photo.analysis.edges), "reco", photo.energy_top
    a = photo.detector.bin_probability(t, *args, Shift(energy=0.9))
    np.testing.assert_allclose(a, photo.detector.bin_probability(0.9 * t, *args), atol=1e-12)


@pytest.mark.parametrize("name", SHIPPED)
def test_background_in_bins(name):
    """Fails if bins lose or double background: they add up to what is selected in their range."""
    experiment = load(name)
    for background in experiment.background:
        for scale in ("keV_nr", "reco"):
            edges = np.concatenate([[-np.inf], energy_edges(experiment), [np.inf]])
            found = background_in_bins(experiment, background, edges, scale)
            (total,) = background_in_bins(
                experiment, background, np.array([-np.inf, np.inf]), "reco"
            )
            assert np.all(found >= 0)
            assert found.sum() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("name", SHIPPED)
def test_edges(name):
    """Fails if bins are not from threshold to e_max, each two σ at its centre wide."""
    experiment = load(name)
    edges = energy_edges(experiment)
    if experiment.analysis.energy_edges is not None:
        np.testing.assert_array_equal(edges, experiment.analysis.energy_edges)
        return
    assert edges[0] == experiment.detector.threshold
    assert edges[-1] == experiment.e_max
    if name in {"ess-ar", "ess-c3f8"}:
        assert edges.size == 2
        return
    r, threshold = experiment.detector.resolution.relative, experiment.detector.threshold
    centre = (edges[1:] + edges[:-1]) / 2
    ratio = np.diff(edges) / (2 * r * np.sqrt(threshold * centre))
    np.testing.assert_allclose(ratio[:-1], 1.0, rtol=1e-9)
    assert 0.5 < ratio[-1] < 1.6


def test_edges_that_cannot_be():
    """Fails if bins without a width, or without end, are made."""
    with pytest.raises(ExperimentError, match=r"analysis\.edges must be given"):
        energy_edges(load("ess-csi", {"detector.resolution": "none"}))
    with pytest.raises(ExperimentError, match="more than 1000 bins"):
        energy_edges(load("ess-csi", {"analysis.bin_width": 1e-4}))
    with pytest.raises(ExperimentError, match="5000 bins; at most 1000"):
        energy_edges(load("ess-csi", {"analysis.edges": np.linspace(1, 46, 5001).tolist()}))


MODELS = {
    "SM": {},
    "NSI": {"nsi.u.ee": 0.25, "nsi.d.mumu": -0.1, "nsi.u.emu": 0.1},
    "sin2w": {"sin2w": 0.30},
    "radius": {"radius.ee": 15.0, "radius.mumu": -20.0, "radius.emu": 10.0},
    "moment": {"moment.numu": 15.0, "moment.nue": 30.0},
}


def sample(experiment, events, seed):
    """Signal events, of a run about as long as makes so many."""
    quiet = experiment.replace(
        background=[b.model_dump() | {"enabled": False} for b in experiment.background]
    )
    found = templates(quiet)
    couplings = {
        f.name: structure_couplings(quiet.interaction, f.name) for f in quiet.source.flavours
    }
    selected = sum(couplings[f][s] * n.sum() for (f, _, s), n in found.signal.items())
    years = events / selected * quiet.exposure.years
    return found, years, generate(quiet, seed=seed, years=years, library="np")


def agree(counts, expected, variance, floor=25.0):
    """p-value of χ² in bins that hold enough."""
    counts, expected, variance = (np.concatenate(x) for x in (counts, expected, variance))
    use = (variance > 0) & (expected**2 > floor * variance)
    assert np.count_nonzero(use) > 0
    value = np.sum((counts[use] - expected[use]) ** 2 / variance[use])
    return chi2.sf(value, np.count_nonzero(use)), np.count_nonzero(use)


def _counted(energy, edges):
    """Counts in bins that hold their lower edge alone: photo-electrons are whole numbers."""
    return np.diff(np.searchsorted(np.sort(energy), edges)).astype(float)


TABLE_1 = ["ess-csi", "ess-si", "ess-xe", "ess-ge", "ess-ar", "ess-c3f8"]
CASES = [(name, "SM") for name in SHIPPED if not load(name).template]
CASES += [(name, m) for name in TABLE_1 for m in MODELS if m != "SM"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), CASES)
def test_events_follow_the_templates(name, model, event_templates):
    """Fails if generated events, by flavour, nucleus and bin, are not what the templates say.

    The same with the weights of each coupling structure. 5e4 selected events an experiment.
    """
    settings = {f"interaction.{key}": x for key, x in MODELS[model].items()}
    found, years, events = sample(load(name, settings), 5e4, seed=11)
    experiment = found.experiment
    scale = years / experiment.exposure.years
    chosen = (events["window"] == 1) & events["selected"]
    column = "e_reco" if experiment.analysis.scale == "reco" else "e_reco_nr"
    seen, due = [], []
    for channel in experiment.channels:
        mine = chosen & (events["component"] == channel.flavour.component)
        mine &= events["target"] == channel.nucleus.pdg
        if found.binning.time is None:
            seen.append(_counted(events[column][mine], found.binning.energy))
        else:
            seen.append(found.binning.seen(events, 1, mine))
        couplings = structure_couplings(experiment.interaction, channel.flavour.name)
        due.append(
            scale
            * sum(
                couplings[s] * counts
                for (f, n, s), counts in found.signal.items()
                if (f, n) == (channel.flavour.name, channel.nucleus.name)
            )
        )
    p, bins = agree(seen, due, due)
    assert p > LEAST, f"p = {p:.2g} in {bins} bins"
    if model != "SM" and name != "ess-csi":
        return

    counts, variances = event_templates(experiment, events, years)
    structures = {key[2] for key in counts}
    for structure in structures:
        keys = [key for key in counts if key[2] == structure]
        tables = [[table[k] for k in keys] for table in (counts, found.signal, variances)]
        if structure == "moment":
            # weights to a moment grow without limit at a flavour's end point, where dσ/dT of the
            # sample vanishes and their variance is infinite: below half of it alone
            if experiment.analysis.scale == "reco":
                continue
            ends = {(c.flavour.name, c.nucleus.name): c.end_point for c in experiment.channels}
            below = [found.binning.energy[1:] < 0.5 * ends[k[:2]] for k in keys]
            tables = [[x[b] for x, b in zip(t, below, strict=True)] for t in tables]
            if not any(b.any() for b in below):  # one bin to the end
                continue
        p, bins = agree(*tables, 100.0)
        assert p > LEAST / 10, f"{structure}: p = {p:.2g} in {bins} bins"


def test_weights_of_imported_events(event_templates):
    """Fails if a weight of an event, or the sample's exposure, does not scale a template."""
    found, years, events = sample(load("ess-ar"), 2e3, seed=3)
    experiment = found.experiment
    counts, variances = event_templates(experiment, events, years)
    twice = np.full(len(events["e_nr"]), 2.0)
    more, wider = event_templates(experiment, events, years / 3, twice)
    for key in counts:
        np.testing.assert_allclose(more[key], 6 * counts[key])
        np.testing.assert_allclose(wider[key], 36 * variances[key])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ess-xe", "sns-csi-2017", "ess-si", "ess-ge"])
def test_backgrounds_follow_the_templates(name):
    """Fails if generated backgrounds in beam-on, selected, are not those of the model's bins."""
    experiment = load(name)
    years = experiment.exposure.years * {"ess-xe": 0.1, "ess-ge": 0.5}.get(name, 10.0)
    found = templates(experiment)
    events = generate(experiment, seed=4, years=years, library="np", selected_only=True)
    column = "e_reco" if experiment.analysis.scale == "reco" else "e_reco_nr"
    mine = (events["component"] >= 10) & (events["window"] == 1)
    seen = _counted(events[column][mine], found.binning.energy)
    due = (found.steady + found.beam) * years / experiment.exposure.years
    p, bins = agree([seen], [due], [due], 10.0)
    assert p > LEAST, f"p = {p:.2g} in {bins} bins"
    outside = (events["component"] >= 10) & (events["window"] == 2)
    ratio = np.count_nonzero(outside) / max(np.count_nonzero(mine), 1)
    assert ratio == pytest.approx(found.tau, rel=6 / np.sqrt(max(seen.sum(), 1)))


def test_hist():
    """Fails if the histogram is not the arrays, by name."""
    found = templates(load("ess-c3f8"))
    h = found.hist()
    assert [axis.name for axis in h.axes] == ["flavour", "nucleus", "structure", "energy"]
    for (flavour, nucleus, structure), counts in found.signal.items():
        np.testing.assert_array_equal(h[flavour, nucleus, structure, :].values(), counts)


def test_exposure_and_veto():
    """Fails if counts do not go with years and live time."""
    experiment = load("ess-ar")
    one = build([experiment])
    more = build([experiment.replace(**{"exposure.years": 9.0, "detector.dead_time": 0.5})])
    np.testing.assert_allclose(more.counts(more.truth), 1.5 * one.counts(one.truth), rtol=1e-12)
