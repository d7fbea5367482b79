"""The cache of compiled code: fails if an edit anywhere leaves old machine code in use, silently.

A small package stands beside a copy of `generator/sampling/kernel.py`; each run is a process of
its own.
Numba alone keeps `outer.total` below after an edit in another file, and returns the old result.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import nuspill.generator.sampling.kernel as kernel_module
import pytest
from nuspill.generator.sampling.kernel import borrow, kernel

SOURCE = Path(kernel_module.__file__)
PROJECT = SOURCE.parents[2]

FILES = {
    "reco/chain/numbers.py": "SHIFT = 1.0\n",
    "reco/plot.py": "LABEL = 'energy'\n",
    "toys/kernels/below/inner.py": """
from ....generator.sampling.kernel import kernel, kernel_inline

@kernel
def twice(x):
    return 2.0 * x

@kernel_inline
def thrice(x):
    return 3.0 * x
""",
    "reco/chain/outer.py": """
from ...generator.sampling.kernel import kernel
from ...toys.kernels.below.inner import thrice, twice
from ..plot import LABEL
from .numbers import SHIFT

@kernel
def total(x):
    return twice(x) + thrice(x) + SHIFT
""",
    "run.py": """
import json
from fake.reco.chain.outer import total
value = total(10.0)
hits, misses = (sum(n.values()) for n in (total.stats.cache_hits, total.stats.cache_misses))
print(json.dumps({"value": value, "hits": hits, "misses": misses}))
""",
}


class Package:
    """The package on disk, with its own cache of compiled code."""

    def __init__(self, root):
        self.root = root
        for name, text in FILES.items():
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.path("generator/sampling").mkdir(parents=True)
        shutil.copy(SOURCE, self.path("generator/sampling/kernel.py"))

    def path(self, name):
        return self.root / name if name == "run.py" else self.root / "fake" / name

    def edit(self, name, old, new):
        text = self.path(name).read_text()
        assert text.count(old) == 1
        self.path(name).write_text(text.replace(old, new))

    def run(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        environment["NUMBA_CACHE_DIR"] = str(self.root / "cache")
        # without -B Python itself may take an old .pyc for an edit within the same second
        done = subprocess.run(
            [sys.executable, "-B", "run.py"],
            cwd=self.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def package(tmp_path):
    found = Package(tmp_path)
    assert found.run() == {"value": 51.0, "hits": 0, "misses": 1}
    return found


def test_the_second_run_loads_from_the_cache(package):
    # fails if the key changes from run to run: every start would compile again
    assert package.run() == {"value": 51.0, "hits": 1, "misses": 0}


@pytest.mark.parametrize(
    ("name", "old", "new", "value"),
    [
        pytest.param(
            "toys/kernels/below/inner.py", "2.0", "5.0", 81.0, id="kernel of a sub-folder"
        ),
        pytest.param(
            "toys/kernels/below/inner.py", "3.0", "4.0", 61.0, id="inlined, of a sub-folder"
        ),
        pytest.param("reco/chain/outer.py", "+ SHIFT", "- SHIFT", 49.0, id="kernel itself"),
        pytest.param("reco/chain/numbers.py", "1.0", "9.0", 59.0, id="constant of a third file"),
    ],
)
def test_an_edit_changes_the_result(package, name, old, new, value):
    package.edit(name, old, new)
    assert package.run() == {"value": value, "hits": 0, "misses": 1}


def test_an_edit_of_a_plot_or_a_label_compiles_nothing(package):
    # fails if the stamp covers more than the folders of kernels
    package.edit("reco/plot.py", "energy", "recoil energy")
    package.path("reco/another_plot.py").write_text("STYLE = {}\n")
    assert package.run() == {"value": 51.0, "hits": 1, "misses": 0}


def test_an_edit_of_a_kernel_elsewhere_is_seen(tmp_path):
    # a benchmark or a plug-in has kernels outside of the folders, which its own file stamps
    package = Package(tmp_path)
    package.path("reco/chain/outer.py").rename(package.path("reco/outer.py"))
    package.edit("reco/outer.py", "from ...toys", "from ..toys")
    package.edit("reco/outer.py", "from ...generator", "from ..generator")
    package.edit("reco/outer.py", "from ..plot", "from .plot")
    package.edit("reco/outer.py", "from .numbers", "from .chain.numbers")
    package.edit("run.py", "fake.reco.chain.outer", "fake.reco.outer")
    assert package.run() == {"value": 51.0, "hits": 0, "misses": 1}
    assert package.run() == {"value": 51.0, "hits": 1, "misses": 0}
    package.edit("reco/outer.py", "+ SHIFT", "- SHIFT")
    assert package.run() == {"value": 49.0, "hits": 0, "misses": 1}


def test_a_new_option_compiles_anew(package):
    # the options of all kernels stand in kernel.py
    package.edit("generator/sampling/kernel.py", '"boundscheck": False', '"boundscheck": True')
    assert package.run() == {"value": 51.0, "hits": 0, "misses": 1}


def test_a_type_that_moved_is_no_error(tmp_path):
    # fails if an old index is unpickled, which names its types by their modules
    package = Package(tmp_path)
    pair = """
from typing import NamedTuple

class Pair(NamedTuple):
    a: float
    b: float
"""
    package.path("reco/chain/old.py").write_text(pair)
    package.edit("reco/chain/outer.py", "\n@kernel", "\nfrom .old import Pair\n\n@kernel")
    package.edit("reco/chain/outer.py", "def total(x):\n", "def total(pair):\n    x = pair.a\n")
    package.edit("run.py", "import total", "import Pair, total")
    package.edit("run.py", "total(10.0)", "total(Pair(10.0, 1.0))")
    assert package.run() == {"value": 51.0, "hits": 0, "misses": 1}
    assert package.run() == {"value": 51.0, "hits": 1, "misses": 0}
    package.path("reco/chain/old.py").unlink()
    package.path("reco/chain/new.py").write_text(pair)
    package.edit("reco/chain/outer.py", ".old", ".new")
    assert package.run() == {"value": 51.0, "hits": 0, "misses": 1}


PACKAGES = ("generator", "reco", "toys", "scripts")


def project_files():
    return sorted(path for name in PACKAGES for path in (PROJECT / name).rglob("*.py"))


def is_stamped(path):
    return any(path.is_relative_to(PROJECT / folder) for folder in kernel_module.FOLDERS)


def test_every_kernel_lies_where_the_stamp_looks():
    # a kernel elsewhere, or compiled past `kernel`, would not be noticed
    for path in project_files():
        text = path.read_text()
        if re.search(r"^@kernel", text, re.MULTILINE):
            assert is_stamped(path) or path.is_relative_to(PROJECT / "scripts/benchmarks"), path
        assert "cache=True" not in text, path
        if path != SOURCE and not path.is_relative_to(PROJECT / "scripts"):
            assert not re.search(r"\b(njit|jit|vectorize|guvectorize|cfunc)\(", text), path
            assert not re.search(r"^@(numba\.)?(n?jit|vectorize)", text, re.MULTILINE), path


def imported_from(tree, path):
    """Name → file of what a file imports from others of the project."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            home = folder.joinpath(*(node.module or "").split(".")).with_suffix(".py")
            found |= {alias.asname or alias.name: home for alias in node.names}
    return found


def names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def test_kernels_use_what_is_stamped():
    # a constant or function of another folder would be frozen into code that its edit leaves
    looked_at = 0
    for path in filter(is_stamped, project_files()):
        tree = ast.parse(path.read_text())
        home = imported_from(tree, path)
        kernels = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and any(names_in(d) & {"kernel", "kernel_inline"} for d in node.decorator_list)
        ]
        used = set().union(*(names_in(node) for node in kernels))
        for node in reversed(tree.body):  # constants that are made of others
            targets = node.targets if isinstance(node, ast.Assign) else []
            if kernels and any(names_in(target) & used for target in targets):
                used |= names_in(node.value)
        for name in used & set(home):
            looked_at += 1
            assert is_stamped(home[name]), f"{path}: {name} is from {home[name]}"
    assert looked_at > 50


def test_there_are_kernels():
    # the tests above look at something
    assert sum("@kernel" in path.read_text() for path in project_files()) >= 3


def test_units_of_kernels_are_those_of_the_constants():
    from nuspill.generator import constants
    from nuspill.generator.sampling import sampler

    assert sampler._KEV == constants.KEV


class Inner(NamedTuple):
    table: np.ndarray
    count: int


class Outer(NamedTuple):
    inner: Inner
    column: np.ndarray


@kernel
def shift(outer, borrowed):
    outer = borrow(outer) if borrowed else outer
    for i in range(outer.inner.table.shape[0]):
        row = outer.inner.table[i, 1:]
        for j in range(row.size):
            outer.column[j] += row[j] * outer.inner.count
    return outer.column[:2].sum()


def test_what_is_borrowed_is_the_same():
    """Fails if a borrowed tuple has other numbers or arrays, or its owners are let go or kept."""
    found = []
    for borrowed in (True, False):
        table, column = np.arange(12.0).reshape(3, 4), np.ones(3)
        outer = Outer(Inner(table, 2), column)
        shift(outer, borrowed)
        counts = [sys.getrefcount(x) for x in (table, column)]
        found.append((shift(outer, borrowed), column.tolist()))
        assert [sys.getrefcount(x) for x in (table, column)] == counts
    assert found[0] == found[1]
    assert found[0][1] == [1.0 + 4 * x for x in (15.0, 18.0, 21.0)]
