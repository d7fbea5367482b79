"""A format of one's own, one file: fails if anything must know of it but the folder's listing."""

import sys
from pathlib import Path

import numpy as np
import pytest
from nuspill import ExperimentError, import_events, read
from nuspill.reco import formats
from nuspill.reco.formats.shared.door import available, recognised

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture
def lines(monkeypatch):
    """The file `plugin/lines.py`, as if it lay in the folder of formats."""
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(PLUGIN)])
    available.cache_clear()
    yield "lines"
    available.cache_clear()
    sys.modules.pop(f"{formats.__name__}.lines", None)


def test_there_and_back(lines, ntuple, selected, tmp_path, nuspill):
    """Fails if events of the commands are not those that were written, to a ns and a float32."""
    path, file, back = ntuple("ess-csi"), tmp_path / "a.txt", tmp_path / "a.root"
    assert nuspill("export", path, "--to", lines, "-o", file)[0] == 0
    assert recognised(file) == lines
    assert nuspill("import", file, "--experiment", "ess-csi", "-o", back)[0] == 0
    before, (after, _) = selected(path), read(back)
    assert len(before["pulse"]) > 100
    np.testing.assert_array_equal(after["pulse"], before["pulse"])
    np.testing.assert_array_equal(after["e_reco"], before["e_reco"])
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=0.51)


@pytest.mark.parametrize("content", ["", "time\n1,2\n", "time_ns,e_reco\n1,x\n"])
def test_what_is_no_such_file_is_refused(lines, content, tmp_path):
    """Fails if damage is no error of one line that names the file, or leaves an ntuple behind."""
    file, back = tmp_path / "a.txt", tmp_path / "a.root"
    file.write_text(content)
    with pytest.raises(ExperimentError, match=r"^[^\n]*a\.txt[^\n]*$"):
        import_events(file, back, lines, experiment="ess-csi")
    assert not back.exists()
