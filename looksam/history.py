"""The history of a training: one row a step, with a declared schema."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

# what an ascent step tells of its g_v, as `looksam.diagnostics` finds it
FOUND = ("g_v_over_g", "cos_g_v_old", "reuse_gain")

# loss, accuracy: of the step's batch at its first pass; gradients: passes that the step took. FOUND, and
# judged_top1, the accuracy after the step on the images that judge: null where there is none that is finite
HISTORY = pa.schema(
    [
        ("step", pa.int32()),
        ("epoch", pa.int32()),
        ("loss", pa.float64()),
        ("accuracy", pa.float64()),
        ("lr", pa.float64()),
        ("gradients", pa.int8()),
        *((name, pa.float64()) for name in FOUND),
        ("judged_top1", pa.float64()),
    ]
)


NOTHING: Mapping[str, Tensor] = {}


class History:
    """One row a step; losses and hits stay on the device until they are fetched: no step waits for them.

    images: of a micro-batch. losses, hits: of the steps not fetched yet, each [micro-batches of this rank].
    found: of these steps, what `looksam.diagnostics` found, the same on every rank.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.rows: dict[str, list[Any]] = {name: [] for name in HISTORY.names}
        self.losses: list[Tensor] = []
        self.hits: list[Tensor] = []
        self.found: list[Mapping[str, Tensor]] = []

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return len(self.rows["step"])

    def add(
        self,
        epoch: int,
        losses: Tensor,
        hits: Tensor,
        lr: float,
        gradients: int,
        found: Mapping[str, Tensor] = NOTHING,
    ) -> None:
        """Note a step: of its first pass, each micro-batch's mean loss and how many images were right.

        found: 0-dim tensors on the device by name, of an ascent step.
        """
        self.rows["step"].append(self.steps)
        self.rows["epoch"].append(epoch)
        self.rows["lr"].append(lr)
        self.rows["gradients"].append(gradients)
        self.rows["judged_top1"].append(None)
        self.losses.append(losses)
        self.hits.append(hits)
        self.found.append(found)

    def judge(self, top1: float) -> None:
        """Note the accuracy after the last step."""
        self.rows["judged_top1"][-1] = top1

    def fetch(self, over_ranks: Callable[[Tensor], Tensor] = lambda values: values) -> None:
        """Take the losses and hits of the steps since the last call from the device into the rows.

        over_ranks: the mean over ranks of a tensor on the CPU; all ranks fetch at the same step.
        """
        if self.losses:
            losses, accuracies = over_ranks(self._waiting())
            self.rows["loss"] += losses.tolist()
            self.rows["accuracy"] += accuracies.tolist()
            numbers = iter(fetched([step[name] for step in self.found for name in FOUND if name in step]))
            for step in self.found:
                for name in FOUND:
                    self.rows[name].append(next(numbers) if name in step else None)
            self.losses, self.hits, self.found = [], [], []

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
        """The rows, all of them fetched; float64, NaN for null."""
        rows = {name: self.rows[name] for name in HISTORY.names}
        filled = {name: [math.nan if x is None else x for x in values] for name, values in rows.items()}
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in filled.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        whole = {field.name for field in HISTORY if pa.types.is_integer(field.type)}
        self.rows = {n: (state[n].long() if n in whole else state[n]).tolist() for n in HISTORY.names}
        for name in (*FOUND, "judged_top1"):
            self.rows[name] = [finite(x) for x in self.rows[name]]
        self.losses, self.hits, self.found = [], [], []

    def write(self, path: Path) -> None:
        """Write the rows as Parquet."""
        pq.write_table(pa.table(self.rows, schema=HISTORY), path)


def fetched(values: Sequence[Tensor]) -> list[float | None]:
    """0-dim tensors as numbers, in one transfer; None where not finite."""
    return [finite(x) for x in torch.stack(list(values)).cpu().double().tolist()] if values else []


def finite(value: float) -> float | None:
    """The number, None where it is not finite."""
    return value if math.isfinite(value) else None
