"""What Torch's device does to the process that computes on it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch


FAULTS = """
import resource, sys
import torch
from harness.training.device_torch import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.zeros(10)
faults()
given_back = faults()
keep_freed_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told")
def test_freed_memory_is_kept_for_the_next_array():
    run = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    given_back, kept = map(int, run.stdout.split())
    assert kept < 100 < given_back
