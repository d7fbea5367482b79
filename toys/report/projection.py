"""Models and data on some of their axes, the others summed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ..counts.binning import Binning
from ..counts.model import Component, Data, Model, Section
from ..counts.polynomial import Polynomial


def projected(model: Model, names: Sequence[str]) -> tuple[Model, Array]:
    """A model on some axes, and which bins each of its bins is the sum of, (bins, old bins).

    An experiment without some of the axes keeps those that it has.

    Raises
    ------
    ExperimentError
        If an experiment has none of the axes, no experiment has one of them, or one is given twice.
    """
    _refuse_unknown(model, names)
    blocks, sections, components, start = [], [], list[Component](), 0
    for section in model.sections:
        block, binning = _block(section, names)
        components += [
            replace(c, on=_summed(c.on, block))
            for c in model.components
            if c.section == section.name
        ]
        rows = len(block) + (section.off is not None)
        whole = np.zeros((rows, model.bins))
        whole[: len(block), section.on] = block
        on, off = slice(start, start + len(block)), None
        if section.off is not None:
            whole[-1, section.off] = 1.0
            off = slice(on.stop, start + rows)
        blocks.append(whole)
        sections.append(replace(section, on=on, off=off, binning=binning))
        start += rows
    sums = np.concatenate(blocks)
    with np.errstate(invalid="ignore"):
        tau = (sums @ model.tau) / sums.sum(axis=1)  # the same in all bins of an experiment
    return (
        replace(
            model,
            expected=_summed(model.expected, sums),
            leaked=_summed(model.leaked, sums),
            background=sums @ model.background,
            tau=tau,
            bins=start,
            sections=tuple(sections),
            components=tuple(components),
        ),
        sums,
    )


def projected_data(data: Data, sums: Array) -> Data:
    """Data of a model on some axes, by its sums of bins, shape (bins, old bins)."""
    return replace(data, counts=data.counts @ sums.T, off=data.off @ sums.T)


def _summed(polynomial: Polynomial, sums: Array) -> Polynomial:
    size = sums.shape[1]
    terms = {q: sums @ np.broadcast_to(c, (size,)) for q, c in polynomial.terms.items()}
    return polynomial.with_terms(terms)


def _block(section: Section, names: Sequence[str]) -> tuple[Array, Binning]:
    """Sums over the bins of beam-on, (bins, old bins), and the bins that are left."""
    bins = section.binning
    left = [axis.name for axis in bins.axes if axis.name in names]
    if not left:
        raise ExperimentError(
            f"{section.name}: --axes {','.join(names)}: its axes are {', '.join(bins.names)}"
        )
    new = Binning(tuple(axis for axis in bins.axes if axis.name in left))
    return bins.project(np.eye(bins.bins), left).reshape(bins.bins, -1).T, new


def _refuse_unknown(model: Model, names: Sequence[str]) -> None:
    known = {name for section in model.sections for name in section.binning.names}
    for name in names:
        if name not in known:
            raise ExperimentError(
                f"--axes {','.join(names)}: no axis '{name}'; there are: {', '.join(sorted(known))}"
            )
        if list(names).count(name) > 1:
            raise ExperimentError(f"--axes {','.join(names)}: '{name}' is given twice")
