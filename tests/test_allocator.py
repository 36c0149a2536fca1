import ctypes
import subprocess
import sys

import pytest

from looksam.allocator import LARGEST_INT, LARGEST_KEPT_BYTES, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")

# pages that the kernel hands out for ten steps of a small network, after ten others
FAULTS = """
import resource, sys
import torch
from looksam.allocator import keep_freed_memory
from looksam.models import build

if sys.argv[1] == "kept":
    keep_freed_memory()
torch.set_num_threads(1)
dataset = {"height": 14, "width": 14, "channels": 1, "classes": 10}
network = build({"architecture": "wrn", "depth": 10, "width": 1}, dataset)
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        network.zero_grad()
        network(torch.randn(100, 1, 14, 14)).sum().backward()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(memory: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, memory], capture_output=True, text=True, check=True)
    return int(done.stdout)


@glibc
def test_a_training_step_gets_few_new_pages_where_freed_ones_are_kept() -> None:
    # some hundred against forty thousand; a fourth leaves room for another torch and another glibc
    assert faults("kept") < faults("returned") / 4


@glibc
def test_the_allocator_takes_both_settings() -> None:
    """mallopt answers 1 where it takes one, and says nothing else."""
    mallopt = ctypes.CDLL(None).mallopt
    assert mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES) == mallopt(M_TRIM_THRESHOLD, LARGEST_INT) == 1
