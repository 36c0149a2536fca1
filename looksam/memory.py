"""Memory that this process may still take, and what is refused because it needs more."""

import os
import re
from pathlib import Path

from looksam.errors import UserError

SHARE_OF_MEMORY = 0.8


def check_memory(wanted: int, what: str) -> None:
    """Refuses what would take more than 80 % of the memory that is available. wanted: bytes."""
    available = available_memory()
    if wanted > SHARE_OF_MEMORY * available:
        raise UserError(
            f"{what} take {wanted / 2**30:.1f} GiB decoded, which is more than {SHARE_OF_MEMORY:.0%} of the "
            f"{available / 2**30:.1f} GiB of memory available; a data set that is decoded once "
            "is trained from memory, so use a machine with more of it, a smaller height and width, or "
            "decode: each-time in config/datasets.yaml"
        )


def available_memory() -> int:
    """Bytes that this process may still take: the machine's, or less if Linux or a control group says so."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    if (meminfo := Path("/proc/meminfo")).exists():
        limits += [
            1024 * int(kib) for kib in re.findall(r"^MemAvailable: +(\d+) kB", meminfo.read_text(), re.M)
        ]
    if (cgroup := Path("/proc/self/cgroup")).exists():
        # a job of Slurm or a container is limited by its control group (version 2: line 0::) or one above it
        for group in re.findall(r"^0::/(.*)$", cgroup.read_text(), re.M):
            folder = Path("/sys/fs/cgroup", group)
            files = [level / "memory.max" for level in (folder, *folder.parents)]
            limits += [
                int(file.read_text()) for file in files if file.exists() and file.read_text() != "max\n"
            ]
    return min(limits)
