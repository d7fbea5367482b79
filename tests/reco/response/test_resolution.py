"""Widths of the resolution models; what they do to events is in test_event."""

import numpy as np
import pytest
from nuspill.reco.response.resolution import Fano, Resolution, Sqrt, WidthTable
from pydantic import TypeAdapter, ValidationError

RESOLUTION = TypeAdapter(Resolution)


def test_fano_width():
    """Fails if σ² is not noise² + F ε E with ε and noise in eV, E in keV.

    Silicon: F = 0.119, ε = 3.65 eV; at 5.9 keV 50.6 eV without noise (119 eV FWHM, Fe-55).
    """
    quiet = Fano(model="fano", fano=0.119, pair_energy=3.65, noise=0.0)
    assert 1e3 * quiet.sigma(5.9) == pytest.approx(50.6, abs=0.1)
    noisy = Fano(model="fano", fano=0.119, pair_energy=3.65, noise=30.0)
    assert noisy.sigma(0.0) == pytest.approx(0.030)
    e = np.geomspace(1e-3, 100, 50)
    np.testing.assert_allclose(noisy.sigma(e) ** 2 - quiet.sigma(e) ** 2, 0.030**2, rtol=1e-6)


def test_width_table():
    """Fails if the width is not linear between points and constant beyond them."""
    table = WidthTable(model="table", energy=[1.0, 3.0], width=[0.1, 0.5])
    np.testing.assert_allclose(table.sigma([0.0, 1.0, 2.0, 3.0, 9.0]), [0.1, 0.1, 0.3, 0.5, 0.5])


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "sqrt", "relative": 0.0},
        {"model": "sqrt", "relative": -0.3},
        {"model": "sqrt"},
        {"model": "photoelectrons", "light_yield": 0.0},
        {"model": "fano", "fano": -0.1, "pair_energy": 3.65, "noise": 1.0},
        {"model": "fano", "fano": 0.1, "pair_energy": 0.0, "noise": 1.0},
        {"model": "fano", "fano": 0.1, "pair_energy": 3.6, "noise": 1.0, "unit": "PE"},
        {"model": "table", "energy": [1.0, 1.0], "width": [0.1, 0.2]},
        {"model": "table", "energy": [2.0, 1.0], "width": [0.1, 0.2]},
        {"model": "table", "energy": [1.0, 2.0], "width": [0.1]},
        {"model": "table", "energy": [1.0], "width": [-0.1]},
        {"model": "table", "energy": [], "width": []},
        {"model": "gauss", "relative": 0.3},
        {"model": "sqrt", "relative": 0.3, "sigma": 1.0},
    ],
)
def test_bad_settings(settings):
    """Fails if a resolution outside its range is accepted."""
    with pytest.raises(ValidationError):
        RESOLUTION.validate_python(settings)


def test_by_name():
    """Fails if the model is not chosen by its name."""
    assert isinstance(RESOLUTION.validate_python({"model": "sqrt", "relative": 0.3}), Sqrt)
