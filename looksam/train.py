"""One training: from a run's settings and its shards to weights, history and timing."""

import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from looksam.augment import training_batch
from looksam.files import replace_file, replace_with
from looksam.history import History
from looksam.loader import Images, batches, load
from looksam.method import Method
from looksam.models import build
from looksam.optimizers import base_optimizer, schedule
from looksam.progress import SECONDS_BETWEEN_LOOKS, Progress, Show
from looksam.sharpness import SharpnessAware


def train(request: Path, show: Show) -> None:
    """Train the run of `run.json`; write history.parquet, timing.json and model.safetensors beside it.

    A training whose loss is no longer finite ends after that epoch; its history shows the step, and
    evaluation says "diverged". All but timing.json is a function of the request's text on one machine.
    """
    run = json.loads(request.read_text())
    settings = run["settings"]
    torch.set_num_threads(settings["threads"])
    device = training_device()
    data = load(Path(run["shards"]), "train", settings["dataset"])
    model = seeded(settings["seed"], lambda: build(settings["model"], settings["dataset"])).to(device)
    training = Training(model, settings, len(data.labels), device)
    seconds = fit(training, data, show)

    folder = request.parent
    replace_file(folder / "model.safetensors", lambda path: path.write_bytes(save(weights(model))))
    replace_file(folder / "history.parquet", training.history.write)
    replace_with(folder / "timing.json", json.dumps(timing(settings, data, device, seconds), indent=1))


class Training:
    """A model and all that changes with it while it trains."""

    def __init__(
        self, model: nn.Module, settings: Mapping[str, Any], images: int, device: torch.device
    ) -> None:
        self.model, self.settings, self.device = model, settings, device
        self.steps = images // settings["batch_size"] * settings["epochs"]
        self.optimizer = base_optimizer(settings, model)
        self.scheduler = schedule(settings, self.optimizer, self.steps)
        self.sharpness = SharpnessAware(model, Method(**settings["method"]))
        self.history = History()

    def step(self, images: Tensor, labels: Tensor, ids: Tensor, epoch: int) -> None:
        """One step on a batch: images [B, C, H, W] uint8, labels and sample ids [B]."""
        settings = self.settings
        inputs, targets = training_batch(
            settings["augment"], images, labels, ids, settings["seed"], epoch, settings["dataset"]["classes"]
        )
        objective = Objective(self.model, inputs.to(self.device), targets.to(self.device), settings)
        gradients = 2 if self.sharpness.is_ascent else 1
        loss = self.sharpness.backward(objective)
        if "clip" in settings:
            clip_grad_norm_(self.model.parameters(), settings["clip"])
        lr = float(self.scheduler.get_last_lr()[0])
        self.history.add(epoch, loss, objective.hits, lr, gradients)
        self.optimizer.step()
        self.scheduler.step()

    def progress(self, epoch: int, means: tuple[float, float], seconds: float) -> Progress:
        """Where the training stands in `epoch`, by its mean loss and accuracy and the seconds so far."""
        batch_size, epochs = self.settings["batch_size"], self.settings["epochs"]
        images = self.history.steps * batch_size
        return Progress(epoch + 1, epochs, images, self.steps * batch_size, *means, seconds)


def fit(training: Training, data: Images, show: Show) -> list[float]:
    """Train until the last epoch or the first whose loss is not finite; the seconds of each epoch."""
    seconds: list[float] = []
    settings = training.settings
    training.model.train()
    for epoch in range(settings["epochs"]):
        started = looked = time.perf_counter()
        for images, labels, ids in batches(data, settings["batch_size"], settings["seed"], epoch):
            training.step(images, labels, ids, epoch)
            now = time.perf_counter()
            if now - looked > SECONDS_BETWEEN_LOOKS:
                looked = now
                show(training.progress(epoch, training.history.means(), sum(seconds) + now - started))
        means = training.history.close_epoch()
        seconds.append(time.perf_counter() - started)
        show(training.progress(epoch, means, sum(seconds)))
        if not math.isfinite(means[0]):
            break
    return seconds


class Objective:
    """The closure of one batch: forward and backward, and the loss; `hits` are the first pass's."""

    def __init__(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, settings: Mapping[str, Any]
    ) -> None:
        self.model, self.inputs, self.targets = model, inputs, targets
        self.label_smoothing = settings["label_smoothing"]
        self.bf16 = settings["precision"] == "bf16"
        self.hits: Tensor = torch.empty(0)

    def __call__(self) -> Tensor:
        """The mean cross-entropy against targets [B, classes], whose gradient is left in the parameters."""
        self.model.zero_grad()
        with torch.autocast(self.inputs.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.model(self.inputs)
            loss = cross_entropy(logits, self.targets, label_smoothing=self.label_smoothing)
        loss.backward()
        if not self.hits.numel():
            self.hits = (logits.detach().argmax(1) == self.targets.argmax(1)).double().mean()
        return loss


def training_device() -> torch.device:
    """The machine's accelerator, or its CPU."""
    if torch.accelerator.is_available():
        return torch.device(torch.accelerator.current_accelerator() or "cpu")
    return torch.device("cpu")


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` returns from random numbers set to `seed`, which go on into dropout and drop path."""
    torch.manual_seed(seed)
    return make()


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and buffers, on the CPU, as safetensors takes them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def timing(
    settings: Mapping[str, Any], data: Images, device: torch.device, seconds: list[float]
) -> dict[str, Any]:
    """What may differ between two equal runs: seconds, rates, the machine, its packages' versions."""
    images = len(data.labels) // settings["batch_size"] * settings["batch_size"]
    # the first epoch warms caches up; the mean of the others, because with k above the steps of an epoch some
    # epochs have no ascent step
    warm = seconds[1:] or seconds
    seconds_per_epoch = sum(warm) / len(warm)
    return {
        "seconds": sum(seconds),
        "seconds_per_epoch": seconds_per_epoch,
        "images_per_second": images / seconds_per_epoch,
        "host": platform.node(),
        "device": device.type,
        "versions": {name: version(name) for name in ("looksam", "torch", "timm")},
    }
