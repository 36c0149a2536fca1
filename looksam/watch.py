"""What happens beside a training's steps: it is owned, shown, saved, resumed, and left when a signal asks."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from looksam.checkpoint import Checkpoints
from looksam.choice import chosen_path, with_choice
from looksam.distributed import Ranks
from looksam.errors import Preempted
from looksam.files import replace_with
from looksam.lease import lease
from looksam.preempt import Preemption, preemption
from looksam.progress import SECONDS_BETWEEN_LOOKS, Show
from looksam.requests import checked, consumed
from looksam.training import Training

SECONDS_BETWEEN_REPORTS = 10.0
# what the first rank tells the others as long as another process has the run
WAITING = None


class Care(NamedTuple):
    """How a training is looked after: what decides none of its numbers.

    show: what a person sees of it. seconds_between_checkpoints: how much a killed training loses at most.
    wait: seconds to wait for another process that trains the run. workers: processes that read images for
    each rank; None: as many as pay.
    """

    show: Show
    seconds_between_checkpoints: float = 600.0
    wait: float = 0.0
    workers: int | None = None


class Watch:
    """Called after each step, on every rank; the first one, which has the checkpoints, shows and writes."""

    def __init__(
        self, folder: Path, ranks: Ranks, care: Care, asked: Preemption, checkpoints: Checkpoints | None
    ) -> None:
        self.folder, self.ranks, self.care, self.asked = folder, ranks, care, asked
        self.checkpoints = checkpoints
        self._looked = self._reported = self._saved = time.monotonic()
        self._is_first = True  # checkpoint of this process, whose memory is best made ready in advance

    def resume(self, training: Training) -> None:
        """Go on from the newest checkpoint, where there is one."""
        state = self.ranks.told(self.checkpoints.load() if self.checkpoints else None)
        if state is not None:
            training.load(state)
            if self.checkpoints:
                print(f"{self.folder.name}: goes on after step {training.history.steps}", flush=True)

    def __call__(self, training: Training) -> None:
        """Show, report and save the training where it is time to, and leave it where a signal asked to."""
        now = time.monotonic()
        is_due = False
        if self.checkpoints:
            self._tell(training, now)
            is_due = now > self._saved + self.care.seconds_between_checkpoints
            if self._is_first and now > self._saved + self.care.seconds_between_checkpoints / 2:
                self._is_first = False
                self.checkpoints.prepare(training.state())
        is_asked, is_due = self.ranks.agreed([self.asked.signal is not None, is_due])
        if training.is_done or not (is_asked or is_due):
            return
        training.history.fetch(self.ranks.mean)
        if self.checkpoints:
            self.checkpoints.save(training.history.steps, training.state())
        self._saved = time.monotonic()
        training.count_seconds(is_training=False)
        if is_asked:
            self._leave(training)

    def _tell(self, training: Training, now: float) -> None:
        """Show the training after an epoch, and in between every half second; every ten in a file."""
        is_time = now - self._looked > SECONDS_BETWEEN_LOOKS
        if not is_time and training.place[1] != 0:
            return
        progress = training.progress()
        self._looked = now
        self.care.show(progress)
        if now - self._reported > SECONDS_BETWEEN_REPORTS:
            self._reported = now
            told = {
                "run": self.folder.name,
                "step": training.history.steps,
                "steps": training.steps,
                "epoch": progress.epoch,
                "epochs": progress.epochs,
                "loss": progress.loss,
                "accuracy": progress.accuracy,
                "images_per_second": progress.images_per_second,
                "seconds": progress.seconds,
                "eta_seconds": progress.eta,
                "updated": time.time(),
                "host": platform.node(),
                "pid": os.getpid(),
                "ranks": self.ranks.size,
            }
            replace_with(self.folder / "progress.json", json.dumps(told, indent=1))

    def _leave(self, training: Training) -> None:
        step, signal = training.history.steps, self.asked.signal
        if self.checkpoints:
            self.checkpoints.wait()
            left = {"step": step, "updated": time.time(), "signal": signal}
            replace_with(self.folder / "preempted.json", json.dumps(left, indent=1))
        # no rank ends before the checkpoint is on the disk: torchrun ends the others with the first
        self.ranks.settle()
        raise Preempted(
            f"{signal or 'a signal to another rank'} stopped it after step {step} of {training.steps}; "
            "it is saved, and the same command goes on from there"
        )


@contextmanager
def watched(request: Path, ranks: Ranks, care: Care) -> Iterator[tuple[str, Watch]]:
    """The request's text, chosen values in it, and who looks after its training; the run is this process's.

    When the body ends well, its results are those of the request, and nothing else is left of the training.
    """
    folder = checked(request).parent
    with preemption() as asked:
        if not ranks.is_first:
            while (text := ranks.told(None)) is WAITING:
                pass
            yield text, Watch(folder, ranks, care, asked, None)
            return
        # a rank that is told nothing for half an hour takes the first for dead
        with lease(folder, wait=care.wait, meanwhile=lambda: ranks.told(WAITING)) as held:
            with consumed(request) as asked_for:
                text = with_choice(asked_for, request)
                with Checkpoints(folder, text, held.generation, held.check) as checkpoints:
                    remove_half_written(folder)
                    (folder / "preempted.json").unlink(missing_ok=True)
                    ranks.told(text)
                    yield text, Watch(folder, ranks, care, asked, checkpoints)
                    held.check()
                if text != asked_for:
                    replace_with(chosen_path(request), text)
            checkpoints.remove()
            (folder / "progress.json").unlink(missing_ok=True)


def remove_half_written(folder: Path) -> None:
    """Delete what a killed training was writing; of leases, other processes may be writing theirs now."""
    for path in folder.glob(".*"):
        if not path.name.startswith(".lease"):
            path.unlink(missing_ok=True)
