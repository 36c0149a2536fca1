"""The report: tables as one self-contained page and as files to quote from, ours beside the paper's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from looksam.errors import UserError
from looksam.exports import export
from looksam.files import replace_with
from looksam.metrics import METRICS
from looksam.plots import PLOTS
from looksam.provenance import NOT_RECORDED, Provenance
from looksam.published import STATUSES
from looksam.shown import difference, ours, shown, table_label
from looksam.tables import COMPARABLE, Cell, Table, read
from looksam.verdicts import read as read_verdicts


@dataclass(frozen=True)
class Words:
    """One metric of a cell as readers see it; each format prints these in its own way. Empty: not there."""

    status: str
    ours: str
    unit: str
    seeds: str
    unconverged: str
    diverged: str
    device: str
    footnote: str
    paper: str
    mark: str
    differs: bool
    difference: str
    note: str
    column: str
    runs: list[str]
    chosen: str
    planned: str

    @property
    def first(self) -> str:
        """Ours on one line of text."""
        asides = [f"({aside})" for aside in self.asides if aside]
        return " ".join(filter(None, [self.ours, self.unit, *asides]))

    @property
    def asides(self) -> tuple[str, ...]:
        """What is said of ours in brackets, in order; some may be empty."""
        of_runs = (self.seeds, self.unconverged, self.diverged, self.device, self.chosen)
        return self.footnote, self.planned, *of_runs

    @property
    def second(self) -> str:
        """The paper's on one line of text."""
        against = f" ({self.difference})" if self.difference else ""
        return f"paper {self.paper}{self.mark}{against}" if self.paper else ""


def report(
    tables: Sequence[Path],
    verdicts: Path,
    templates: Path,
    html: Path,
    exports: Path,
    provenance: Mapping[str, Provenance] = NOT_RECORDED,
) -> None:
    """Write the page `html` and `exports`/<table>.{csv,md,tex} of these tables, in the order given.

    verdicts: what `looksam judge` says of the paper's claims. provenance: of the tables' runs, by run.
    """
    pages = [page(read(table)) for table in tables]
    # a table of facts, which no run fills, is of no scale
    scales = {one["scale"]: one["scale_title"] for one in pages if one["scale"]}
    legend = {"scales": scales, "warn": bool(set(scales) - COMPARABLE), "statuses": STATUSES}
    web = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    replace_with(
        html,
        web.get_template("all_tables.html.j2").render(
            pages=pages, verdicts=read_verdicts(verdicts), provenance=provenance, **legend
        ),
    )
    for one in pages:
        export(one, legend, templates, exports)


def page(table: Table) -> dict[str, Any]:
    """What the templates print of a table: its fields, and its cells as rows of lists of `Words`."""
    if unknown := [name for name in table.plot if name not in PLOTS]:
        raise UserError(f"{table.name}: unknown plot {unknown[0]!r}; known: {', '.join(PLOTS)}")
    reasons = dict.fromkeys(cell.absent for cell in table.cells if cell.status == "absent" and cell.absent)
    # a, b, ... z, aa, bb, ...
    letters = (letter * times for times in count(1) for letter in ascii_lowercase)
    footnotes = dict(zip(reasons, letters, strict=False))
    rows = {cell.row_index: cell.row for cell in table.cells}
    # a table of facts is headed by their names
    names = {cell.metric: cell.metric.replace("_", " ") for cell in table.cells}
    columns = {cell.column_index: names.get(cell.column, cell.column) for cell in table.cells}
    grid: dict[tuple[int, int], list[Words]] = {}
    for cell in table.cells:
        shown = words(cell, table, footnotes)
        grid.setdefault((cell.row_index, cell.column_index), []).append(shown)
    return {
        **{field: getattr(table, field) for field in Table.__dataclass_fields__},
        "label": table_label(table.name),
        "columns": [columns[column] for column in sorted(columns)],
        "rows": [
            (rows[row], [grid.get((row, column), []) for column in sorted(columns)]) for row in sorted(rows)
        ],
        "footnotes": {letter: reason for reason, letter in footnotes.items()},
        "measured": [METRICS[name] for name in table.metrics if name in METRICS],
        "drawings": [drawn for name in table.plot if (drawn := PLOTS[name](table))],
        "known": {cell.published_status for cell in table.cells} - {"printed", None},
        "noted": any(cell.published_note for cell in table.cells),
        "runs": sorted({run for cell in table.cells for run in cell.runs}),
    }


def words(cell: Cell, table: Table, footnotes: Mapping[str, str]) -> Words:
    """What a reader is told of a cell of the table."""
    comparable = table.scale in COMPARABLE
    status = STATUSES[cell.published_status or "not reported"]
    paper = (status.instead or cell.published or "") if cell.published_status else ""
    seeds = cell.n + cell.diverged
    metric = METRICS.get(cell.metric)  # None of a fact
    is_time = metric is not None and metric.is_time
    return Words(
        status=cell.status,
        ours=ours(cell),
        unit=metric.unit if metric and shown(cell) is not None else "",
        seeds=f"n={cell.n}" if cell.n else "",
        unconverged=f"{cell.unconverged} of {cell.n} not converged" if cell.unconverged else "",
        diverged=f"{cell.diverged} of {seeds}{' diverged' if cell.n else ''}" if cell.diverged else "",
        device=cell.device or "" if is_time and "device" in table.differing else "",
        footnote=footnotes.get(cell.absent or "", "") if cell.status == "absent" else "",
        paper=paper,
        mark=status.mark,
        differs=bool(cell.text and cell.published and cell.text != cell.published),
        # the paper's times are of its TPUs
        difference=difference(cell) if comparable and not status.instead and not is_time else "",
        note=f"{cell.published_status}: {cell.published_note}" if cell.published_note else "",
        column=cell.column,
        runs=cell.runs,
        chosen="chosen" if cell.chosen else "",
        planned="planned" if cell.status == "planned" else "",
    )
