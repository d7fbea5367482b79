"""Models: the polynomial is exact, pulls are shared as files say, and what is refused."""

import numpy as np
import pytest
from nuspill import ExperimentError, load, shipped_experiments
from nuspill.generator.constants import CM2_MEV2, W_MASS
from nuspill.generator.coupling import Interaction, coupling, structure_couplings
from nuspill.generator.cross_section import recoil_factors, structure_factors
from nuspill.reco.response.detector import Shift
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.parameter import PARAMETERS
from nuspill.toys.counts.template import templates

# what has no effect without tau neutrinos in the beam
IDLE = ("nsi.u.tautau", "nsi.d.tautau", "radius.tautau", "moment.nutau")
ACTIVE = tuple(name for name in PARAMETERS if name not in IDLE and name != "strength")
SIZE = {"sin2w": (0.1, 0.4), "nsi": (-1.0, 1.0), "radius": (-60.0, 60.0), "moment": (0.0, 20.0)}


def draw(rng, name):
    return float(rng.uniform(*SIZE[name.split(".")[0]]))


def changed(experiment, values):
    return experiment.replace(**{f"interaction.{name}": x for name, x in values.items()})


def random_interaction(rng):
    names = [name for name in PARAMETERS if name != "strength" and rng.random() < 0.6]
    settings = {
        "couplings": str(rng.choice(["tree", "radiative"])),
        "form_factor": str(rng.choice(["helm", "klein-nystrand", "fermi", "unity"])),
        "axial": bool(rng.random() < 0.5),
        "kinematic_terms": bool(rng.random() < 0.5),
        "moment_form_factor": bool(rng.random() < 0.5),
        "neutron_radius": float(rng.uniform(4.5, 5.5)) if rng.random() < 0.5 else None,
        "proton_radius": float(rng.uniform(4.5, 5.5)) if rng.random() < 0.5 else None,
    }
    for name in names:
        place = settings
        *path, last = name.split(".")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = draw(rng, name)
    return Interaction.model_validate(settings)


@pytest.mark.parametrize("seed", range(40))
def test_structures_are_the_cross_section(seed):
    """Fails if couplings times structures are not the cross section written out by hand.

    Proton and neutron form factors apart, off-diagonal terms, axial current, moment.
    """
    rng = np.random.default_rng(seed)
    interaction = random_interaction(rng)
    nuclei = load("ess-csi").target.nuclei + load("ess-c3f8").target.nuclei
    nucleus = nuclei[rng.integers(len(nuclei))]
    flavour = str(rng.choice(["numu", "nue", "numubar", "nuebar", "nutau"]))
    recoil = np.geomspace(0.01, 40, 50)
    couplings = structure_couplings(interaction, flavour)
    factors = structure_factors(recoil, nucleus, interaction, flavour)
    total = sum(couplings[name] * factor for name, factor in factors.items())
    reference = recoil_factors(recoil, nucleus, interaction, flavour)
    np.testing.assert_allclose(total, reference, rtol=1e-12, atol=1e-12 * np.abs(reference).max())

    lepton = {"m": "mu", "e": "e", "t": "tau"}[flavour[2]]
    other = {"mu": ("emu", "mutau"), "e": ("emu", "etau"), "tau": ("etau", "mutau")}[lepton]
    s2 = interaction.sin2w
    proton, neutron = 0.5 - 2 * s2, -0.5
    if interaction.couplings == "radiative":
        proton, neutron = {"e": 0.0381, "mu": 0.0298, "tau": 0.0254}[lepton], -0.5117
        proton += 2 * (0.23867 - s2)
    unit = 2 / 3 * W_MASS**2 * s2 * 1e-32 / CM2_MEV2

    def transition(entry, g_p, g_n):
        u, d = (getattr(quark, entry) for quark in (interaction.nsi.u, interaction.nsi.d))
        return g_p + 2 * u + d - unit * getattr(interaction.radius, entry), g_n + u + 2 * d

    pairs = [transition(lepton + lepton, proton, neutron)]
    pairs += [transition(entry, 0.0, 0.0) for entry in other]
    p, n = (
        np.sqrt(factors[key][0] / factors["nn"][0].max()) for key in ("pp", "nn")
    )  # Z F_p and N F_n, to a common factor
    ratio = sum((g_p * p + g_n * n) ** 2 for g_p, g_n in pairs)
    found = sum(couplings[key] * factors[key][0] for key in ("pp", "pn", "nn"))
    sign = np.sign(factors["pn"][0])  # of F_p F_n
    if np.all(sign > 0):
        np.testing.assert_allclose(found / factors["nn"][0].max(), ratio, rtol=1e-9)


FEW = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]


@pytest.fixture(scope="module")
def csi():
    return load("ess-csi", {"analysis.edges": FEW})


@pytest.fixture(scope="module")
def csi_model(csi):
    """All parameters free at once."""
    return build([csi], ACTIVE)


@pytest.mark.parametrize("name", ACTIVE)
def test_one_parameter(name, csi, csi_model):
    """Fails if the polynomial at a value is not the prediction computed anew with that value."""
    rng = np.random.default_rng(len(name) + ord(name[-1]))
    model = build([csi], [name])
    x = draw(rng, name)
    new = build([changed(csi, {name: x})])
    expected = new.counts(new.truth)
    for one in (model, csi_model):
        values = one.truth.copy()
        values[one.number(name)] = x
        np.testing.assert_allclose(one.counts(values), expected, rtol=1e-10)


@pytest.mark.parametrize("name", [n for n in shipped_experiments() if n.count("-") < 2])
def test_all_parameters_at_once(name):
    """Fails if products of couplings, e.g. of sin2w and a radius, are not in the polynomial."""
    experiment = load(name)
    free = [n for n in ACTIVE if n != "sin2w" or experiment.interaction.couplings == "tree"]
    model = build([experiment], free)
    rng = np.random.default_rng(3)
    values = {n: draw(rng, n) for n in free}
    new = build([changed(experiment, values)])
    point = model.truth.copy()
    point[: len(free)] = list(values.values())
    np.testing.assert_allclose(model.counts(point), new.counts(new.truth), rtol=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {"interaction.axial": True, "interaction.kinematic_terms": True},
        {"interaction.proton_radius": 4.7, "interaction.moment_form_factor": False},
        {"interaction.axial": True, "interaction.proton_radius": 4.7, "target.material": "F"},
    ],
    ids=["axial and kinematic", "proton radius", "fluorine"],
)
def test_other_structures(settings, csi):
    """Fails if interference with the axial current or F_p ≠ F_n is not carried along."""
    if settings.get("target.material") == "F":
        settings = settings | {
            "interaction.neutron_radius": 2.9, "interaction.proton_radius": 2.8,
            "detector.e_max": 100.0,
        }  # fmt: skip
    experiment = csi.replace(**settings)
    model = build([experiment], ACTIVE)
    rng = np.random.default_rng(5)
    values = {n: draw(rng, n) for n in ACTIVE}
    new = build([changed(experiment, values)])
    point = model.truth.copy()
    point[: len(ACTIVE)] = list(values.values())
    np.testing.assert_allclose(model.counts(point), new.counts(new.truth), rtol=1e-10)


@pytest.mark.parametrize("name", IDLE)
def test_parameter_without_effect(name, csi):
    """Fails if a parameter that no flavour of the beam feels is scanned in silence."""
    with pytest.raises(ExperimentError, match=f"'{name}' changes nothing"):
        build([csi], [name])


@pytest.mark.parametrize("factors", ["log-normal", "linear"])
def test_nuisances(factors, csi):
    """Fails if a pull is not: 10 % of the signal, 1 % of the steady background, alone."""
    csi = csi.replace(**{"analysis.factors": factors})
    model = build([csi], ["strength"])
    found = templates(csi)
    couplings = {f.name: structure_couplings(csi.interaction, f.name) for f in csi.source.flavours}
    signal = sum(couplings[f][s] * counts for (f, _, s), counts in found.signal.items())
    assert model.names == ("strength", "signal", "background.ess-csi")
    up, down = (1.1**2, 1.01**-3) if factors == "log-normal" else (1.2, 0.97)
    expected = 1.3 * up * signal + down * found.steady
    np.testing.assert_allclose(model.counts([1.3, 2.0, -3.0]), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.weight, [0, 1, 1])
    least = [-0.99 / 0.1, -0.99 / 0.01]  # factors of 1 %
    np.testing.assert_allclose(model.lower, [0, *(least if factors == "linear" else [-np.inf] * 2)])


@pytest.mark.parametrize("effect", ["flux", "distance", "quenching", "resolution", "threshold"])
def test_systematic(effect, csi):
    """Fails if one standard deviation up or down is not the prediction with that change."""
    size = 0.05
    experiment = csi.replace(
        **{"analysis.systematic": [{"name": "s", "effect": effect, "uncertainty": size}]}
    )
    model = build([experiment])
    steady = templates(experiment).steady
    nominal = model.counts(np.zeros(3)) - steady
    for sign in (1, -1):
        factor = (1 + size) ** sign
        point = np.zeros(3)
        point[model.number("s")] = sign
        found = model.counts(point) - steady
        if effect == "flux":
            expected = nominal * factor
        elif effect == "distance":
            expected = nominal / factor**2
        elif effect == "resolution":
            other = experiment.replace(**{"detector.resolution.relative": 0.3 * factor})
            expected = build([other]).counts(np.zeros(3)) - steady
        elif effect == "threshold":
            other = experiment.replace(**{"detector.threshold": factor})
            expected = build([other]).counts(np.zeros(3)) - templates(other).steady
        else:
            # energies up by a factor: edges, threshold down by it; σ² = r² T_ref T scales likewise
            other = experiment.replace(
                **{"analysis.edges": [e / factor for e in experiment.analysis.edges],
                   "detector.threshold": 1 / factor, "detector.e_max": 46.1 / factor,
                   "detector.resolution.reference": 1 / factor}
            )  # fmt: skip
            expected = build([other]).counts(np.zeros(3)) - templates(other).steady
        np.testing.assert_allclose(found, expected, rtol=2e-4, err_msg=f"{effect} {sign}")


def test_pulls_shared_and_apart():
    """Fails if equal names are two pulls, or two names one."""
    low, high = (load("ess-ar", {"detector.threshold": t}) for t in (0.1, 1.0))
    both = build([low, high], ["moment.numu"])
    assert both.names == ("moment.numu", "signal", "background.ess-ar")
    assert [section.name for section in both.sections] == ["ess-ar", "ess-ar#2"]
    apart = build([low, high.replace(**{"analysis.signal_pull": "b"})])
    assert apart.names == ("signal", "background.ess-ar", "b")
    chamber = build([load(n, {"analysis.edges": FEW}) for n in ("ess-xe", "ess-xe-ar")])
    assert chamber.names == ("signal", "background.ess-xe")
    others = build([load("ess-c3f8"), low])
    assert others.names == ("signal", "background.ess-c3f8", "background.ess-ar")
    one, two = build([low]), build([high])
    values = np.array([0.7, -1.1])
    np.testing.assert_allclose(
        build([low, high]).counts(values), np.append(one.counts(values), two.counts(values))
    )


def test_no_uncertainty_no_nuisance(csi):
    """Fails if an uncertainty of zero leaves a variable."""
    none = csi.replace(
        **{"analysis.signal_uncertainty": 0.0, "analysis.background_uncertainty": 0.0}
    )
    assert build([none]).variables == 0
    assert build([none], ["strength"]).names == ("strength",)


@pytest.mark.parametrize("statistic", ["on-off", "on-off-scaled"])
def test_on_off(statistic, csi):
    """Fails if the Asimov data of on/off statistics are not signal + background, and τB."""
    experiment = csi.replace(**{"analysis.statistic": statistic})
    model, plain = build([experiment]), build([csi])
    found = templates(experiment)
    data = model.asimov()
    bins = len(found.steady)
    np.testing.assert_allclose(data.counts[0, :bins], plain.counts(plain.truth), rtol=1e-12)
    if statistic == "on-off":
        np.testing.assert_allclose(data.off[0], found.tau * found.steady)
    else:
        np.testing.assert_allclose(data.counts[0, bins], found.tau * found.steady.sum())
        assert model.weight[model.number("background.ess-csi")] == 0
        assert model.section("ess-csi").off == slice(bins, bins + 1)


def test_fixed(csi):
    """Fails if a fixed parameter leaves another prediction."""
    model = build([csi], ["nsi.u.ee", "nsi.u.mumu"])
    less = model.fixed({"nsi.u.ee": 0.3, "signal": 1.5})
    assert less.names == ("nsi.u.mumu", "background.ess-csi")
    np.testing.assert_allclose(
        less.counts([0.1, -0.5]), model.counts([0.3, 0.1, 1.5, -0.5]), rtol=1e-13
    )


def test_refused(csi):
    """Fails if what cannot be one model becomes one."""
    xe = load("ess-xe")
    for other, parts in (
        (xe.replace(**{"interaction.sin2w": 0.24}), "disagree on interaction.sin2w"),
        (xe.replace(**{"interaction.nsi.u.ee": 0.1}), "disagree on interaction.nsi"),
        (xe.replace(**{"interaction.radius.ee": 0.1}), "disagree on interaction.radius"),
        (xe.replace(**{"interaction.moment.nue": 1.0}), "disagree on interaction.moment"),
        (xe.replace(**{"interaction.couplings": "radiative"}), "disagree on interaction.couplings"),
        (xe.replace(**{"analysis.signal_uncertainty": 0.2}), "pull 'signal'"),
        (xe.replace(**{"analysis.background_pull": "ess-csi",
                       "analysis.background_uncertainty": 0.3}), "pull 'background.ess-csi'"),
        (xe.replace(**{"analysis.signal_pull": "sin2w"}), "may not have the name of a parameter"),
    ):  # fmt: skip
        with pytest.raises(ExperimentError, match=parts):
            build([csi, other])
    with pytest.raises(ExperimentError, match="given twice"):
        build([csi], ["nsi.u.ee", "nsi.u.ee"])
    with pytest.raises(ExperimentError, match=r"did you mean 'nsi\.u\.ee'"):
        build([csi], ["nsi.u.e"])
    with pytest.raises(ExperimentError, match="changes nothing"):
        build([csi], ["moment.nutau"])
    with pytest.raises(ExperimentError, match="needs an experiment"):
        build([])
    steady = csi.replace(**{"source.steady": True})
    with pytest.raises(ExperimentError, match=r"beam-off holds .* of the numu events"):
        build([steady.replace(**{"analysis.statistic": "on-off"})])


def test_a_further_coupling_that_differs_is_refused(csi):
    """Fails if experiments that differ in a coupling of a subclass are combined in silence."""

    class Extended(Interaction):
        scalar: float = coupling(0.0, "to a light scalar")

    def extended(experiment, **values):
        return experiment.model_copy(update={"interaction": Extended(**values)})

    xe = load("ess-xe")
    with pytest.raises(ExperimentError, match=r"disagree on interaction\.scalar \(0\.1 and 0\.2\)"):
        build([extended(csi, scalar=0.1), extended(xe, scalar=0.2)])
    with pytest.raises(ExperimentError, match=r"disagree on interaction\.scalar \(0\.1 and None\)"):
        build([extended(csi, scalar=0.1), xe])
    same = [extended(e, scalar=0.1) for e in (csi, xe)]
    assert build(same).bins == build([csi, xe]).bins
    with pytest.raises(ExperimentError, match="'scalar' changes nothing"):
        build(same, ["scalar"])


def test_bin_that_expects_nothing(csi):
    """Fails if a bin without signal and background is kept, in which no count has a likelihood."""
    empty = csi.replace(
        **{"analysis.edges": [1.0, 10.0, 200.0, 300.0], "background.steady.enabled": False}
    )
    with pytest.raises(ExperimentError, match=r"ess-csi: bin 2 \[200, 300\] expects 0 counts"):
        build([empty])


@pytest.mark.parametrize("relative", [None, 0.2])
def test_quenching_scales_the_quenched_energy(relative):
    """Fails if the energy scale of a Lindhard detector is that of recoils, which it is not.

    Without a resolution a bin holds what quenches into it: its edges are at recoils of 1/factor the
    quenched energy. With √T about a recoil, that recoil is the one of `factor` times the energy.
    """
    factor = 1.08
    resolution = {"model": "none"} if relative is None else {"model": "sqrt", "relative": relative}
    edges = [2.0, 3.0, 5.0, 9.0, 14.0]
    settings = {
        "detector.quenching": {"model": "lindhard", "k": 0.16, "z": 32},
        "detector.resolution": resolution,
        "detector.threshold": 2.0,
        "analysis.edges": edges,
        "background.steady.enabled": False,
    }
    experiment = load("ess-ge", settings)
    shifted = templates(experiment, Shift(energy=factor))
    recoil = np.linspace(0.0, 30.0, 300001)
    quenched = experiment.detector.electron_equivalent(recoil)
    if relative is None:
        marks = np.interp(np.interp(edges, recoil, quenched) / factor, quenched, recoil)
        other = experiment.replace(
            **{"analysis.edges": marks.tolist(), "detector.threshold": float(marks[0])}
        )
        expected = templates(other)
        for key, counts in shifted.signal.items():
            np.testing.assert_allclose(counts, expected.signal[key], rtol=2e-5)
    else:
        t = np.array([1.0, 2.5, 6.0, 11.0])
        mean = np.interp(factor * np.interp(t, recoil, quenched), quenched, recoil)
        found = experiment.detector.bin_probability(t, edges, "keV_nr", 60.0, Shift(energy=factor))
        expected = experiment.detector.bin_probability(mean, edges, "keV_nr", 60.0)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert np.abs(mean / (factor * t) - 1).min() > 1e-3
