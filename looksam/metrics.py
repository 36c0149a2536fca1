"""Metrics: the numbers of runs that a table may show, and their mean over the seeds of a cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from looksam.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A number of a run: column / divisor is what tables store, times `shown` what readers see, in `unit`.

    decimals: as many are shown; None shows significant digits. is_time: comparable only on one device.
    converged: the column that says whether the number is more than an attempt. better: higher or lower, where
    cells compete.
    """

    column: str
    label: str
    divisor: float = 1.0
    shown: float = 1.0
    unit: str = ""
    difference_unit: str = ""
    decimals: int | None = None
    is_time: bool = False
    converged: str = ""
    better: str = ""


METRICS = {
    "top1": Metric(
        "top1", "top-1 accuracy (%)", shown=100.0, difference_unit="pp", decimals=1, better="higher"
    ),
    "top5": Metric(
        "top5", "top-5 accuracy (%)", shown=100.0, difference_unit="pp", decimals=1, better="higher"
    ),
    "loss": Metric("loss", "mean loss on the test images", better="lower"),
    "sharpness": Metric(
        "sharpness", "rise of the training loss at distance 0.05 along its gradient", better="lower"
    ),
    "method_sharpness": Metric(
        "method_sharpness", "rise of the training loss by the method's own ascent, at its own ρ"
    ),
    "hessian_eigenvalue": Metric(
        "hessian_eigenvalue",
        "largest eigenvalue of the training loss's Hessian",
        converged="hessian_converged",
        better="lower",
    ),
    "gradients_per_step": Metric("gradients_per_step", "gradient passes per step"),
    "seconds_per_epoch": Metric(
        "seconds_per_epoch",
        "seconds per epoch, the first left out",
        unit="s",
        difference_unit="s",
        is_time=True,
        better="lower",
    ),
    "images_per_second": Metric(
        "images_per_second",
        "images/s in training, the first epoch left out",
        unit="images/s",
        difference_unit="images/s",
        is_time=True,
        better="higher",
    ),
    "training_hours": Metric(
        "seconds",
        "training hours",
        divisor=3600.0,
        unit="h",
        difference_unit="h",
        is_time=True,
        better="lower",
    ),
    "cos_noise": Metric("cos_noise", "cosine of the g_v of two batches at the same weights", decimals=2),
    "cos_drift_1": Metric("cos_drift_1", "cosine of a batch's g_v with its own a step before", decimals=2),
    "cos_drift_5": Metric("cos_drift_5", "cosine of a batch's g_v with its own 5 steps before", decimals=2),
    "cos_reuse_5": Metric("cos_reuse_5", "cosine of g_v with another batch's of 5 steps before", decimals=2),
    "validation_top1": Metric(
        "top1",
        "top-1 accuracy on held-out training images (%)",
        shown=100.0,
        difference_unit="pp",
        decimals=1,
    ),
}


def over_seeds(where: str, name: str, evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of a metric over the runs that did not diverge, and how many did.

    evaluations: each with its seed. seeds, values, counted: of the runs that count, in order: seeds, numbers,
    names. A run that has no such number, as a training of one epoch has no warm one, is in neither count.
    """
    if name not in METRICS:
        raise UserError(f"{where}: unknown metric {name!r} of runs; known: {', '.join(METRICS)}")
    metric = METRICS[name]
    finished = [row for row in evaluations if row["diverged_at_step"] is None]
    measured = [row for row in finished if row[metric.column] is not None]
    values = [row[metric.column] / metric.divisor for row in measured]
    return {
        "value": fmean(values) if values else None,
        "sd": stdev(values) if len(values) >= 2 else None,
        "n": len(values),
        "seeds": [row["seed"] for row in measured],
        "values": values,
        "counted": [row["run"] for row in measured],
        "diverged": len(evaluations) - len(finished),
        "unconverged": sum(not row[metric.converged] for row in measured) if metric.converged else 0,
    }
