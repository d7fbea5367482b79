"""Where the work is done: ``--threads``, ``--cluster``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...reco.errors import OutputError
from .group import group_options, option

if TYPE_CHECKING:
    from ...reco.cluster.workers import Here, Workers


def _cluster(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> str | None:
    """Refuse what names no cluster before the work begins."""
    if value is not None:
        from ...reco.cluster.connect import describe_cluster

        describe_cluster(value)
    return value


@dataclass(frozen=True)
class Computing:
    """Threads here, or a cluster."""

    threads: int | None = option(
        "--threads", type=click.IntRange(1, 1024), help="Default: one a core."
    )
    cluster: str | None = option(
        "--cluster",
        metavar="local[:N]|tcp://HOST:PORT|FILE.yaml",
        callback=_cluster,
        help="Compute on N processes here, by a Dask scheduler, or on the cluster of a file.",
    )

    @property
    def here(self) -> Here:
        """Threads of this process."""
        from ...reco.cluster.workers import Here

        return Here(self.threads)

    @contextmanager
    def opened(self) -> Iterator[Workers]:
        """The cluster that is asked for, else threads."""
        if self.cluster is None:
            yield self.here
            return
        from ...reco.cluster.connect import open_cluster

        with open_cluster(self.cluster) as cluster:
            yield cluster


computing_options = group_options(Computing)
"""Add ``--threads`` and ``--cluster``."""
threads_option = group_options(Computing, without=["cluster"])
"""Add ``--threads``."""
cluster_option = group_options(Computing, without=["threads"])
"""Add ``--cluster``."""


@contextmanager
def interrupted_keeps(folder: Path) -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, and say that what is done is kept."""
    from ...reco.files import interruptible

    try:
        with interruptible():
            yield
    except OutputError as error:
        if str(error).startswith("interrupted"):
            raise OutputError(
                f"interrupted; what is done is kept, go on with: nuspill resume {folder}"
            ) from None
        raise
