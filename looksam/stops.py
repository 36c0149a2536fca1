"""Waiting that a signal ends: a launcher is stopped between two calls, and never in the middle of one."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

Work = subprocess.Popen[bytes]

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_END = 10


class Stopped(Exception):
    """A signal asked the launcher to end. number: of the signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.number = number


class Stops:
    """The last signal that asked to stop, and waits that it ends."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    def raise_asked(self) -> None:
        """Stopped if a signal came."""
        if self.asked:
            raise Stopped(self.asked)

    def pause(self, seconds: float) -> None:
        """Let the seconds pass."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.raise_asked()
            time.sleep(min(left, SECONDS_BETWEEN_LOOKS))
        self.raise_asked()

    def code_of(self, work: Work, seconds: float) -> int | None:
        """The work's exit code, None where it goes on after so many seconds."""
        end = time.monotonic() + seconds
        while work.poll() is None and (left := end - time.monotonic()) > 0:
            self.raise_asked()
            time.sleep(min(left, SECONDS_BETWEEN_LOOKS))
        self.raise_asked()
        return work.poll()


@contextmanager
def stops() -> Iterator[Stops]:
    """Note SIGINT, SIGTERM and SIGHUP instead of ending on them. For the main thread."""
    noted = Stops()

    def note(number: int, frame: FrameType | None) -> None:
        noted.asked = signal.Signals(number)

    before = {number: signal.signal(number, note) for number in STOPS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end(work: Work) -> None:
    """End a process that leads a session, with all that it started in it."""
    with suppress(ProcessLookupError):
        os.killpg(work.pid, signal.SIGTERM)
    try:
        work.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        os.killpg(work.pid, signal.SIGKILL)
        work.wait()
