"""Templates from events, beside those of quadrature."""

import numpy as np
import pytest
from nuspill.generator.cross_section import structure_factors
from nuspill.reco.chain.codes import ON
from nuspill.toys.counts.binning import binning


@pytest.fixture(scope="session", name="event_templates")
def fixture():
    """`from_events`."""
    return from_events


def from_events(experiment, events, years, weight=None):
    """Signal templates in beam-on from events, and their variances.

    An event counts with dσ/dT of a structure over that of the sample's couplings, at its energies.

    Parameters
    ----------
    experiment
        That of the sample.
    events
        Columns ``component``, ``target``, ``e_nu``, ``e_nr``, ``window``, ``selected`` and the
        binned ``e_reco``, shape (n,).
    years
        Exposure of the sample, in years of operation; counts are scaled to the experiment's.
    weight
        Of the events, shape (n,), e.g. a ``weight_`` column; by default one.

    Returns
    -------
    counts, variances
        Arrays of shape (bins,) by (flavour, nucleus, structure).
    """
    bins = binning(experiment)
    scale = experiment.exposure.years / years
    counts, variances = {}, {}
    for channel in experiment.channels:
        chosen = np.flatnonzero(
            (events["component"] == channel.flavour.component)
            & (events["target"] == channel.nucleus.pdg)
            & (events["window"] == ON)
            & events["selected"]
        )
        e, t = (np.asarray(events[name], float)[chosen] for name in ("e_nu", "e_nr"))
        powers = np.stack([np.ones_like(e), 1 / e, 1 / e**2])
        sample = (channel.factors(t) * powers).sum(axis=0)
        factors = structure_factors(
            t, channel.nucleus, experiment.interaction, channel.flavour.name
        )
        start = np.ones(len(chosen)) if weight is None else np.asarray(weight, float)[chosen]
        for structure, factor in factors.items():
            w = start * (factor * powers).sum(axis=0) / sample * scale
            key = channel.flavour.name, channel.nucleus.name, structure
            columns = {name: events[name][chosen] for name in bins.columns}
            counts[key], variances[key] = bins.count(columns, w), bins.count(columns, w**2)
    return counts, variances
