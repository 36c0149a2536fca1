"""The environment of a training: what may change its numbers, and is no setting of the run."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

CHECKOUT = Path(__file__).parents[1]


def environment(device: torch.device, ranks: int = 1) -> dict[str, Any]:
    """Versions, device, ranks and threads of this process, and whether its sums come out the same again.

    Keys and types as in `looksam.origins.ENVIRONMENT`. device: of each of the ranks. Nothing here raises.
    """
    return {
        "device": model_of(device),
        "type": device.type,
        "ranks": ranks,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "timm": installed("timm"),
        "looksam": installed("looksam"),
        "commit": commit(CHECKOUT),
        "python": platform.python_version(),
        "determinism": determinism(device, ranks),
    }


def model_of(device: torch.device) -> str:
    """The device as its maker calls it, or what is known of it."""
    if device.type == "cpu":
        return cpu_model(Path("/proc/cpuinfo"))
    try:
        return str(torch.get_device_module(device).get_device_name(device))
    except (AttributeError, RuntimeError, AssertionError):  # not every backend has names
        return device.type


def cpu_model(cpuinfo: Path) -> str:
    """The first processor's name in Linux's cpuinfo; without one the platform's, or the instruction set."""
    try:
        named = re.search(r"^model name\s*: *(.*\S)", cpuinfo.read_text(), re.M)
    except OSError:
        named = None
    return named[1] if named else platform.processor() or platform.machine()


def installed(package: str) -> str | None:
    """The package's version, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit(checkout: Path) -> str | None:
    """The checkout's commit, with "+changes" where its package differs from it; None where git knows none."""
    if not (checkout / ".git").exists():  # or git would look for one in the folders above
        return None
    # without locks, because other trainings ask at the same time
    git = ["git", "--no-optional-locks", "-C", os.fspath(checkout)]
    said = []
    for command in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--", "looksam"]):
        try:
            done = subprocess.run([*git, *command], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        said.append(done.stdout.strip())
    return said[0] + ("+changes" if said[1] else "")


def determinism(device: torch.device, ranks: int) -> str:
    """Whether the same run gives the same bits here again, and why not."""
    if device.type == "cpu":
        # the thread count, on which sums depend, is the run's; gloo adds the ranks in a fixed order
        return "bitwise on this device"
    if device.type != "cuda":
        return f"unknown: never tried on {device.type}"
    if (
        not torch.are_deterministic_algorithms_enabled()
        or torch.is_deterministic_algorithms_warn_only_enabled()
    ):
        return "not bitwise: CUDA without torch.use_deterministic_algorithms"
    if ranks > 1:
        return "not bitwise: the order in which ranks are added is NCCL's choice"
    return "bitwise on this device"
