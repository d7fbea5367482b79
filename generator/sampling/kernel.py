"""One place for the options of compiled code, and a cache that notices every edit.

Numba keys its cache on disk on the file of the function that is called. A kernel that calls a
kernel of another file, or uses a constant of one, would go on with the old code after an edit
there, silently. Here the key is the content of every file in the folders that hold kernels, with
their sub-folders, and of the function's own file. So kernels use functions and constants of these
folders alone (tested), and an edit elsewhere, of a plot or a label, recompiles nothing.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import cgutils, types
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import intrinsic

Function = Callable[..., Any]

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
FOLDERS = ("generator/sampling", "reco/chain", "toys/kernels")
"""Folders of kernels."""


@functools.lru_cache(maxsize=1)
def source_stamp() -> bytes:
    """SHA-256 over the files in the folders of kernels, in the order of their names."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.digest()


class _Index(IndexDataCacheFile):
    """An index that an older version left may name types by modules that are gone: start anew."""

    def _load_index(self) -> dict[Any, Any]:
        try:
            return super()._load_index()  # type: ignore[no-untyped-call]
        except (ImportError, AttributeError):
            return {}


class _ProjectCache(FunctionCache):
    """Numba's file cache, stamped with the sources of all kernels in place of one file."""

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)  # type: ignore[no-untyped-call]
        self._cache_file = _Index(  # type: ignore[no-untyped-call]
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=source_stamp() + Path(py_func.__code__.co_filename).read_bytes(),
        )


def kernel(function: Function) -> Function:
    """Compile `function` on first use; the result is cached on disk (see the module)."""
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher._cache = _ProjectCache(function)
    return dispatcher


def kernel_inline(function: Function) -> Function:
    """Compile `function` so that it is copied into kernels that call it.

    For small functions in the innermost loops: with several results they stop the compiler from
    vectorising the loop otherwise (Philox: 0.3 against 2.2e9 words/s a core, measured).
    """
    dispatcher = numba.njit(inline="always", **OPTIONS)(function)
    dispatcher._cache = _ProjectCache(function)
    return dispatcher


def _without_owner(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value with the owners of all arrays in it left out."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)  # type: ignore[no-untyped-call]
        array.parent = cgutils.get_null_value(array.parent.type)  # type: ignore[no-untyped-call]
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts: list[Any] = cgutils.unpack_tuple(builder, value)  # type: ignore[no-untyped-call]
        kinds: list[Any] = list(kind)  # type: ignore[call-overload]
        found = [_without_owner(context, builder, k, v) for k, v in zip(kinds, parts, strict=True)]
        return context.make_tuple(builder, kind, found)
    return value


@intrinsic
def borrow(_, value):  # type: ignore[no-untyped-def]
    """An array, or (named) tuple with arrays, whose references are not counted.

    Every slice of an array and every look at a field of a tuple counts a reference up and down,
    atomically: a sixth of the time of the chain (measured). Whoever borrows must know that the
    owner lives on: an argument from Python does for as long as the call.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _without_owner(context, builder, signature.args[0], arguments[0])

    return value(value), generate
