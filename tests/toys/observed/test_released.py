"""Folders of releases as templates and data, in small files that are written here."""

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.template import templates
from nuspill.toys.observed.observed import observed

LAR, CSI = "sns-lar-2020", "sns-csi-2021"
CENTRES = (
    np.arange(12) * 10 + 5.0,
    np.arange(8) * 0.05 + 0.525,
    np.arange(10) * 0.5 + 0.15,
)
"""Of energy in keV_ee, F90 and time in µs, as the release has them."""
VARIANTS = {
    "cevnspdf": ("+1sigF90", "-1sigF90", "CEvNSTimingMeanSyst"),
    "brnpdf": (
        "+1sigEnergy", "-1sigEnergy", "+1sigBRNTimingMean", "-1sigBRNTimingMean",
        "BRNTimingWidthSyst",
    ),
    "delbrnpdf": (), "bkgpdf": (), "datanobkgsub": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of the layout of COHERENT's argon release, and counts by file, (12, 8, 10)."""
    folder, rng, counts = tmp_path_factory.mktemp("lar"), np.random.default_rng(6), {}
    places = np.stack(np.meshgrid(*CENTRES, indexing="ij"), axis=-1).reshape(-1, 3)
    for name, variants in VARIANTS.items():
        for suffix in ("", *variants):
            file = name + suffix
            counts[file] = rng.poisson(6.0, (12, 8, 10)) + 1
            lines = np.column_stack([places, counts[file].ravel()])
            np.savetxt(folder / f"{file}.txt", lines, fmt="%g")
    return folder, counts


def test_axes_and_columns(folder):
    """Fails if counts are not in the bins of energy, time and F90 that their lines name."""
    path, counts = folder
    experiment = load(LAR, {"release.folder": str(path)})
    found = templates(experiment)
    assert found.binning.names == ("energy", "time", "f90")
    for name, file in (("brn", "brnpdf"), ("delayed", "delbrnpdf"), ("steady", "bkgpdf")):
        due = counts[file].transpose(0, 2, 1)
        ours = found.backgrounds[name].on.reshape(12, 10, 8)
        np.testing.assert_allclose(ours / ours.sum(), due / due.sum(), rtol=1e-12)
    assert found.filed.sum() == pytest.approx(128.0)
    assert found.backgrounds["brn"].on.sum() == pytest.approx(497.0)


def test_data_of_the_folder(folder):
    """Fails if the observed counts are others, or the exposure is not that of the release."""
    path, counts = folder
    experiment = load(LAR, {"release.folder": str(path)})
    data = observed(build([experiment], ["strength"]), [experiment], [str(path)])
    due = counts["datanobkgsub"].transpose(0, 2, 1).ravel()
    np.testing.assert_array_equal(data.counts[0], due)
    assert data.origins[0].protons_on_target == 1.38e23
    assert data.origins[0].accepted == ()


def test_the_command_finds_templates_beside_the_data(nuspill, folder, tmp_path):
    """Fails if --data FOLDER does not say where the templates are, or other bins fit."""
    path, counts = folder
    status, output, errors = nuspill("fit", LAR, "--data", path, "--axes", "energy")
    assert (status, errors) == (0, "")
    assert f"{counts['datanobkgsub'].sum():,}".replace(",", " ") in output
    axes = "analysis.axes=[{name='energy', edges=[0, 60, 120]}]"
    status, _, errors = nuspill("fit", LAR, "--data", path, "--set", axes)
    assert status != 0
    assert "cevnspdf.txt: has 960 lines of 4 numbers; expected are 2 lines" in errors


def test_what_is_missing_is_told(folder, tmp_path):
    """Fails if a folder without a file of the release, or of other lines, is taken."""
    path, _ = folder
    for file in path.iterdir():
        if file.name != "brnpdfBRNTimingWidthSyst.txt":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    message = r"template.brn.variant.brn width.up = 'brnpdfBRN.*': .*there is no such file"
    with pytest.raises(ExperimentError, match=message):
        load(LAR, {"release.folder": str(tmp_path)})
    np.savetxt(tmp_path / "brnpdfBRNTimingWidthSyst.txt", np.ones((960, 3)))
    with pytest.raises(ExperimentError, match="lines of 3 numbers, not keV_ee, F90, µs and counts"):
        load(LAR, {"release.folder": str(tmp_path)})


def test_an_experiment_that_extends_it(folder, tmp_path):
    """Fails if a file of one's own cannot say where the release lies, relative to itself."""
    path, _ = folder
    toml = path.parent / "mine.toml"
    toml.write_text(
        f'extends = "{LAR}"\nname = "mine"\n[release]\nfolder = "{path.name}"\n', "utf-8"
    )
    mine, shipped = load(toml), load(LAR, {"release.folder": str(path)})
    np.testing.assert_array_equal(templates(mine).filed, templates(shipped).filed)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """A folder of the layout of COHERENT's CsI release, and its events, all where some pass."""
    folder, rng = tmp_path_factory.mktemp("csi"), np.random.default_rng(8)
    samples = {}
    for name, number in (("C", 500), ("AC", 400)):
        energy, time = rng.uniform(8, 80, number), rng.uniform(0, 7, number)
        samples[name] = np.stack([energy, time])
        np.savetxt(folder / f"dataBeamOn{name}.txt", samples[name].T)
    return folder, samples


def test_events_are_binned_directly(events):
    """Fails if coincident events of a folder are not those in the bins of energy and time."""
    folder, samples = events
    experiment = load(CSI)
    data = observed(build([experiment], ["strength"]), [experiment], [str(folder)])
    edges = experiment.analysis.energy_edges, np.array(experiment.analysis.time_edges) / 1e3
    due = np.histogram2d(*samples["C"], bins=edges)[0]
    np.testing.assert_array_equal(data.counts[0], due.ravel())
    assert data.origins[0].protons_on_target == 3.198e23


def test_events_of_another_experiment(events, tmp_path):
    """Fails if a folder's events are taken for another detector, or exposure."""
    folder, _ = events
    for name, settings, message in (
        ("ess-csi", {}, "does not belong to the model of ess-csi"),
        (CSI, {"detector.efficiency.plateau": 1.2}, "detector.efficiency.plateau is 1.32045"),
        (CSI, {"exposure.years": 4.0}, "of 3.198e.23 protons on target .* --years 2"),
    ):
        experiment = load(name, settings)
        model = build([experiment], ["nsi.u.ee"])
        with pytest.raises(ExperimentError, match=message):
            observed(model, [experiment], [str(folder)])
    experiment = load(CSI)
    model = build([experiment], ["strength"])
    with pytest.raises(ExperimentError, match="there is no ntuple"):
        observed(model, [experiment], [str(tmp_path)])
