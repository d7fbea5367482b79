"""The compiled chain, plain NumPy and quadrature agree in counts, spectra, times and joints."""

import numpy as np
import pytest
from nuspill import generate, plan
from nuspill.reco.chain.reference import Reference
from nuspill.reco.chain.reference import generate as generate_numpy
from nuspill.reco.experiment import load, shipped_experiments
from scipy.stats import binom, chi2, ks_2samp, poisson

pytestmark = pytest.mark.filterwarnings("ignore::nuspill.Notice")  # settings without effect, too
LEAST_P = 1e-4
"""Of all p-values of a comparison, after Bonferroni."""
COLUMNS = ("pulse", "time_true", "time", "e_nu", "e_nr", "e_ee", "e_reco", "e_reco_nr")
PAIRS = (("e_nr", "e_nu"), ("e_nr", "e_reco"), ("time_true", "time"), ("target", "e_nr"))
QUIET = {"background.steady.enabled": False}
FANO = {"model": "fano", "fano": 0.119, "pair_energy": 3.8, "noise": 7.6}
WIDTHS = {"model": "table", "energy": [0.1, 1.0, 5.0], "width": [0.05, 0.2, 0.5]}
STEPS = {"model": "table", "energy": [0.1, 0.5, 3.0], "efficiency": [0.1, 0.6, 0.9]}
LOGISTIC = {"model": "logistic", "plateau": 0.7, "slope": 0.5, "midpoint": 11.0, "cut": 5.0}
NEUTRONS = {"name": "neutrons", "timing": "prompt", "delay": 200.0, "rate": 0.3, "measured": False}
NEUTRONS |= {"spectrum": {"model": "exponential", "length": 9.0}, "range": [0.5, 40.0]}
PROFILE = {"time": [0.0, 300.0, 1000.0, 4000.0], "intensity": [0.0, 1.0, 0.2, 0.0]}
NINS = {"name": "nins", "timing": "table", "profile": PROFILE, "rate": 0.3, "scale": "reco"}
NINS |= {"spectrum": {"model": "table", "energy": [2.0, 9.0, 40.0], "density": [0.0, 3.0, 1.0]}}
FLAT = {"spectrum": {"model": "flat"}, "range": [1.0, 200.0]}
BEAM_RELATED = {"background": [NEUTRONS, NINS]}
NEARLY_MONOCHROMATIC = {
    "numu": {"line": 29.79},
    "nue": {"energy": [34.0, 36.0], "density": [1.0, 1.0]},
    "numubar": {"energy": [0.0, 25.0, 52.83], "density": [0.0, 0.5, 1.0]},
}


def chain_of(name, settings, total, seed):
    """Events of the chain, expectations, and the years that hold about `total` of them."""
    experiment = load(name, settings)
    expected = plan(experiment).expected
    years = total / sum(e.total for e in expected)
    return generate(experiment, seed=seed, library="np", years=years), expected, years


def numpy_of(name, settings, years, seed):
    rng = np.random.Generator(np.random.Philox(seed))
    return generate_numpy(load(name, settings), rng, years=years)


def two_sided(distribution, n, *of):
    return min(1.0, 2 * min(distribution.cdf(n, *of), distribution.sf(n - 1, *of)))


def counts(chain, plain, expected, years):
    """p-values of counts by component, window and selection, pairwise among the three."""
    found = {}
    for e in expected:
        for window in range(3):
            for kept, due in ((0, e.in_window), (1, e.selected)):
                of = f"{e.name}, window {window}, selected {kept}"
                n, m = (
                    int(np.sum((b["component"] == e.component) & (b["window"] == window)
                               & (b["selected"] >= kept)))
                    for b in (chain, plain)
                )  # fmt: skip
                due = due[window] * years
                if due < 1e-3:  # e.g. steady background recorded in windows alone
                    found[of] = 1.0 if n + m == 0 else 0.0
                    continue
                found[f"{of}: chain"] = two_sided(poisson, n, due)
                found[f"{of}: NumPy"] = two_sided(poisson, m, due)
                found[f"{of}: both"] = two_sided(binom, n, n + m, 0.5) if n + m else 1.0
    return found


def cells(values, edges):
    return np.searchsorted(edges, values, side="right")


def same_distribution(a, b):
    """KS for a continuous quantity, χ² by value for a discrete one."""
    values = np.unique(b[:20_000])
    if values.size > 500:
        return ks_2samp(a, b, method="asymp").pvalue
    size = values.size + 1
    return same_counts(*(np.bincount(cells(x, values), minlength=size) for x in (a, b)))


def same_counts(n, m):
    """χ² of two histograms, small cells together."""
    n, m = np.ravel(n).astype(float), np.ravel(m).astype(float)
    small = n + m < 25
    n, m = (np.append(x[~small], x[small].sum()) for x in (n, m))
    n, m = n[n + m > 0], m[n + m > 0]
    if n.size < 2:
        return 1.0
    ratio = np.sqrt(n.sum() / m.sum())
    return chi2.sf(np.sum((n / ratio - m * ratio) ** 2 / (n + m)), n.size - 1)


def same_joint(a, b, columns, bins=12):
    """χ² of two quantities together, in bins of equal content."""
    code, size = [0, 0], 1
    for column in columns:
        edges = np.unique(np.quantile(b[column], np.arange(1, bins) / bins))
        for i, block in enumerate((a, b)):
            code[i] = code[i] * (edges.size + 1) + cells(block[column], edges)
        size *= edges.size + 1
    return same_counts(*(np.bincount(c, minlength=size) for c in code))


def shapes(chain, plain):
    """p-values of the columns by component, of all and of the selected events."""
    found = {}
    for component in np.unique(plain["component"]):
        for kept in (0, 1):
            a, b = (
                {c: v[(x["component"] == component) & (x["selected"] >= kept)]
                 for c, v in x.items()}
                for x in (chain, plain)
            )  # fmt: skip
            if min(len(a["event"]), len(b["event"])) < 100:
                continue
            of = f"component {component}, selected {kept}"
            columns = COLUMNS if kept == 0 else ("time", "e_reco")
            found |= {f"{of}, {c}": same_distribution(a[c], b[c]) for c in columns}
            if kept == 0:
                found |= {f"{of}, {' and '.join(c)}": same_joint(a, b, c) for c in PAIRS}
    return found


def least(found):
    """The smallest p-value after Bonferroni, and where it is."""
    where = min(found, key=found.get)
    return found[where] * len(found), where


def check(name, settings, seed, total=100_000):
    chain, expected, years = chain_of(name, settings, total, seed)
    plain = numpy_of(name, settings, years, seed)
    for found in (counts(chain, plain, expected, years), shapes(chain, plain)):
        p, where = least(found)
        assert p > LEAST_P, where


@pytest.mark.parametrize("name", shipped_experiments())
def test_shipped_experiments(name):
    """Fails if counts or distributions of any component differ; 1e5 events of each experiment.

    Backgrounds are scaled down to about half of the events, so that the signal is tested too.
    """
    experiment = load(name)
    expected = plan(experiment).expected
    signal = sum(e.total for e in expected if e.component < 10)
    scale = min(1.0, signal / max(sum(e.total for e in expected) - signal, 1e-9))
    rates = {f"background.{b.name}.rate": b.rate * scale for b in experiment.background}
    check(name, rates, seed=41)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ess-csi", {"detector.quenching": {"model": "lindhard", "z": 54, "a": 130}}),
        ("ess-csi", {"detector.quenching": {"model": "polynomial", "coefficients": [
            0.0554628, 4.30681, -111.707, 840.384]}}),
        ("ess-csi", {"detector.quenching": {"model": "table", "recoil": [2, 5, 20],
                                            "energy": [0.1, 0.4, 2.0]}}),
        ("ess-csi", {"detector.quenching": "none", "detector.resolution": "none"}),
        ("ess-si", {"detector.resolution": FANO | {"unit": "electrons"}}),
        ("ess-xe", {"detector.resolution": WIDTHS, "detector.efficiency": STEPS,
                    "detector.region": [0.15, 4.0]}),
        ("ess-csi", {"detector.resolution": {"model": "photoelectrons", "light_yield": 33.5},
                     "detector.efficiency": LOGISTIC | {"half_until": 6.0},
                     "detector.dead_time": 0.2}),
        ("ess-si", {"detector.dead_time": 0.28, "detector.dead_time_of": "event",
                    "background.steady.rate": 0.05}),
        ("ess-si", {"source.protons_per_year": 2.8e28, "source.repetition": 1400.0,
                    "source.pulse_width": 2.8e4, "source.window": 3e4, "windows.on_length": 2.8e4,
                    "background.steady.rate": 3e4}),
        ("ess-ar", {"detector.time_resolution": 5e5, "background.steady.rate": 3.0}),
        ("ess-ar", {"detector.time_resolution": 5e5, "background.steady.rate": 0.3,
                    "windows.record": "all", "windows.off_ratio": 4.0}),
        ("sns-csi-2017", {"detector.time_resolution": 300.0, "background.steady.rate": 1e-3,
                          "windows.off_start": -3e5}),
        ("sns-csi-2017", BEAM_RELATED),
        ("sns-csi-2017", {"source.pulse_shape": {"time": [-100, 0, 300, 900],
                                                 "intensity": [0, 1, 0.8, 0]}, **QUIET}),
        ("sns-csi-2017", {"background": [NEUTRONS | {"timing": "delayed"}]}),
        ("sns-csi-2017", {"background": [NEUTRONS | {"timing": "delayed", "delay": 1.8e7}],
                          "windows.off_ratio": 200.0}),
        ("ess-csi", {"source.steady": True, "background.steady.rate": 0.2}),
        ("ess-csi", {"source.steady": True, "background.steady.rate": 0.2,
                     "windows.record": "all", "detector.time_resolution": 1e6}),
        pytest.param("sns-csi-2017", {"detector.region": [7.0, 31.0], **QUIET}),
        pytest.param("ess-csi", {"detector.quenching": {"model": "lindhard", "z": 54, "a": 130},
                                 "background": [NEUTRONS | FLAT]}),
        ("ess-ge", {"interaction.moment.numu": 30.0, "detector.threshold": 0.2, **QUIET}),
        ("ess-csi", {"interaction.axial": True, "interaction.kinematic_terms": True,
                     "interaction.couplings": "radiative", **QUIET}),
        ("ess-csi", {"source.spectra": {"nue": {"energy": [5, 10, 20, 50],
                                                "density": [1, 3, 2, 0]},
                                        "nuebar": {"line": 35.0}}, **QUIET}),
        ("ess-xe", {"target.material": {"Xe": 0.9, "He": 0.1}, "exposure.truth_threshold": 8.0,
                    "source.distance": 12.0, **QUIET}),
    ],
    ids=["lindhard", "polynomial", "table", "none", "fano", "width-table", "photo-electrons",
         "dead-time", "crowded-exposures", "time-resolution", "record-all", "off-before-on",
         "beam-related", "pulse-shape", "delayed", "a-period-late", "steady-source",
         "steady-spread", "rounding",
         "beyond", "magnetic-moment", "axial", "spectra",
         "mixture"],
)  # fmt: skip
def test_variants(name, settings):
    """Fails if counts or distributions of a model that no shipped experiment uses differ."""
    check(name, settings, seed=42)


@pytest.fixture(scope="module")
def unchanged():
    settings = {"background.steady.rate": 0.5}
    return settings, *chain_of("ess-csi", settings, 200_000, seed=43)


@pytest.mark.parametrize(
    "case",
    [
        ("beam-on", {"source.protons_per_year": 2.9e23}, "window 1"),
        ("acceptance", {"detector.efficiency.plateau": 0.77}, "selected 1"),
        ("dead time", {"detector.dead_time": 0.03}, "selected 1"),
        ("windows", {"windows.off_ratio": 1.05}, "window 2"),
        ("quenching", {"detector.quenching.factor": 0.103}, "e_ee"),
        ("resolution", {"detector.resolution.relative": 0.33}, "e_nr and e_reco"),
        ("form factor", {"interaction.form_factor": "unity", **QUIET}, "e_nr"),
        ("spectrum", {"source.spectra": NEARLY_MONOCHROMATIC, **QUIET}, "e_nu"),
        ("pulse", {"source.pulse_width": 2.75e6, "source.window": 2.81e6}, "time"),
        ("background", {"background.steady.range": [1.0, 45.0]}, "component 10"),
        ("isotope", {"target.material": {"Cs": 0.57, "I": 0.43}, **QUIET}, "target"),
    ],
    ids=lambda case: case[0],
)
def test_the_comparison_sees_small_differences(case, unchanged):
    """Fails if a change of a few per cent in a setting of one of the two goes unnoticed."""
    _, changed, where = case
    settings, chain, expected, years = unchanged
    plain = numpy_of("ess-csi", settings | changed, years, seed=43)
    found = counts(chain, plain, expected, years) | shapes(chain, plain)
    assert min(p for of, p in found.items() if where in of) * len(found) < LEAST_P / 100


def test_columns_and_order():
    """Fails if types or order of columns, order of events or their numbers differ."""
    settings = {"source.protons_per_year": 2.8e27}
    experiment = load("ess-csi", settings)
    run = plan(experiment, 1, years=1e-5)
    block = generate_numpy(experiment, np.random.default_rng(44), years=1e-5)
    assert {name: column.dtype for name, column in block.items()} == run.dtypes
    assert list(block) == list(run.make(0, 0))
    np.testing.assert_array_equal(block["event"], np.arange(len(block["event"])))
    order = np.lexsort((block["time_true"], block["pulse"]))
    np.testing.assert_array_equal(order, block["event"])
    assert np.bincount(block["pulse"]).max() > 2
    assert block["pulse"].max() < run.pulses


def test_fixed_number_of_signal_events():
    """Fails if `events` does not fix the signal, share it as expected, or scale the background."""
    experiment = load("ess-csi")
    block = generate_numpy(experiment, np.random.default_rng(45), events=50_000)
    signal = block["component"] < 10
    assert signal.sum() == 50_000
    expected = plan(experiment, events=50_000)
    background = next(e.total for e in expected.expected if e.component == 10) * expected.years
    assert two_sided(poisson, int((~signal).sum()), background) > LEAST_P
    of = [e for e in expected.expected if e.component < 10]
    share = of[0].total / sum(e.total for e in of)
    first = int(np.sum(block["component"] == of[0].component))
    assert two_sided(binom, first, 50_000, share) > LEAST_P


def test_tables_and_columns_at_hand():
    """Fails if ready tables, columns to write to or more years change the events of a generator."""
    experiment = load("sns-csi-2017")
    new = generate_numpy(experiment, np.random.default_rng(46))
    out = {name: np.ones(len(column) + 9, column.dtype) for name, column in new.items()}
    given = Reference(experiment)
    again = generate_numpy(given, np.random.default_rng(46), out=out)
    explicit = generate_numpy(given, np.random.default_rng(46), years=experiment.exposure.years)
    for name, column in new.items():
        assert again[name].base is out[name]
        np.testing.assert_array_equal(column, again[name])
        np.testing.assert_array_equal(column, explicit[name])
    assert len(generate_numpy(given, np.random.default_rng(46), years=1e-12)["event"]) == 0
