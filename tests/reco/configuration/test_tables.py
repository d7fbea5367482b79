"""Files that an experiment names: fail for a path that begins elsewhere, or a lost value."""

import json

import numpy as np
import pytest
from nuspill import ExperimentError, load, periods, plan, read, write
from nuspill.generator.coupling import Interaction
from nuspill.generator.form_factor import FormFactorTable, read_table
from nuspill.reco.experiment import validate
from nuspill.reco.runs.layout import restore_run
from nuspill.reco.runs.parts import write_parts
from nuspill.reco.runs.verify import join_parts, part_is_right, wrong_files
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.combination import build
from nuspill.toys.records.record import open_record
from nuspill.toys.records.restore import configuration, restore
from pydantic import ValidationError

TOML = 'extends = "ess-ar"\nname = "mine"\n[interaction]\nform_factor = "f.csv"\n'
Q = np.linspace(0, 2, 50)
Q[1:] += 1e-17 + 1 / 3e15  # no short decimals
NARROW, WIDE = (np.exp(-((Q * radius) ** 2) / 6) for radius in (5.0, 4.0))


def put(path, f):
    """Write a table with all digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, np.column_stack([Q, f]), delimiter=",", fmt="%.17g")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file and its table; the working folder is another, with another table of that name."""
    put(tmp_path / "here/f.csv", NARROW)
    put(tmp_path / "there/f.csv", WIDE)
    (tmp_path / "here/mine.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path / "there")
    return tmp_path / "here/mine.toml"


def values(experiment):
    """F of an experiment's table."""
    return experiment.interaction.form_factor.f


def test_beside_its_file(mine, monkeypatch):
    """Fails if a table is found from the working folder, or a value of it is rounded."""
    for place, name in ((mine.parent, "mine.toml"), (mine.parent.parent, "here/mine.toml"),
                        (mine.parent.parent / "there", "../here/mine.toml"),
                        (mine.parent.parent / "there", mine)):  # fmt: skip
        monkeypatch.chdir(place)
        table = load(name).interaction.form_factor
        assert (table.q, table.f) == (tuple(Q.tolist()), tuple(NARROW.tolist()))
        assert table.file == "f.csv"


def test_in_a_preset_and_a_period(mine):
    """Fails if a preset or a period finds its table elsewhere, or it is that of the file."""
    put(mine.parent / "sub/g.csv", WIDE)
    mine.write_text(
        'extends = "ess-ar"\nname = "mine"\n[preset.wide.interaction]\nform_factor = "sub/g.csv"\n'
    )
    assert load(mine).interaction.form_factor == "helm"
    assert values(load(mine, preset="wide")) == tuple(WIDE.tolist())
    mine.write_text(
        TOML + "[[period]]\nyears = 1.0\n"
        '[[period]]\nyears = 1.0\ninteraction.form_factor = "sub/g.csv"\n'
    )
    first, second = (load(name) for name in periods(mine))
    assert (values(first), values(second)) == (tuple(NARROW.tolist()), tuple(WIDE.tolist()))
    assert second.interaction.form_factor.file == "g.csv"


def test_of_the_command_line(mine):
    """Fails if what a user types does not begin in the folder where it is typed."""
    assert values(load(mine, {"interaction.form_factor": "f.csv"})) == tuple(WIDE.tolist())
    assert values(load("ess-ar", {"interaction.form_factor": "f.csv"})) == tuple(WIDE.tolist())
    replaced = load(mine).replace(**{"interaction.form_factor": "f.csv"})
    assert values(replaced) == tuple(WIDE.tolist())
    assert values(load(mine, {"interaction.form_factor": str(mine.parent / "f.csv")})) == tuple(
        NARROW.tolist()
    )
    run = plan(load(mine), years=0.1, weights={"wide": {"interaction.form_factor": "f.csv"}})
    assert run.models["wide"].form_factor.f == tuple(WIDE.tolist())


def test_written_in_the_file(mine):
    """Fails if values written in the TOML itself are not what they are in a file."""
    table = f"form_factor = {{q = {Q.tolist()}, f = {NARROW.tolist()}}}"
    inline = mine.with_name("inline.toml")
    inline.write_text(TOML.replace('form_factor = "f.csv"', table))
    assert values(load(inline)) == values(load(mine))
    a, b = (plan(load(path), years=0.1).make(0, 20) for path in (inline, mine))
    np.testing.assert_array_equal(a["e_nr"], b["e_nr"])


@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_a_finished_file_needs_no_table(mine, fate, monkeypatch):
    """Fails if a file without its table, or with another, is read as another form factor."""
    place = mine.parent.parent
    run = plan(load(mine), 3, years=0.02)
    write(run, place / "a.root")
    write_parts(run, place / "parts", 3)
    if fate == "deleted":
        (mine.parent / "f.csv").unlink()
        mine.unlink()
    else:
        put(mine.parent / "f.csv", WIDE)
    for folder in (place / "there", mine.parent):
        monkeypatch.chdir(folder)
        about = read(place / "a.root")[1]
        again = validate(about["experiment"], "a.root")
        assert again == run.experiment
        assert values(again) == tuple(NARROW.tolist())
        restored, options = restore_run(place / "parts")
        assert restored.experiment == run.experiment
        assert all(part_is_right(restored, options, place / "parts", n) for n in range(3))
    (place / "parts/part-00001.root").unlink()
    assert list(wrong_files(place / "parts")) == ["part-00001.root"]
    write_parts(restored, place / "parts", 3)
    assert list(wrong_files(place / "parts")) == []
    join_parts([place / "parts"], place / "b.root")
    joined, made = read(place / "b.root")[0]["e_nr"], run.make(0, run.events)["e_nr"]
    np.testing.assert_array_equal(joined, made)
    assert len(made) > 0


def test_manifest_and_provenance_hold_every_bit(mine, tmp_path):
    """Fails if a value goes through JSON with fewer digits than it has."""
    run = plan(load(mine), 3, years=0.02)
    write_parts(run, tmp_path / "parts", 1)
    manifest = json.loads((tmp_path / "parts/manifest.json").read_text())
    about = read(tmp_path / "parts/part-00000.root")[1]
    for experiment in (manifest["configuration"]["experiment"], about["experiment"]):
        kept = experiment["interaction"]["form_factor"]
        assert np.array(kept["q"]).tobytes() == Q.tobytes()
        assert np.array(kept["f"]).tobytes() == NARROW.tobytes()


def test_weights_are_kept_as_well(mine, tmp_path):
    """Fails if the form factor of a weight is looked for when parts are gone on with."""
    models = {"wide": {"interaction.form_factor": "f.csv"}}
    write_parts(plan(load(mine), 3, years=0.02, weights=models), tmp_path / "parts", 2)
    (tmp_path / "there/f.csv").unlink()
    restored, options = restore_run(tmp_path / "parts")
    assert restored.models["wide"].form_factor.f == tuple(WIDE.tolist())
    assert part_is_right(restored, options, tmp_path / "parts", 1)


def test_toys_need_no_table(mine, tmp_path):
    """Fails if a record of toys is restored with another table of that name."""
    experiments = [load(mine, {"analysis.edges": [0.1, 1.0, 40.0]})]
    model = build(experiments, ["strength"])
    axes = (("strength", np.array([0.5, 1.0])),)
    made = Construction(model, axes, Ensemble(), 6, model.asimov(), tuple(experiments))
    record = open_record(tmp_path / "toys", configuration(made, experiments), resume=False)
    put(mine.parent / "f.csv", WIDE)
    again = restore(record)
    assert again.experiments == made.experiments
    assert again.toys(1, 0, 50).value.tobytes() == made.toys(1, 0, 50).value.tobytes()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('form_factor = "g.csv"', ["interaction.form_factor = 'g.csv'", "here/g.csv", "not found"]),
        ("form_factor = {q = [0, 1, 2], f = [1, 0]}", ["interaction.form_factor:", "as many F"]),
        (
            "form_factor = {q = [0, 1], F = [1, 0]}",
            ["interaction.form_factor.F", "unknown key", "f, file, q"],
        ),
        ("form_factor = {q = [0.5, 1], f = [1, 0]}", ["form_factor", "begin with q = 0"]),
        ("form_factor = {q = [0, nan], f = [1, 0]}", ["interaction.form_factor.q.1", "finite"]),
        ("form_factor = 3", ["interaction.form_factor = 3", "string"]),
        ('form_factor = "f.root"', ["interaction.form_factor = 'f.root'", "is none of helm"]),
    ],
)
def test_wrong_tables(text, parts, mine):
    """Fails if a wrong table is taken, or the line does not say which, and where it is."""
    mine.write_text(TOML.replace('form_factor = "f.csv"', text))
    with pytest.raises(ExperimentError) as caught:
        load(mine)
    assert all(part in str(caught.value) for part in [str(mine), *parts]), caught.value
    assert "\n" not in str(caught.value)


def test_a_name_alone_is_no_table(mine, tmp_path):
    """Fails if the provenance of an old file, which holds a name alone, takes what lies about."""
    content = load("ess-ar").model_dump(mode="json")
    content["interaction"]["form_factor"] = "f.csv"
    with pytest.raises(ExperimentError, match=r"old\.root: interaction\.form_factor = 'f\.csv'"):
        validate(content, "old.root")
    with pytest.raises(ValidationError, match="whose values are known"):
        Interaction(form_factor="f.csv")
    assert read_table("f.csv") == FormFactorTable(file="f.csv", q=Q.tolist(), f=WIDE.tolist())
