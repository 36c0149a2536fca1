"""A model and all that changes with it while it trains: a step, an epoch, and the state to go on from."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from looksam.device import prepared
from looksam.distributed import Ranks
from looksam.errors import UserError
from looksam.feed import MicroBatch
from looksam.history import History
from looksam.method import Method
from looksam.objective import Objective
from looksam.optimizers import base_optimizer, schedule
from looksam.progress import Progress
from looksam.sharpness import SharpnessAware


class Training:
    """One rank's part in a training.

    seconds: of each epoch so far, the last one's still growing. cold: the epochs in which a process began.
    shadow: rows that were measured on the way, of plain values.
    """

    def __init__(self, network: nn.Module, settings: Mapping[str, Any], images: int, ranks: Ranks) -> None:
        self.settings, self.ranks = settings, ranks
        self.steps_per_epoch: int = images // settings["batch_size"]
        self.steps: int = self.steps_per_epoch * settings["epochs"]
        self.micro_batches = micro_batches(settings, ranks.size)
        self.average = averaged_over_steps(network.to(ranks.device), settings)
        self.network = prepared(network, settings, ranks.device).train()
        self.optimizer = base_optimizer(settings, network)
        self.scheduler = schedule(settings, self.optimizer, self.steps)
        self.model = ranks.averaged(network)
        self.sharpness = SharpnessAware(self.model, method_of(settings, ranks.size))
        images_at_once = settings["batch_size"] // (ranks.size * self.micro_batches)
        self.history = History(images_at_once)
        self.seconds: list[float] = []
        self.cold = {0}
        self.shadow: list[dict[str, Any]] = []
        self._clock = time.perf_counter()

    @property
    def is_done(self) -> bool:
        """There is no step left, or the epoch that just ended has a loss that is not finite."""
        epoch, in_epoch = self.place
        if epoch > 0 and in_epoch == 0 and not math.isfinite(self.means()[0]):
            return True
        return self.history.steps == self.steps

    @property
    def place(self) -> tuple[int, int]:
        """The epoch of the next step, and its number there."""
        return divmod(self.history.steps, self.steps_per_epoch)

    def step(self, feed: Iterator[MicroBatch]) -> None:
        """One step on this rank's next micro-batches of a Feed."""
        epoch, in_epoch = self.place
        if in_epoch == 0:
            self.seconds.append(0.0)
        gradients = 2 if self.sharpness.is_ascent else 1
        objectives = self.objectives(feed, gradients)
        losses = self.sharpness.backward(objectives)
        if "clip" in self.settings:
            clip_grad_norm_(self.model.parameters(), self.settings["clip"])
        lr = float(self.scheduler.get_last_lr()[0])
        hits = torch.stack([objective.hits for objective in objectives])
        found = self.sharpness.diagnostics if gradients == 2 else {}
        self.history.add(epoch, torch.stack(losses), hits, lr, gradients, found)
        self.optimizer.step()
        self.scheduler.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self.place[1] == 0:
            self.history.fetch(self.ranks.mean)
        self.count_seconds()

    def objectives(self, feed: Iterator[MicroBatch], passes: int) -> list[Objective]:
        """The closures of this rank's micro-batches, each of which takes its own when it is called."""
        found = []
        for index in range(self.micro_batches):
            part = self.ranks.rank * self.micro_batches + index  # of all parts of the batch
            masks = (self.settings["seed"], self.history.steps, part)
            place = (index, self.micro_batches)
            found.append(Objective(self.model, self.settings, partial(next, feed), passes, place, masks))
        return found

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch of the last step so far; waits for the device."""
        return self.history.means((self.history.steps - 1) % self.steps_per_epoch + 1)

    def count_seconds(self, is_training: bool = True) -> None:
        """Add the time since the last call to the epoch's, or pass over it where something else was done."""
        now = time.perf_counter()
        if is_training and self.seconds:
            self.seconds[-1] += now - self._clock
        self._clock = now

    def progress(self) -> Progress:
        """Where the training stands, its epoch's loss and accuracy as this rank sees them."""
        batch_size, steps = self.settings["batch_size"], self.history.steps
        epoch = (steps - 1) // self.steps_per_epoch + 1
        images, all_images = steps * batch_size, self.steps * batch_size
        return Progress(epoch, self.settings["epochs"], images, all_images, *self.means(), sum(self.seconds))

    def weights(self) -> dict[str, Tensor]:
        """The parameters and buffers to evaluate, on the CPU: the moving average's, where there is one."""
        network = self.network if self.average is None else self.average.module
        return {name: x.detach().cpu().contiguous() for name, x in network.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """All that a training must have to go on as if it had never stopped; tensors are not copied.

        The history's rows must have been fetched. All ranks have the same state.
        """
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "sharpness": named(self.sharpness.state_dict(), lambda name: name.removeprefix("module.")),
            "history": self.history.state(),
            "seconds": self.seconds,
            "cold": sorted(self.cold),
            "shadow": self.shadow,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        prefix = "" if self.model is self.network else "module."
        self.sharpness.load_state_dict(named(state["sharpness"], lambda name: prefix + name))
        self.history.load(state["history"])
        self.seconds = list(state["seconds"])
        self.shadow = list(state["shadow"])
        self.cold = {*state["cold"], self.place[0]}
        self.count_seconds(is_training=False)


def micro_batches(settings: Mapping[str, Any], ranks: int) -> int:
    """In how many equal micro-batches each rank takes its share of a batch: as few as may be.

    settings: `micro_batch_size` is the most images that a device takes at once; without it, the whole share.
    """
    batch_size = settings["batch_size"]
    share, rest = divmod(batch_size, ranks)
    if rest:
        raise UserError(
            f"batch_size {batch_size} cannot be shared by {ranks} ranks; start as many as divide it"
        )
    largest = settings.get("micro_batch_size", share)
    return next(count for count in range(1, share + 1) if share % count == 0 and share <= count * largest)


def method_of(settings: Mapping[str, Any], ranks: int) -> Method:
    """The run's method; a rank that is alone has no gradient of its own beside the whole batch's."""
    method = dict(settings["method"])
    if ranks == 1 and method.get("perturbation") == "rank":
        method["perturbation"] = "synchronised"
    return Method(**method)


def averaged_over_steps(network: nn.Module, settings: Mapping[str, Any]) -> AveragedModel | None:
    """The moving average of the weights, where the run has one; ema: how much of it a step keeps, 0 to 1."""
    if "ema" not in settings:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings["ema"]))


def named(sharpness: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """The state of a sharpness-aware gradient with its parameters renamed: DDP puts a prefix before each."""
    refreshes = [
        refresh | {"g_v": {rename(name): x for name, x in refresh["g_v"].items()}}
        for refresh in sharpness["refreshes"]
    ]
    return {**sharpness, "refreshes": refreshes}
