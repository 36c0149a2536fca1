"""Tables with known numbers, tabulated from evaluations made by hand, as evidence for claims and answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from test_tables import evaluation, tabulated

from looksam.contrasts import Evidence
from looksam.tables import read

IMAGES = 400
# None diverged
Numbers = Sequence[float | None]


def hits(top1: float, shift: int = 0) -> dict[str, Any]:
    """What an evaluation says of the images that a run gets right: so many, from number `shift` on."""
    right = (np.arange(IMAGES) - shift) % IMAGES < round(top1 * IMAGES)
    return {"images": IMAGES, "test_images": "these", "correct": np.packbits(right).tobytes()}


def evidence(folder: Path, *tables: tuple[dict[str, Any], list[dict[str, Any]]]) -> Evidence:
    """What a study of these tables found."""
    read_tables, found = [], {}
    for request, runs in tables:
        cells = request.pop("cells")
        read_tables.append(read(tabulated(folder, cells, runs, **request)))
        found |= {run["run"]: run for run in runs}
    return Evidence({table.name: table for table in read_tables}, found)


def table(
    numbers: Mapping[str, Numbers | str],
    name: str = "table1",
    model: str = "ViT-B-16",
    metric: str = "top1",
    scale: str = "paper",
    varied: str = "method",
    **more: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A row of the model by the methods, each with a number a seed, or a word why it was not run.

    varied: the setting that the keys are values of. more: of every evaluation.
    """
    cells, runs = [], []
    for column, (key, values) in enumerate(numbers.items()):
        value = key if varied == "method" else float(key)
        cell = {"column": column, "metric": metric, "coordinates": {"model": model, varied: value}}
        if isinstance(values, str):
            cells.append({**cell, "absent": values})
            continue
        made = [run_of(f"{name}.{key}.{s}", metric, number) | more for s, number in enumerate(values)]
        cells.append({**cell, "runs": [run["run"] for run in made]})
        runs += made
    about = {"table": name, "scale": scale, "metrics": [metric], "rows": [model], "columns": list(numbers)}
    return {**about, "column_header": varied, "cells": cells}, runs


def run_of(name: str, metric: str, number: float | None) -> dict[str, Any]:
    """A run's evaluation, which is lost where the number is None."""
    if number is None:
        return evaluation(name, None)
    if metric == "top1":
        return evaluation(name, number) | hits(number)
    return evaluation(name, 0.5) | {metric: number}
