"""Changes of a source: every door gives the numbers that follow from them, or refuses the same."""

import itertools

import numpy as np
import pytest
from nuspill import ExperimentError, load, periods
from nuspill.generator.beam import NEUTRINOS_PER_PROTON
from nuspill.reco.expectation import background_per_year, mean_per_pulse, rates
from nuspill.reco.runs.ntuple import provenance
from nuspill.reco.runs.run import plan
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.template import templates

ESS = load("ess-csi")
ELECTRON = 1.602176634e-19
WIDE = {"source.repetition": 28.0}

# settings; then the factors of signal and of steady background in beam-on, and protons a year
CHANGES = {
    "5 MW": ({"power": 5.0}, 1.0, 1.0, 2.8e23),
    "2 MW": ({"power": 2.0}, 0.4, 1.0, 1.12e23),
    "0.5 MW": ({"power": 0.5}, 0.1, 1.0, 2.8e22),
    "28 Hz of the same pulses": ({"repetition": 28.0, "power": 10.0}, 2.0, 2.0, 5.6e23),
    "28 Hz of the same beam": ({"repetition": 28.0, "power": 5.0}, 1.0, 2.0, 2.8e23),
    "28 Hz, by protons": ({"repetition": 28.0, "protons_per_year": 5.6e23}, 2.0, 2.0, 5.6e23),
    "half the hours": ({"hours_per_year": 2500.0}, 0.5, 0.5, 1.4e23),
    "half the pulse": ({"pulse_width": 1.4e6}, 1.0, 1.41 / 2.81, 2.8e23),
    "pulse and window": ({"pulse_width": 1.4e6, "window": 2.0e6}, 1.0, 2.0 / 2.81, 2.8e23),
    "0.94 GeV": ({"proton_energy": 0.94}, 2 / 0.94 * 0.08 / 0.3, 1.0, 2.8e23 * 2 / 0.94),
    "3 GeV": ({"proton_energy": 3.0, "neutrinos_per_proton": 0.45}, 1.0, 1.0, 2.8e23 * 2 / 3),
    "protons": ({"protons_per_year": 1.4e23}, 0.5, 1.0, 1.4e23),
    "neutrinos": ({"neutrinos_per_proton": 0.15}, 0.5, 1.0, 2.8e23),
    "power and hours": ({"power": 2.0, "hours_per_year": 2500}, 0.2, 0.5, 5.6e22),
    "tabulated pulse": (
        {"pulse_shape": {"time": [0, 1, 1.4e6], "intensity": [0, 1, 1]}}, 1.0, 1.41 / 2.81, 2.8e23,
    ),
}  # fmt: skip


def by_settings(change, tmp_path):
    return load("ess-csi", {f"source.{key}": value for key, value in change.items()})


def by_replace(change, tmp_path):
    return ESS.replace(**{f"source.{key}": value for key, value in change.items()})


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    return repr(value)


def lines(change, prefix=""):
    return "".join(f"{prefix}{key} = {toml(value)}\n" for key, value in change.items())


def by_file(change, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('extends = "ess-csi"\n[source]\n' + lines(change))
    return load(path)


def by_base(change, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('extends = "ess-csi"\n[source]\nbase = "ess"\n' + lines(change))
    return load(path)


def by_preset(change, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('extends = "ess-csi"\n[preset.other]\n' + lines(change, "source."))
    return load(path, preset="other")


WAYS = (by_settings, by_replace, by_file, by_base, by_preset)


@pytest.mark.parametrize("case", CHANGES)
def test_all_ways_of_a_change_give_the_same(case, tmp_path):
    """Fails if a file, a preset, --set or `replace` leaves another source."""
    first, *others = (way(CHANGES[case][0], tmp_path).source for way in WAYS)
    assert all(other == first for other in others)


@pytest.mark.parametrize("case", CHANGES)
def test_rates_templates_and_events_follow(case, tmp_path):
    """Fails if rates, templates, a model, events or their provenance miss part of a change."""
    change, signal, steady, protons = CHANGES[case]
    changed = by_settings(change, tmp_path)
    assert changed.source.protons == pytest.approx(protons, rel=1e-12)

    before, after = rates(ESS), rates(changed)
    for key, factor in {"above_threshold": signal, "steady_on": steady}.items():
        assert after[key] == pytest.approx(factor * before[key], rel=1e-9)
    # the window's share of the delayed neutrinos is its own: 2e-5 of them come after its tail
    assert after["selected"] == pytest.approx(signal * before["selected"], rel=1e-4)

    # counts in the bins of the templates, and what a model of them expects
    old, new = templates(ESS), templates(changed)
    np.testing.assert_allclose(new.steady, steady * old.steady, rtol=1e-9)
    counts = [build([e]).asimov().counts.sum() for e in (ESS, changed)]
    beam = [n - t.steady.sum() for n, t in zip(counts, (old, new), strict=True)]
    assert beam[1] == pytest.approx(signal * beam[0], rel=1e-4)

    years = 0.05
    run = plan(changed, 3, years=years)
    block = run.make(0, run.events)
    on = block["window"] == 1
    found = [int((on & (block["component"] < 10)).sum()), int((block["component"] >= 10)[on].sum())]
    within = [sum(e.in_window[1] for e in plan(ESS, 3).expected if (e.component < 10) is kind)
              for kind in (True, False)]  # fmt: skip
    due = years * np.array([signal, steady]) * within
    assert np.all(np.abs(found - due) < 5 * np.sqrt(due))
    assert provenance(run, 0, 1)["protons_on_target"] == pytest.approx(protons * years, rel=1e-6)


@pytest.mark.parametrize("case", CHANGES)
def test_power_and_protons_agree_after_a_change(case, tmp_path):
    """Fails if a provenance says one power and has the protons of another."""
    source = by_settings(CHANGES[case][0], tmp_path).source
    joules = source.power * 1e6 * source.hours_per_year * 3600
    brought = joules / (source.proton_energy * 1e9 * ELECTRON)
    assert source.protons == pytest.approx(brought, rel=0.004)


REFUSED = {
    "28 Hz": (WIDE, ["source.repetition = 28", "source.power", "5 MW", "10 MW"]),
    "28 Hz and hours": (WIDE | {"source.hours_per_year": 2500.0}, ["repetition", "source.power"]),
    "an energy that no table has": (
        {"source.proton_energy": 1.5},
        ["source.proton_energy is 1.5 GeV", "source.neutrinos_per_proton", "0.08 at 0.94"],
    ),
    "power and other protons": (
        {"source.power": 2.0, "source.protons_per_year": 2.8e23},
        ["source.power = 2 MW", "source.protons_per_year = 2.8e+23", "1.123e+23"],
    ),
    "hours of other protons": (
        {"source.power": 5.0, "source.protons_per_year": 2.8e23, "source.hours_per_year": 2500.0},
        ["source.power", "2500 h", "source.protons_per_year"],
    ),
    "2 % of the protons": (
        {"source.power": 5.0, "source.protons_per_year": 2.87e23}, ["source.power", "1 %"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_contradicts_is_refused_everywhere(case, tmp_path):
    """Fails if a way takes it, or its line does not name both keys."""
    settings, parts = REFUSED[case]
    change = {key.removeprefix("source."): value for key, value in settings.items()}
    for way in WAYS:
        with pytest.raises(ExperimentError) as caught:
            way(change, tmp_path)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(("ess-csi: ", str(tmp_path)))
        for part in parts:
            assert part in message


def test_pairs_of_changes_agree_or_are_refused():
    """Fails if two values given together leave power, protons, neutrinos or window of others."""
    values = {"power": 2.0, "proton_energy": 0.94, "protons_per_year": 1e23, "repetition": 28.0,
              "hours_per_year": 1000.0, "neutrinos_per_proton": 0.1, "pulse_width": 2e6,
              "window": 2.5e6}  # fmt: skip
    beam = {"power", "protons_per_year"}
    taken = 0
    for pair in itertools.combinations(values, 2):
        settings = {f"source.{key}": values[key] for key in pair}
        if set(pair) == beam or ("repetition" in pair and not beam & set(pair)):
            with pytest.raises(ExperimentError, match=r"source\.(power|repetition)"):
                ESS.replace(**settings)
            continue
        source = ESS.replace(**settings).source
        taken += 1
        assert all(getattr(source, key) == values[key] for key in pair)
        brought = source.power * 3.6e9 * source.hours_per_year
        assert source.protons == pytest.approx(
            brought / (source.proton_energy * 1e9 * ELECTRON), rel=0.004
        )
        if "neutrinos_per_proton" not in pair:
            assert source.neutrinos == NEUTRINOS_PER_PROTON[source.proton_energy]
        if "window" not in pair:
            assert source.window - source.pulse_width == pytest.approx(1e4)
    assert taken == 22


def test_a_change_and_its_undoing_give_the_shipped_numbers():
    """Fails if the published number of protons is lost on the way."""
    slow = ESS.replace(**{"source.power": 2.5})
    assert slow.source.protons == 1.4e23
    assert slow.replace(**{"source.power": 5.0}) == ESS


def test_periods_of_a_rising_power_add_up(tmp_path):
    """Fails if a combination of periods expects other counts than its years at each power."""
    path = tmp_path / "ramp.toml"
    path.write_text(
        'extends = "ess-csi"\nname = "ramp"\n'
        "[[period]]\nyears = 1.0\nsource.power = 0.5\n"
        "[[period]]\nyears = 1.0\nsource.power = 2.0\n[[period]]\nyears = 3.0\n"
    )
    parts = [load(name) for name in periods(path)]
    model, full = build(parts), templates(ESS)  # of 3 years at 5 MW
    counts = model.asimov().counts.reshape(3, -1)
    signal = build([ESS]).asimov().counts.ravel() - full.steady
    for found, years, power in zip(counts, (1, 1, 3), (0.5, 2, 5), strict=True):
        due = signal * years / 3 * power / 5 + full.steady * years / 3
        np.testing.assert_allclose(found, due, rtol=1e-9)
    pulls = len(build([ESS]).asimov().centre.ravel())
    assert len(model.asimov().centre.ravel()) == pulls  # common to the periods
    runs = [plan(e) for e in parts]
    assert [run.years for run in runs] == [1.0, 1.0, 3.0]
    assert sum(run.protons for run in runs) == pytest.approx(2.8e22 + 1.12e23 + 3 * 2.8e23)


def test_what_is_shipped_is_what_the_changes_give():
    """Fails if 28 Hz by settings is another beam than the source that is shipped."""
    settings = {"source.repetition": 28.0, "source.power": 10.0, "source.name": "ess-28hz"}
    assert load("ess-csi", settings) == load("ess-csi", source="ess-28hz")
    settings = {"source.power": 7.5, "source.proton_energy": 3.0, "source.name": "ess-3gev",
                "source.neutrinos_per_proton": 0.45}  # fmt: skip
    assert load("ess-csi", settings) == load("ess-csi", source="ess-3gev")


def test_shipped_numbers():
    """Fails if an event, a proton or a window of the shipped experiments is another than it was."""
    run = plan(ESS, 1)
    assert (ESS.source.protons, ESS.source.neutrinos) == (2.8e23, 0.3)
    assert (ESS.beam_windows.on_length, run.pulses) == (2.81e6, 756_000_000)
    sns = load("sns-csi-2017").source
    assert (sns.protons, sns.neutrinos, sns.power, sns.window) == (1.76e23, 0.08, 1.0, 6000.0)


PROMPT = {"name": "neutrons", "timing": "prompt", "rate": 2.0}


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"source.power": 2.0}, 0.8),
        ({"source.protons_per_year": 1.4e23}, 1.0),
        ({"source.hours_per_year": 2500.0}, 2.0),  # of a day of beam, of which there are fewer
        ({"source.repetition": 28.0, "source.power": 10.0}, 4.0),
        ({"source.power": 2.0, "background.neutrons.rate": 1.5}, 1.5),
        ({"source.neutrinos_per_proton": 0.1}, 2.0),
        ({"source.proton_energy": 0.94, "background.neutrons.rate": 3.0}, 3.0),
    ],
)
def test_backgrounds_of_the_beam_follow_the_beam(settings, rate):
    """Fails if neutrons stay as many when the protons that make them do not."""
    steady = {"name": "steady", "rate": 10.0}
    experiment = load("ess-csi", {"background": [PROMPT, steady]})
    changed = experiment.replace(**settings)
    assert [b.rate for b in changed.background] == [pytest.approx(rate, rel=1e-12), 10.0]
    days = changed.source.days_per_year
    counts = background_per_year(changed, changed.background[0])
    assert counts == pytest.approx(rate * 45.1 * 22.5 * days, rel=1e-9)
    made = mean_per_pulse(changed, changed.detector.threshold)[-2]
    assert made * changed.source.pulses_per_year == pytest.approx(counts)


def test_backgrounds_of_the_beam_at_another_energy(tmp_path):
    """Fails if a rate of neutrons is kept for protons of which it is not known."""
    experiment = load("ess-csi", {"background": [PROMPT]})
    with pytest.raises(ExperimentError, match=r"proton_energy = 0.94 .*background.neutrons.rate"):
        experiment.replace(**{"source.proton_energy": 0.94})
    path = tmp_path / "own.toml"
    path.write_text(
        'extends = "ess-csi"\n[[background]]\nname = "neutrons"\ntiming = "prompt"\nrate = 2.0\n'
    )
    assert load(path, source="ess-28hz").background[0].rate == 4.0
    with pytest.raises(ExperimentError, match=r"proton_energy = 3.0 .*background.neutrons.rate"):
        load(path, source="ess-3gev")
    assert load(path, {"source.power": 10.0}).background[0].rate == 4.0


OWN = """
name = "own"
[source]
protons_per_year = 1e22
neutrinos_per_proton = 0.2
hours_per_year = 4000.0
[target]
material = "Ar"
mass = 10.0
[detector]
threshold = 1.0
quenching = { model = "none" }
"""


@pytest.fixture
def own(tmp_path):
    """A source that states its protons alone, as files could from the beginning."""
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    return load(path)


def test_a_source_of_protons_alone(own):
    """Fails if such a file is read otherwise than before, or its hours leave its protons."""
    assert (own.source.protons, own.source.power, own.source.neutrinos) == (1e22, None, 0.2)
    assert own.replace(**{"source.hours_per_year": 1000.0}).source.protons == 2.5e21
    double = own.replace(**{"source.protons_per_year": 2e22})
    assert double.source.flavours[0].per_year == pytest.approx(4e21)
    known = {"source.power": 1.0, "source.proton_energy": 2.0}
    beam = own.replace(**known).source
    assert beam.protons == pytest.approx(1e6 * 4000 * 3600 / (2e9 * ELECTRON))
    assert beam.neutrinos == 0.3


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"source.power": 2.0}, ["source.power = 2 MW", "source.protons_per_year = 1e+22"]),
        (WIDE, ["source.repetition = 28", "source.protons_per_year", "2e+22"]),
    ],
)
def test_what_a_source_of_protons_alone_cannot_tell(own, settings, parts):
    """Fails if power or rate of such a source change nothing, or not all."""
    with pytest.raises(ExperimentError) as caught:
        own.replace(**settings)
    for part in parts:
        assert part in str(caught.value)


def test_energy_of_a_source_of_protons(own):
    """Fails if another energy takes protons for power, or power for protons."""
    known = own.replace(**{"source.proton_energy": 0.94})
    assert (known.source.protons, known.source.neutrinos) == (1e22, 0.08)
    with pytest.raises(ExperimentError, match=r"proton_energy = 2 GeV .*protons_per_year"):
        known.replace(**{"source.proton_energy": 2.0})
    assert known.replace(**{"source.power": 1.0}).source.protons == pytest.approx(
        1e6 * 4000 * 3600 / (0.94e9 * ELECTRON)
    )


def test_a_reactor_keeps_no_neutrinos_of_other_hours():
    """Fails if a spectrum's own number of neutrinos stays when its time or power does not."""
    lines = {"nuebar": {"line": 5.0, "per_year": 1e27}, "nue": {"line": 3.0}}
    reactor = {"steady": True, "protons_per_year": 1e20, "neutrinos_per_proton": 1.0, "power": 3.0}
    experiment = load("ess-ar", {"source": reactor | {"spectra": lines}})

    def numbers(**settings):
        settings = {f"source.{key}": value for key, value in settings.items()}
        return [f.per_year for f in experiment.replace(**settings).source.flavours]

    assert numbers() == [1e20, 1e27]
    assert numbers(hours_per_year=2500.0) == pytest.approx([5e19, 5e26])
    assert numbers(power=1.5) == pytest.approx([5e19, 5e26])
    assert numbers(neutrinos_per_proton=0.1) == pytest.approx([1e19, 1e26])
    assert numbers(repetition=28.0) == [1e20, 1e27]  # pulses are no matter
    given = {"power": 1.5, "spectra.nuebar.per_year": 3e26}
    assert numbers(**given) == pytest.approx([5e19, 3e26])


def test_neutrinos_that_are_stated_for_one_energy():
    """Fails if a spectrum's own number is kept for protons of which it is not known."""
    source = {"power": 1.0, "proton_energy": 1.5,
              "spectra": {"numu": {"line": 29.8, "per_year": 1e22}}}  # fmt: skip
    experiment = load("ess-ar", {"source": source})
    with pytest.raises(ExperimentError, match=r"source.proton_energy = 1.2 .*numu.per_year"):
        experiment.replace(**{"source.proton_energy": 1.2})
    given = {"source.proton_energy": 1.2, "source.spectra.numu.per_year": 5e21}
    assert experiment.replace(**given).source.flavours[0].per_year == 5e21


def test_a_pulse_of_another_shape():
    """Fails if a tabulated pulse leaves the window of the flat one, or a width of none is taken."""
    shape = {"time": [0, 300, 2000], "intensity": [0, 1, 0]}
    sns = load("sns-csi-2017", {"source.pulse_shape": shape})
    assert (sns.source.pulse_width, sns.source.window) == (2000.0, 7000.0)
    with pytest.raises(ExperimentError, match=r"pulse_width = 500 .*source.pulse_shape.*2000 ns"):
        sns.replace(**{"source.pulse_width": 500.0})
    short = load("sns-csi-2017", {"source.window": 400.0})
    with pytest.raises(ExperimentError, match=r"pulse_width = 500 .*source.window open"):
        short.replace(**{"source.pulse_width": 500.0})


def test_wrong_values_are_told_as_wrong():
    """Fails if what is derived from a wrong value hides what is wrong with it."""
    for key, value in itertools.product(
        ("power", "repetition", "hours_per_year", "pulse_width", "proton_energy"),
        (0.0, -1.0, "2", True, float("nan"), 10**400, [1.0]),
    ):
        with pytest.raises(ExperimentError, match=rf"ess-csi: source\.{key} = "):
            ESS.replace(**{f"source.{key}": value})
    for key in ("repetition", "hours_per_year", "pulse_width"):
        with pytest.raises(ExperimentError, match=rf"ess-csi: source\.{key} = None"):
            ESS.replace(**{f"source.{key}": None})
