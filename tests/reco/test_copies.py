"""Copies of settings: fail for one that is not checked, or that keeps what followed from others."""

import copy

import pytest
from nuspill import ExperimentError, load
from nuspill.generator.coupling import Interaction, Moment
from nuspill.generator.target import Target
from nuspill.reco.expectation import rates
from pydantic import ValidationError

XE = load("ess-xe")


def test_nothing_derived_is_kept():
    """Fails if a copy with another section has the channels, or the end point, of the old one."""
    csi = load("ess-csi")
    before = rates(csi), csi.end_point, csi.energy_top
    copied = csi.model_copy(update={"target": Target(material="Ar", mass=22.5)})
    assert {c.nucleus.name for c in copied.channels} == {"Ar36", "Ar38", "Ar40"}
    assert copied.end_point > 2 * csi.end_point
    assert copied == csi.replace(**{"target.material": "Ar"})
    assert rates(copied) == rates(csi.replace(**{"target.material": "Ar"}))
    assert (rates(csi), csi.end_point, csi.energy_top) == before


def test_inner_sections():
    """Fails if a section's copy keeps its nuclei, flavours or window."""
    target = XE.target
    assert len(target.nuclei) == 9
    assert [n.name for n in target.model_copy(update={"material": "F"}).nuclei] == ["F19"]
    source = XE.source
    assert len(source.flavours) == 3
    line = {"nue": {"line": 30.0, "per_year": 1e20}}
    assert len(source.model_copy(update={"spectra": line}).flavours) == 1
    moved = Interaction().model_copy(update={"moment": Moment(nue=2.0)})
    assert moved.moment.nue == 2.0


@pytest.mark.parametrize(
    ("update", "parts"),
    [
        ({"name": ""}, ["name", "1 character"]),
        ({"nmae": "x"}, ["nmae", "did you mean 'name'"]),
        ({"exposure": {"years": -1.0}}, ["exposure.years", "-1"]),
        ({"detector": XE.detector.model_copy(update={"threshold": 60.0, "e_max": 61.0})},
         ["detector.threshold 60", "end point"]) ,
        ({"background": (XE.background[0], XE.background[0])}, ["names must differ"]),
        ({"target": None}, ["target"]),
    ],
)  # fmt: skip
def test_what_is_refused(update, parts):
    """Fails if a copy is what no file could be."""
    experiment = XE.replace(**{"target.material": "Cs"})
    for how in (experiment.model_copy, experiment.copy):
        with pytest.raises(ExperimentError) as caught:
            how(update=update)
        assert all(part in str(caught.value) for part in ["ess-xe", *parts]), caught.value


def test_sections_refuse():
    """Fails if a section's copy is not checked as the section is."""
    for section, update in (
        (XE.source, {"power": 2.0}),  # beside the protons a year of 5 MW
        (XE.source, {"distance": float("nan")}),
        (XE.detector, {"threshold": -1.0}),
        (XE.interaction, {"form_factor": "helmut"}),
        (XE.exposure, {"years": "3"}),
    ):
        with pytest.raises(ValidationError):
            section.model_copy(update=update)


def test_plain_copies():
    """Fails if a copy without changes is another experiment."""
    for copied in (XE.model_copy(), XE.model_copy(deep=True), XE.copy(), copy.deepcopy(XE),
                   XE.model_copy(update={})):  # fmt: skip
        assert copied == XE
        assert copied is not XE
    assert XE.model_copy(deep=True).source is not XE.source
