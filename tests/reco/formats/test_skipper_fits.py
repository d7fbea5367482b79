"""Skipper-CCD images: what comes back is within the noise, what astropy finds, and damage."""

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load, read
from nuspill.reco.daq import Ccd
from nuspill.reco.formats.shared.ccd import clusters, images

fits = pytest.importorskip("astropy.io.fits")

SI = "ess-si"
PLACED = {"detector.geometry": {"shape": "box", "size": [20.0, 20.0, 0.7], "modules": 3}}
SMALL = {"daq.ccd.rows": 30, "daq.ccd.columns": 30}


def test_clusters_find_what_was_put_in():
    """Fails if charge, place or number of clusters is not that of the image, noise or none."""
    ccd, rng = Ccd(), np.random.default_rng(4)
    charge = rng.uniform(3, 2000, 50)
    x, y = rng.uniform(-44, 44, (2, 50))
    made = images(np.arange(50), charge, x, y, 50, ccd)
    np.testing.assert_allclose(made.sum(axis=(1, 2)), charge)
    noisy = made + rng.normal(0, 0.125, made.shape)
    found = clusters(noisy, ccd)
    np.testing.assert_array_equal(found["frame"], np.arange(50))
    np.testing.assert_allclose(found["charge"], charge, rtol=0, atol=1.6)
    np.testing.assert_allclose(found["x"], x, rtol=0, atol=0.4)
    np.testing.assert_allclose(found["y"], y, rtol=0, atol=0.4)
    assert len(clusters(noisy * 0, ccd)["frame"]) == 0


def test_charge_at_the_edge_and_between_pixels():
    """Fails if charge is lost beside the CCD, or not shared between two pixels."""
    ccd = Ccd()
    made = images(np.zeros(2, int), np.array([10.0, 8.0]), np.array([60.0, 0.0]),
                  np.array([0.3, 20.0]), 1, ccd)  # fmt: skip
    assert made.sum() == pytest.approx(18)
    assert made[0, 60, 119] == pytest.approx(10)
    assert made[0, 86, 59:61].tolist() == pytest.approx([4, 4])


@pytest.mark.parametrize("settings", [{}, PLACED])
def test_round_trip(settings, ntuple, selected, tmp_path, monkeypatch):
    """Fails if an event is lost or made, its exposure wrong, or its energy outside the noise."""
    monkeypatch.setattr("nuspill.reco.formats.skipper_fits.GROUP", 50)
    path = ntuple(SI, 1.0, place=bool(settings), **settings)
    file, back = tmp_path / "a.fits", tmp_path / "a.root"
    number = export_events(path, "fits", file, settings=SMALL)
    told = import_events(file, back)
    before, (after, _) = selected(path), read(back)
    assert number == len(before["event"]) > 100
    assert told["events"] == number
    for name in ("pulse", "window", "time"):
        np.testing.assert_array_equal(after[name], before[name])
    electrons = (after["e_reco"] - before["e_reco"]) / 3.75e-3
    assert np.abs(electrons).max() < 1.6  # a share of less than half the threshold may be lost
    assert abs(electrons.mean()) < 0.15
    if settings:
        np.testing.assert_array_equal(after["module"], before["module"])
        np.testing.assert_allclose(after["x"], before["x"], rtol=0, atol=0.5)
    assert told["pulses"] == round(load(SI).source.pulses_per_year)


def test_read_by_astropy(ntuple, selected, tmp_path):
    """Fails if astropy finds checksums, headers, frames or charge other than written."""
    path, file = ntuple(SI, 1.0, place=False), tmp_path / "a.fits"
    export_events(path, "fits", file)
    before = selected(path)
    with fits.open(file, checksum=True) as hdus:  # warnings are errors here
        hdus.verify("exception")
        header = hdus[0].header
        assert (header["NDCM"], header["NROW"], header["NCOL"]) == (400, 120, 120)
        assert header["DATEINI"] == "2030-01-01T00:00:00+00:00"
        tables = [np.array(hdu.data) for hdu in hdus if hdu.name == "FRAMES"]
        cubes = [hdu.data for hdu in hdus if hdu.name == "CCD_A"]
    pulse = np.concatenate([table["pulse"] for table in tables])
    adu = np.concatenate(cubes).astype(float)
    assert len(adu) == len(pulse)
    assert adu.dtype.kind == "f"
    wanted = [before["e_reco"][before["pulse"] == p].sum() / 3.75e-3 for p in pulse]
    total = ((adu - 1000) / 10).sum(axis=(1, 2))
    pull = (total - wanted) / (2.5 / 20 * 120)  # noise of 120 x 120 pixels
    assert abs(pull.mean()) < 5 / np.sqrt(len(pull))
    assert 0.8 < pull.std() < 1.2
    assert np.median(np.abs(adu - 1000)) == pytest.approx(0.6745 * 1.25, rel=0.01)


def test_a_detector_without_electrons(ntuple, tmp_path):
    """Fails if a detector that measures something else is written as a CCD."""
    with pytest.raises(ExperimentError, match="CCDs collect electrons"):
        export_events(ntuple("sns-csi-2017", 0.1, place=False), "fits", tmp_path / "a.fits")
    assert list(tmp_path.iterdir()) == []


def edited(path, change):
    with fits.open(path, mode="update") as hdus:
        change(hdus)


def card(key, value):
    """Write a value into the first card of a key, as bytes: astropy does not write such ones."""

    def change(path):
        data = path.read_bytes()
        at = data.index(key)
        path.write_bytes(data[:at] + key + f"= {value:>20}".encode() + data[at + len(key) + 22 :])

    return change


DAMAGE = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:200_000]), "claims", None),
    "wrong magic": (lambda p: p.write_bytes(b"X" + p.read_bytes()[1:]), "no whole file", None),
    "2^62 frames": (card(b"NAXIS3  ", 2**62), "no FITS extension", None),
    "negative frames": (card(b"NAXIS3  ", -4), "a.fits", None),
    "no skips": (card(b"NDCM    ", 0), "a.fits", None),
    "other size": (card(b"NROW    ", 60), "for 200 frames of 60 x 30", None),
    "NaN pixels": (
        lambda p: edited(p, lambda h: h[2].data.__setitem__((0, 3, slice(5)), np.nan)),
        "5 pixels that are no numbers", 0,
    ),
    "window 7": (
        lambda p: edited(p, lambda h: h[3].data["window"].__setitem__(3, 7)), "neither 1", None,
    ),
    "backwards": (
        lambda p: edited(p, lambda h: h[3].data["pulse"].__setitem__(3, 10**9)), "order of", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    damage, text, dropped = DAMAGE[case]
    file, back = tmp_path / "a.fits", tmp_path / "a.root"
    number = export_events(ntuple(SI, 1.0, place=False), "fits", file, settings=SMALL)
    damage(file)
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, back, "fits", experiment=SI)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert not back.exists()
    if dropped is not None:
        told = import_events(file, back, "fits", experiment=SI, repair=True)
        assert told["events"] == number - dropped
