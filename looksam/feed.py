"""The feed of a training: what each rank sees at which step, whatever it saw before."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from looksam.augment import training_batch
from looksam.errors import UserError
from looksam.images import Data
from looksam.lanes import Lanes
from looksam.shares import Drawn, Share

MicroBatch = tuple[Tensor, Tensor]


class Feed:
    """A rank's micro-batches of a whole training, by their number: step x micro-batches of a step + index.

    So a training that goes on asks for the next number and reads nothing before it (streaming, little), and
    neither the end of an epoch nor the number of processes that read makes a difference.
    """

    def __init__(
        self, data: Data, settings: Mapping[str, Any], micro_batches: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.settings = settings
        size = settings["batch_size"] // (ranks * micro_batches)
        steps = len(data.labels) // settings["batch_size"]
        self.share = Share(rank, ranks, micro_batches, size, steps)
        self.order = ORDERS[settings["dataset"]["decode"]](data, settings, self.share)

    def __len__(self) -> int:
        epochs: int = self.settings["epochs"]
        return epochs * self.share.steps * self.share.micro_batches

    @property
    def item_bytes(self) -> int:
        """What a micro-batch takes in memory; mixed images are float32."""
        dataset, is_mixed = self.settings["dataset"], "mixup" in self.settings["augment"].split("+")
        each = dataset["channels"] * dataset["height"] * dataset["width"] * (4 if is_mixed else 1)
        return int(self.share.size * (each + 4 * dataset["classes"]))

    def __getitem__(self, number: int) -> MicroBatch | UserError:
        """Images and targets as of `training_batch`. An error is handed over: raised, a worker garbles it."""
        settings = self.settings
        epoch, in_epoch = divmod(number, self.share.steps * self.share.micro_batches)
        classes = settings["dataset"]["classes"]
        try:
            data, batch, part = self.order.part(epoch, in_epoch)
            return training_batch(settings["augment"], data, batch, part, settings["seed"], epoch, classes)
        except UserError as error:
            return error


# by `decode` of a data set
ORDERS: dict[str, Callable[[Any, Mapping[str, Any], Share], Drawn | Lanes]] = {
    "once": Drawn,
    "each-time": Drawn,
    "streamed": Lanes,
}
