"""The report: tables as one self-contained page and as files to quote from, ours beside the paper's."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from looksam.entries import Words, words
from looksam.errors import UserError
from looksam.exports import export
from looksam.files import replace_with
from looksam.metrics import METRICS
from looksam.plots import PLOTS
from looksam.provenance import NOT_RECORDED, Provenance
from looksam.published import STATUSES
from looksam.run_lists import RunList, run_lists
from looksam.shown import table_label
from looksam.svg import apart
from looksam.tables import COMPARABLE, Table, read
from looksam.verdicts import NO_VERDICTS
from looksam.verdicts import read as read_verdicts


def report(
    tables: Sequence[Path],
    verdicts: Path,
    templates: Path,
    html: Path,
    exports: Path,
    provenance: Mapping[str, Provenance] = NOT_RECORDED,
    evidence: Mapping[str, Any] | None = None,
    is_of_claims: bool = True,
) -> None:
    """Write the page `html` and `exports`/<table>.{csv,md,tex} of these tables, in the order given.

    verdicts: what `looksam judge` says of the paper's claims, left out unless `is_of_claims`. provenance: of
    the tables' runs, by run. evidence: what `evidence_section` says, where the evidence study is part of it.
    """
    pages = [page(read(table), provenance) for table in tables]
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
    web.filters["sha256"] = digest
    lists = run_lists(pages, provenance)
    said = read_verdicts(verdicts) if is_of_claims else NO_VERDICTS
    text = web.get_template("all_tables.html.j2").render(
        pages=pages, verdicts=said, evidence=evidence, run_lists=lists, **totals(pages, lists), **legend
    )
    replace_with(html, text)
    for one in pages:
        export(one, legend, templates, exports)


def digest(text: str) -> str:
    """The SHA-256 of a script's text as a Content-Security-Policy writes it."""
    return b64encode(sha256(text.encode()).digest()).decode()


def totals(pages: Sequence[Mapping[str, Any]], lists: Mapping[str, RunList]) -> dict[str, int]:
    """How many runs the page is made of, how many of them are stale, and what became of its cells."""
    statuses = [cell.status for one in pages for cell in one["cells"] if cell.runs or cell.absent]
    return {
        "all_runs": sum(len(one.rows) for one in lists.values()),
        "stale_runs": sum(bool(row.stale) for one in lists.values() for row in one.rows),
        "asked_cells": len(statuses),
        "measured_cells": statuses.count("done"),
    }


def page(table: Table, provenance: Mapping[str, Provenance] = NOT_RECORDED) -> dict[str, Any]:
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
        shown = words(cell, table, footnotes, provenance)
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
        "drawings": [
            replace(drawn, svg=Markup(apart(str(drawn.svg), f"{table.name}-{name}")))
            for name in table.plot
            if (drawn := PLOTS[name](table))
        ],
        "known": {cell.published_status for cell in table.cells} - {"printed", None},
        "uncarried": any(cell.to_best is not None and not cell.carried for cell in table.cells),
        "noted": any(cell.published_note for cell in table.cells),
        "runs": list(dict.fromkeys(run for cell in table.cells for run in cell.runs)),
    }
