"""Published measurements beside ours: the tables, and what is refused."""

import pytest
from nuspill import ExperimentError
from nuspill.reco.experiment import shipped_experiments
from nuspill.toys.reproduce.measured import measured, measurements


def test_every_row_names_a_shipped_experiment():
    """Fails if a measurement is of no experiment, or a row has neither a number nor a purpose."""
    for measurement in measurements():
        assert measurement.experiment in shipped_experiments()
        for row in measurement.row:
            kind = row.quantity.partition(".")[0]
            assert kind in {"expected", "counts", "best", "interval", "significance", "chi2"}
            assert row.value or row.apart or kind == "interval"


def test_a_folder_without_releases(tmp_path, nuspill):
    """Fails if it is not refused in one line that names what may be there."""
    with pytest.raises(ExperimentError, match="has no release; folders of it may be"):
        measured(tmp_path)
    for words in (["measured"], ["fig2", "--data", tmp_path], ["measured", "--data", tmp_path]):
        status, output, errors = nuspill("reproduce", *words)
        assert (status, output) == (2, "")
        assert errors.splitlines()[-1]


def test_our_numbers_are_those_computed_apart(shared):
    """Fails if a number differs from the one computed apart by more than 2 %, or is not there."""
    result = measured(shared)
    compared = 0
    for table in result.tables:
        for row in table.rows:
            cells = dict(zip(table.columns, row, strict=True))
            if cells["computed apart"] is None:
                continue
            compared += 1
            assert cells["nuspill"] == pytest.approx(cells["computed apart"], rel=0.02), row
    assert compared >= 12
    csi = {row[0]: row[1] for row in result.tables[1].rows}
    assert csi["interval.nsi.u.mumu"] == "[-0.02568, 0.04276] [0.3577, 0.4167]"


def test_intervals_by_toys(shared, tmp_path):
    """Fails if Feldman-Cousins intervals of germanium are missing, or far from those of Wilks."""
    (tmp_path / "coherent_ge_2024").symlink_to(shared / "coherent_ge_2024")
    result = measured(tmp_path, toys=500)
    (row,) = (row for row in result.tables[0].rows if row[0] == "interval.strength")
    low, high = (float(x) for x in row[-1].strip("[]").split(", "))
    assert (low, high) == (pytest.approx(0.16, abs=0.12), pytest.approx(1.01, abs=0.15))
