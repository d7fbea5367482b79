"""Random numbers: fail for words that are not Philox's, or a distribution that is another's."""

import math
from itertools import combinations

import numba
import numpy as np
import pytest
from generator_formulas import REFERENCE, philox4x32_10
from generator_goodness import (
    check,
    check_counts,
    check_uniform,
    chi2_pvalue,
    correlation_pvalue,
)
from nuspill.generator.coupling import PDG
from nuspill.generator.sampling.names import stream_number
from nuspill.generator.sampling.stream import (
    ATTEMPT,
    BATCH,
    PURPOSE,
    SHARE,
    binomial,
    draw,
    exponential,
    fill_words,
    gamma,
    neg_log,
    neg_log_32,
    normal_quantile,
    normals,
    philox,
    piecewise_linear,
    poisson,
    uniform,
    uniform_53,
)
from nuspill.generator.target import nuclei_of
from periodictable import elements
from scipy import special, stats

U = np.uint64
SEED = U(20191118)
LAST = 2**32 - 1
KNOWN_ANSWERS = [
    [int(word, 16) for word in text.split()]
    for text in (REFERENCE / "philox4x32_10.txt").read_text().splitlines()
    if not text.startswith("#")
]


# Loops over the kernels, compiled each time: a cache on disk would not see an edit of the kernels.
@numba.njit
def many(function, argument, result):
    for i in range(argument.size):
        result[i] = function(argument[i])


@numba.njit
def many_poisson(key, stream, mean, result):
    for i in range(result.size):
        result[i] = poisson(key, U(i), U(0), U(0), stream, mean)


@numba.njit
def many_gamma(key, stream, shape, result):
    for i in range(result.size):
        result[i] = gamma(key, U(i), U(0), U(0), stream, shape)


@numba.njit
def many_binomial(key, stream, trials, p, result):
    for i in range(result.size):
        result[i] = binomial(key, U(i), U(0), U(0), stream, trials, p)


@numba.njit
def many_uniform_53(words, result):
    for i in range(result.size):
        result[i] = uniform_53(U(words[0, i]), U(words[1, i]))


@numba.njit
def many_piecewise(u, edges, density, cumulative, result):
    for i in range(u.size):
        result[i] = piecewise_linear(u[i], edges, density, cumulative)


def apply(function, argument):
    result = np.empty(len(argument))
    many(function, np.asarray(argument), result)
    return result


def words_of(count, key=SEED, start=0, c1=0, c2=0, c3=0):
    words = np.zeros((4, (count + 31) // 32 * 32), np.uint32)
    fill_words(U(key), U(start), U(c1), U(c2), U(c3), count, words)
    return words[:, :count]


def uniforms(count, **where):
    """Uniforms with 52 bits, two words each."""
    result = np.empty(count)
    many_uniform_53(words_of(count, **where), result)
    return result


def test_there_are_known_answers():
    assert len(KNOWN_ANSWERS) == 3


@pytest.mark.parametrize("numbers", KNOWN_ANSWERS)
def test_known_answers(numbers):
    # counter, key and result of the reference implementation (Random123)
    c0, c1, c2, c3, k0, k1, *expected = numbers
    found = philox(U(k0 | k1 << 32), U(c0), U(c1), U(c2), U(c3))
    assert [int(word) for word in found] == expected
    assert list(philox4x32_10((c0, c1, c2, c3), (k0, k1))) == expected


def test_philox_is_the_published_algorithm_at_any_counter():
    # three known answers leave room for a slip; written in plain integers once more
    rng = np.random.default_rng(1)
    for c0, c1, c2, c3, k0, k1 in rng.integers(0, 2**32, (200, 6)).tolist():
        found = philox(U(k0 | k1 << 32), U(c0), U(c1), U(c2), U(c3))
        assert tuple(int(word) for word in found) == philox4x32_10((c0, c1, c2, c3), (k0, k1))


@pytest.mark.parametrize("start", [0, 1, 31, 1000003, LAST - 100, LAST])
@pytest.mark.parametrize("count", [1, 31, 32, 33, 512])
def test_fill_words_is_philox_word_by_word(start, count):
    # any start and count, past the end of the counter as well, where it begins again at 0
    words = words_of(count, start=start, c1=7, c2=1 << 24, c3=0xDEADBEEF)
    for i in range(count):
        at = U((start + i) % 2**32)
        assert tuple(words[:, i]) == philox(SEED, at, U(7), U(1 << 24), U(0xDEADBEEF))


@pytest.mark.parametrize("count", [1, 100, 128, 200, 512, 513, 1000, 1024])
def test_draw_is_a_word_of_each_event(count):
    # of events that share counters, a quarter after another has their words 0, 1, 2 and 3
    words = np.zeros(BATCH, np.uint32)
    draw(SEED, 3 * BATCH, U(1), U(2), U(3), count, words)
    counters = words_of(BATCH // 4, start=3 * BATCH // 4, c1=1, c2=2, c3=3)
    shares = np.moveaxis(counters.reshape(4, -1, SHARE // 4), 1, 0)
    assert np.array_equal(words[:count], shares.ravel()[:count])


def test_fill_words_writes_no_further_than_a_multiple_of_32():
    words = np.full((4, 128), 12345, np.uint32)
    fill_words(SEED, U(0), U(0), U(0), U(0), 33, words)
    assert np.all(words[:, 64:] == 12345)


def test_words_do_not_depend_on_where_a_run_is_cut():
    whole = words_of(1000, start=50)
    parts = [words_of(n, start=50 + at) for at, n in ((0, 1), (1, 511), (512, 488))]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_words_are_uniform():
    # 10⁷ of each of the four words, in 4096 bins of the highest bits and of the lowest
    words = words_of(10_000_000)
    for number, column in enumerate(words):
        for shift in (20, 10, 0):
            counts = np.bincount((column >> np.uint32(shift)) & np.uint32(4095), minlength=4096)
            check_counts(counts, np.ones(4096), tests=12, label=f"word {number}, shift {shift}")


def test_neighbouring_words_are_independent():
    # pairs of words of one counter, and of successive counters, in 64 × 64 bins
    high = words_of(4_000_000) >> np.uint32(26)
    pairs = [(high[i], high[j]) for i, j in combinations(range(4), 2)]
    pairs += [(high[i, :-1], high[i, 1:]) for i in range(4)]
    for x, y in pairs:
        check_counts(np.bincount(x * 64 + y, minlength=4096), np.ones(4096), tests=len(pairs))


def test_streams_blocks_purposes_and_seeds_are_independent():
    # neighbours in every number of the counter and the key, correlated pair by pair
    where = [
        {},
        {"key": SEED + U(1)},
        {"key": SEED ^ U(1 << 32)},
        {"c1": 1},
        {"c2": int(PURPOSE)},
        {"c2": int(ATTEMPT)},
        {"c3": 1},
        {"c3": stream_number("numu/Cs133")},
        {"c3": stream_number("nue/Cs133")},
        {"start": 2_000_000},
    ]
    samples = [uniforms(1_000_000, **w) for w in where]
    pairs = list(combinations(samples, 2))
    for x, y in pairs:
        check(correlation_pvalue(x, y), tests=len(pairs))
        assert not np.any(x == y)


def test_numbers_of_streams():
    # CRC-32 and its check value; a stream's number must not change between versions
    assert stream_number("123456789") == 0xCBF43926
    assert 0 <= stream_number("numu/Cs133") < 2**32


def test_no_two_channels_share_a_stream():
    # every flavour on every natural isotope, and the flux itself
    nuclei = []
    for element in elements:
        if any(isotope.abundance > 0 for isotope in element):
            nuclei += [n.name for n in nuclei_of(element.symbol)]
    names = ["flux"] + [f"{flavour}/{nucleus}" for flavour in PDG for nucleus in nuclei]
    assert len(names) > 1500
    assert len({stream_number(name) for name in names}) == len(names)


def test_attempts_stay_within_a_purpose():
    # 256 attempts, and 16 bits of the block below them
    assert int(ATTEMPT) == 1 << 16
    assert int(PURPOSE) == 256 * int(ATTEMPT)


def test_uniform_is_open_and_exact():
    # (w + 1/2)/2³², so neither 0 nor 1, and so with 52 bits
    words = np.array([0, 1, 2**31, LAST], np.uint64)
    assert np.array_equal(apply(uniform, words), (words + 0.5) / 2**32)
    assert uniform_53(U(0), U(0)) == 2.0**-53
    assert uniform_53(U(LAST), U(LAST)) == 1 - 2.0**-53
    assert uniform_53(U(1 << 31), U(0)) == 0.5 + 2.0**-53
    assert uniform_53(U(0), U(1 << 12)) == 1.5 * 2.0**-52


def test_uniform_53_is_uniform_in_its_lowest_bits_too():
    u = uniforms(4_000_000)
    check_uniform(u, tests=2)
    check_uniform((u * 2.0**32) % 1.0, bins=1024, tests=2)


def test_negative_logarithm():
    # 2e-14 as its docstring says for every uniform of 32 bits; below them to 2e-13
    rng = np.random.default_rng(2)
    root = np.sqrt(0.5)
    edges = [2.0**-53, 2.0**-33, 0.5, root, np.nextafter(root, 1), 1 - 2.0**-53, 1.0]
    near_one = 1 - 10 ** rng.uniform(-15, 0, 1000)
    u = np.concatenate([10 ** rng.uniform(-16, 0, 200_000), rng.random(200_000), near_one, edges])
    error = np.abs(apply(neg_log, u) + np.log(u))
    assert error[u >= 2.0**-33].max() < 2e-14
    assert error.max() < 2e-13
    assert neg_log(1.0) == 0


def test_negative_logarithm_over_the_whole_range_of_doubles():
    x = np.concatenate([np.geomspace(2.3e-308, 1.7e308, 200_000), 2.0 ** np.arange(-1022.0, 1024)])
    exact = -np.log(x)
    error = np.abs(apply(neg_log, x) - exact)
    assert np.all(error < 2e-14 + 4e-16 * np.abs(exact))


LEAST_UNIFORM = 2.0**-33
"""Least uniform of 32 bits, 1.16e-10; the greatest is as far from one."""


def test_normal_quantile():
    # relative error below 6e-8 for every uniform of 32 bits, against scipy's
    tail = np.geomspace(LEAST_UNIFORM, 0.5, 200_000)
    u = np.concatenate([tail, 1 - tail, np.linspace(1e-6, 1 - 1e-6, 200_001)])
    u = u[u != 0.5]
    found, exact = apply(normal_quantile, u), special.ndtri(u)
    assert np.abs(found / exact - 1).max() < 6e-8
    assert normal_quantile(0.5) == 0


def test_normal_quantile_is_odd_and_increasing():
    # in u and 1 − u that are both exact, a step of 2⁻²⁰
    u = np.arange(1, 2**20) / 2**20
    z = apply(normal_quantile, u)
    assert np.all(np.diff(z) > 0)
    assert np.abs(z + z[::-1]).max() < 1e-13


def test_normal_numbers():
    # 10⁷ of them in 500 bins of equal probability and in the far tails
    z = apply(normal_quantile, (words_of(10_000_000, c3=1)[0] + 0.5) / 2**32)
    check_uniform(special.ndtr(z), bins=500, tests=2)
    edges = np.array([-np.inf, -5, -4.5, -4, -3.5, 3.5, 4, 4.5, 5, np.inf])
    counts = np.bincount(np.searchsorted(edges, z) - 1, minlength=9)
    check_counts(counts, np.diff(special.ndtr(edges)), tests=2)


def hard_words():
    """All near 0, the middle and the end, and a million spread evenly in logarithm and value."""
    near = np.arange(-5000, 5000)
    words = np.concatenate([near, near + 2**31, np.arange(500_000) * 8589])
    words = np.concatenate([words, np.geomspace(1, 2**32 - 1, 500_000)])
    return (words.astype(np.int64) % 2**32).astype(np.uint32)


def test_logarithm_in_single_precision():
    # relative error below 3e-7 for floats from 2⁻³³ on, absolute near 1, where the result vanishes
    x = np.concatenate([np.geomspace(2.0**-33, 1, 500_000), np.linspace(0.5, 1, 500_000)])
    x = x.astype(np.float32)
    exact = -np.log(x.astype(float))
    error = np.abs(apply(neg_log_32, x) - exact)
    assert np.all(error < 3e-7 * np.maximum(exact, 1.0))


def test_exponential_deviates():
    # against the logarithm of the word's 31 high bits; 10⁷ words are exponential, far tail included
    words = hard_words()
    x, exact = apply(exponential, words), -np.log(((words >> 1) + 0.5) / 2**31)
    assert np.all(np.abs(x - exact) < 3e-7 * np.maximum(exact, 1.0))
    x = apply(exponential, words_of(10_000_000, c3=3)[0])
    check_uniform(-np.expm1(-x.astype(float)), bins=500, tests=2)
    edges = np.array([0, 8, 10, 12, 14, np.inf])
    check_counts(np.histogram(x, edges)[0], -np.diff(np.exp(-edges)), tests=2)


def deviates_of(words):
    """Normal deviates of batches of words."""
    z, batch = np.empty(words.size, np.float32), np.empty(BATCH, np.float32)
    for i in range(0, words.size, BATCH):
        normals(words[i : i + BATCH], BATCH, batch)
        z[i : i + BATCH] = batch
    return z


def test_normal_deviates_of_hard_words():
    # against Box and Muller's formula in double precision, for hard radii and hard angles
    hard = hard_words()
    hard = hard[: hard.size // BATCH * BATCH]
    mixed = np.random.default_rng(1).permutation(hard)
    half = SHARE // 2
    for radius, angle in ((hard, mixed), (mixed, hard)):
        pairs = np.stack([radius.reshape(-1, half), angle.reshape(-1, half)], axis=1)
        z = deviates_of(pairs.ravel()).reshape(pairs.shape)
        r = np.sqrt(-2 * np.log(((pairs[:, 0] >> 1) + 0.5) / 2**31))
        r = np.where(pairs[:, 0] & 1, -r, r)
        turn = np.pi * pairs[:, 1].astype(np.int32) / 2**32
        limit = 2e-6 + np.minimum(1.2e-7 / np.abs(r), 4e-4)  # of the radius, near 0
        assert np.all(np.abs(z[:, 0] - r * np.sin(turn)) < limit)
        assert np.all(np.abs(z[:, 1] - r * np.cos(turn)) < limit)


def test_normal_deviates():
    # 10⁷ words are normal, far tails included, and the two of a pair are independent
    words = words_of(10_000_000 // BATCH * BATCH, c3=4)[0]
    z = deviates_of(words)
    check_uniform(special.ndtr(z.astype(float)), bins=500, tests=3)
    edges = np.array([-np.inf, -5, -4.5, -4, -3.5, 3.5, 4, 4.5, 5, np.inf])
    check_counts(np.histogram(z, edges)[0], np.diff(special.ndtr(edges)), tests=3)
    left, right = np.moveaxis(z.reshape(-1, 2, SHARE // 2), 1, 0)
    cells = (20 * special.ndtr([left.ravel(), right.ravel()])).astype(int)
    check_counts(np.bincount(20 * cells[0] + cells[1], minlength=400), np.ones(400), tests=3)


def test_normal_deviates_of_part_of_a_batch():
    # the same as of the whole, of as many as asked for
    words = words_of(BATCH, c3=5)[0]
    whole = deviates_of(words)
    for count in (1, 200, 256, 300, 511, 512, 600, 900):
        z = np.zeros(BATCH, np.float32)
        normals(words, count, z)
        assert np.array_equal(z[:count], whole[:count])


def discrete_counts(numbers, distribution):
    """Observed and expected numbers in bins that hold some thousandth of the distribution each."""
    quantiles = distribution.ppf(np.linspace(0.001, 0.999, 400))
    edges = np.unique(np.concatenate([[-1], quantiles, [np.inf]]))
    counts = np.bincount(np.searchsorted(edges, numbers, side="left") - 1, minlength=len(edges) - 1)
    return counts, np.diff(distribution.cdf(edges))


MEANS = [0.01, 0.5, 3.0, 11.99, 12.0, 12.5, 40.0, 1e3, 1e6, 1e9]


@pytest.mark.parametrize("mean", MEANS)
def test_poisson(mean):
    # both branches and both sides of 12, where they meet; 2·10⁶ numbers in up to 400 bins
    numbers = np.empty(2_000_000, np.int64)
    many_poisson(SEED, U(stream_number(f"poisson {mean}")), mean, numbers)
    assert numbers.min() >= 0
    observed, expected = discrete_counts(numbers, stats.poisson(mean))
    check_counts(observed, expected, tests=2 * len(MEANS))
    z = (numbers.mean() - mean) / math.sqrt(mean / numbers.size)
    check(2 * stats.norm.sf(abs(z)), tests=2 * len(MEANS), label="mean")


SHAPES = [0.05, 0.6, 0.999, 1.0, 1.3, 4.0, 37.0, 2e3]


@pytest.mark.parametrize("shape", SHAPES)
def test_gamma(shape):
    # both branches and both sides of 1, where they meet; 10⁶ deviates in 200 bins of probability
    deviates = np.empty(1_000_000)
    many_gamma(SEED, U(stream_number(f"gamma {shape}")), shape, deviates)
    assert deviates.min() >= 0
    edges = stats.gamma.ppf(np.linspace(0, 1, 201), shape)
    observed = np.histogram(deviates, edges)[0]
    check_counts(observed, np.full(200, deviates.size / 200), tests=2 * len(SHAPES))
    z = (deviates.mean() - shape) / math.sqrt(shape / deviates.size)
    check(2 * stats.norm.sf(abs(z)), tests=2 * len(SHAPES), label="mean")


def test_gamma_deviates_of_successive_counters_are_independent():
    deviates = np.empty(400_001)
    many_gamma(SEED, U(6), 2.5, deviates)
    part = np.minimum((stats.gamma.cdf(deviates, 2.5) * 16).astype(int), 15)
    table = np.bincount(part[:-1] * 16 + part[1:], minlength=256).reshape(16, 16)
    check(stats.chi2_contingency(table).pvalue)


@pytest.mark.parametrize("shape", [0.0, -1.0])
def test_gamma_of_nothing(shape):
    assert gamma(SEED, U(0), U(0), U(0), U(0), shape) == 0


@pytest.mark.parametrize("mean", [0.0, -1.0])
def test_poisson_of_nothing(mean):
    assert poisson(SEED, U(0), U(0), U(0), U(0), mean) == 0


def test_poisson_numbers_of_successive_counters_are_independent():
    # counts and their neighbours in a table: rejection must not carry over
    numbers = np.empty(1_000_001, np.int64)
    many_poisson(SEED, U(5), 15.0, numbers)
    x, y = np.clip(numbers[:-1], 8, 23) - 8, np.clip(numbers[1:], 8, 23) - 8
    table = np.bincount(x * 16 + y, minlength=256).reshape(16, 16)
    p = stats.chi2_contingency(table).pvalue
    check(p)


CASES = [
    (1, 0.3),
    (10, 0.5),
    (30, 0.95),
    (40, 0.29),
    (40, 0.31),
    (100, 0.12),
    (1000, 0.004),
    (1000, 0.3),
    (1000, 0.7),
    (1_000_000, 1e-6),
    (1_000_000, 0.5),
    (1_000_000_000, 0.02),
]


@pytest.mark.parametrize(("trials", "p"), CASES)
def test_binomial(trials, p):
    # inversion and rejection, on both sides of trials × p = 12 and of p = 1/2
    numbers = np.empty(2_000_000, np.int64)
    many_binomial(SEED, U(stream_number(f"binomial {trials} {p}")), trials, p, numbers)
    assert numbers.min() >= 0
    assert numbers.max() <= trials
    observed, expected = discrete_counts(numbers, stats.binom(trials, p))
    check_counts(observed, expected, tests=2 * len(CASES))
    z = (numbers.mean() - trials * p) / math.sqrt(trials * p * (1 - p) / numbers.size)
    check(2 * stats.norm.sf(abs(z)), tests=2 * len(CASES), label="mean")


@pytest.mark.parametrize(
    ("trials", "p", "number"), [(0, 0.5, 0), (-3, 0.5, 0), (10, 0.0, 0), (10, 1.0, 10), (7, 1.5, 7)]
)
def test_binomial_at_its_edges(trials, p, number):
    assert binomial(SEED, U(0), U(0), U(0), U(0), trials, p) == number


EDGES = np.array([-2.0, 0.0, 1.0, 1.5, 4.0, 10.0])
DENSITIES = {
    "flat": np.ones(6),
    "triangle": np.array([0.0, 1, 2, 2.5, 1, 0]),
    "gap": np.array([3.0, 0, 0, 2, 0, 1]),
    "steep": np.array([1e-9, 1, 1e9, 1, 1e-3, 1e3]),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_piecewise_linear_quantile_is_exact(name):
    # the cumulative function of the quantile of u is u
    density = DENSITIES[name]
    cumulative = np.concatenate([[0], np.cumsum(np.diff(EDGES) * (density[1:] + density[:-1]) / 2)])
    u = np.linspace(0, 1, 100_001)[1:-1]
    x = np.empty_like(u)
    many_piecewise(u, EDGES, density, cumulative, x)
    assert np.all(np.diff(x) >= 0)
    assert x[0] >= EDGES[0]
    assert x[-1] <= EDGES[-1]
    i = np.clip(np.searchsorted(EDGES, x, side="right") - 1, 0, 4)
    s = (x - EDGES[i]) / np.diff(EDGES)[i]
    area = np.diff(EDGES)[i] * (density[i] * s + np.diff(density)[i] * s**2 / 2)
    assert np.abs((cumulative[i] + area) / cumulative[-1] - u).max() < 1e-13


def test_piecewise_linear_never_falls_into_a_gap():
    density = DENSITIES["gap"]
    cumulative = np.concatenate([[0], np.cumsum(np.diff(EDGES) * (density[1:] + density[:-1]) / 2)])
    x = np.empty(1_000_000)
    many_piecewise(uniforms(1_000_000), EDGES, density, cumulative, x)
    assert not np.any((x > 0) & (x < 1))


def test_the_test_of_goodness_can_fail():
    # a slope of 1 % in 10⁷ numbers in 1000 bins, and numbers more even than chance
    u = uniforms(10_000_000, c3=9)
    expected = np.full(1000, 1e-3)
    bent = np.bincount((1000 * (u + 1e-2 * u * (1 - u))).astype(int), minlength=1000)
    assert chi2_pvalue(bent, expected) < 1e-3
    assert chi2_pvalue(np.full(1000, 10_000), expected) > 1 - 1e-12
