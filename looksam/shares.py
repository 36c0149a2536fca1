"""A rank's share of each batch, and where it is drawn from: any image of the data, each epoch anew."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from looksam.images import Data
from looksam.loader import batches

# what a micro-batch is made of: the data, a batch of positions there, and which of the batch
Part = tuple[Data, Tensor, slice]


class Share(NamedTuple):
    """What a rank takes of each of an epoch's `steps`: so many micro-batches of `size` images."""

    rank: int
    ranks: int
    micro_batches: int
    size: int
    steps: int


class Drawn:
    """Batches of the epoch's order, the same for any ranks and micro-batches that share them."""

    def __init__(self, data: Data, settings: Mapping[str, Any], share: Share) -> None:
        self.data, self.settings, self.share = data, settings, share
        self._drawn: tuple[int, Tensor] = (0, self._batches(0))

    def part(self, epoch: int, number: int) -> Part:
        """What the rank's micro-batch of this number in the epoch is made of."""
        if self._drawn[0] != epoch:
            self._drawn = (epoch, self._batches(epoch))
        step, index = divmod(number, self.share.micro_batches)
        start = (self.share.rank * self.share.micro_batches + index) * self.share.size
        return self.data, self._drawn[1][step], slice(start, start + self.share.size)

    def workers(self, most: int) -> int:
        """How many workers, of so many, share the reading well."""
        return most

    def _batches(self, epoch: int) -> Tensor:
        settings = self.settings
        return batches(len(self.data.labels), settings["batch_size"], settings["seed"], epoch)
