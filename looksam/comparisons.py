"""Comparisons in a table: the best of the cells that compete, and whether the others' distance is carried.

Seeds decide by Welch's t, single runs by a bootstrap over test images; Holm's correction is over the table.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from looksam.hits import unpacked
from looksam.intervals import LEVEL, RESAMPLES, Difference, bootstrap, holm, welch
from looksam.metrics import METRICS
from looksam.origins import SEVERAL

Cell = Mapping[str, Any]
# by run, its evaluation
Evaluated = Mapping[str, Mapping[str, Any]]


def compared(
    cells: Sequence[Cell], keys: Sequence[str], evaluated: Evaluated
) -> tuple[list[dict[str, Any]], str]:
    """By cell, what comparing changes of it, and how it was done, in sentences; empty where nothing competes.

    keys: the settings in which cells differ that compete. evaluated: the evaluations of their runs.
    """
    changes: list[dict[str, Any]] = [{} for _ in cells]
    found: dict[int, Difference] = {}
    for group in groups(cells, keys) if keys else []:
        sign = 1 if METRICS[cells[group[0]]["metric"]].better == "higher" else -1
        top = max(group, key=lambda index: sign * cells[index]["value"])
        for index in group:
            if cells[index]["value"] == cells[top]["value"]:
                changes[index] = {"best": True}
            else:
                found[index] = difference(cells[index], cells[top], evaluated)
    tested = [index for index, one in found.items() if one.spread]
    adjusted = dict(zip(tested, holm([found[index].p for index in tested]), strict=True))
    for index, one in found.items():
        changes[index] = written(one, METRICS[cells[index]["metric"]].is_time, adjusted.get(index))
    return changes, how([found[i] for i in found], [cells[i]["metric"] for i in found], keys)


def groups(cells: Sequence[Cell], keys: Collection[str]) -> list[list[int]]:
    """Positions of the measured cells that compete: same metric, all else but `keys` equal, two or more."""
    found: dict[tuple[str, str, str | None], list[int]] = {}
    for index, cell in enumerate(cells):
        metric = METRICS.get(cell["metric"])
        if metric and metric.better and cell["value"] is not None and not (metric.is_time and mixed(cell)):
            rest = {key: v for key, v in json.loads(cell["coordinates"]).items() if key not in keys}
            # times from different devices do not compare
            device = cell["device"] if metric.is_time else None
            found.setdefault((cell["metric"], json.dumps(rest, sort_keys=True), device), []).append(index)
    return [group for group in found.values() if len(group) > 1]


def mixed(cell: Cell) -> bool:
    """Whether the cell's runs are from several devices, of which no time is a mean."""
    return SEVERAL in (cell["device"] or "")


def difference(cell: Cell, other: Cell, evaluated: Evaluated) -> Difference:
    """The one less the other, of times the log of their ratio: over seeds, of single runs over images."""
    a, b = cell["values"], other["values"]
    if METRICS[cell["metric"]].is_time:
        return welch([math.log(x) for x in a], [math.log(x) for x in b])
    if cell["metric"] == "top1" and len(a) == len(b) == 1:
        return over_images(cell["counted"][0], other["counted"][0], evaluated) or welch(a, b)
    return welch(a, b)


def over_images(run: str, other: str, evaluated: Evaluated) -> Difference | None:
    """The difference in accuracy of two runs, by a bootstrap; None where they were not judged on the same."""
    a, b = unpacked(evaluated.get(run)), unpacked(evaluated.get(other))
    if a is None or b is None or a.test_images != b.test_images:
        return None
    return bootstrap(a.right.astype(np.float64) - b.right)


def written(one: Difference, is_ratio: bool, p: float | None) -> dict[str, Any]:
    """The difference as a cell stores it, times as ratios. p: adjusted, None untested."""
    low, high = one.interval or (None, None)
    numbers = {"to_best": one.value, "to_best_low": low, "to_best_high": high}
    if is_ratio:
        numbers = {name: None if x is None else math.exp(x) for name, x in numbers.items()}
    return {**numbers, "to_best_p": p, "carried": p is not None and p <= LEVEL, "test": how_tested(one)}


def how_tested(one: Difference) -> str:
    """What tested a difference, or why nothing did."""
    if not one.spread:
        return f"not tested: {one.untested}"
    if one.paired:
        return f"bootstrap over test images, {RESAMPLES:,} resamples"
    return f"Welch's t over {one.n[0]} and {one.n[1]} seeds"


def how(found: Sequence[Difference], metrics: Sequence[str], keys: Sequence[str]) -> str:
    """How the differences of a table were judged, in sentences."""
    if not found:
        return ""
    tested = [one for one in found if one.spread]
    said = [f"Best in bold, among cells that differ only in {' or '.join(keys)}."]
    kinds = []
    if any(not one.paired for one in tested):
        kinds.append("Welch's t-test over seeds")
    if any(one.paired for one in tested):
        kinds.append(
            f"a paired bootstrap over test images ({RESAMPLES:,} resamples) where each cell is a single run, "
            "which covers the sampling of the test images alone and not the randomness of training"
        )
    if kinds:
        many = f"Holm's correction over the table's {len(tested)}" if len(tested) > 1 else "one comparison"
        said.append(
            f"Differences from the best are tested by {', and by '.join(kinds)}; two-sided, level "
            f"{100 * LEVEL:g} %, {many}. Intervals are of {100 * (1 - LEVEL):g} % each, uncorrected."
        )
    if len(tested) < len(found):
        said.append(
            f"{len(found) - len(tested)} differences are not tested, since nothing tells their spread."
        )
    if any(METRICS[name].is_time for name in metrics):
        said.append("Times are compared by their ratio.")
    return " ".join(said)
