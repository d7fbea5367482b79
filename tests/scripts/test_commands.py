"""Commands: what they print is what the package computes and what is in the files."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from nuspill import Experiment, load, plan, read, shipped_experiments
from nuspill.generator.beam import shipped_sources
from nuspill.reco.configuration.explain import describe_keys
from nuspill.reco.expectation import rates
from nuspill.reco.experiment import source_text

ESS = "ess-csi"
SHORT = ("--years", 0.05)


@pytest.fixture
def done(nuspill):
    """Run a command that must succeed in silence on standard error; its standard output."""

    def call(*arguments):
        status, output, errors = nuspill(*arguments)
        assert (status, errors) == (0, "")
        return output

    return call


def table(output):
    """Rows of a printed table, cells split where two spaces are."""
    return [re.split(r"\s{2,}", line.strip()) for line in output.splitlines() if line.strip()]


def number(cell):
    """Number of a cell such as ``7 788``."""
    return float(cell.replace(" ", ""))


def test_installed_command():
    """Fails if the command is not installed beside Python, or tells another version."""
    command = Path(sys.executable).parent / "nuspill"
    found = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == version("nuspill")


def test_help_is_quick():
    """Fails if `nuspill --help` imports what it does not need."""
    code = (
        "import sys\n"
        "sys.argv = ['nuspill', '--help']\n"
        "from nuspill.scripts.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as left:\n    assert not left.code\n"
        "heavy = {'numba', 'scipy', 'numpy', 'uproot', 'awkward', 'matplotlib', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"
    for command in ("experiments", "generate", "rates", "show"):
        assert command in found.stdout


@pytest.mark.parametrize("command", ["experiments", "generate", "rates", "show"])
def test_help_of_commands(command, done):
    """Fails if a command does not explain itself, or an option has no explanation."""
    output = done(command, "--help")
    assert re.match(rf"Usage: .*nuspill {command} \[OPTIONS\]", output)
    options = re.findall(r"^  (-.*)$", output, re.M)
    assert len(options) >= 2


def test_no_command(nuspill):
    """Fails if `nuspill` alone does not show its help with exit status 2."""
    status, output, errors = nuspill()
    assert status == 2
    assert "generate" in output + errors


def test_experiments(done):
    """Fails if the list misses an experiment or source, or states another mass."""
    output = done("experiments")
    rows = {row[0]: row for row in table(output)}
    for name in shipped_experiments():
        assert rows[name][-1] == load(name).description
        assert number(rows[name][2]) == load(name).target.mass
    for source in shipped_sources():
        assert source in output
    found = json.loads(done("experiments", "--json", "-"))
    assert list(found["experiments"]) == list(shipped_experiments())
    assert found["sources"] == list(shipped_sources())
    assert found["experiments"][ESS]["mass_kg"] == 22.5


def test_show(done, tmp_path):
    """Fails if what is shown cannot be saved and used, or a key is not explained."""
    output = done("show", ESS)
    assert output.startswith(source_text(ESS))
    (tmp_path / "mine.toml").write_text(output, "utf-8")
    assert load(tmp_path / "mine.toml") == load(ESS)
    found = json.loads(done("show", ESS, "--json", "-"))
    assert found["toml"] == source_text(ESS)
    assert [(k["key"], k["unit"], k["meaning"]) for k in found["keys"]] == describe_keys(Experiment)
    for key, unit, _ in describe_keys(Experiment):
        (line,) = [t for t in output.splitlines() if re.match(rf"# {re.escape(key)}\s\s", t)]
        assert not unit or line.endswith(f"[{unit}]")


def test_show_a_source(done):
    """Fails if what is shown of a source is not that source, or keys of experiments are beside."""
    output = done("show", "ess-28hz")
    shown = load(ESS, {"source": tomllib.loads(output)}).source
    assert shown == load(ESS, source="ess-28hz").source != load(ESS).source
    assert "# source.distance " in output
    assert "# target." not in output


KEYS = {
    "above_threshold", "numu", "nue", "numubar", "selected", "steady_on", "steady_off",
    "flux_averaged_cross_section_cm2",
}  # fmt: skip


def test_rates_as_json(done, tmp_path):
    """Fails if standard output is not JSON alone, with the package's numbers."""
    found = json.loads(done("rates", ESS, "ess-ar", "--json", "-"))
    assert list(found) == [ESS, "ess-ar"]
    for name, values in found.items():
        assert set(values) >= KEYS
        assert values == rates(load(name))
    done("rates", ESS, "--json", tmp_path / "rates.json")
    assert json.loads((tmp_path / "rates.json").read_text()) == {ESS: found[ESS]}


def test_rates_as_a_table(done, monkeypatch):
    """Fails if without names an experiment is missing, or the table prints other numbers."""
    names = ESS, "ess-si", "ess-c3f8"
    monkeypatch.setattr("nuspill.scripts.events.rates.shipped_experiments", lambda: names)
    rows = {row[0]: row[1:] for row in table(done("rates"))}
    keys = ["above_threshold", "numu", "nue", "numubar", "selected", "steady_on", "steady_off"]
    for name in names:
        values = rates(load(name))
        printed = [number(cell) for cell in rows[name][: len(keys)]]
        np.testing.assert_allclose(printed, [values[k] for k in keys], rtol=6e-4)


def test_rates_with_options(done):
    """Fails if preset, settings or source do not change the rates as they must."""
    plain = json.loads(done("rates", ESS, "--json", "-"))[ESS]
    paper = json.loads(done("rates", ESS, "--preset", "paper", "--json", "-"))[ESS]
    assert paper["above_threshold"] == rates(load(ESS, preset="paper"))["above_threshold"]
    changed = done("rates", ESS, "--set", "target.mass=45", "--set", "source.distance=40",
                   "--json", "-")  # fmt: skip
    ratio = json.loads(changed)[ESS]["above_threshold"] / plain["above_threshold"]
    assert ratio == pytest.approx(2 / 4)
    sns = json.loads(done("rates", ESS, "--source", "sns", "--json", "-"))[ESS]
    assert sns["own_source"] == plain
    ratio = plain["above_threshold"] / sns["above_threshold"]
    assert sns["ratio_above_threshold"] == pytest.approx(ratio)
    assert 9 < ratio < 10
    merit = plain["figure_of_merit"] / sns["figure_of_merit"]
    assert sns["ratio_figure_of_merit"] == pytest.approx(merit)
    assert merit > 1  # arXiv:1911.00762: slightly favourable for the ESS


def test_rates_of_periods(done, tmp_path):
    """Fails if a period is left out, or has the power of another."""
    path = tmp_path / "ramp.toml"
    path.write_text(
        f'extends = "{ESS}"\nname = "ramp"\n[[period]]\nyears = 1.0\nsource.power = 2.0\n'
        "[[period]]\nyears = 3.0\n"
    )
    found = json.loads(done("rates", path, "--json", "-"))
    assert list(found) == [f"{path}#1", f"{path}#2"]
    first, last = (values["above_threshold"] for values in found.values())
    assert last == rates(load(ESS))["above_threshold"]
    assert first == pytest.approx(0.4 * last)
    assert json.loads(done("rates", f"{path}#2", "--json", "-")) == {
        f"{path}#2": found[f"{path}#2"]
    }


def test_rates_of_all_at_another_source(done, monkeypatch):
    """Fails if without names --source does not take those of the ESS, and those alone."""
    names = "ess-c3f8", "ess-si", "sns-csi-2017"
    monkeypatch.setattr("nuspill.scripts.events.rates.shipped_experiments", lambda: names)
    assert list(json.loads(done("rates", "--source", "sns", "--json", "-"))) == list(names[:2])


def test_rates_of_a_file(done, tmp_path):
    """Fails if an experiment of one's own is not taken by its path, or without background."""
    path = tmp_path / "mine.toml"
    path.write_text('extends = "ess-ge"\nname = "mine"\nbackground = []\n')
    found = json.loads(done("rates", path, "--json", "-"))
    assert found[str(path)]["steady_on"] == 0
    assert found[str(path)]["figure_of_merit"] is None
    assert "-" in done("rates", path)


@pytest.mark.parametrize("name", ["[bold]mine", "mine [1]"])
def test_file_names_are_printed_as_they_are(name, done, tmp_path, monkeypatch):
    """Fails if brackets in the name of a file are taken for markup."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.toml").write_text('extends = "ess-ge"\nname = "mine"\n')
    assert f"{name}.toml" in done("rates", f"{name}.toml")


@pytest.mark.parametrize("name", ["[red]neutrons", "[/x]"])
def test_names_are_printed_as_they_are(name, done, tmp_path):
    """Fails if brackets in the name of an experiment or background are taken for markup."""
    changed = ("--set", f'background.steady.name="{name}"', "--set", f'name="run {name}"')
    output = done("generate", ESS, "-o", tmp_path / "e.root", *SHORT, *changed)
    assert f"run {name}" in output
    assert name in [row[0] for row in table(output)]


def rows_of(path):
    """Counts of what is in a file, as the closing table has them."""
    events, told = read(path)
    rows = {}
    for code, name in told["components"].items():
        for window, label in ((1, "on"), (2, "off"), (0, "none")):
            cell = (events["component"] == int(code)) & (events["window"] == window)
            rows[name, label] = int(cell.sum()), int((cell & events["selected"]).sum())
    return rows


@pytest.mark.parametrize("arguments", [(), ("--format", "rntuple"), ("--parts", 3)], ids=str)
def test_closing_table_is_the_file(arguments, done, tmp_path):
    """Fails if a number of the closing table, or of the JSON, is not what is in the file."""
    path = tmp_path / "events"
    report = tmp_path / "report.json"
    output = done("generate", ESS, "-o", path, *SHORT, "--json", report, *arguments)
    found = rows_of(path)
    events, told = read(path)
    told_rows = json.loads(report.read_text())
    printed = {(row[0], row[1]): row[2:] for row in table(output) if row[1:2] in
               (["on"], ["off"], ["none"])}  # fmt: skip
    assert told_rows["events"] == len(events["event"])
    assert len(printed) == len(told_rows["counts"])
    for row in told_rows["counts"]:
        key = row["component"], row["window"]
        assert (row["generated"], row["selected"]) == found.pop(key)
        cells = [number(cell) for cell in printed[key]]
        assert (cells[1], cells[3]) == (row["generated"], row["selected"])
        assert cells[0] == pytest.approx(row["expected"], rel=6e-4)
        assert cells[2] == pytest.approx(row["expected_selected"], rel=6e-4)
        assert abs(row["generated"] - row["expected"]) < 5 * row["expected"] ** 0.5 + 1
    assert set(found.values()) <= {(0, 0)}  # rows left out are empty
    assert told_rows["protons_on_target"] == told["protons_on_target"]
    size = sum(f.stat().st_size for f in ([path] if path.is_file() else path.glob("*.root")))
    assert told_rows["bytes"] == size


def test_generate_is_the_package(done, tmp_path):
    """Fails if the command makes other events than `plan` with the same settings."""
    path = tmp_path / "events.root"
    output = done(
        "generate", ESS, "-o", path, "--years", 0.03, "--seed", 2**64 - 1, "--place",
        "--set", "windows.off_ratio=2", "--preset", "paper", "--compression", "lz4:3",
        "--threads", 2, "--weight", "nsi:nsi.u.ee=0.1,nsi.d.ee=-0.05", "--json", "-",
    )  # fmt: skip
    told = json.loads(output)
    experiment = load(ESS, {"windows.off_ratio": 2}, preset="paper")
    weights = {"nsi": {"interaction.nsi.u.ee": 0.1, "interaction.nsi.d.ee": -0.05}}
    run = plan(experiment, 2**64 - 1, years=0.03, place=True, weights=weights)
    expected, (found, _) = run.make(0, run.events), read(path)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert (told["seed"], told["events"]) == (2**64 - 1, run.events)


@pytest.mark.parametrize("format_", ["ttree", "rntuple"])
def test_selected_only(format_, done, tmp_path):
    """Fails if events that are not selected are written, or a selected one is not."""
    path = tmp_path / "events.root"
    arguments = ("--selected-only", "--format", format_)
    told = json.loads(done("generate", ESS, "-o", path, *SHORT, *arguments, "--json", "-"))
    found, _ = read(path)
    assert found["selected"].all()
    assert len(found["event"]) == sum(row["selected"] for row in told["counts"])
    run = plan(load(ESS), 1, years=0.05)
    events = run.make(0, run.events)
    np.testing.assert_array_equal(found["event"], events["event"][events["selected"]])


def test_length_of_a_run(done, tmp_path):
    """Fails if years, protons or a number of events do not set the length of the run."""
    by_pot = json.loads(
        done("generate", ESS, "-o", tmp_path / "p.root", "--pot", 2.8e22, "--json", "-")
    )
    assert by_pot["years"] == pytest.approx(0.1)
    assert by_pot["protons_on_target"] == pytest.approx(2.8e22)
    by_events = json.loads(
        done("generate", ESS, "-o", tmp_path / "e.root", "--events", 500, "--json", "-")
    )
    signal = [row for row in by_events["counts"] if row["component"].startswith("nu")]
    assert sum(row["generated"] for row in signal) == 500
    by_default = json.loads(
        done("generate", ESS, "-o", tmp_path / "d.root", "--set", "exposure.years=0.02",
             "--json", "-")
    )  # fmt: skip
    assert by_default["years"] == 0.02


def test_overwrite(done, nuspill, tmp_path):
    """Fails if a file is replaced unasked, or not when asked."""
    path = tmp_path / "events.root"
    done("generate", ESS, "-o", path, *SHORT)
    before = path.read_bytes()
    status, _, errors = nuspill("generate", ESS, "-o", path, *SHORT, "--seed", 2)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "exists" in errors
    assert path.read_bytes() == before
    done("generate", ESS, "-o", path, *SHORT, "--seed", 2, "--overwrite")
    assert read(path)[1]["seed"] == 2


def test_parts_are_resumed(done, nuspill, tmp_path):
    """Fails if a part that is missing is not made when the command is called again."""
    folder = tmp_path / "parts"
    arguments = ("generate", ESS, "-o", folder, *SHORT, "--parts", 3)
    done(*arguments)
    whole = read(folder)[0]
    kept = (folder / "part-00000.root").stat().st_mtime_ns
    (folder / "part-00001.root").unlink()
    done(*arguments)
    assert (folder / "part-00000.root").stat().st_mtime_ns == kept
    for name, values in read(folder)[0].items():
        np.testing.assert_array_equal(values, whole[name])
    status, _, errors = nuspill(*arguments)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert "complete" in errors
    done(*arguments, "--overwrite")


def test_pipe_that_closes():
    """Fails if `nuspill show ... | head -1` ends in a traceback."""
    code = (
        f"{sys.executable} -c 'from nuspill.scripts.cli import main; main()' show {ESS} | head -1"
    )
    found = subprocess.run(code, shell=True, capture_output=True, text=True, check=False)
    assert found.stdout.startswith("#")
    assert "Traceback" not in found.stderr
