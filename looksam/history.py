"""The history of a training: one row a step, with a declared schema."""

from dataclasses import dataclass, field
from pathlib import Path
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


@dataclass
class History:
    """One row a step; losses and hits stay on the device until the epoch's end: no step waits for them."""

    rows: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in HISTORY.names})
    losses: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return len(self.rows["step"])

    def add(self, epoch: int, loss: Tensor, hits: Tensor, lr: float, gradients: int) -> None:
        """Note a step: its first pass's loss and the fraction of its batch that was right, both 0-dim."""
        self.rows["step"].append(self.steps)
        self.rows["epoch"].append(epoch)
        self.rows["lr"].append(lr)
        self.rows["gradients"].append(gradients)
        self.losses.append(loss.detach())
        self.hits.append(hits)

    def means(self) -> tuple[float, float]:
        """The present epoch's mean loss (not finite once diverged) and accuracy; waits for the device."""
        return float(torch.stack(self.losses).double().mean()), float(torch.stack(self.hits).mean())

    def close_epoch(self) -> tuple[float, float]:
        """Fetch the epoch's losses and hits from the device; their means."""
        means = self.means()
        self.rows["loss"] += torch.stack(self.losses).double().tolist()
        self.rows["accuracy"] += torch.stack(self.hits).tolist()
        self.losses, self.hits = [], []
        return means

    def write(self, path: Path) -> None:
        """Write the rows as Parquet."""
        pq.write_table(pa.table(self.rows, schema=HISTORY), path)
