"""A device's speed, measured on this machine by a few real steps of each network. Imports torch."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from looksam.cells import Run
from looksam.costs import Device, operations_per_image
from looksam.device import prepared
from looksam.distributed import training_device
from looksam.errors import UserError
from looksam.method import Method
from looksam.models import build
from looksam.optimizers import base_optimizer
from looksam.sharpness import SharpnessAware

Row = Mapping[str, Any]

# on a CPU the probe's batch grows until a step takes this long: what a step costs beside its images, which
# thousands of them share in a real batch, must be little; the most images where the run names no micro-batch
SECONDS_OF_A_STEP = 1.0
MOST_IMAGES = 1024
# the methods take turns for so long, and at least twice
SECONDS_OF_TURNS, FEWEST_TURNS = 1.5, 2

# never an ascent step again after the first
NEVER_AGAIN = 10**9


def probed(runs: Iterable[Run], named: Device, say: Callable[[str], None]) -> Callable[[Row], Device]:
    """Device by settings of a run: `named`, with utilisation, f_sam and reuse as measured on this machine.

    UserError where this machine trains on another kind of device than is named.
    """
    kind = training_device().type
    if (kind == "cpu") != named.is_core:
        raise UserError(
            f"--probe measures this machine, which trains on its {kind}, and --device names {named.name}; "
            "name the row of config/devices.yaml that this machine is"
        )
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for run in runs:
        alike.setdefault(key(run.settings), []).append(run.settings)
    found: dict[tuple[Any, ...], Device] = {}
    for which, settings in alike.items():
        found[which] = measured(settings, named)
        one, device = settings[0], found[which]
        rate = device.utilisation * device.peak * processes(one, device)
        say(
            f"probed {one['model']['name']} on {one['dataset']['name']}, batch {one['batch_size']}: "
            f"{rate / 1e9:,.1f} GFLOP/s, f_sam {device.f_sam:.2f}, reuse {device.reuse:.2f}"
        )
    return lambda settings: found[key(settings)]


def key(settings: Row) -> tuple[Any, ...]:
    """What runs must share to be measured together."""
    names = settings["model"]["name"], settings["dataset"]["name"]
    keys = ("optimizer", "precision", "memory_format", "compile", "activation_checkpointing", "threads")
    return *names, *(settings.get(key) for key in keys), images_of(settings)


def images_of(settings: Row) -> int:
    """The most images that the probe takes at once: the run's micro-batch, or its batch."""
    return min(int(settings["batch_size"]), int(settings.get("micro_batch_size", MOST_IMAGES)))


def processes(settings: Row, device: Device) -> int:
    """Devices that the probe's one process occupies."""
    return int(settings["threads"]) if device.is_core else 1


def measured(alike: list[Row], named: Device) -> Device:
    """The device as steps of these runs find it; what no run of them does keeps the value of `named`."""
    settings = alike[0]
    torch.set_num_threads(settings["threads"])
    methods = {
        "sam": next((s["method"] | {"k": 1} for s in alike if s["method"]["k"]), None),
        "reuse": next((s["method"] | {"k": NEVER_AGAIN} for s in alike if "alpha" in s["method"]), None),
    }
    steps = Steps(settings)
    images, base = steps.batch(), "base"
    seconds = steps.seconds({base: {"k": 0}} | {name: row for name, row in methods.items() if row}, images)
    rate = operations_per_image(settings) * images / seconds[base]
    f_sam = max(1.0, seconds["sam"] / seconds[base]) if methods["sam"] else named.f_sam
    reuse = max(0.0, seconds["reuse"] / seconds[base] - 1) if methods["reuse"] else named.reuse
    return replace(
        named,
        utilisation=rate / (named.peak * processes(settings, named)),
        f_sam=f_sam,
        reuse=reuse,
        basis="probed",
        measured_on=f"this machine, {settings['model']['name']}, {images} images a step",
    )


class Steps:
    """A network and its optimizer, and steps of any method on random images."""

    def __init__(self, settings: Row) -> None:
        self.settings, self.device = settings, training_device()
        network = build(settings["model"], settings["dataset"])
        self.model: nn.Module = prepared(network, settings, self.device).train()
        self.optimizer = base_optimizer(settings, self.model)

    def batch(self) -> int:
        """How many images the steps have: on a CPU no more than fill SECONDS_OF_A_STEP."""
        most = images_of(self.settings)
        if self.device.type != "cpu":
            # each new size would be compiled anew
            return most
        images = min(2, most)
        while images < most and self.seconds({"base": {"k": 0}}, images, least=0)["base"] < SECONDS_OF_A_STEP:
            images = min(2 * images, most)
        return images

    def seconds(
        self, methods: Mapping[str, Row], images: int, least: float = SECONDS_OF_TURNS
    ) -> dict[str, float]:
        """The shortest seconds of a step by method: whatever else the machine does only adds to them."""
        inputs, targets = self.random(images)
        sharpness = {name: SharpnessAware(self.model, Method(**row)) for name, row in methods.items()}
        taken: dict[str, list[float]] = {name: [] for name in methods}
        for name in methods:  # a warm-up, which is also the one ascent step of a method that reuses
            self.step(sharpness[name], inputs, targets)
        started = time.perf_counter()
        turns = 0
        while turns < (FEWEST_TURNS if least else 1) or time.perf_counter() - started < least:
            for name in methods:
                taken[name].append(self.step(sharpness[name], inputs, targets))
            turns += 1
        return {name: min(times) for name, times in taken.items()}

    def random(self, images: int) -> tuple[Tensor, Tensor]:
        """Images [B, channels, H, W] and class numbers [B], on the device."""
        dataset = self.settings["dataset"]
        shape = (images, dataset["channels"], dataset["height"], dataset["width"])
        targets = torch.randint(dataset["classes"], (images,), device=self.device)
        inputs = torch.rand(shape, device=self.device)
        if self.settings.get("memory_format") == "channels_last":
            inputs = inputs.to(memory_format=torch.channels_last)
        return inputs, targets

    def step(self, sharpness: SharpnessAware, inputs: Tensor, targets: Tensor) -> float:
        """One training step; the seconds that it took, the device's included."""

        def closure() -> Tensor:
            self.model.zero_grad()
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.settings["precision"] == "bf16"
            ):
                loss = cross_entropy(self.model(inputs), targets)
            loss.backward()
            return loss

        self.wait()
        started = time.perf_counter()
        sharpness.backward(closure)
        if "clip" in self.settings:
            clip_grad_norm_(self.model.parameters(), self.settings["clip"])
        self.optimizer.step()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize()
