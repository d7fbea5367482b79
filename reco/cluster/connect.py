"""Which cluster: workers on this machine, a scheduler that runs, or a YAML file.

A cluster file is data: it names a class of Dask's own and its options.

    cluster: dask_jobqueue.SLURMCluster
    options: {cores: 8, processes: 8, memory: 16GB, walltime: "04:00:00"}
    scale: 64              # or adapt: {minimum: 8, maximum: 64}

    address: tls://scheduler.example.org:8786
    security: {tls_ca_file: ca.pem, tls_client_cert: me.pem, tls_client_key: me.key}
"""

from __future__ import annotations

import importlib
import logging
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ExperimentError, OutputError
from .cluster import Cluster
from .cores import cores

PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss")
TRUSTED = (
    "dask_cloudprovider", "dask_jobqueue", "dask_kubernetes", "dask_yarn", "distributed",
)  # fmt: skip
"""Packages of which a cluster file may name a class."""
ADDRESS = re.compile(rf"({'|'.join(PROTOCOLS)})://([^/:\[\]]+|\[[0-9a-fA-F:]+\]):\d{{1,5}}/?")
WANTED = f"is no address PROTOCOL://HOST:PORT, of {', '.join(PROTOCOLS)}"
KEYS = ("address", "cluster", "options", "scale", "adapt", "security")
CONNECT = 15
"""Seconds to reach a scheduler."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": 10,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 1 << 25,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
}
"""Settings of clusters that are started here. Nothing is spilled to disk, nor unpickled from there.

Dask has workers give memory back at once, so that a third of the time of writing went into asking
for it again; its profiler keeps 15 kB for each second of an hour; and its looks at itself, fifty a
second in every process, cost a tenth of a core (all measured).
"""
LOCAL = {
    "threads_per_worker": 1,
    "scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    "silence_logs": logging.CRITICAL,
}
"""Options of clusters on this machine, which listen on the loopback interface."""


@dataclass(frozen=True)
class Description:
    """Description of a cluster; one of `address` and `cluster` is given."""

    origin: str
    """Where the description is from, for messages."""
    address: str = ""
    cluster: str = ""
    """Class of the cluster, MODULE.CLASS."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the class."""
    scale: int | None = None
    """Number of workers."""
    adapt: dict[str, Any] | None = None
    security: dict[str, Any] | bool | None = None
    """Options of `distributed.Security`, or true for temporary certificates."""


def describe_cluster(text: str) -> Description:
    """What a text means; nothing is started.

    Parameters
    ----------
    text
        ``local`` or ``local:N`` (N worker processes of a thread each, by default one a core), the
        address of a scheduler such as ``tcp://HOST:PORT``, or a YAML file (see the module).

    Raises
    ------
    ExperimentError
        If it means none of these, or Dask is not installed.
    """
    kind, colon, rest = text.partition(":")
    if kind == "local" and (not colon or (rest.isascii() and rest.isdigit())):
        number = int(rest) if colon else cores()
        if not 0 < number <= 1024:
            raise ExperimentError(f"--cluster {text}: must be from 1 to 1024 workers")
        description = Description(
            f"--cluster {text}", cluster="distributed.LocalCluster", options={"n_workers": number}
        )
    elif kind in PROTOCOLS and rest.startswith("//"):
        if not ADDRESS.fullmatch(text):
            raise ExperimentError(f"--cluster {text}: {WANTED}")
        description = Description(f"--cluster {text}", address=text)
    elif Path(text).suffix in (".yaml", ".yml"):
        description = _read(Path(text))
    else:
        raise ExperimentError(
            f"--cluster '{text}' is none of local, local:N, tcp://HOST:PORT, tls://HOST:PORT and "
            "FILE.yaml"
        )
    try:
        importlib.import_module("distributed")
    except ImportError as error:
        raise ExperimentError(
            "--cluster needs Dask, which is not installed: pip install 'nuspill[cluster]'"
        ) from error
    return description


def _read(path: Path) -> Description:
    try:
        import yaml
    except ImportError as error:
        raise ExperimentError(
            f"{path}: needs Dask, which is not installed: pip install 'nuspill[cluster]'"
        ) from error
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ExperimentError(f"{path}: cannot be read: {error}") from error

    def wrong(key: str, wanted: str) -> ExperimentError:
        return ExperimentError(f"{path}: {key}: {content[key]!r} is not {wanted}")

    if not isinstance(content, dict):
        raise ExperimentError(f"{path}: is not a table of {', '.join(KEYS)}")
    for key, value in content.items():
        if key not in KEYS:
            raise ExperimentError(f"{path}: unknown key {key!r}; known are {', '.join(KEYS)}")
        if key in ("options", "adapt") and not isinstance(value, dict):
            raise wrong(key, "a table")
        if key in ("address", "cluster") and not isinstance(value, str):
            raise wrong(key, "text")
    if ("address" in content) == ("cluster" in content):
        raise ExperimentError(f"{path}: give either address or cluster")
    if "address" in content and set(content) - {"address", "security"}:
        raise ExperimentError(f"{path}: a scheduler at an address takes security alone")
    if "address" in content and not ADDRESS.fullmatch(content["address"]):
        raise ExperimentError(f"{path}: address: {content['address']!r} {WANTED}")
    if "cluster" in content and content["cluster"].split(".")[0] not in TRUSTED:
        raise wrong("cluster", f"a class of {', '.join(TRUSTED)}")
    scale, security = content.get("scale"), content.get("security")
    if scale is not None and (type(scale) is not int or not 0 < scale <= 1_000_000):
        raise wrong("scale", "a number of workers")
    if scale is not None and "adapt" in content:
        raise ExperimentError(f"{path}: give either scale or adapt")
    if security is not None and security is not True and not isinstance(security, dict):
        raise wrong("security", "true or a table")
    return Description(str(path), **content)


@contextmanager
def open_cluster(text: str) -> Iterator[Cluster]:
    """Reach a cluster, or start one that ends with the block; parameters as `describe_cluster`.

    Raises
    ------
    ExperimentError
        If the text or the file is wrong, or Dask is not installed.
    OutputError
        If the cluster cannot be started or reached.
    """
    described = describe_cluster(text)
    import dask
    from distributed import Client, LocalCluster, Security

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":  # what matters becomes an error here
            logging.getLogger(name).setLevel(logging.CRITICAL)
    cluster = None
    with dask.config.set(SETTINGS):
        try:
            security: Any = described.security
            if isinstance(security, dict):
                security = Security(**security)
            elif security is True and described.address:
                raise ExperimentError(
                    f"{described.origin}: temporary certificates are for clusters started here"
                )
            elif (
                described.address.startswith("tls")
                and security is None
                and not dask.config.get("distributed.comm.tls.ca-file", None)
            ):
                raise ExperimentError(
                    f"{described.origin}: needs certificates, security: {{tls_ca_file: ...}} in a "
                    "YAML file"
                )
            if described.cluster:
                kind = _class(described)
                own = issubclass(kind, LocalCluster)
                more = {"security": security} if security is not None else {}
                _check_submission(kind, described)
                with _interrupt_is_for_us() if own else nullcontext():
                    cluster = kind(**((LOCAL if own else {}) | described.options | more))
                if described.scale is not None:
                    cluster.scale(described.scale)
                elif described.adapt is not None:
                    cluster.adapt(**described.adapt)
            target = cluster if cluster is not None else described.address
            certificates = security if isinstance(security, Security) else None
            client = Client(target, timeout=CONNECT, security=certificates, set_as_default=False)
        except ExperimentError:
            raise
        except (OSError, TimeoutError, RuntimeError) as error:
            _close(cluster)
            raise OutputError(
                f"{described.origin}: cannot be reached or started: {error}"
            ) from error
        except (TypeError, ValueError, ImportError) as error:
            _close(cluster)
            raise ExperimentError(f"{described.origin}: {error}") from error
        try:
            waits = bool(described.cluster) and not own
            yield Cluster(client, described.origin, waits)
        finally:
            with suppress(Exception):
                client.close()
            _close(cluster)


def _check_submission(kind: Any, described: Description) -> None:
    """Refuse a batch system whose command is not here: its workers would never come."""
    command = str(getattr(getattr(kind, "job_cls", None), "submit_command", None) or "").split()
    if command and shutil.which(command[0]) is None:
        raise ExperimentError(
            f"{described.origin}: {described.cluster} needs the command {command[0]}, which is not "
            "on this machine"
        )


@contextmanager
def _interrupt_is_for_us() -> Iterator[None]:
    """Have processes that are started ignore Ctrl-C, which a terminal sends to all of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _close(cluster: Any) -> None:
    if cluster is not None:
        with suppress(Exception):
            cluster.close()


def _class(described: Description) -> Any:
    """Class of Dask clusters that a description names."""
    from distributed.deploy.cluster import Cluster as AnyCluster

    module, _, name = described.cluster.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ExperimentError(f"{described.origin}: cluster: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, AnyCluster)):
        raise ExperimentError(
            f"{described.origin}: cluster: {described.cluster} is not a class of clusters"
        )
    return kind
