"""Freed memory is kept for what is allocated next, and given back at the end."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from harness.training.text.heap import freed_memory_kept

MEASURE = """
import json, resource
import psutil
from harness.training.text.heap import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"1" * 2**26
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return psutil.Process().memory_info().rss

before = faults()
with freed_memory_kept():
    faults()
    within = faults()
    large, above = b"1" * 2**27, b"1" * 2**20
    del large
    during = held()
given_back = during - held()
del above
print(json.dumps([before, within, faults(), given_back]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's C library")
def test_pages_are_cleared_once():
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, check=True)
    before, within, after, given_back = json.loads(done.stdout)
    pages = 5 * 2**26 / resource.getpagesize()
    assert before > pages / 2
    assert within < pages / 10
    assert after > pages / 2
    assert given_back > 2**26  # also below what is still held


def test_another_library_is_left_alone(monkeypatch):
    from harness.training.text import heap

    class Other:
        def __init__(self, _):
            pass

    monkeypatch.setattr(heap.ctypes, "CDLL", Other)
    with freed_memory_kept():
        pass
