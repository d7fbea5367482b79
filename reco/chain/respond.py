"""Kernels of the response: quenching, smearing and acceptance of batches of events."""

from __future__ import annotations

import math

import numpy as np

from ...generator.sampling.draws import DEVIATE, PHOTONS, draw_for
from ...generator.sampling.kernel import kernel, kernel_inline
from ...generator.sampling.stream import SQRT2, gamma, normals, poisson
from .codes import GAMMA, LOGISTIC, PHOTOELECTRONS, ROOT_T, WIDTH_TABLE


@kernel_inline
def curve(table, step, x):  # type: ignore[no-untyped-def]
    """Table at equal steps of √x, linear between its points, the last slope beyond."""
    position = math.sqrt(x) / step
    i = min(np.int64(position), table.size - 2)
    return table[i] + (position - i) * (table[i + 1] - table[i])


@kernel
def quenched(response, energy, result):  # type: ignore[no-untyped-def]
    """Quenched energy in keV_ee of recoils in keV_nr."""
    if response.factor > 0.0:
        factor = np.float32(response.factor)
        for i in range(energy.size):
            result[i] = factor * energy[i]
    else:
        for i in range(energy.size):
            result[i] = curve(response.quench, response.quench_step, energy[i])


@kernel_inline
def unquench(response, energy):  # type: ignore[no-untyped-def]
    """Recoil in keV_nr of a quenched energy in keV_ee."""
    if response.factor > 0.0:
        return energy / response.factor
    return curve(response.unquench, response.unquench_step, energy)


@kernel
def unquenched(response, energy, result):  # type: ignore[no-untyped-def]
    """Recoils in keV_nr of quenched energies in keV_ee."""
    for i in range(energy.size):
        result[i] = unquench(response, energy[i])


@kernel
def acceptance(response, e_reco):  # type: ignore[no-untyped-def]
    """Probability that a signal event is accepted, for the models in e_reco."""
    if response.efficiency == LOGISTIC:
        if e_reco < response.logistic[3]:
            return 0.0
        value = response.logistic[0] / (
            1.0 + math.exp(-response.logistic[1] * (e_reco - response.logistic[2]))
        )
        value = max(value + response.logistic[5], 0.0)
        return value * 0.5 if e_reco < response.logistic[4] else value
    return between_points(response.table, e_reco)


@kernel
def between_points(table, x):  # type: ignore[no-untyped-def]
    """Value at x of points (x, value), linear between them, 0 below and the last one above."""
    points, values = table[0], table[1]
    if x < points[0]:
        return 0.0
    if x >= points[-1]:
        return values[-1]
    i = np.searchsorted(points, x, side="right") - 1
    part = (x - points[i]) / (points[i + 1] - points[i])
    return values[i] + part * (values[i + 1] - values[i])


@kernel
def smear(draws, response, start, e_nr, e_ee, e_reco, e_reco_nr):  # type: ignore[no-untyped-def]
    """Quench and smear a batch of true recoils.

    Parameters
    ----------
    draws, response, start
        Words, tables of the response, and the number of the batch's first event.
    e_nr
        True recoils, keV, shape (events,).
    e_ee, e_reco, e_reco_nr
        Written: quenched energy in keV_ee, as measured in the detector's unit, and that in keV_nr.
    """
    n, deviates = e_nr.size, draws.spare[0]
    quenched(response, e_nr, e_ee)
    if response.resolution in (ROOT_T, WIDTH_TABLE):
        draw_for(DEVIATE, draws, start, n)
        normals(draws.words, n, deviates)
    if response.resolution == ROOT_T:
        width = np.float32(response.root_width)
        for i in range(n):
            spread = width * math.sqrt(e_nr[i]) * deviates[i]
            e_reco_nr[i] = max(e_nr[i] + spread, np.float32(0.0))
        quenched(response, e_reco_nr, e_reco)
    elif (
        response.resolution == PHOTOELECTRONS
    ):  # whole numbers, on which regions and acceptance are exact
        for i in range(n):
            mean = e_ee[i] * response.per_kev
            c0, c2 = np.uint64(start + i), PHOTONS + draws.high
            number = poisson(draws.key, c0, draws.block, c2, draws.stream, mean)
            e_reco[i] = number
            e_reco_nr[i] = unquench(response, number / response.per_kev)
        return
    else:
        if response.resolution == WIDTH_TABLE:
            step = response.unquench_step
            for i in range(n):
                sigma = curve(response.width, step, e_ee[i])
                e_reco[i] = max(e_ee[i] + sigma * deviates[i], 0.0)
        elif response.resolution == GAMMA:
            for i in range(n):
                mean = np.float64(e_ee[i])
                sigma = curve(response.width, response.unquench_step, e_ee[i])
                form = (mean / sigma) ** 2 if sigma > 0.0 else 0.0
                c0, c2 = np.uint64(start + i), PHOTONS + draws.high
                light = gamma(draws.key, c0, draws.block, c2, draws.stream, form)
                e_reco[i] = mean * light / form if form > 0.0 else mean
        else:
            for i in range(n):
                e_reco[i] = e_ee[i]
        unquenched(response, e_reco, e_reco_nr)
    per_kev = np.float32(response.per_kev)
    for i in range(n):
        e_reco[i] *= per_kev


@kernel
def smeared_shares(x, mean, sigma, accept, found):  # type: ignore[no-untyped-def]
    """Add Σ_i P(x_{i−1} < energy < x_i) accept_i to `found` for Gaussian energies, from −∞ on.

    Parameters
    ----------
    x
        Increasing energies, shape (k,).
    mean, sigma
        Shape (n,).
    accept, found
        Shape (k, bins) and (n, bins).
    """
    for j in range(len(mean)):
        scale = 1.0 / (sigma[j] * SQRT2)
        before = 0.0
        for i in range(len(x)):
            z = (mean[j] - x[i]) * scale
            if z > 6.0:
                continue
            below = 0.5 * math.erfc(z)
            for b in range(accept.shape[1]):
                found[j, b] += (below - before) * accept[i, b]
            before = below
            if z < -6.0:
                break
