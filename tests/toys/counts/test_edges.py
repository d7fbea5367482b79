"""Whole numbers on edges of bins, on thresholds and on jumps: events are where templates are."""

import numpy as np
import pytest
from nuspill import build, generate, load
from nuspill.reco.expectation import expectations
from nuspill.toys.construction.ensemble import Truth
from nuspill.toys.construction.event_toys import sources_at, throw_events
from nuspill.toys.counts.template import templates
from scipy import stats

QUIET = {"background.steady.enabled": False, "exposure.years": 1.0}
POINTS = {"model": "table", "recoil": [1.5, 5.0, 50.0], "energy": [0.15, 0.9, 12.0]}


def photoelectrons(light_yield):
    return {"detector.resolution": {"model": "photoelectrons", "light_yield": light_yield}}


# edges of which none, some or all are those of whole numbers; 0.7 and 1.3 are less as float32
ON = [1.5, 3.0, 5.0, 10.0, 46.0]
CASES = {
    "as reported": (photoelectrons(20.0), [3.0, 6.0, 10.0, 20.0, 46.0]),
    "on": (photoelectrons(20.0), ON),
    "off": (photoelectrons(20.0), [1.4, 3.2, 4.7, 10.3, 46.2]),
    "of no whole numbers": (photoelectrons(21.3), ON),
    "rounded": (photoelectrons(100.0), [1.1, 1.3, 1.7, 2.3, 46.1]),
    "of a factor with digits": (
        photoelectrons(13.348) | {"detector.quenching.factor": 0.0878},
        [float(n / 13.348 / 0.0878) for n in (3, 5, 7, 19, 54)],
    ),
    "of a table": (
        photoelectrons(20.0) | {"detector.quenching": POINTS},
        [1.5, 5.0, 10.0, 50.0],
    ),
    "in photo-electrons": (
        photoelectrons(20.0) | {"analysis.scale": "reco"},
        [3.0, 6.0, 10.0, 20.0, 92.0],
    ),
    "background": (
        photoelectrons(20.0)
        | {
            "background": [
                {"name": "b", "scale": "reco", "rate": 2.0, "range": [2.0, 80.0]},
                {"name": "c", "scale": "keV_nr", "rate": 0.5, "range": [1.0, 40.0]},
                {"name": "d", "rate": 2.0, "range": [1.0, 40.0], "measured": False},
            ]
        },
        ON,
    ),
}


def experiment(case, **more):
    settings, edges = CASES[case]
    return load("ess-csi", QUIET | settings | {"analysis.edges": edges} | more)


def goodness(seen, due):
    return stats.chi2.sf(np.sum((seen - due) ** 2 / due), len(seen))


@pytest.mark.parametrize("threshold", ["below", "on", "above"])
@pytest.mark.parametrize("case", CASES)
def test_events_lie_in_the_bins_of_the_templates(case, threshold):
    """Fails if a number on an edge, or on the threshold, is below it in one and above in another.

    With the edges of "as reported" χ² was 206 in 4 bins, and 500 with a threshold on a number.
    """
    first = CASES[case][1][0] if case != "in photo-electrons" else 1.5
    # a threshold in the first bin on an edge's own number, beside it, or below all bins
    least = {"below": 1.0, "on": first, "above": first * (1 + 1e-4)}[threshold]
    e = experiment(case, **{"detector.threshold": least})
    model = build([e], ["strength"])
    due, (section,) = model.counts(model.truth), model.sections
    events = generate(e, seed=12, years=e.exposure.years, library="np")
    chosen = events["selected"] & (events["window"] == 1)
    assert goodness(section.binning.seen(events, 1), due) > 1e-3
    selected = sum(x.selected[1] for x in expectations(e)) * e.exposure.years
    assert abs(chosen.sum() - selected) < 4 * np.sqrt(selected)
    if threshold != "below":
        assert due.sum() == pytest.approx(selected, rel=5e-3)


def test_a_number_on_an_edge_is_above_it():
    """Fails if templates are not sums of Poisson numbers from the edge's own on: closed form."""
    detector = experiment("on").detector
    t = np.array([1.0, 3.0, 7.0])
    found = detector.bin_probability(t, ON, "keV_nr", 60.0)
    low, high = np.array([3, 6, 10, 20]), np.array([6, 10, 20, 92])
    mean = 2.0 * t[:, None]
    expected = 0.8 * (stats.poisson.cdf(high - 1, mean) - stats.poisson.cdf(low - 1, mean))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-15)
    at = detector.acceptance([2.0, 3.0], [0.0, 0.0], threshold=1.5)
    np.testing.assert_array_equal(at, [0.0, 0.8])


@pytest.mark.parametrize("case", ["on", "rounded", "of a table", "in photo-electrons"])
def test_templates_and_toys_of_events_count_alike(case, event_templates):
    """Fails if `event_templates` or toys of events count in other bins than the templates."""
    e = experiment(case)
    found, years = templates(e), 3.0
    events = generate(e, seed=3, years=years, library="np")
    counts, variances = event_templates(e, events, years)
    structure = next(iter(counts))[2]
    seen, due, spread = (
        sum(table[key] for key in counts if key[2] == structure)
        for table in (counts, found.signal, variances)
    )
    assert stats.chi2.sf(np.sum((seen - due) ** 2 / spread), len(due)) > 1e-3
    model = build([e], ["strength"])
    truth = Truth(model.truth, model.background)
    three = np.repeat(truth.values[None], 3, axis=0)
    toys, _ = throw_events(model, sources_at(model, [e], truth), three, 1, 0, 0)
    assert goodness(toys.sum(axis=0), 3 * model.counts(model.truth)) > 1e-3
