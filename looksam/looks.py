"""Looks of shadow steps: gradients of batches of their own, and what reuse would make of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from looksam.augment import training_batch
from looksam.descent import Alpha, reuse
from looksam.draws import key
from looksam.images import Data
from looksam.objective import Objective
from looksam.refresh import Refresh, products, refresh, whole
from looksam.sharpness import SharpnessAware
from looksam.training import Training
from looksam.vector import Vector, cosine, dot, ratio, reject


class Seen(NamedTuple):
    """What a look at a batch found; g_v is orthogonal to its g."""

    g: Vector
    g_s: Vector
    g_v: Vector


class Looks:
    """Looks at batches by number, as a training's steps would, but for augmentation.

    probe: looks at each of its steps. batches: int64 [count, batch_size], positions of their images. The
    masks of a batch's dropout are the same whenever it is looked at.
    """

    def __init__(self, training: Training, data: Data, probe: SharpnessAware, batches: Tensor) -> None:
        self.training, self.data, self.probe, self.batches = training, data, probe, batches
        trainable = {name: p for name, p in training.model.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trainable), list(trainable.values())

    def both(self, number: int) -> Seen:
        """g and g_s of a batch at the present weights, in two passes."""
        objective = self.objective(number, 2)
        found: list[Vector] = []

        def look() -> Tensor:
            loss = objective()
            found.append(self.gradient())
            return loss

        self.probe.backward(look)
        g, g_s = found
        return Seen(g, g_s, reject(g_s, g))

    def first(self, number: int) -> Vector:
        """g of a batch at the present weights, in one pass."""
        self.objective(number, 1)()
        return self.gradient()

    def step_along(self, g: Vector) -> None:
        """One step of the base optimizer, clipped as the run's are; g is clipped in place."""
        settings = self.training.settings
        for p, x in zip(self.parameters, g, strict=True):
            p.grad = x
        if "clip" in settings:
            clip_grad_norm_(self.parameters, settings["clip"])
        self.training.optimizer.step()

    def gradient(self) -> Vector:
        """A copy of what is in `p.grad`."""
        return [p.grad.detach().clone() for p in self.parameters if p.grad is not None]

    def objective(self, number: int, passes: int) -> Objective:
        """The closure of a batch."""
        training, settings = self.training, self.training.settings
        of, classes = slice(None), settings["dataset"]["classes"]
        batch = training_batch("none", self.data, self.batches[number], of, settings["seed"], 0, classes)
        # no part of a batch of the training has a number below 0
        masks = (settings["seed"], training.history.steps, -1 - number)
        return Objective(training.model, settings, lambda: batch, passes, (0, 1), masks)


def drawn(images: int, batch_size: int, count: int, *of: int) -> Tensor:
    """So many batches, int64 [count, batch_size], that none but the first has images of the first in it.

    of: what decides them. Each is drawn from all images, or all but those of the first, without putting back.
    """
    generator = torch.Generator().manual_seed(key(*of))
    first, rest = torch.randperm(images, generator=generator).split([batch_size, images - batch_size])
    others = [rest[torch.randperm(len(rest), generator=generator)[:batch_size]] for _ in range(count - 1)]
    return torch.stack([first, *others])


def refreshed(names: Sequence[str], seen: Seen, old: Refresh | None) -> Refresh:
    """The refresh of a look, after another, over the whole model."""
    found = products(seen.g, seen.g_s, list(old.g_v.values()) if old else [])
    along = ratio(dot(seen.g, seen.g_s), dot(seen.g, seen.g))
    return refresh(dict(zip(names, seen.g_v, strict=True)), found, along, whole, old)


def gain(seen: Seen, last: Refresh, alpha: Alpha) -> Tensor:
    """cos(q, g_s) - cos(g, g_s), q what reusing the last refresh hands over in the place of g; 0-dim."""
    q = [x.clone() for x in seen.g]
    reuse(q, last, alpha, seed=0)
    return cosine(q, seen.g_s) - cosine(seen.g, seen.g_s)
