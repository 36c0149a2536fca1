"""The closure of a micro-batch: forward and backward, once, or twice on ascent steps."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from looksam.augment import evaluation_batch
from looksam.draws import key


class Objective:
    """The loss of the `index`-th of `count` micro-batches of a rank.

    take: gives images [n, C, H, W] of 0..255 and targets float32 [n, classes], at the first of so many
    `passes`; after the last they are let go, so that a step of one pass holds one micro-batch at a time.
    masks: what decides the masks of dropout and drop path, which are the same in both passes but where the
    method's `replay` is off. hits: how many images were right at the first pass, 0-dim.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Mapping[str, Any],
        take: Callable[[], tuple[Tensor, Tensor]],
        passes: int,
        place: tuple[int, int],
        masks: tuple[int, ...],
    ) -> None:
        self.model, self.settings, self.masks = model, settings, masks
        self.take, self.left = take, passes
        self.index, self.count = place
        self.passes = 0
        self.hits: Tensor = torch.empty(0)
        self._batch: tuple[Tensor, Tensor] | None = None

    def __call__(self) -> Tensor:
        """The mean cross-entropy, 0-dim; the gradient of its share of the rank's is added to the others'."""
        settings = self.settings
        device = next(self.model.parameters()).device
        images, targets = (x.to(device, non_blocking=True) for x in self._taken())
        inputs = evaluation_batch(images)
        if settings.get("memory_format") == "channels_last":
            inputs = inputs.to(memory_format=torch.channels_last)
        if self.index == 0:
            self.model.zero_grad()
        replayed = settings["method"].get("replay", True)
        torch.manual_seed(key(*self.masks, 0 if replayed else self.passes))
        bf16 = settings["precision"] == "bf16"
        with self._averaging():
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = self.model(inputs)
                loss = cross_entropy(logits, targets, label_smoothing=settings["label_smoothing"])
            (loss / self.count).backward()
        if not self.passes:
            self.hits = (logits.detach().argmax(1) == targets.argmax(1)).sum()
        self.passes += 1
        return loss.detach()

    def _taken(self) -> tuple[Tensor, Tensor]:
        batch = self._batch or self.take()
        self.left -= 1
        self._batch = batch if self.left else None
        return batch

    def _averaging(self) -> AbstractContextManager[None]:
        """DistributedDataParallel averages over ranks with a rank's last micro-batch."""
        if self.index < self.count - 1 and isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return nullcontext()
