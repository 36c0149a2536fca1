"""The feed of a training: what each rank sees at which step, whatever it saw before."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from looksam.augment import training_batch
from looksam.errors import UserError
from looksam.images import Data
from looksam.loader import batches

MicroBatch = tuple[Tensor, Tensor]


class Feed:
    """A rank's micro-batches of a whole training, by their number: step x micro-batches of a step + index.

    So a training that goes on asks for the next number and reads nothing before it, and neither the end of an
    epoch nor the number of processes that read makes a difference.
    """

    def __init__(
        self, data: Data, settings: Mapping[str, Any], micro_batches: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.data, self.settings, self.count = data, settings, micro_batches
        self.first = rank * micro_batches
        self.size: int = settings["batch_size"] // (ranks * micro_batches)
        self.steps_per_epoch: int = len(data.labels) // settings["batch_size"]
        self._drawn: tuple[int, Tensor] = (0, self._batches(0))

    def __len__(self) -> int:
        epochs: int = self.settings["epochs"]
        return epochs * self.steps_per_epoch * self.count

    @property
    def item_bytes(self) -> int:
        """What a micro-batch takes in memory; mixed images are float32."""
        dataset, is_mixed = self.settings["dataset"], "mixup" in self.settings["augment"].split("+")
        each = dataset["channels"] * dataset["height"] * dataset["width"] * (4 if is_mixed else 1)
        return int(self.size * (each + 4 * dataset["classes"]))

    def __getitem__(self, number: int) -> MicroBatch | UserError:
        """Images and targets as of `training_batch`. An error is handed over: raised, a worker garbles it."""
        settings = self.settings
        step, index = divmod(number, self.count)
        epoch, in_epoch = divmod(step, self.steps_per_epoch)
        start = (self.first + index) * self.size
        classes = settings["dataset"]["classes"]
        if self._drawn[0] != epoch:
            self._drawn = (epoch, self._batches(epoch))
        batch, part = self._drawn[1][in_epoch], slice(start, start + self.size)
        try:
            return training_batch(
                settings["augment"], self.data, batch, part, settings["seed"], epoch, classes
            )
        except UserError as error:
            return error

    def _batches(self, epoch: int) -> Tensor:
        settings = self.settings
        return batches(len(self.data.labels), settings["batch_size"], settings["seed"], epoch)
