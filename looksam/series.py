"""Series: what pictures show of a table's cells, each a mean over the cell's seeds that did not diverge."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from looksam.metrics import METRICS
from looksam.origins import together
from looksam.premise import DIAGNOSTICS

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """A cell with runs, over n seeds; top1 a fraction, sd None of one seed.

    curve: by column of `looksam.curves.CURVE`, its rows. judged: epochs done and the accuracy there. shadow:
    rows of shadow steps of each seed, as records of `looksam.premise_maps`.
    """

    row: str
    column: str
    k: int | None
    descent: str | None
    n: int
    device: str | None
    top1: float | None
    top1_sd: float | None
    seconds_per_epoch: float | None
    seconds_per_epoch_sd: float | None
    sharpness: float | None
    sharpness_sd: float | None
    curve: dict[str, list[float | None]]
    judged: list[tuple[int, float]]
    shadow: list[dict[str, Any]] = field(default_factory=list)


def series_of(asked: Row, evaluated: Mapping[str, Row]) -> list[Series]:
    """One of each cell of a table's request that has runs, in the order of the request."""
    found = []
    for cell in each_place(asked["cells"]):
        runs = [evaluated[run] for run in cell["runs"]]
        finished = [run for run in runs if run["diverged_at_step"] is None]
        if finished:
            numbers: dict[str, Any] = {}
            for name in ("top1", "seconds_per_epoch", "sharpness"):
                numbers[name], numbers[f"{name}_sd"] = one_of(finished, name)
            found.append(
                Series(
                    asked["rows"][cell["row"]],
                    asked["columns"][cell["column"]],
                    cell["k"],
                    cell["descent"],
                    len(finished),
                    together([run["origin"].device for run in finished]),
                    curve=curve_of([run.get("curve") or [] for run in finished]),
                    judged=judged_of([run.get("judged") or [] for run in finished]),
                    shadow=shadow_of(cell, evaluated),
                    **numbers,
                )
            )
    return found


def each_place(cells: Sequence[Row]) -> Iterator[Row]:
    """The first entry of each cell that has runs; others are of other metrics of the same runs."""
    places = set()
    for cell in cells:
        if cell["runs"] and (cell["row"], cell["column"]) not in places:
            places.add((cell["row"], cell["column"]))
            yield cell


def one_of(runs: Sequence[Row], name: str) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation of a metric, as tables store it."""
    metric = METRICS[name]
    values = [run[metric.column] / metric.divisor for run in runs if run[metric.column] is not None]
    return (fmean(values) if values else None, stdev(values) if len(values) > 1 else None)


def curve_of(curves: Sequence[Sequence[Row]]) -> dict[str, list[float | None]]:
    """The mean of the seeds' curves where they have a row of the same epoch; a null is in no mean."""
    by_epoch: dict[int, list[Row]] = {}
    for row in (row for curve in curves for row in curve):
        by_epoch.setdefault(row["epoch"], []).append(row)
    names = ("loss", "accuracy", *DIAGNOSTICS)
    found: dict[str, list[float | None]] = {"epoch": [float(epoch) for epoch in sorted(by_epoch)]}
    for name in names:
        known = [[row[name] for row in by_epoch[epoch]] for epoch in sorted(by_epoch)]
        kept = [[x for x in values if x is not None] for values in known]
        found[name] = [fmean(values) if values else None for values in kept]
    return found


def judged_of(runs: Sequence[Sequence[Row]]) -> list[tuple[int, float]]:
    """The mean of the seeds' accuracies after the epochs at which all were judged."""
    known = [{row["epoch"]: row["top1"] for row in judged} for judged in runs]
    common = sorted(set.intersection(*(set(one) for one in known)))
    return [(epoch, fmean(one[epoch] for one in known)) for epoch in common]


def shadow_of(cell: Row, evaluated: Mapping[str, Row]) -> list[dict[str, Any]]:
    """The rows of shadow steps of a cell's runs that did not diverge, with model, batch size and seed."""
    found = []
    for run in cell["runs"]:
        rows = evaluated[run].get("shadow")
        if rows and evaluated[run]["diverged_at_step"] is None:
            settings = json.loads(evaluated[run]["settings"])
            of_run = {
                "model": settings["model"]["name"],
                "batch_size": settings["batch_size"],
                "seed": settings["seed"],
            }
            for row in rows:
                gains = {one["alpha"]: one["gain"] for one in row["gains"]}
                found.append(of_run | row | {"gains": gains})
    return found
