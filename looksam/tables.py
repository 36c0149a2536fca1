"""Tables of the paper: evaluations of runs become one row per cell and metric, the paper's value beside."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.files import replace_file


@dataclass(frozen=True)
class Metric:
    """A number of a run: column / divisor is what tables store, times `shown` what readers see, in `unit`."""

    column: str
    divisor: float
    shown: float
    label: str
    unit: str
    difference_unit: str


METRICS = {
    "top1": Metric("top1", 1.0, 100.0, "top-1 accuracy (%)", "", "pp"),
    "seconds_per_epoch": Metric("seconds_per_epoch", 1.0, 1.0, "seconds per epoch", "s", "s"),
    "training_hours": Metric("seconds", 3600.0, 1.0, "training hours", "h", "h"),
}


@dataclass(frozen=True)
class Status:
    """How well a value of the paper is known: the mark beside it, or a word instead of a value."""

    mark: str
    meaning: str
    instead: str = ""


STATUSES = {
    "printed": Status("", "printed in the paper"),
    "repaired": Status("†", "damaged in the source text and repaired"),
    "inferred": Status("‡", "not legible, taken from another place in the paper"),
    "secondary": Status("§", "from a secondary source"),
    "conflict": Status("¶", "contradicted elsewhere in the paper"),
    "not reported": Status("", "the paper gives no value", "—"),
    "unrecovered": Status("", "the paper has a value, which the source text lost", "lost"),
}


@dataclass(frozen=True)
class Cell:
    """One metric of a cell. value, sd: over the n seeds that did not diverge, top1 a fraction; text: fact."""

    row_index: int
    column_index: int
    row: str
    column: str
    metric: str
    value: float | None
    sd: float | None
    n: int
    diverged: int
    text: str | None
    status: str
    absent: str | None
    runs: list[str]
    k: int | None
    descent: str | None
    published: str | None
    published_status: str | None
    published_note: str | None


TYPES: dict[Any, pa.DataType] = {
    int: pa.int32(),
    int | None: pa.int32(),
    float | None: pa.float64(),
    str: pa.string(),
    str | None: pa.string(),
    list[str]: pa.list_(pa.string()),
}
COLUMNS = {field.name: TYPES[field.type] for field in fields(Cell)}


@dataclass(frozen=True)
class Table:
    """A tabulated table: what it is, and its cells in the order of the request."""

    name: str
    title: str
    caption: str
    scale: str
    scale_title: str
    row_header: str
    column_header: str
    metrics: list[str]
    plot: str
    cells: list[Cell]


def tabulate(request: Path, evaluations: Path | None, table: Path) -> None:
    """Write the parquet `table` that a request asks for; evaluations: of its runs, None without runs."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    rows = pq.read_table(evaluations).to_pylist() if evaluations else []
    evaluated = {row["run"]: row for row in rows}
    facts = facts_of_models([cell["model"] for cell in asked["cells"] if cell["model"]])
    cells = [asdict(tabulated(cell, asked, evaluated, facts)) for cell in asked["cells"]]
    keys = ("table", "title", "caption", "scale", "scale_title", "row_header", "column_header")
    about = {key: asked[key] for key in keys}
    about |= {"metrics": json.dumps(asked["metrics"]), "plot": asked["plot"] or ""}
    stored = pa.Table.from_pylist(cells, schema=pa.schema(COLUMNS, metadata=about))
    replace_file(table, partial(pq.write_table, stored))


def read(table: Path) -> Table:
    """The table that `tabulate` wrote."""
    stored = pq.read_table(table)
    about = {key.decode(): value.decode() for key, value in (stored.schema.metadata or {}).items()}
    if missing := [key for key in ("table", "scale", "metrics") if key not in about]:
        raise UserError(f"{table} is no table of `looksam tabulate`: its metadata lacks {', '.join(missing)}")
    about.pop("ARROW:schema", None)
    metrics = json.loads(about.pop("metrics"))
    cells = [Cell(**row) for row in stored.to_pylist()]
    return Table(name=about.pop("table"), metrics=metrics, cells=cells, **about)


def model_key(model: Mapping[str, Any]) -> str:
    """Text that equal model settings share."""
    return json.dumps(model, sort_keys=True)


def facts_of_models(models: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Facts of each distinct model by `model_key`; each model is built once."""
    if not models:
        return {}
    # here, because it brings torch, which tables of runs do without
    from looksam.models import facts

    return {key: facts(model) for key, model in {model_key(model): model for model in models}.items()}


def tabulated(
    asked: Mapping[str, Any],
    table: Mapping[str, Any],
    evaluated: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Mapping[str, str]],
) -> Cell:
    """One requested cell with its numbers, its fact, or the reason why it has neither."""
    where = f"{table['table']}, {table['rows'][asked['row']]} x {table['columns'][asked['column']]}"
    text = asked["fact"]
    spread: dict[str, Any] = {"value": None, "sd": None, "n": 0, "diverged": 0}
    if asked["model"]:
        of_model = facts[model_key(asked["model"])]
        if asked["metric"] not in of_model:
            raise UserError(f"unknown fact {asked['metric']!r} of a model; known: {', '.join(of_model)}")
        text = of_model[asked["metric"]]
    if missing := [run for run in asked["runs"] if run not in evaluated]:
        raise UserError(f"{where}: no evaluation of {', '.join(missing)}; evaluate, then tabulate again")
    if asked["runs"]:
        spread = over_seeds(where, asked["metric"], [evaluated[run] for run in asked["runs"]])
    elif text is None and not asked["absent"]:
        raise UserError(f"{where}: a cell needs runs, a fact, a model, or the reason why it is absent")
    gone = "diverged" if asked["runs"] else "absent"
    return Cell(
        row_index=asked["row"],
        column_index=asked["column"],
        row=table["rows"][asked["row"]],
        column=table["columns"][asked["column"]],
        status="done" if text is not None or spread["n"] else gone,
        text=text,
        **{key: asked[key] for key in ("metric", "absent", "runs", "k", "descent")},
        **spread,
        **paper(where, asked["published"] or {"value": None, "status": None, "note": None}),
    )


def paper(where: str, published: Mapping[str, str | None]) -> dict[str, Any]:
    """The paper's value with its status and note, as a cell stores them."""
    if published["status"] not in (None, *STATUSES):
        raise UserError(f"{where}: unknown status {published['status']!r}; known: {', '.join(STATUSES)}")
    names = {"published": "value", "published_status": "status", "published_note": "note"}
    return {name: published[key] for name, key in names.items()}


def over_seeds(where: str, name: str, evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of a metric over the runs that did not diverge, and how many did."""
    if name not in METRICS:
        raise UserError(f"{where}: unknown metric {name!r} of runs; known: {', '.join(METRICS)}")
    metric = METRICS[name]
    kept = [row[metric.column] / metric.divisor for row in evaluations if row["diverged_at_step"] is None]
    return {
        "value": fmean(kept) if kept else None,
        "sd": stdev(kept) if len(kept) >= 2 else None,
        "n": len(kept),
        "diverged": len(evaluations) - len(kept),
    }
