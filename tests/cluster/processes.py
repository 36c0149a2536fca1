"""Processes of this machine, found by what they started with, and its free ports."""

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path


def marked(variable: str) -> set[int]:
    """Every process that was started with the variable, NAME=value."""
    found = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if f"\0{variable}\0".encode() in b"\0" + (entry / "environ").read_bytes():
                found.add(int(entry.name))
    return found


def environment_of(pid: int) -> Mapping[str, str]:
    """A process's variables as it started."""
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def command_line(pid: int) -> str:
    """A process's command, nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def of_node(pid: int, node: str) -> bool:
    """Whether a job's process runs on the virtual node."""
    with suppress(OSError):
        return environment_of(pid).get("SLURMD_NODENAME") == node
    return False


def parent_of(pid: int) -> int:
    """The process that started it, 0 where it has ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return 0


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def free_ports(count: int) -> list[int]:
    """So many ports of loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Return once it is so; AssertionError if it is not within the time."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds:g} s: {is_so}"
        time.sleep(0.2)
