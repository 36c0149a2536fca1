"""Gathering: the evidence study's runs and its premise map as CSV files that stand by themselves."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from looksam.costs import ascents_of, steps_of
from looksam.files import replace_with
from looksam.ledger import Entry, as_csv, write
from looksam.origins import UNKNOWN, device
from looksam.premise import DIAGNOSTICS
from looksam.splits import training_images
from looksam.tables import Cell, Table, read

Row = Mapping[str, Any]


def gather(tables: Sequence[Path], evaluations: Sequence[Path], runs: Path, premise: Path) -> None:
    """Write the ledger `runs` of all runs of the tables, and what evaluations have of the premise map.

    tables: tabulated, searches among them. evaluations: of their runs, and of a table whose runs measure on
    the side (a column `shadow`); without one, `premise` has a head and no row.
    """
    rows = [row for path in evaluations for row in pq.read_table(path).to_pylist()]
    evaluated = {row["run"]: row for row in rows}
    found = [entry for path in tables for entry in entries(read(path), evaluated)]
    write(found, runs)
    measured = [row for one in evaluated.values() for row in shadows(one)]
    names = dict.fromkeys([*MAPPED, *(key for row in measured for key in row)])
    replace_with(premise, as_csv(names, measured))


def entries(table: Table, evaluated: Mapping[str, Row]) -> Iterable[Entry]:
    """The ledger's rows of a table, in the order of its cells and of their runs."""
    for cell in table.cells:
        # a cell has one row a metric, of the same runs
        if cell.metric == table.metrics[0]:
            yield from (entry(table, cell, evaluated[run]) for run in cell.runs)


def entry(table: Table, cell: Cell, row: Row) -> Entry:
    """The ledger's row of one run. row: its evaluation."""
    settings: Row = json.loads(row["settings"])
    method, about, images = settings["method"], row["environment"] or {}, row["images"]
    judged = [] if row["diverged_at_step"] is not None else row["judged"] or []
    known: dict[str, Any] = {
        "run": row["run"],
        "scale": table.scale,
        "table": table.name,
        "row": cell.row,
        "column": cell.column,
        **{key: settings[key]["name"] for key in ("model", "dataset")},
        "train_images": training_images(settings),
        "label_noise": float(settings.get("label_noise", 0)),
        "method": json.loads(cell.coordinates)["method"],
        "chosen": cell.chosen,
        **{key: settings[key] for key in ("batch_size", "optimizer", "epochs", "seed", "peak_lr")},
        **{key: method.get(key) for key in ("k", "rho", "alpha")},
        "steps": steps_of(settings),
        "passes": passes_after(settings, settings["epochs"]),
        "judged_passes": tuple(passes_after(settings, one["epoch"]) for one in judged),
        "judged_correct": tuple(round(one["top1"] * images) for one in judged),
        **{key: row[key] for key in (*DIAGNOSTICS, "gradients_per_step", "diverged_at_step", "seconds")},
        "code": row["trained_code"] or UNKNOWN,
        "device": device(row["environment"]),
        **{key: about.get(key) or UNKNOWN for key in ABOUT},
    }
    return Entry(**known, **accuracy(settings, cell, row))


def accuracy(settings: Row, cell: Cell, row: Row) -> dict[str, Any]:
    """How accurate a run is: of a trial on held-out training images, of others on test images, counted."""
    finished, is_trial = row["diverged_at_step"] is None, "validation_images" in settings
    tested = finished and not is_trial
    return {
        "trial": cell.column_index + 1 if is_trial else None,
        "validation_top1": row["top1"] if finished and is_trial else None,
        "top1": row["top1"] if tested else None,
        "correct": right(row) if tested else None,
        "images": row["images"] if tested else None,
        "test_images": row["test_images"] if tested else "",
    }


ABOUT = ("torch", "timm", "looksam", "python", "commit", "determinism")


def right(row: Row) -> int:
    """How many of the test images were right, counted."""
    bits = np.unpackbits(np.frombuffer(row["correct"], np.uint8), count=row["images"])
    return int(bits.sum())


def passes_after(settings: Row, epochs: int) -> int:
    """Gradient passes of the first so many epochs."""
    so_far = {**settings, "epochs": epochs}
    return steps_of(so_far) + ascents_of(so_far)


# what a row of the premise map says of its run, before what was measured
MAPPED = (
    *("run", "model", "dataset", "optimizer", "label_noise", "batch_size", "epochs", "seed"),
    *("peak_lr", "k", "rho"),
)


def shadows(row: Row) -> Iterable[dict[str, Any]]:
    """The rows of the premise map that a run measured, with every field that was; none of other runs."""
    settings: Row = json.loads(row["settings"])
    known = {"label_noise": 0, **settings, **settings["method"], "run": row["run"]}
    known |= {key: settings[key]["name"] for key in ("model", "dataset")}
    for one in row.get("shadow") or []:
        yield {**{name: known.get(name) for name in MAPPED}, **flat(one)}


def flat(values: Row, prefix: str = "") -> dict[str, Any]:
    """Values by name, those within others joined by a point: {"gain": {"ls": 0.1}} is {"gain.ls": 0.1}.

    So is a list of pairs of a name and a number: {"gain": [{"alpha": "ls", "gain": 0.1}]}.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
            value = dict(tuple(one.values()) for one in value)
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = as_measured(value)
    return found


def as_measured(value: Any) -> Any:
    """The shortest decimal of a float32, where a value is one, as most measured ones are; else itself."""
    if isinstance(value, float) and math.isfinite(value) and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    return value
