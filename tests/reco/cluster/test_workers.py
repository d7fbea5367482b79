"""Threads here: results in order, cores of affinity and containers."""

import os
import threading
import time

import pytest
from nuspill.reco.cluster.cores import cores, quota
from nuspill.reco.cluster.workers import ALONE, HERE, Here, one_ahead


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_are_in_the_order_of_tasks(threads):
    """Fails if a slow task lets others pass, or one is lost beyond those that are made ahead."""

    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number**2

    tasks = (n for n in range(60))
    assert list(Here(threads).map(slow, tasks)) == [n**2 for n in range(60)]


def test_tasks_are_taken_as_they_are_needed():
    """Fails if all tasks are taken at once: a long run would be held in memory."""
    taken = []

    def tasks():
        for number in range(1000):
            taken.append(number)
            yield number

    results = Here(2).map(abs, tasks())
    next(results)
    results.close()
    assert len(taken) < 20


def test_an_error_ends_the_work():
    """Fails if the error of a task is lost, or later tasks are made all the same."""
    made = []

    def task(number):
        made.append(number)
        return 1 // (number - 3)

    with pytest.raises(ZeroDivisionError):
        list(Here(2).map(task, range(1000)))
    assert len(made) < 50


@pytest.mark.parametrize("number", [0, -1])
def test_no_threads(number):
    """Fails if a number of threads that makes no sense is taken for all cores."""
    with pytest.raises(ValueError, match="at least 1"):
        Here(number)


def test_one_ahead_makes_one_while_another_is_used():
    """Fails if results change, or all are made by the thread that asks for them."""
    threads = set()

    def blocks():
        for number in range(5):
            threads.add(threading.get_ident())
            yield number

    assert list(one_ahead(blocks())) == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in threads


def test_progress_is_another_for_each_use():
    """Fails if the workers that all share are changed by one that shows a bar."""
    told = []
    mine = HERE.reporting(told.append)
    mine.progress(3)
    HERE.progress(4)
    assert told == [3]
    assert mine.number == HERE.number
    assert ALONE.threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity():
    """Fails if more threads run than the process has cores."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert HERE.threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def groups(folder, own, files):
    """A made-up /sys/fs/cgroup and /proc/self/cgroup."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "own").write_text(own)
    return folder, folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="version 2"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, float("inf"), id="no limit"),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "200000 100000"}, 0.5,
            id="of the group around",
        ),
        pytest.param(
            "5:memory:/x\n4:cpu,cpuacct:/job\n",
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000", "cpu,cpuacct/job/cpu.cfs_period_us":
             "100000", "memory/x/cpu.max": "1 100000"}, 3.0, id="version 1",
        ),
        pytest.param(
            "4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            float("inf"), id="version 1, no limit",
        ),
        pytest.param("0::/\n", {}, float("inf"), id="nothing said"),
    ],
)  # fmt: skip
def test_quota_of_a_container(tmp_path, own, files, expected):
    """Fails if a container with half a core is filled with the threads of the whole machine."""
    folder, of_process = groups(tmp_path, own, files)
    assert quota(folder, of_process) == expected
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cores(folder, of_process) == (
        most if expected > most else max(1, round(expected + 0.49))
    )


def test_no_control_groups(tmp_path):
    """Fails if a machine without them has no cores."""
    assert cores(tmp_path / "none", tmp_path / "none either") >= 1
