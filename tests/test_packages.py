"""The packages that are installed: fails if a folder of sources would be left out of a wheel."""

import tomllib
from pathlib import Path

import nuspill
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("generator", "reco", "toys", "scripts")


def test_every_folder_is_a_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    found = {path.parent for name in FOLDERS for path in (ROOT / name).rglob("*.py")}
    names = {".".join(("nuspill", *folder.relative_to(ROOT).parts)) for folder in found}
    assert set(listed["packages"]) == names | {"nuspill"}
    assert all((folder / "__init__.py").is_file() for folder in found)


@pytest.mark.parametrize("name", sorted(nuspill.__all__))
def test_every_name_of_the_face_is_there(name):
    # fails if a name is listed whose module has it no more
    assert name in dir(nuspill)
    assert getattr(nuspill, name) is not None
    assert getattr(nuspill, name).__doc__


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert nuspill.__version__ == version("nuspill")
