"""One training: from a run's settings and its shards to weights, history and timing."""

import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from looksam.augment import training_batch
from looksam.files import replace_file, replace_with
from looksam.loader import Images, batches, load
from looksam.models import build
from looksam.optimizers import base_optimizer, schedule
from looksam.progress import Progress, Show
from looksam.sharpness import Method, SharpnessAware

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

    def add(self, epoch: int, loss: Tensor, hits: Tensor, lr: float, gradients: int) -> None:
        """Note a step: its first pass's loss and the fraction of its batch that was right."""
        self.rows["step"].append(len(self.rows["step"]))
        self.rows["epoch"].append(epoch)
        self.rows["lr"].append(lr)
        self.rows["gradients"].append(gradients)
        self.losses.append(loss.detach())
        self.hits.append(hits)

    def close_epoch(self) -> tuple[float, float]:
        """Fetch the epoch's numbers from the device; its mean loss (not finite if diverged) and accuracy."""
        losses, hits = torch.stack(self.losses).double(), torch.stack(self.hits).double()
        self.rows["loss"] += losses.tolist()
        self.rows["accuracy"] += hits.tolist()
        self.losses, self.hits = [], []
        return float(losses.mean()), float(hits.mean())


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
    history, seconds = fit(model, settings, data, device, show)

    folder = request.parent
    replace_file(folder / "model.safetensors", lambda path: path.write_bytes(save(weights(model))))
    table = pa.table(history.rows, schema=HISTORY)
    replace_file(folder / "history.parquet", lambda path: pq.write_table(table, path))
    replace_with(folder / "timing.json", json.dumps(timing(settings, data, device, seconds), indent=1))


def fit(
    model: nn.Module, settings: Mapping[str, Any], data: Images, device: torch.device, show: Show
) -> tuple[History, list[float]]:
    """Train `model` in place for the run's epochs; its history, and the seconds of each epoch."""
    steps_per_epoch = len(data.labels) // settings["batch_size"]
    optimizer = base_optimizer(settings, model)
    scheduler = schedule(settings, optimizer, steps_per_epoch * settings["epochs"])
    sharpness = SharpnessAware(model, Method(**settings["method"]))
    history, seconds = History(), []
    model.train()
    for epoch in range(settings["epochs"]):
        started = time.perf_counter()
        for images, labels, ids in batches(data, settings["batch_size"], settings["seed"], epoch):
            classes = settings["dataset"]["classes"]
            inputs, targets = training_batch(
                settings["augment"], images, labels, ids, settings["seed"], epoch, classes
            )
            objective = Objective(model, inputs.to(device), targets.to(device), settings)
            gradients = 2 if sharpness.is_ascent else 1
            first_loss = sharpness.backward(objective)
            if "clip" in settings:
                clip_grad_norm_(model.parameters(), settings["clip"])
            history.add(epoch, first_loss, objective.hits, float(scheduler.get_last_lr()[0]), gradients)
            optimizer.step()
            scheduler.step()
        loss, accuracy = history.close_epoch()
        seconds.append(time.perf_counter() - started)
        trained = steps_per_epoch * settings["batch_size"]
        show(Progress(epoch + 1, settings["epochs"], trained, loss, accuracy, sum(seconds)))
        if not math.isfinite(loss):
            break
    return history, seconds


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
        return torch.device(torch.accelerator.current_accelerator(check_available=True) or "cpu")
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
