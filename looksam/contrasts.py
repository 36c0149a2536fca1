"""Contrasts: two cells of a table that differ in what a claim names, compared seed by seed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from looksam.comparisons import Evaluated, over_images
from looksam.intervals import RESAMPLES, Difference, Draws, Spread, paired
from looksam.metrics import METRICS
from looksam.origins import SEVERAL
from looksam.tables import Cell, Table

Settings = Mapping[str, Any]
# what a cell of another status has instead of a number, and who
GONE = {"diverged": "every run of {} diverged", "unmeasured": "the runs of {} have no such number"}


@dataclass(frozen=True)
class Evidence:
    """What a study found. evaluated: by run."""

    tables: Mapping[str, Table]
    evaluated: Evaluated


def matching(table: Table, metric: str, of: Settings, at: Mapping[str, Sequence[Any]]) -> list[Cell]:
    """The cells of the metric whose coordinates agree with `of` and are among `at`."""
    found = []
    for cell in table.cells:
        own = json.loads(cell.coordinates)
        agrees = all(own.get(key) == value for key, value in of.items())
        if cell.metric == metric and agrees and all(own.get(key) in values for key, values in at.items()):
            found.append(cell)
    return found


def pairs(
    table: Table, metric: str, of: Settings, against: Settings, at: Mapping[str, Sequence[Any]] | None = None
) -> list[tuple[Cell, Cell]]:
    """Cells that match `of`, each with the one that matches `against` and agrees in everything else."""
    named = {*of, *against}

    def rest(cell: Cell) -> str:
        others = {key: value for key, value in json.loads(cell.coordinates).items() if key not in named}
        return json.dumps(others, sort_keys=True)

    partners = {rest(cell): cell for cell in matching(table, metric, against, at or {})}
    cells = matching(table, metric, of, at or {})
    return [(cell, partners[rest(cell)]) for cell in cells if rest(cell) in partners]


def common_seeds(a: Cell, b: Cell) -> list[int]:
    """Seeds of which both cells have a number."""
    return [seed for seed in a.seeds if seed in b.seeds]


def at_seeds(cell: Cell, seeds: Sequence[int]) -> list[float]:
    """The cell's numbers at these seeds; of times the logarithms, so that a difference is a ratio."""
    known = dict(zip(cell.seeds, cell.values, strict=True))
    return [math.log(known[s]) if METRICS[cell.metric].is_time else known[s] for s in seeds]


def contrast(a: Cell, b: Cell, evaluated: Evaluated) -> Difference:
    """a less b over the seeds that both have, of which there is one or more; of one seed over test images."""
    seeds = common_seeds(a, b)
    if a.metric == "top1" and len(seeds) == 1:
        runs = [cell.counted[cell.seeds.index(seeds[0])] for cell in (a, b)]
        if found := over_images(runs[0], runs[1], evaluated):
            return found
    return paired(at_seeds(a, seeds), at_seeds(b, seeds))


def absence(a: Cell, b: Cell, names: Sequence[str]) -> str:
    """Why two cells do not compare; empty where they do."""
    for cell, name in zip((a, b), names, strict=True):
        if cell.value is None:
            return GONE.get(cell.status, "{} was not run: " + (cell.absent or cell.status)).format(name)
    if METRICS[a.metric].is_time and (a.device != b.device or SEVERAL in (a.device or "")):
        return "their times are from different devices"
    return "" if common_seeds(a, b) else "they have no seed in common"


def diverged(cells: Sequence[Cell], names: Sequence[str]) -> str:
    """Which of the cells lost runs; empty where none did."""
    lost = [
        f"{cell.diverged} of {cell.n + cell.diverged} runs of {name} diverged"
        for cell, name in zip(cells, names, strict=True)
        if cell.diverged
    ]
    return " and ".join(lost)


def how_tested(one: Difference) -> str:
    """What gave a contrast its interval, or why it has none."""
    if isinstance(one.spread, Spread):
        return f"Student's t over {one.n[0]} seeds" + (", paired" if one.paired else "")
    if isinstance(one.spread, Draws):
        return f"bootstrap over test images, {RESAMPLES:,} resamples"
    return f"not tested: {one.untested}"


def names(table: Table, a: Cell, b: Cell) -> tuple[str, str, str]:
    """What each cell is called where they differ, and what both are called where they agree."""
    rows = [labelled(table.row_header, cell.row) for cell in (a, b)]
    columns = [labelled(table.column_header, cell.column) for cell in (a, b)]
    if rows[0] == rows[1]:
        return columns[0], columns[1], rows[0]
    if columns[0] == columns[1]:
        return rows[0], rows[1], columns[0]
    return f"{rows[0]}, {columns[0]}", f"{rows[1]}, {columns[1]}", ""


def labelled(header: str, label: str) -> str:
    """A label that says of which setting it is, where it is a bare number."""
    return f"{header} {label}" if label.replace(".", "", 1).isdigit() else label
