"""What a run costs: steps, gradient passes, operations and device-hours. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from looksam.identity import digest
from looksam.macs import forward
from looksam.splits import training_images

Row = Mapping[str, Any]

# a multiply-accumulate is two operations, and a backward pass costs two forward passes
OPERATIONS_PER_MAC = 6
# activation checkpointing runs the forward pass once more
OPERATIONS_PER_MAC_AGAIN = 2

# settings by which no operation takes longer. The batch size is one only by assumption
OF_NO_SPEED = frozenset(
    {
        "method",
        "batch_size",
        "epochs",
        "peak_lr",
        "weight_decay",
        "schedule",
        "warmup_steps",
        "label_smoothing",
        "label_noise",
        "chosen",
        "shadow",
        "seed",
    }
)


@dataclass(frozen=True)
class Device:
    """What one process trains on, and how fast that is.

    peak: operations/s. utilisation: the part of it that a training reaches. f_sam: time of a SAM step over a
    base step. reuse: what reusing g_v adds to every step, in base steps. basis: assumed, calibrated, probed.
    is_core: a CPU core, of which a run takes one a thread.
    """

    name: str
    peak: float
    utilisation: float
    f_sam: float
    reuse: float
    basis: str
    measured_on: str = ""
    is_core: bool = False
    images_per_device: int | None = None
    most_devices: int = 1

    def count(self, settings: Row) -> int:
        """How many such devices a run of these settings trains on."""
        if self.is_core:
            return int(settings["threads"])
        if self.images_per_device is None:
            return 1
        return min(self.most_devices, ceil(int(settings["batch_size"]) / self.images_per_device))


def steps_of(settings: Row) -> int:
    """Steps of the whole training; the last, smaller batch of an epoch is dropped."""
    return training_images(settings) // int(settings["batch_size"]) * int(settings["epochs"])


def has_alpha(settings: Row) -> bool:
    """The method has an alpha, given or chosen by a search, and so what is done with a remembered g_v."""
    return "alpha" in settings["method"] or "alpha" in settings.get("chosen", {}).get("settings", ())


def ascents_of(settings: Row) -> int:
    """How many of the steps take a second gradient."""
    method = settings["method"]
    if method["k"] == 0:
        return 0
    start, k = int(method.get("start", 0)), int(method["k"])
    return max(0, ceil((steps_of(settings) - start) / k))


def passes_per_step(settings: Row) -> float:
    """Gradient passes in a step, over the whole training."""
    return 1 + ascents_of(settings) / steps_of(settings)


def time_factor(settings: Row, device: Device) -> float:
    """f: the training's time over the base optimizer's. Of SAM-k, 1 + (f_sam - 1) / k."""
    reuses = has_alpha(settings)
    return 1 + (device.f_sam - 1) * (passes_per_step(settings) - 1) + (device.reuse if reuses else 0)


def operations_per_image(settings: Row) -> int:
    """Operations of an image's forward and backward pass."""
    again = OPERATIONS_PER_MAC_AGAIN if settings.get("activation_checkpointing") else 0
    return (OPERATIONS_PER_MAC + again) * forward(settings["model"], settings["dataset"])


def base_operations(settings: Row) -> int:
    """Operations of the whole training with the base optimizer alone."""
    return steps_of(settings) * int(settings["batch_size"]) * operations_per_image(settings)


def device_hours(settings: Row, device: Device) -> float:
    """Hours of one training times the devices that it occupies."""
    rate = device.utilisation * device.peak
    return base_operations(settings) * time_factor(settings, device) / (rate * 3600)


def cost(settings: Row, metric: str) -> dict[str, Any] | None:
    """What makes the time that a metric shows of a run; None of a metric that is no such time.

    alike: shared by runs whose operations take equally long. operations: of the base optimizer.
    """
    parts = {"training_hours": 1, "seconds_per_epoch": int(settings["epochs"])}
    if metric not in parts:
        return None
    return {
        "alike": digest({key: value for key, value in settings.items() if key not in OF_NO_SPEED}),
        "batch_size": settings["batch_size"],
        "operations": base_operations(settings) / parts[metric],
        "extra_passes": passes_per_step(settings) - 1,
        "reuses": has_alpha(settings),
    }
