"""Kernels of importance sampling: densities of toys at points of a grid, and q between them."""

from __future__ import annotations

import numpy as np

from ...generator.sampling.kernel import kernel
from ...generator.sampling.names import stream_number
from ...generator.sampling.stream import philox, uniform_53


@kernel
def interpolate(z, radii, waves):  # type: ignore[no-untyped-def]
    """The q_s at z, shape (len(z),): Lagrange's polynomial in |z|, constant outside of the radii.

    In one dimension the angle is 0 or π.
    """
    result = np.empty(len(z))
    for t in range(len(z)):
        square = 0.0
        for i in range(z.shape[1]):
            square += z[t, i] ** 2
        size = np.sqrt(square)
        turn = complex(1.0, 0.0)
        if size > 0:
            turn = complex(z[t, 0], z[t, 1] if z.shape[1] > 1 else 0.0) / size
        r = min(max(size, radii[0]), radii[-1])
        a = 0.0
        for k in range(len(radii)):
            part = 1.0
            for other in range(len(radii)):
                if other != k:
                    part *= (r - radii[other]) / (radii[k] - radii[other])
            power = complex(1.0, 0.0)
            for m in range(waves.shape[1]):
                a += part * (waves[k, m] * power).real
                power *= turn
        result[t] = a * square
    return result


IMPORTANCE = np.uint64(stream_number("importance"))


@kernel
def mixture_density(features, slopes, offsets, result):  # type: ignore[no-untyped-def]
    """The log Σ_s p_s/S of toys, shape (toys,); slopes of shape (features, points)."""
    points = len(offsets)
    value = np.empty(points)
    for t in range(len(features)):
        for s in range(points):
            value[s] = offsets[s]
        for f in range(features.shape[1]):
            x = features[t, f]
            for s in range(points):
                value[s] += x * slopes[f, s]
        top = value.max()
        total = 0.0
        for s in range(points):
            total += np.exp(value[s] - top)
        result[t] = top + np.log(total / points)


@kernel
def point_density(features, slope, offset, result):  # type: ignore[no-untyped-def]
    """The log p of toys at one point."""
    for t in range(len(features)):
        value = offset
        for f in range(len(slope)):
            value += features[t, f] * slope[f]
        result[t] = value


@kernel
def chances(seed, point, first_toy, chance):  # type: ignore[no-untyped-def]
    """A uniform number for each toy of the mixture, at a point."""
    for t in range(len(chance)):
        w0, w1, _, _ = philox(seed, np.uint64(t), point, first_toy, IMPORTANCE)
        chance[t] = uniform_53(w0, w1)
