"""`nuspill asimov`: what it writes, and mistakes of the user in one line."""

import json

import pytest

FAST = "ess-ar"
PLANE = ("--scan", "nsi.u.ee=-0.2:0.6:21", "--scan", "nsi.u.mumu=-0.2:0.6:21")


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def refused(nuspill, tmp_path):
    """Run a command that must fail: status 2, one line, nothing written."""

    def call(*arguments, parts=()):
        before = everything(tmp_path)
        output_file = tmp_path / "out.json"
        plot = tmp_path / "out.pdf"
        status, output, errors = nuspill(
            "asimov", *arguments, "--json", output_file, "--plot", plot
        )
        assert status == 2, errors
        assert len(errors.splitlines()) == 1, errors
        assert errors.startswith("nuspill: ")
        assert "Traceback" not in errors
        for part in parts:
            assert part in errors, errors
        assert output == ""
        assert everything(tmp_path) == before

    return call


def test_ends_of_the_scan(nuspill, tmp_path):
    """Fails if the end of a range passes as a limit, or a region beyond it as nothing at all."""
    texts = {
        "sin2w=0.23:0.3": ("[0.23 (end of the scan), ", True),
        "sin2w=0.1:0.3": ("[0.2", False),
        "sin2w=0.3:0.4": ("none from 0.3 to 0.4", False),
        "moment.numu=0:100": ("[0, ", False),  # its bound
    }
    for scan, (text, clipped) in texts.items():
        file = tmp_path / "a.json"
        status, output, errors = nuspill("asimov", FAST, "--scan", scan, "--json", file)
        assert (status, errors) == (0, "")
        assert text in output
        assert json.loads(file.read_text())["clipped"] is clipped, scan


def test_intervals_between_points(nuspill, tmp_path):
    """Fails if a grid without a point in an interval has it lost, or says none."""
    for scan in ("strength=0:1000:3", "nsi.u.ee=-1:1:2", "nsi.u.ee=-1:1:3"):
        status, coarse, errors = nuspill("asimov", "ess-csi", "--scan", scan)
        assert (status, errors) == (0, "")
        name = scan.partition("=")[0]
        _, own, _ = nuspill("asimov", "ess-csi", "--scan", name)
        assert coarse == own
        assert len(coarse.splitlines()) == (3 if name == "strength" else 4)
    file = tmp_path / "plane.json"
    plane = ("--scan", "nsi.u.ee=-9:9:2", "--scan", "nsi.u.mumu=-7:9:3")
    status, output, errors = nuspill("asimov", "ess-csi", *plane, "--json", file)
    assert (status, errors) == (0, "")
    content = json.loads(file.read_text())
    _, own, _ = nuspill(
        "asimov", "ess-csi", "--scan", "nsi.u.ee", "--scan", "nsi.u.mumu", "--json", "-"
    )
    area = json.loads(own[own.index("{") :])["area"]
    assert content["area"] == pytest.approx(area, rel=1e-4)
    assert 0 < content["area_error"] < 1e-3 * content["area"]
    assert f"area {content['area']:.5g} ± " in output


def test_one_parameter(nuspill, tmp_path):
    """Fails if the JSON of a scan lacks a key, or says other than the table."""
    file, plot = tmp_path / "a.json", tmp_path / "a.png"
    status, output, errors = nuspill(
        "asimov", FAST, "--preset", "paper", "--scan", "sin2w", "--json", file, "--plot", plot
    )
    assert (status, errors) == (0, "")
    content = json.loads(file.read_text())
    assert content["parameter"] == "sin2w"
    assert content["best"] == pytest.approx(0.23867, abs=1e-6)
    ((low, high),) = content["intervals"]
    assert low < content["best"] < high
    assert content["cl"] == 0.9
    assert content["delta_chi2"] == pytest.approx(2.7055, abs=1e-4)
    assert len(content["grid"]["x"]) == len(content["grid"]["delta_chi2"]) == 401
    assert content["experiments"] == [FAST]
    assert content["profiled"] == []
    assert content["failed"] == 0
    assert f"[{low:.6g}, {high:.6g}]" in output
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_plane(nuspill, tmp_path):
    """Fails if the JSON of a plane lacks contours, area or grid, or its shape is turned."""
    file = tmp_path / "b.json"
    arguments = ("--scan", "nsi.u.ee=-0.2:0.6:21", "--scan", "nsi.u.mumu=-0.2:0.6:11")
    status, output, errors = nuspill("asimov", FAST, *arguments, "--json", file, "--cl", "0.95")
    assert (status, errors) == (0, "")
    content = json.loads(file.read_text())
    assert content["parameters"] == ["nsi.u.ee", "nsi.u.mumu"]
    assert content["delta_chi2"] == pytest.approx(5.9915, abs=1e-4)
    assert len(content["grid"]["x"]) == 21
    assert len(content["grid"]["y"]) == 11
    assert len(content["grid"]["delta_chi2"]) == 11
    assert {len(row) for row in content["grid"]["delta_chi2"]} == {21}
    assert all(len(point) == 2 for line in content["contours"] for point in line)
    assert all(line[0] == line[-1] for line in content["contours"])
    assert content["area"] > 0
    assert f"{content['area']:.5g}" in output


def test_json_to_standard_output(nuspill):
    """Fails if anything but JSON is there."""
    status, output, errors = nuspill("asimov", FAST, "--scan", "strength", "--json", "-")
    assert (status, errors) == (0, "")
    assert json.loads(output)["parameter"] == "strength"


def test_years_and_settings(nuspill):
    """Fails if --years or --set is not what the experiment has, or pulls are not common."""

    def interval(*arguments):
        status, output, errors = nuspill("asimov", *arguments, "--json", "-")
        assert (status, errors) == (0, "")
        return json.loads(output)["intervals"]

    scan = ("--scan", "sin2w=0.15:0.35:11")
    assert interval(FAST, "--years", "1", *scan) == interval(
        FAST, "--set", "exposure.years=1", *scan
    )
    none = interval(FAST, "--set", "analysis.signal_uncertainty=0", *scan)
    (a, b), (c, d) = none[0], interval(FAST, *scan)[0]
    assert c < a < b < d


def test_threads(nuspill):
    """Fails if a number depends on threads."""
    found = [nuspill("asimov", FAST, *PLANE, "--threads", n, "--json", "-")[1] for n in (1, 2)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([FAST, "--scan", "nsi.u.e"], ["no parameter 'nsi.u.e'", "did you mean 'nsi.u.ee'"]),
        ([FAST, "--scan", ""], ["no parameter ''"]),
        ([FAST, "--scan", "nsi.u.tautau"], ["nsi.u.tautau", "changes nothing"]),
        ([FAST, "--scan", "moment.nutau"], ["moment.nutau", "changes nothing"]),
        ([FAST, "--scan", "detector.threshold"], ["no parameter 'detector.threshold'"]),
        ([FAST, "--scan", "sin2w", "--profile", "sinw"], ["no parameter 'sinw'"]),
        ([FAST, "--scan", "sin2w=0.3:0.2:11"], ["sin2w", "range is empty"]),
        ([FAST, "--scan", "sin2w=0.3:0.3:11"], ["sin2w", "range is empty"]),
        ([FAST, "--scan", "sin2w=-1:0.3:11"], ["sin2w", "from 0 to 1"]),
        ([FAST, "--scan", "moment.nue=-1:3:11"], ["moment.nue", "from 0"]),
        ([FAST, "--scan", "sin2w=0.2:0.3:1"], ["points must be from 2"]),
        ([FAST, "--scan", "sin2w=0.2:0.3:-5"], ["points must be from 2"]),
        ([FAST, "--scan", "sin2w=0.2:0.3:1000000000"], ["points must be from 2"]),
        ([FAST, "--scan", "sin2w=0.2"], ["--scan", "PARAM=LOW:HIGH"]),
        ([FAST, "--scan", "sin2w=0.2:0.3:11:4"], ["--scan", "PARAM=LOW:HIGH"]),
        ([FAST, "--scan", "sin2w=a:b:11"], ["--scan", "PARAM=LOW:HIGH"]),
        ([FAST, "--scan", "sin2w=nan:0.3:11"], ["--scan"]),
        ([FAST, "--scan", "nsi.u.ee=-inf:inf:11"], ["--scan"]),
        ([FAST, "--scan", "sin2w=0.2:0.3:1.5"], ["--scan"]),
        ([FAST], ["--scan"]),
        ([FAST, "--scan", "sin2w", "--scan", "sin2w"], ["twice"]),
        ([FAST, "--scan", "sin2w", "--profile", "sin2w"], ["sin2w", "twice"]),
        ([FAST, "--scan", "sin2w", "--profile", "nsi.u.ee", "--profile", "nsi.u.ee"], ["twice"]),
        ([FAST, *(["--scan", "sin2w"] * 3)], ["one or two"]),
        ([FAST, "--scan", "sin2w", "--cl", "0"], ["0 is not between 0 and 1"]),
        ([FAST, "--scan", "sin2w", "--cl", "1"], ["1 is not between 0 and 1"]),
        ([FAST, "--scan", "sin2w", "--cl", "90"], ["90 is not between 0 and 1"]),
        ([FAST, "--scan", "sin2w", "--cl", "nan"], ["nan is not between 0 and 1"]),
        ([FAST, "--scan", "sin2w", "--cl", "high"], ["high"]),
        ([FAST, "--scan", "sin2w", "--years", "0"], ["exposure.years"]),
        ([FAST, "--scan", "sin2w", "--years", "-3"], ["exposure.years"]),
        ([FAST, "--scan", "sin2w", "--years", "nan"], ["exposure.years"]),
        ([FAST, "--scan", "sin2w", "--threads", "0"], ["--threads"]),
        ([FAST, "--scan", "sin2w", "--preset", "papr"], ["papr"]),
        (["ess-cis", "--scan", "sin2w"], ["ess-cis", "did you mean"]),
        (["--scan", "sin2w"], ["NAME"]),
        ([FAST, "--scan", "moment.nutau"], ["changes nothing"]),
        ([FAST, "--scan", "nsi.u.ee=-1e300:1e300:11"], ["from -1e+06 to 1e+06"]),
        ([FAST, "--scan", "nsi.u.ee=-1:1:99999", "--scan", "nsi.u.mumu=-1:1:99999"],
         ["99999 x 99999 points", "at most"]),
        ([FAST, "--scan", "sin2w", "--set", "analysis.statistic=poisson"], ["analysis.statistic"]),
        ([FAST, "--scan", "sin2w", "--set", "analysis.edges=[1, 1]"], ["edges must increase"]),
        ([FAST, "--scan", "sin2w", "--set", "analysis.edges=[5]"], ["analysis.edges"]),
        ([FAST, "--scan", "sin2w", "--set", "analysis.scale=reco"], ["needs `edges`"]),
        ([FAST, "--scan", "sin2w", "--set", "analysis.signal_uncertainty=-0.1"],
         ["signal_uncertainty"]),
        ([FAST, "--preset", "paper", "--scan", "nsi.u.ee", "--profile", "nsi.d.ee"],
         ["the data do not limit it"]),
    ],
)  # fmt: skip
def test_mistakes(arguments, parts, refused):
    """Fails unless a mistake is told in one line, with status 2 and nothing written."""
    refused(*arguments, parts=parts)


def test_bin_without_anything(refused):
    """Fails if a bin of no background and no signal is compared with counts."""
    refused(
        FAST, "--scan", "sin2w", "--set", "background.steady.enabled=false",
        "--set", "analysis.edges=[0.1, 100, 500, 600]", "--set", "detector.e_max=700",
        parts=["bin 2 [500, 600] expects 0 counts", "background"],
    )  # fmt: skip


@pytest.mark.parametrize("statistic", ["on-off", "on-off-scaled"])
def test_background_measured_where_there_is_signal(statistic, refused):
    """Fails if beam-off measures the background of a steady source."""
    refused(
        FAST, "--scan", "sin2w", "--set", f"analysis.statistic={statistic}",
        "--set", "source.steady=true", parts=["beam-off holds"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[interaction]\nsin2w = 0.25", ["disagree on interaction.sin2w"]),
        ("[interaction.nsi.u]\nee = 0.1", ["disagree on interaction.nsi"]),
        ("[analysis]\nsignal_uncertainty = 0.2", ["pull 'signal'", "0.2", "0.1"]),
        ('[[analysis.systematic]]\nname = "signal"\neffect = "flux"\nuncertainty = 0.1',
         ["pull 'signal'"]),
        ('[analysis]\nsignal_pull = "sin2w"', ["sin2w"]),
    ],
)  # fmt: skip
def test_experiments_that_disagree(text, parts, refused, tmp_path):
    """Fails if experiments of different couplings or pulls are combined."""
    file = tmp_path / "other.toml"
    file.write_text(f'extends = "{FAST}"\nname = "other"\n{text}\n', "utf-8")
    refused("ess-c3f8", file, "--scan", "strength", parts=parts)


def test_output_that_cannot_be_written(nuspill, tmp_path):
    """Fails if work begins before it is known that the result can be written."""
    for option in (["--json", tmp_path / "no/a.json"], ["--plot", tmp_path / "no/a.pdf"],
                   ["--plot", tmp_path / "a.docx"], ["--json", tmp_path]):  # fmt: skip
        status, output, errors = nuspill("asimov", FAST, "--scan", "sin2w", *option)
        assert (status, output) == (2, "")
        assert len(errors.splitlines()) == 1
    assert everything(tmp_path) == {}


def test_same_experiment_twice(nuspill):
    """Fails if one name twice counts the same data twice."""
    status, output, errors = nuspill(
        "asimov", FAST, FAST, "--scan", "strength=0.5:1.5:11", "--json", "-"
    )
    assert (status, output) == (2, "")
    assert f"{FAST} is given twice" in errors
