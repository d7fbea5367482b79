"""How easy the code is to enter, in numbers: python scripts/measure.py [FOLDER].

Counts code lines (no blank lines, comments or docstrings) of functions, parameters, files in a
folder, questions of type on models, and untyped dictionaries, in the packages below FOLDER (by
default the checkout that this file is in). Prints a table; it judges nothing.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("api", "generator", "reco", "toys", "scripts")


@dataclass(frozen=True)
class Function:
    """A function and what is measured of it."""

    place: str
    lines: int
    parameters: int
    is_command: bool


def functions(root: Path) -> Iterator[Function]:
    """Yield every function of the packages."""
    for path in files(root):
        text = path.read_text("utf-8")
        lines = text.split("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                args = node.args
                names = [p.arg for p in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
                decorators = [ast.unparse(d) for d in node.decorator_list]
                yield Function(
                    f"{path.relative_to(root)}:{node.lineno} {node.name}",
                    code_lines(node, lines),
                    len([n for n in names if n not in ("self", "cls")]),
                    any("click." in d or d.endswith(("option", "options")) for d in decorators),
                )


def files(root: Path) -> list[Path]:
    """Source files of the packages."""
    return sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))


def code_lines(node: ast.FunctionDef, lines: list[str]) -> int:
    """Lines of code of a function, its head and those of functions inside counted."""
    strings = [
        range(s.lineno, (s.end_lineno or s.lineno) + 1)
        for s in ast.walk(node)
        if isinstance(s, ast.Expr) and isinstance(getattr(s.value, "value", None), str)
    ]
    skipped = {number for span in strings for number in span}
    body = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    kept = [n for n in body if n not in skipped]
    return sum(
        bool(line) and not line.startswith("#") for line in (lines[n - 1].strip() for n in kept)
    )


def models(trees: list[ast.Module]) -> set[str]:
    """Names of the classes of models: sections of an experiment, all that descend from Settings."""
    classes = {n.name: n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    names, before = {"Settings"}, 0
    while len(names) > before:
        before = len(names)
        names |= {
            name
            for name, node in classes.items()
            if names & {getattr(base, "id", "") for base in node.bases}
        }
    return names


def asks_type(node: ast.AST, classes: set[str]) -> bool:
    """Whether an expression is `isinstance` of one of some classes."""
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "isinstance"
        and any(getattr(part, "id", "") in classes for part in ast.walk(node.args[1]))
    )


def flat_files(root: Path) -> list[tuple[int, str]]:
    """Number of files beside each other in each folder, most first; formats apart."""
    folders = {path.parent for path in files(root)}
    counted = [(len(list(f.glob("*.py"))), str(f.relative_to(root))) for f in folders]
    return sorted((c for c in counted if c[1] != "reco/formats"), reverse=True)


def main() -> None:
    """Print the measures."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    measured = list(functions(root))
    longest = sorted(measured, key=lambda f: -f.lines)
    widest = sorted((f for f in measured if not f.is_command), key=lambda f: -f.parameters)
    lengths = sorted(f.lines for f in measured)
    text = [path.read_text("utf-8") for path in files(root)]
    trees = [ast.parse(source) for source in text]
    classes = models(trees)
    questions = sum(asks_type(node, classes) for tree in trees for node in ast.walk(tree))
    print(f"functions: {len(measured)}; code lines: median {lengths[len(lengths) // 2]}, "
          f"90th percentile {lengths[int(0.9 * len(lengths))]}, longest {lengths[-1]}")  # fmt: skip
    print(f"above 60 code lines: {sum(n > 60 for n in lengths)}")
    for f in longest[:10]:
        print(f"  {f.lines:4d} {f.place}")
    print(f"above 8 parameters (commands apart): {sum(f.parameters > 8 for f in widest)}")
    for f in widest[:10]:
        print(f"  {f.parameters:4d} {f.place}")
    print("files in a folder: " + ", ".join(f"{n} {name}" for n, name in flat_files(root)[:5]))
    print(f"isinstance on models: {questions}")
    print(f"dict[str, Any]: {sum(source.count('dict[str, Any]') for source in text)}")


if __name__ == "__main__":
    main()
