"""Which keys data and model must share: the table, key by key."""

import pytest
from nuspill import ExperimentError, load
from nuspill.generator.settings import Settings
from nuspill.reco.experiment import Experiment
from nuspill.reco.runs.belonging import (
    FREE,
    HYPOTHESIS,
    differences,
    refuse,
    refuse_another_experiment,
    refuse_unknown,
)

DECIDE = {
    "source.distance": 25.0,
    "source.power": 2.0,
    "source.window": 2.7e6,
    "target.mass": 20.0,
    "target.material": "Ge",
    "exposure.truth_threshold": 20.0,
    "detector.threshold": 2.0,
    "detector.e_max": 40.0,
    "detector.quenching.factor": 0.05,
    "detector.quenching": {"model": "lindhard", "z": 54, "a": 130},
    "detector.resolution.relative": 0.2,
    "detector.efficiency.plateau": 0.5,
    "detector.region": [0.2, 4.0],
    "detector.time_resolution": 100.0,
    "detector.dead_time": 0.2,
    "windows.on_start": 1000.0,
    "windows.off_ratio": 2.0,
    "windows.on_tail": 50.0,
    "background.steady.rate": 20.0,
    "background.steady.timing": "prompt",
}
HARMLESS = {
    "name": "other",
    "description": "another text",
    "source.name": "mine",
    "exposure.years": 7.0,
    "exposure.slice_pulses": 1000,
    "detector.geometry": None,
    "windows.record": "all",
    "windows.on_length": 2.81e6,  # what it is by default
    "interaction.sin2w": 0.25,
    "interaction.nsi.u.ee": 0.1,
    "interaction.couplings": "radiative",
    "interaction.neutron_radius": 5.0,
    "analysis.edges": [1.0, 2.0, 10.0],
    "analysis.statistic": "on-off",
    "analysis.signal_uncertainty": 0.05,
    "daq.gain": 0.01,
    "daq.first_pulse": 1000,
}


@pytest.mark.parametrize("key", DECIDE)
def test_what_decides_counts_is_compared(key):
    """Fails if a key that decides which events there are, or their energies, may differ unsaid."""
    model, data = load("ess-csi"), load("ess-csi", {key: DECIDE[key]})
    unlike = differences(data, model)
    assert any(each.key == key or each.key.startswith(f"{key}.") for each in unlike)
    with pytest.raises(ExperimentError, match=r"^a\.root: does not belong to the model of ess-csi"):
        refuse("a.root", "ess-csi", unlike, [])
    for accepted in ([each.key for each in unlike], [each.key.split(".")[0] for each in unlike]):
        assert refuse("a.root", "ess-csi", unlike, accepted) == unlike
    for nearly in (unlike[0].key[:-1], f"{unlike[0].key}.x", "analysis"):
        with pytest.raises(ExperimentError, match="does not belong"):
            refuse("a.root", "ess-csi", unlike, [nearly])
    with pytest.raises(ExperimentError, match=r"b\.root: is of another experiment"):
        refuse_another_experiment("b.root", data, model)


@pytest.mark.parametrize("key", HARMLESS)
def test_what_decides_nothing_may_differ(key):
    """Fails if what a fit scans, or what no count depends on, is refused."""
    model, data = load("ess-csi"), load("ess-csi", {key: HARMLESS[key]})
    assert data != model
    assert differences(data, model) == ()
    if not key.startswith("interaction"):
        refuse_another_experiment("b.root", data, model)


def test_message():
    """Fails if a refusal does not name key, both values and the way out, or is endless."""
    settings = {"detector.quenching.factor": 0.05, "target.mass": 10.0, "source.distance": 30.0,
                "detector.dead_time": 0.1}  # fmt: skip
    unlike = differences(load("ess-csi", settings), load("ess-csi"))
    assert len(unlike) == 4
    with pytest.raises(ExperimentError) as error:
        refuse("a.root", "ess-csi", unlike, [])
    text = str(error.value)
    assert "source.distance is 30.0 in the file and 20.0 in the model" in text
    assert "and 1 more" in text
    assert "--accept source.distance" in text
    with pytest.raises(ExperimentError, match=r"target\.mass is 10\.0 in the file and 22\.5"):
        refuse("a.root", "ess-csi", unlike, ["source", "detector"])


def test_backgrounds_by_name():
    """Fails if the order of backgrounds, or one that is off, counts, or one more does not."""
    beam = {"name": "beam", "rate": 1.0, "scale": "keV_nr", "timing": "prompt"}
    steady = {"name": "steady", "rate": 10.0, "scale": "keV_nr"}
    model = load("ess-csi", {"background": [steady, beam]})
    assert differences(load("ess-csi", {"background": [beam, steady]}), model) == ()
    off = load("ess-csi", {"background": [steady, beam | {"enabled": False}]})
    assert differences(off, load("ess-csi")) == ()
    (one,) = differences(load("ess-csi"), model)
    assert (one.key, one.data) == ("background.beam", None)
    assert differences(load("ess-csi"), model, imported=True) == ()


def test_the_table_has_real_keys():
    """Fails if the table names a key that no experiment has, and so frees nothing."""
    for key in (*FREE, HYPOTHESIS):
        place = Experiment
        for part in key.split("."):
            assert issubclass(place, Settings)
            assert part in place.model_fields, key
            place = place.model_fields[part].annotation
    refuse_unknown(["detector.quenching", "exposure.years"])
    with pytest.raises(ExperimentError, match=r"--accept detectr\.quenching: is not a key"):
        refuse_unknown(["detectr.quenching"])
