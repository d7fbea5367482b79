"""`nuspill export-workspace --data`: pyhf fits the observed counts as `nuspill fit` does."""

import json

import numpy as np
import pytest
from nuspill import build, load, plan, write

pyhf = pytest.importorskip("pyhf")
# pyhf 0.7 calls what newer jsonschema calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

CODES = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code0"}}


@pytest.fixture(params=["pulls", "on-off", "on-off-scaled"])
def arguments(request, tmp_path):
    """Names, settings and data of a fit, from the events of a small detector."""
    settings = {"analysis.statistic": request.param, "exposure.years": 0.02}
    settings |= {"background.steady.rate": 2.0, "analysis.edges": [1, 2, 4, 8, 46]}
    write(plan(load("ess-csi", settings), 5), tmp_path / "a.root")
    sets = [x for key, value in settings.items() for x in ("--set", f"{key}={value}")]
    return ["ess-csi", *sets, "--data", tmp_path / "a.root"]


def test_pyhf_fits_the_data_alike(arguments, nuspill, tmp_path):
    """Fails if best strength, or how much worse no signal is, differs between pyhf and us."""
    file, fit = tmp_path / "w.json", tmp_path / "fit.json"
    status, out, errors = nuspill("export-workspace", *arguments, "-o", file)
    assert (status, out, errors) == (0, "", "")
    assert nuspill("fit", *arguments, "--json", fit)[0] == 0
    ours = json.loads(fit.read_text())
    written = pyhf.Workspace(json.loads(file.read_text()))
    likelihood = written.model(modifier_settings=CODES)
    data = written.data(likelihood)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3))
    best, free = pyhf.infer.mle.fit(data, likelihood, return_fitted_val=True)
    _, none = pyhf.infer.mle.fixed_poi_fit(0.0, data, likelihood, return_fitted_val=True)
    pyhf.set_backend("numpy")
    strength = best[likelihood.config.poi_index]
    low = ours["errors"]["strength"]["low"]
    assert strength == pytest.approx(ours["best"]["strength"], abs=0.01 * low)
    assert none - free == pytest.approx(ours["significance"]["q"], abs=1e-3)


def test_observations_are_the_counts(nuspill, tmp_path):
    """Fails if the workspace has other counts than the file, or the Asimov data."""
    file, counts = tmp_path / "w.json", tmp_path / "a.txt"
    bins = build([load("ess-csi")], ["strength"]).bins
    numbers = np.arange(bins) + 20
    np.savetxt(counts, numbers, fmt="%d")
    status, *_ = nuspill("export-workspace", "ess-csi", "--data", counts, "-o", file)
    assert status == 0
    (observation,) = json.loads(file.read_text())["observations"]
    assert observation["data"] == numbers.tolist()
    status, _, errors = nuspill(
        "export-workspace", "ess-csi", "--data", counts, "--data", counts, "-o", "-"
    )
    assert status == 2
    assert "2 files for 1 experiments" in errors
