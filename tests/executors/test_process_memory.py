"""What processes have of the machine's memory, and how often the system killed some."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from harness.executors.process import oom_kills, over, own

MIB = 2**20
HOLDS = """
import os, time
held = b"x" * (100 * 2**20)
for _ in range({forks}):
    if os.fork() == 0:
        os.write(1, b"held\\n")
        time.sleep(60)
os.write(1, b"held\\n")
time.sleep(60)
"""


@contextmanager
def holding(forks=0):
    """A process that has 100 MiB, and as many forks of it as asked."""
    code = HOLDS.format(forks=forks)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            for _ in range(forks + 1):
                assert process.stdout.readline() == "held\n"
            yield process.pid
        finally:
            os.killpg(process.pid, 9)


def test_only_those_over_their_limit_are_told():
    with holding() as one, holding() as other:
        found = over({one: 80 * MIB, other: 200 * MIB})
        assert list(found) == [one]
        assert 100 * MIB < found[one] < 140 * MIB


def test_what_a_process_has_started_is_its_own():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = HOLDS.format(forks=0)
    with subprocess.Popen([sys.executable, "-c", code, child], process_group=0) as process:
        try:
            until = time.monotonic() + 20
            while not (found := over({process.pid: 100 * MIB})):
                assert time.monotonic() < until
                time.sleep(0.05)
            assert found[process.pid] < 150 * MIB
        finally:
            os.killpg(process.pid, 9)


@pytest.mark.skipif(not hasattr(psutil.Process().memory_full_info(), "pss"), reason="Linux tells")
def test_what_a_process_shares_with_its_forks_counts_once():
    with holding(forks=3) as root:
        assert over({root: 200 * MIB}) == {}
        assert 100 * MIB < over({root: 80 * MIB})[root] < 160 * MIB


def test_a_process_that_is_gone_has_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert over({process.pid: 1}) == {}
    assert own(process.pid) == 0
    assert own(os.getpid()) > MIB


FILES = {
    "proc/vmstat": "nr_free_pages 7\noom_kill 2\n",
    "proc/self/cgroup": "4:memory:/user/one\n0::/user/two\n",
    "sys/fs/cgroup/memory/user/one/memory.oom_control": "under_oom 0\noom_kill 3\n",
    "sys/fs/cgroup/user/two/memory.events": "oom 9\noom_kill 4\noom_group_kill 1\n",
    "sys/fs/cgroup/memory.events": "oom 9\noom_kill 5\n",  # of a container
}


@pytest.mark.parametrize(
    ("present", "kills"),
    [
        ([], None),
        (["proc/vmstat"], 2),
        (["proc/vmstat", "proc/self/cgroup"], 2),
        (list(FILES)[:3], 3),
        (["proc/vmstat", "proc/self/cgroup", "sys/fs/cgroup/memory.events"], 5),
        (list(FILES)[:2] + list(FILES)[3:], 4),
        (["proc/vmstat", "proc/self/cgroup", "sys/fs/cgroup/user/two/memory.events"], 4),
    ],
)
def test_the_system_s_kills_are_those_of_the_group_where_it_counts_them(tmp_path, present, kills):
    for name in present:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(FILES[name])
    assert oom_kills(tmp_path) == kills


def test_this_system_has_a_count_or_none():
    kills = oom_kills()
    assert kills is None or kills >= 0
