"""What happens beside a training's steps: it is shown."""

import time

from looksam.distributed import Ranks
from looksam.progress import SECONDS_BETWEEN_LOOKS, Show
from looksam.training import Training


class Watch:
    """Called after each step, on every rank; the first one shows."""

    def __init__(self, ranks: Ranks, show: Show) -> None:
        self.ranks, self.show = ranks, show
        self._looked = time.monotonic()

    def __call__(self, training: Training) -> None:
        """Show the training after an epoch, and in between every half second."""
        now = time.monotonic()
        ended = training.place[1] == 0
        if self.ranks.is_first and (ended or now - self._looked > SECONDS_BETWEEN_LOOKS):
            self._looked = now
            self.show(training.progress())
