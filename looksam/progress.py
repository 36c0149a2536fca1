"""What a person sees of a training: a bar on a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Never

from tqdm import tqdm

# between two plain lines, so that a log of hours stays readable
SECONDS_BETWEEN_LINES = 5.0


class Progress(NamedTuple):
    """Where a training stands after an epoch: means over that epoch's batches."""

    epoch: int
    epochs: int
    images: int
    loss: float
    accuracy: float
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Training images per second of the whole training so far."""
        return self.images * self.epoch / self.seconds

    @property
    def eta(self) -> float:
        """Seconds left at the present rate."""
        return self.seconds / self.epoch * (self.epochs - self.epoch)


Show = Callable[[Progress], None]


@contextmanager
def shown(run: str) -> Iterator[Show]:
    """A function that shows each epoch's progress of the run to whoever watches."""
    if sys.stderr.isatty():
        bar: tqdm[Never]
        with tqdm(desc=run, unit=" images", unit_scale=True, dynamic_ncols=True) as bar:
            yield lambda progress: _draw(bar, progress)
    else:
        yield _lines(run)


def _draw(bar: "tqdm[Never]", progress: Progress) -> None:
    bar.total = progress.images * progress.epochs
    bar.set_postfix_str(f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.1%}", refresh=False)
    bar.update(progress.images)


def _lines(run: str) -> Show:
    started = last = time.monotonic()

    def line(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.epoch < progress.epochs and now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        print(
            f"{run}: epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}, "
            f"accuracy {progress.accuracy:.1%}, {progress.images_per_second:,.0f} images/s, "
            f"{now - started:.0f} s, {progress.eta:.0f} s left",
            flush=True,
        )

    return line
