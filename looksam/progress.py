"""What a person sees of a training: a bar on a terminal, plain lines anywhere else."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Never

from tqdm import tqdm

# between two looks at a training, and between two plain lines, so that a log of hours stays readable
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 5.0

# what matters first: a narrow terminal cuts the end off
BAR = "{percentage:3.0f}%|{bar:10}| {elapsed}<{remaining}, {rate_fmt}{postfix} {desc}"


class Progress(NamedTuple):
    """Where a training stands: images trained of all epochs' images, and the present epoch's means so far."""

    epoch: int
    epochs: int
    images: int
    all_images: int
    loss: float
    accuracy: float
    seconds: float

    @property
    def is_last(self) -> bool:
        """Nothing comes after it: the training is done or has diverged."""
        return self.images == self.all_images or not math.isfinite(self.loss)

    @property
    def images_per_second(self) -> float:
        """Training images per second of the whole training so far."""
        return self.images / self.seconds

    @property
    def eta(self) -> float:
        """Seconds left at the present rate."""
        return (self.all_images - self.images) / self.images_per_second


Show = Callable[[Progress], None]


@contextmanager
def shown(run: str) -> Iterator[Show]:
    """A function that shows the run's progress to whoever watches."""
    if sys.stderr.isatty():
        bar: tqdm[Never]
        with tqdm(desc=run, unit=" images", unit_scale=True, dynamic_ncols=True, bar_format=BAR) as bar:
            yield lambda progress: _draw(bar, progress)
    else:
        yield _lines(run)


def _draw(bar: "tqdm[Never]", progress: Progress) -> None:
    bar.total = progress.all_images
    bar.set_postfix_str(f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.1%}", refresh=False)
    bar.update(progress.images - bar.n)


def _lines(run: str) -> Show:
    last = time.monotonic()

    def line(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES and not progress.is_last:
            return
        last = now
        print(
            f"{run}: epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}, "
            f"accuracy {progress.accuracy:.1%}, {progress.images_per_second:,.0f} images/s, "
            f"{progress.seconds:.0f} s, {progress.eta:.0f} s left",
            flush=True,
        )

    return line
