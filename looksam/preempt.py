"""Preemption: the signals by which a scheduler asks a training to save and leave."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# Slurm sends SIGTERM at a preemption or the time limit, and what --signal names before it
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@dataclass
class Preemption:
    """Whether this process was asked to leave: `signal` is the first signal's name, such as "SIGTERM"."""

    signal: str | None = None


@contextmanager
def preemption() -> Iterator[Preemption]:
    """Note SIGTERM and SIGUSR1 instead of ending on them; on exit they do again what they did before.

    For the main thread, which alone may set handlers. The training looks at `signal` between two steps.
    """
    asked, process = Preemption(), os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            # a worker forked meanwhile has inherited this handler, and shall end when it is told to
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        asked.signal = asked.signal or signal.Signals(number).name

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            # None: it was set by code outside Python, which cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
