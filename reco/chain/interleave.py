"""Kernels that merge the sources of a slice, each in order of time, into the ntuple's columns.

Where one source outnumbers the others, the merged events are long runs of it: they are found once,
and its columns are copied run by run, in blocks of a fixed length that compile to a few moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from ...generator.sampling.kernel import kernel

BLOCK = 8
"""Elements copied at once; a column needs as many beyond the events that are copied from it."""
LINE = 64
"""Bytes of a cache line."""


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """Pointers to elements of the arrays in arguments 0 and 2, at the places in 1 and 3."""
    pointers = []
    for k in (0, 2):
        array = context.make_array(signature.args[k])(context, builder, arguments[k])
        pointers.append(builder.gep(array.data, [arguments[k + 1]]))
    return pointers


@intrinsic
def copy_block(_, to, i, column, j):  # type: ignore[no-untyped-def]
    """Copy BLOCK elements of contiguous arrays of one type: ``to[i:i + BLOCK] = column[j:...]``."""
    signature = types.void(to, i, column, j)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second = _pointers(context, builder, signature, arguments)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        count = context.get_constant(types.intp, BLOCK)
        cgutils.raw_memcpy(builder, first, second, count, size)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def stream_line(_, to, i, column, j):  # type: ignore[no-untyped-def]
    """Copy a cache line past the caches; place i of `to` must be the first of a line."""
    signature = types.void(to, i, column, j)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half = ir.VectorType(ir.IntType(64), LINE // 16)
        first, second = (
            builder.bitcast(pointer, half.as_pointer())
            for pointer in _pointers(context, builder, signature, arguments)
        )
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        for k in range(2):
            place = ir.Constant(ir.IntType(64), k)
            value = builder.load(builder.gep(second, [place]), align=1)
            store = builder.store(value, builder.gep(first, [place]), align=LINE // 2)
            store.set_metadata("nontemporal", once)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def fence(_):  # type: ignore[no-untyped-def]
    """Make what `stream` wrote visible to other threads."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@kernel
def find_runs(edges, pulse, time, head, run_from, run_length):  # type: ignore[no-untyped-def]
    """Runs of the merged order (pulse, then time), of events edges[k] ... edges[k + 1] − 1 each.

    Of events at the very same time those of the first source come first. Returns how many runs.
    """
    k = edges.size - 1
    for i in range(k):
        head[i] = edges[i]
    runs = 0
    while True:
        first, second = -1, -1
        for i in range(k):
            a = head[i]
            if a == edges[i + 1]:
                continue
            if first < 0:
                first = i
                continue
            b = head[first]
            if pulse[a] < pulse[b] or (pulse[a] == pulse[b] and time[a] < time[b]):
                first, second = i, first
            elif second < 0:
                second = i
            else:
                b = head[second]
                if pulse[a] < pulse[b] or (pulse[a] == pulse[b] and time[a] < time[b]):
                    second = i
        if first < 0:
            return runs
        a, stop = head[first], edges[first + 1]
        run_from[runs] = a
        if second < 0:
            a = stop
        else:
            limit, t = pulse[head[second]], time[head[second]]
            while a < stop and (
                pulse[a] < limit
                or (pulse[a] == limit and (time[a] < t or (time[a] == t and first < second)))
            ):
                a += 1
        run_length[runs] = a - run_from[runs]
        head[first] = a
        runs += 1


@kernel
def cut_runs(run_from, run_length, runs, skip, count):  # type: ignore[no-untyped-def]
    """Leave out the first `skip` events and all after `count` more; returns the runs left."""
    kept = 0
    for k in range(runs):
        start, length = run_from[k], run_length[k]
        drop = min(skip, length)
        skip -= drop
        length = min(length - drop, count)
        count -= length
        if length > 0:
            run_from[kept], run_length[kept] = start + drop, length
            kept += 1
    return kept


@kernel
def spread(to, columns, run_from, run_length, low, high):  # type: ignore[no-untyped-def]
    """Copy the runs of three columns that are of rows low ... high − 1, with gaps for the others.

    `to` needs BLOCK rows beyond them; whatever is in the gaps then is of no meaning.
    """
    row = np.int64(0)
    for k in range(run_from.size):
        start, length = np.int64(run_from[k]), np.int64(run_length[k])
        if low <= start < high:
            for i in range(0, length, BLOCK):
                copy_block(to[0], row + i, columns[0], start + i)  # type: ignore[call-arg]
                copy_block(to[1], row + i, columns[1], start + i)
                copy_block(to[2], row + i, columns[2], start + i)
        row += length


@kernel
def stream(to, column):  # type: ignore[no-untyped-def]
    """Copy a column past the caches: whole lines of `to` are written without being read first.

    Worth it for some thousand rows that are not used soon; others see them after `fence`.
    """
    n, step = to.size, LINE // to.itemsize
    head = min((-to.ctypes.data) % LINE // to.itemsize, n)
    body = head + (n - head) // step * step
    for i in range(head):
        to[i] = column[i]
    for i in range(head, body, step):
        stream_line(to, i, column, i)  # type: ignore[call-arg]
    for i in range(body, n):
        to[i] = column[i]
