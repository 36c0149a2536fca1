"""glibc's allocator, told to keep the memory that a training asks for again each step."""

import ctypes
import sys

# what `mallopt` takes, from glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# the largest that glibc takes: a block above it is the kernel's, and goes back to it
LARGEST_KEPT_BYTES = 32 << 20
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> None:
    """Let blocks of up to 32 MiB, once freed, stay this process's; where there is no glibc, do nothing.

    Or the activations of a small network on a CPU go back to the kernel after each step, which then clears
    each page of the next step's before it hands it out. No result changes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)
