"""The owner of a lease: a process, told from all others, of which others can say whether it lives."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

# of the text of every owner, so that writing one over another in place never changes a file's length
BYTES = 1024


@dataclass(frozen=True)
class Owner:
    """A process and the state of its lease."""

    host: str
    # empty where the kernel does not tell
    machine: str
    pid: int
    # clock ticks since boot, which tell a process from a later one of the same id
    started: int | None
    # Unix time by the owner's clock, for people to read
    since: float
    token: str = field(default_factory=lambda: uuid4().hex)
    beat: int = 0
    released: bool = False

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        return f"process {self.pid} on {self.host} (since {since})"

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        return cls(host(), machine(), os.getpid(), started(os.getpid()), time.time())

    @classmethod
    def parse(cls, content: bytes) -> "Owner | None":
        """The owner that a lease names; None while it is half-written or if it was damaged."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def text(self) -> str:
        """The content of a lease, BYTES long."""
        return json.dumps(asdict(self)).ljust(BYTES)

    def lives(self, observer: "Owner") -> bool | None:
        """Whether the process goes on with its lease; None if `observer` is elsewhere and cannot tell."""
        if self.released:
            return False
        if not self.machine or self.machine != observer.machine:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        # None: another user's process, which the kernel may hide
        return started(self.pid) in (self.started, None)


def host() -> str:
    """The name of this machine, for people."""
    return socket.gethostname()[:255]


def machine() -> str:
    """What two processes share that see each other by process id; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # in another container a process id means another process, and a cloned machine has the same boot id
        return f"{host()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; -1 if it has ended, None if that cannot be read."""
    try:
        # the process's name, in parentheses, may hold anything
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if state in "ZX" else int(fields[18])
