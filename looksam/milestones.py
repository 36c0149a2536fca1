"""Milestones: how accurate a training is on its way, on the images that judge its end; decides nothing."""

import json
from collections.abc import Mapping
from typing import Any

import torch

from looksam.distributed import Ranks
from looksam.outcomes import judging_images, outcomes, summary
from looksam.training import Training

# in a training, at equal distances; the last is its end
COUNT = 10


def epochs_of(epochs: int) -> list[int]:
    """How many epochs are done at each milestone."""
    return sorted({-(-number * epochs // COUNT) for number in range(1, COUNT + 1)})


class Milestones:
    """Judges a training after some of its epochs; no trial of a search, which test images must not choose."""

    def __init__(self, run: Mapping[str, Any], workers: int | None) -> None:
        settings = run["settings"]
        self.split = (run["shards"], json.dumps(settings["dataset"]), 0)
        self.epochs = [] if settings.get("validation_images") else epochs_of(settings["epochs"])
        self.workers = workers

    def __call__(self, training: Training) -> None:
        """Note the accuracy in the history where a milestone is reached; its time is not the training's.

        By the first rank alone, whose BatchNorm statistics are the ones that count; the others wait for it
        at the next step.
        """
        done, in_epoch = training.place
        if in_epoch or done not in self.epochs or not training.ranks.is_first:
            return
        training.history.judge(self.top1(training))
        training.count_seconds(is_training=False)

    def top1(self, training: Training) -> float:
        """The accuracy now, in float32; weights, buffers and random numbers are left as they are."""
        network = training.network if training.average is None else training.average.module
        alone = Ranks(0, 1, training.ranks.device)
        before = {module: module.training for module in network.modules()}
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            network.eval()
            try:
                # not the call, which may be compiled, and would be again for these batches
                each = outcomes(network.forward, judging_images(*self.split), alone, self.workers)
            finally:
                for module, was in before.items():
                    module.training = was
        return float(summary(each)["top1"])
