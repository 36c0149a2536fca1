"""The history of a training: one row a step, with a declared schema."""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

# loss, accuracy: of the step's batch at its first pass; gradients: passes that the step took
HISTORY = pa.schema(
    [
        ("step", pa.int32()),
        ("epoch", pa.int32()),
        ("loss", pa.float64()),
        ("accuracy", pa.float64()),
        ("lr", pa.float64()),
        ("gradients", pa.int8()),
    ]
)


class History:
    """One row a step; losses and hits stay on the device until they are fetched: no step waits for them.

    images: of a micro-batch. losses, hits: of the steps not fetched yet, each [micro-batches of this rank].
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.rows: dict[str, list[Any]] = {name: [] for name in HISTORY.names}
        self.losses: list[Tensor] = []
        self.hits: list[Tensor] = []

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return len(self.rows["step"])

    def add(self, epoch: int, losses: Tensor, hits: Tensor, lr: float, gradients: int) -> None:
        """Note a step: of its first pass, each micro-batch's mean loss and how many images were right."""
        self.rows["step"].append(self.steps)
        self.rows["epoch"].append(epoch)
        self.rows["lr"].append(lr)
        self.rows["gradients"].append(gradients)
        self.losses.append(losses)
        self.hits.append(hits)

    def fetch(self, over_ranks: Callable[[Tensor], Tensor] = lambda values: values) -> None:
        """Take the losses and hits of the steps since the last call from the device into the rows.

        over_ranks: the mean over ranks of a tensor on the CPU; all ranks fetch at the same step.
        """
        if self.losses:
            losses, accuracies = over_ranks(self._waiting())
            self.rows["loss"] += losses.tolist()
            self.rows["accuracy"] += accuracies.tolist()
            self.losses, self.hits = [], []

    def means(self, steps: int) -> tuple[float, float]:
        """Mean loss and accuracy of the last steps, not finite once diverged; waits for the device.

        Of steps that are not fetched yet, as this rank saw them.
        """
        losses, accuracies = self._waiting().tolist() if self.losses else ([], [])
        rows = self.rows
        return fmean((rows["loss"] + losses)[-steps:]), fmean((rows["accuracy"] + accuracies)[-steps:])

    def _waiting(self) -> Tensor:
        """Loss and accuracy on this rank of the steps not fetched yet; float64 [2, steps], on the CPU."""
        losses, hits = (torch.stack(values).cpu().double().mean(1) for values in (self.losses, self.hits))
        return torch.stack([losses, hits / self.images])

    def state(self) -> dict[str, Tensor]:
        """The rows, all of them fetched; float64."""
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in self.rows.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        whole = {field.name for field in HISTORY if pa.types.is_integer(field.type)}
        self.rows = {n: (state[n].long() if n in whole else state[n]).tolist() for n in HISTORY.names}
        self.losses, self.hits = [], []

    def write(self, path: Path) -> None:
        """Write the rows as Parquet."""
        pq.write_table(pa.table(self.rows, schema=HISTORY), path)
