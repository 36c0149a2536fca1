"""The parts of a table of a study: its rows and columns, its cells, and the runs that fill them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from looksam.config import Row, one_of

NOT_RUN = "not run at this scale"

# what a scale takes out of a table: of each combination, the values by setting
Combinations = Sequence[Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class Run:
    """One training: its id, its full settings (seed included) and the shard folder that it reads."""

    id: str
    settings: Row
    shards: str


@dataclass(frozen=True)
class Point:
    """A row or a column of a table: its label, and the settings that it stands for."""

    label: str
    coordinates: Row


class Place(NamedTuple):
    """Where a cell stands: its row and its column, from 0."""

    row: int
    column: int


@dataclass(frozen=True)
class Cell:
    """A cell: its place, its coordinates in the paper's terms, and one run a seed, or why it is absent.

    not_run: of a cell that the scale does not run but plans, the settings that a run would have.
    """

    place: Place
    coordinates: Row
    runs: tuple[Run, ...]
    absent: str | None
    not_run: Row | None = None

    @property
    def settings(self) -> Row | None:
        """The settings of its runs, or of the run that would fill it."""
        return self.runs[0].settings if self.runs else self.not_run


@dataclass(frozen=True)
class Table:
    """A table of the paper at a study's scale.

    left_out, planned: combinations that the scale does not run; the planned ones have their cells.
    """

    name: str
    spec: Row
    rows: list[Point]
    columns: list[Point]
    cells: list[Cell]
    seeds: int
    left_out: Combinations
    planned: Combinations
    # of a search: the ids of its rows' searches
    searches: tuple[str, ...] = ()

    @property
    def runs(self) -> dict[str, Run]:
        """The table's runs by id, each once."""
        return {run.id: run for cell in self.cells for run in cell.runs}


def among(coordinates: Row, combinations: Combinations) -> bool:
    """Whether the coordinates are of one of the combinations: for all of its settings, among its values."""
    return any(
        all(coordinates.get(key) in values for key, values in combination.items())
        for combination in combinations
    )


def excluded(spec: Row, coordinates: Row) -> str | None:
    """Why the table excludes the cell at these coordinates, or None where it does not."""
    for rule in spec.get("exclude", []):
        if all(coordinates.get(key) == value for key, value in rule["when"].items()):
            return str(rule["why"])
    return None


def competing(table: Table) -> list[str]:
    """Settings in which cells differ that compete: as the table says, or the method, where it varies.

    A search compares its trials by itself.
    """
    varied = {key for point in (*table.rows, *table.columns) for key in point.coordinates}
    asked: list[str] = table.spec.get("compare", [])
    for key in asked:
        one_of(key, "setting of its rows and columns", sorted(varied), f"config/tables/{table.name}.yaml")
    if "facts" in table.spec or table.searches:
        return []
    return asked or [key for key in ("method",) if key in varied]


def report_request(tables: Iterable[Table], chosen: Row, requests: Mapping[str, Row]) -> Row:
    """The request of the report, less its code.

    runs: of each the fingerprint of what trains it at present, to mark those that other code trained.
    """
    filled = [table for table in tables if table.runs]
    runs = {run: requests[f"results/runs/{run}/run.json"]["code"] for table in filled for run in table.runs}
    return {
        "tables": [table.name for table in tables],
        "evaluations": [f"results/evaluations/{table.name}.parquet" for table in filled],
        "chosen": chosen,
        "runs": runs,
    }
