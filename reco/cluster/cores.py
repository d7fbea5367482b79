"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """Cores of the process's affinity, within the CPU quota of its container; at least 1.

    Parameters
    ----------
    cgroups, own
        Where Linux shows control groups, and the file that names those of this process.
    """
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity, nor quotas
        return os.cpu_count() or 1
    return max(1, math.ceil(min(available, quota(cgroups, own))))


def quota(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> float:
    """Cores that control groups leave to this process; infinite without a limit.

    Both versions are read (``cpu.max``, and ``cpu.cfs_quota_us`` with ``cpu.cfs_period_us``), of
    the process's group and of those around it; inside a container its own group is the root.
    """
    limits = [math.inf]
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for place in (cgroups, cgroups / "cpu", cgroups / controllers):
            group = place / path.lstrip("/")
            around = (p for p in group.parents if p.is_relative_to(place))
            limits += [_limit(p) for p in (group, *around)]
    return min(limits)


def _limit(group: Path) -> float:
    """Cores of one group, infinite where it has no limit."""
    try:
        if (group / "cpu.max").exists():
            time, period = (group / "cpu.max").read_text().split()
        else:
            time = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        cores = float(time) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
    return cores if cores > 0 else math.inf
