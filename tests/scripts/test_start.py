"""What commands load that only look things up: fails if one of them needs numba or scipy."""

import subprocess
import sys
import time

import pytest

RUN = """
import sys
from nuspill.scripts.cli import main
sys.argv = ["nuspill", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print("status", end.code, file=sys.stderr)
heavy = {"numba", "scipy", "matplotlib", "uproot", "periodictable"} & set(sys.modules)
print("heavy", *heavy, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from nuspill import load, plan, write_parts

    folder = tmp_path_factory.mktemp("run") / "parts"
    write_parts(plan(load("ess-ar"), seed=1, years=0.001), folder, 2)
    return folder


@pytest.mark.parametrize(
    "arguments", [["show", "ess-csi"], ["experiments"], ["formats"], ["status"], ["--help"],
                  ["fit", "--help"]],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_look_loads_nothing_heavy(arguments, folder):
    more = [str(folder)] if arguments == ["status"] else []
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments, *more], capture_output=True, text=True, check=True
    )
    print(f"nuspill {arguments[0]}: {time.perf_counter() - begin:.2f} s")  # noqa: T201
    assert done.stderr.startswith("status 0\n")
    assert done.stderr.endswith("heavy\n")
