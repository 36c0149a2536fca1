"""Locks of this machine: held by a process as long as it lives, whatever ends it."""

import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from looksam.errors import UserError
from looksam.results import text_of

SECONDS_TO_GIVE_WAY = 300
# what file systems say that have no locks, as a cluster's may
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """A descriptor that holds the folder's lock for the body, and in processes that inherit it.

    None where another process has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked_where_possible(folder: Path) -> Iterator[int | None]:
    """As `locked`, for what is safe without it too: on a file system without locks, as if it was held."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(locked(folder))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            lock = -1
        yield lock


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """This process has the lock; one that had it is told to end (SIGTERM), and waited for."""
    until = time.monotonic() + SECONDS_TO_GIVE_WAY
    while True:
        with locked(folder) as lock:
            if lock is not None:
                (folder / "pid").write_text(f"{os.getpid()}\n")
                yield
                return
        pid = text_of(folder / "pid") or ""
        if time.monotonic() > until:
            raise UserError(
                f"process {pid.strip()} has the lock of {folder}, and does not end when it is told to"
            )
        if pid.strip():
            os.kill(int(pid), signal.SIGTERM)
        time.sleep(1)


def owner_of(folder: Path) -> str:
    """The process that has the folder's lock, or ""."""
    if not (folder / "lock").exists():
        return ""
    with locked(folder) as lock:
        return "" if lock is not None else f"process {(text_of(folder / 'pid') or '').strip()}"
