"""Random numbers by counter: Philox 4x32-10, and what is drawn from its words.

Salmon et al., SC'11 (Random123). A word is a pure function of a 64-bit seed and a counter of four
32-bit numbers, here (index, block, block_high | purpose, stream): event `index` of block `block` of
stream `stream`. Nothing is carried from draw to draw, so any part of a run can be made anywhere.

The uniform of a word w is (w + 1/2)/2³², never 0 or 1. Logarithm and normal quantile are written
as polynomials that the compiler can vectorise, accurate to float32 and better (tested).
"""

from __future__ import annotations

import math

import numpy as np

from .kernel import kernel, kernel_inline

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
ROUND_0 = np.uint64(0xD2511F53)
ROUND_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)
WEYL_1 = np.uint64(0xBB67AE85)

PURPOSE = np.uint64(1 << 24)
"""Draws for different purposes differ in the third counter by multiples of this."""
ATTEMPT = np.uint64(1 << 16)
"""Attempts of a rejection method differ by multiples of this; 256 of them, blocks up to 2⁴⁸."""
BATCH = 1024
"""Events whose words are drawn at a time."""
SHARE = 512
"""Events that share counters, which are drawn even if there are fewer events: part of a batch."""
TO_UNIT = 2.0**-32
LN2 = math.log(2.0)
SQRT2 = math.sqrt(2.0)
HALF, ONE, TWO = (np.float32(x) for x in (0.5, 1.0, 2.0))
THIRD, FIFTH, SEVENTH = np.float32(1 / 3), np.float32(1 / 5), np.float32(1 / 7)
LN2_32 = np.float32(LN2)
ROOT_HALF_BITS = np.float32(0.5 * SQRT2).view(np.int32)


@kernel_inline
def philox(key, c0, c1, c2, c3):  # type: ignore[no-untyped-def]
    """Four 32-bit words (as uint64) of a 64-bit key and four 32-bit counters (as uint64)."""
    k0, k1 = key & LOW, key >> SHIFT
    for _ in range(10):
        p0, p1 = ROUND_0 * c0, ROUND_1 * c2
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1 & LOW, (p0 >> SHIFT) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + WEYL_0) & LOW, (k1 + WEYL_1) & LOW
    return c0, c1, c2, c3


@kernel
def fill_words(key, start, c1, c2, c3, count, words):  # type: ignore[no-untyped-def]
    """Write the words of counters start ... start + count − 1, and some more, into `words`.

    `words` is uint32 of shape (4, a multiple of 32 not below count) and contiguous: a slice of an
    array would not vectorise, nor would what is left over of a count that is no multiple.
    """
    words_0, words_1, words_2, words_3 = words[0], words[1], words[2], words[3]
    for i in range((count + 31) // 32 * 32):
        w0, w1, w2, w3 = philox(key, (start + np.uint64(i)) & LOW, c1, c2, c3)
        words_0[i] = w0
        words_1[i] = w1
        words_2[i] = w2
        words_3[i] = w3


@kernel
def words_of(key, start, index, c1, c2, c3, count, words):  # type: ignore[no-untyped-def]
    """Write the words of counters start + index, of `count` indices and some more, into `words`."""
    words_0, words_1, words_2, words_3 = words[0], words[1], words[2], words[3]
    for i in range((count + 31) // 32 * 32):
        w0, w1, w2, w3 = philox(key, (start + np.uint64(index[i])) & LOW, c1, c2, c3)
        words_0[i] = w0
        words_1[i] = w1
        words_2[i] = w2
        words_3[i] = w3


@kernel
def draw(key, start, c1, c2, c3, count, words):  # type: ignore[no-untyped-def]
    """Write one word each of events start ... start + count − 1, and some more, into `words`.

    `start` is a multiple of BATCH, `count` is at most BATCH, and `words` is uint32 of shape
    (BATCH,). A counter serves four events, which are SHARE / 4 apart.
    """
    quarter = SHARE // 4
    shares = words.reshape((BATCH // SHARE, 4, quarter))
    for i in range((count + SHARE - 1) // SHARE):
        first, left = np.uint64((start + i * SHARE) // 4), count - i * SHARE
        fill_words(key, first, c1, c2, c3, min(left, quarter), shares[i])


@kernel_inline
def uniform(word):  # type: ignore[no-untyped-def]
    """Uniform in (0, 1) from a 32-bit word."""
    return (np.float64(np.int64(word)) + 0.5) * TO_UNIT


@kernel_inline
def uniform_53(high, low):  # type: ignore[no-untyped-def]
    """Uniform in (0, 1) with 52 bits from two 32-bit words."""
    bits = (high << np.uint64(20)) | (low >> np.uint64(12))
    return (np.float64(np.int64(bits)) + 0.5) * 2.0**-52


@kernel_inline
def neg_log(x):  # type: ignore[no-untyped-def]
    """−ln x for 2⁻³³ ≤ x, to 2e-14: ln of the mantissa as 2 artanh, a series."""
    bits = np.float64(x).view(np.int64)
    exponent = np.float64((bits >> np.int64(52)) - np.int64(1023))
    mantissa = np.int64((bits & np.int64(0xFFFFFFFFFFFFF)) | np.int64(0x3FF0000000000000)).view(
        np.float64
    )
    above = mantissa > SQRT2
    mantissa = mantissa * 0.5 if above else mantissa
    exponent = exponent + 1.0 if above else exponent
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    p = 1 / 15
    p = p * z + 1 / 13
    p = p * z + 1 / 11
    p = p * z + 1 / 9
    p = p * z + 1 / 7
    p = p * z + 1 / 5
    p = p * z + 1 / 3
    p = p * z + 1.0
    return -(exponent * LN2 + 2.0 * s * p)


@kernel_inline
def normal_quantile(u):  # type: ignore[no-untyped-def]
    """Standard normal quantile of a 32-bit uniform, 2⁻³³ ≤ u ≤ 1 − 2⁻³³, to 6e-8; not for others.

    z = (2u − 1) f(w), w = −ln 4u(1 − u); f is smooth and fitted by a polynomial of degree 16 in
    √(w + 3) at Chebyshev nodes against scipy.special.ndtri (and tested against it).
    """
    w = neg_log(4.0 * u * (1.0 - u))
    k = (math.sqrt(w + 3.0) - 1.7320508075688772) * (2.0 / 3.2277878994860227) - 1.0
    p = 0.014310874439282193
    p = p * k + 0.0020122186027692786
    p = p * k - 0.07553522140200328
    p = p * k + 0.011829544961193728
    p = p * k + 0.16137559276929758
    p = p * k - 0.08593183283274416
    p = p * k - 0.14453743126423388
    p = p * k + 0.1718363066137315
    p = p * k - 0.03817603066628576
    p = p * k - 0.08545282914079098
    p = p * k + 0.16081600941904461
    p = p * k - 0.16087603642515194
    p = p * k + 0.08183071731226849
    p = p * k + 0.03370251840772229
    p = p * k - 0.16808886837691456
    p = p * k + 2.6638548523586087
    p = p * k + 3.8122932058778094
    return (2.0 * u - 1.0) * p


@kernel_inline
def neg_log_32(x):  # type: ignore[no-untyped-def]
    """−ln x of a normal float32 x > 0, to 3e-7 (relative, and absolute near 1)."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits - ROOT_HALF_BITS) >> np.int32(23))
    mantissa = np.int32(bits - np.int32(exponent << np.int32(23))).view(np.float32)
    whole = np.float32(exponent)
    s = (mantissa - ONE) / (mantissa + ONE)
    z = s * s
    p = (SEVENTH * z + FIFTH) * z + THIRD
    return -(whole * LN2_32 + (s + s) * (p * z + ONE))


@kernel_inline
def exponential(word):  # type: ignore[no-untyped-def]
    """Standard exponential deviate of a 32-bit word, float32, 0 to 22: −ln of its 31 high bits."""
    x = np.float32(np.int32(np.uint32(word) >> np.uint32(1)))
    return neg_log_32((x + HALF) * np.float32(2.0**-31))


@kernel_inline
def half_turn(x):  # type: ignore[no-untyped-def]
    """Sine and cosine of π x, |x| ≤ 1/2, float32, to 2e-7 (fitted at Chebyshev nodes)."""
    z = x * x
    p = np.float32(0.07765766031)
    p = p * z + np.float32(-0.59829128562)
    p = p * z + np.float32(2.5500775232)
    p = p * z + np.float32(-5.1677100835)
    p = p * z + np.float32(3.1415926401)
    q = np.float32(-0.024396324367)
    q = q * z + np.float32(0.23493731383)
    q = q * z + np.float32(-1.3352120031)
    q = q * z + np.float32(4.0587091596)
    q = q * z + np.float32(-4.9348021371)
    q = q * z + ONE
    return x * p, q


@kernel
def normals(words, count, deviates):  # type: ignore[no-untyped-def]
    """Standard normal deviates of a batch, float32, from its words (Box and Muller 1958).

    Events that are SHARE / 2 apart make a pair: the word of the first is its radius and (lowest
    bit) the half of the circle, that of the second the angle in it. To 2e-6, and 1e-7 over the
    radius where that is small.
    """
    half = SHARE // 2
    for start in range(0, count, SHARE):
        first, second = words[start : start + half], words[start + half : start + SHARE]
        left, right = deviates[start : start + half], deviates[start + half : start + SHARE]
        for i in range(min(count - start, half)):
            radius = math.sqrt(TWO * exponential(first[i]))
            radius = -radius if np.int32(first[i] & np.uint32(1)) > 0 else radius
            sine, cosine = half_turn(np.float32(np.int32(second[i])) * np.float32(2.0**-32))
            left[i] = radius * sine
            right[i] = radius * cosine


@kernel
def poisson(key, c0, c1, c2, c3, mean):  # type: ignore[no-untyped-def]
    """Poisson number of the given mean: inversion below 12, above it PTRS (Hörmann 1993).

    Attempt number k of the rejection draws from the counter with `c2` + k ATTEMPT.
    """
    if mean <= 0.0:
        return np.int64(0)
    w0, w1, w2, w3 = philox(key, c0, c1, c2, c3)
    if mean < 12.0:
        u = uniform_53(w0, w1)
        term = math.exp(-mean)
        total = term
        count = np.int64(0)
        while u > total and count < 200:
            count += 1
            term *= mean / count
            total += term
        return count
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    attempt = np.uint64(0)
    while True:
        u = uniform_53(w0, w1) - 0.5
        v = uniform_53(w2, w3)
        us = 0.5 - abs(u)
        number = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= squeeze:
            return np.int64(number)
        if number >= 0.0 and (us >= 0.013 or v <= us):
            left = math.log(v * inverse_alpha / (a / (us * us) + b))
            if left <= number * math.log(mean) - mean - math.lgamma(number + 1.0):
                return np.int64(number)
        attempt += np.uint64(1)
        w0, w1, w2, w3 = philox(key, c0, c1, c2 + attempt * ATTEMPT, c3)


@kernel
def gamma(key, c0, c1, c2, c3, shape):  # type: ignore[no-untyped-def]
    """Gamma deviate of a shape, of scale one (Marsaglia and Tsang 2000).

    Attempts draw as those of `poisson`. Below a shape of one it is that of shape + 1 times a
    uniform number to the power 1/shape.
    """
    if shape <= 0.0:
        return 0.0
    d = (shape if shape >= 1.0 else shape + 1.0) - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    attempt = np.uint64(0)
    while True:
        w0, w1, w2, w3 = philox(key, c0, c1, c2 + attempt * ATTEMPT, c3)
        x = math.sqrt(-2.0 * math.log(uniform(w0))) * math.cos(2.0 * math.pi * uniform(w1))
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(uniform(w2)) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return d * v if shape >= 1.0 else d * v * uniform(w3) ** (1.0 / shape)
        attempt += np.uint64(1)


@kernel
def binomial(key, c0, c1, c2, c3, trials, p):  # type: ignore[no-untyped-def]
    """Binomial number of `trials` at probability `p`: inversion, or BTRS (Hörmann 1993)."""
    if trials <= 0 or p <= 0.0:
        return np.int64(0)
    if p >= 1.0:
        return np.int64(trials)
    if p > 0.5:
        return np.int64(trials) - binomial(key, c0, c1, c2, c3, trials, 1.0 - p)
    n = np.float64(trials)
    q = 1.0 - p
    w0, w1, w2, w3 = philox(key, c0, c1, c2, c3)
    if n * p < 12.0:
        u = uniform_53(w0, w1)
        term = math.exp(n * math.log1p(-p))
        total = term
        count = np.int64(0)
        while u > total and count < 200 and count < trials:
            count += 1
            term *= (n - count + 1.0) / count * (p / q)
            total += term
        return count
    spread = math.sqrt(n * p * q)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    alpha = (2.83 + 5.1 / b) * spread
    squeeze = 0.92 - 4.2 / b
    mode = math.floor((n + 1.0) * p)
    peak = math.lgamma(mode + 1.0) + math.lgamma(n - mode + 1.0)
    attempt = np.uint64(0)
    while True:
        u = uniform_53(w0, w1) - 0.5
        v = uniform_53(w2, w3)
        us = 0.5 - abs(u)
        number = math.floor((2.0 * a / us + b) * u + n * p + 0.5)
        if 0.0 <= number <= n:
            if us >= 0.07 and v <= squeeze:
                return np.int64(number)
            left = math.log(v * alpha / (a / (us * us) + b))
            right = (
                peak
                - math.lgamma(number + 1.0)
                - math.lgamma(n - number + 1.0)
                + (number - mode) * math.log(p / q)
            )
            if left <= right:
                return np.int64(number)
        attempt += np.uint64(1)
        w0, w1, w2, w3 = philox(key, c0, c1, c2 + attempt * ATTEMPT, c3)


@kernel
def piecewise_linear(u, edges, density, cumulative):  # type: ignore[no-untyped-def]
    """Quantile at `u` of a density linear between edges.

    `density` at the n + 1 edges need not be normalised; `cumulative` is its integral up to each
    edge, 0 to its total, so that the quantile of u is exact.
    """
    goal = u * cumulative[-1]
    low, high = 0, edges.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if cumulative[middle] <= goal:
            low = middle
        else:
            high = middle
    f0, f1 = density[low], density[low + 1]
    width = edges[low + 1] - edges[low]
    rest = (goal - cumulative[low]) / width
    root = math.sqrt(max(f0 * f0 + 2.0 * rest * (f1 - f0), 0.0))
    step = 2.0 * rest / (f0 + root) if f0 + root > 0.0 else 0.0
    return edges[low] + width * min(step, 1.0)
