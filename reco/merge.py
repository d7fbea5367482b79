"""Kernels that merge the sources of a slice, each in order of time, into the ntuple's columns.

Where one source outnumbers the others, the merged events are long runs of it: they are found once,
and every column is copied run by run, in blocks of a fixed length that compile to a few moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..generator.kernel import kernel

BLOCK = 8
"""Elements copied at once; a column needs as many beyond the events that are copied from it."""


@intrinsic
def copy_block(_, to, i, column, j):  # type: ignore[no-untyped-def]
    """Copy BLOCK elements of contiguous arrays of one type: ``to[i:i + BLOCK] = column[j:...]``."""
    signature = types.void(to, i, column, j)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = []
        for place in (0, 2):
            array = signature.args[place]
            data = context.make_array(array)(context, builder, arguments[place]).data
            pointers.append(builder.gep(data, [arguments[place + 1]]))
        first, second = pointers
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        count = context.get_constant(types.intp, BLOCK)
        cgutils.raw_memcpy(builder, first, second, count, size)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return signature, generate


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
def copy_runs(to, column, run_from, run_length, runs):  # type: ignore[no-untyped-def]
    """Copy the runs of a column one after the other."""
    row, room = np.int64(0), to.size
    for k in range(runs):
        start, length = np.int64(run_from[k]), np.int64(run_length[k])
        if row + length + BLOCK <= room:  # what is copied beyond the run is overwritten by the next
            for i in range(0, length, BLOCK):
                copy_block(to, row + i, column, start + i)  # type: ignore[call-arg]
        else:
            for i in range(length):
                to[row + i] = column[start + i]
        row += length
