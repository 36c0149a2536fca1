"""Tables of the paper: evaluations of runs become one row per cell and metric, the paper's value beside."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.calibration import planned
from looksam.choice import chosen_runs
from looksam.comparisons import compared
from looksam.errors import UserError
from looksam.facts import facts_of_models, model_key
from looksam.files import replace_file
from looksam.metrics import METRICS, over_seeds
from looksam.origins import described, differing, origin, together
from looksam.published import paper
from looksam.series import Series, series_of


@dataclass(frozen=True)
class Cell:
    """One metric of a cell. value, sd: over the n seeds that did not diverge, top1 a fraction; text: fact.

    seeds, values, counted: of these n runs, in order: their seeds, numbers and names. coordinates: what the
    cell stands for in the paper's terms, as JSON. best, to_best, ...: what `looksam.comparisons` finds: the
    difference from the best of those it competes with, of times their ratio.

    unconverged: of these n, how many are attempts. device, environment: of its runs' trainings, in words.
    chosen: of a search, whether the run is the trial whose values others take. planned: a time that was
    computed and not measured; it is never in `value`.
    """

    row_index: int
    column_index: int
    row: str
    column: str
    metric: str
    value: float | None
    sd: float | None
    n: int
    diverged: int
    unconverged: int
    text: str | None
    status: str
    absent: str | None
    runs: list[str]
    device: str | None
    environment: str | None
    k: int | None
    descent: str | None
    published: str | None
    published_status: str | None
    published_note: str | None
    chosen: bool = False
    planned: float | None = None
    coordinates: str = "{}"
    seeds: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    best: bool = False
    to_best: float | None = None
    to_best_low: float | None = None
    to_best_high: float | None = None
    to_best_p: float | None = None
    carried: bool = False
    test: str = ""


TYPES: dict[Any, pa.DataType] = {
    int: pa.int32(),
    int | None: pa.int32(),
    float | None: pa.float64(),
    str: pa.string(),
    str | None: pa.string(),
    list[str]: pa.list_(pa.string()),
    list[int]: pa.list_(pa.int64()),
    list[float]: pa.list_(pa.float64()),
    bool: pa.bool_(),
}
COLUMNS = {one.name: TYPES[one.type] for one in fields(Cell)}

# of a table's metadata, what is JSON
LISTS = ("metrics", "differing", "plot", "series")

# scales whose runs are the paper's own, so that a difference from the paper's numbers means something
COMPARABLE = frozenset({"paper", "cifar"})


@dataclass(frozen=True)
class Table:
    """A tabulated table: what it is, and its cells in the order of the request.

    environment: where its runs were trained, in a sentence; differing: fields of `Origin` not all the same.
    planned: what its planned times rest on, empty where it has none. compared: how its cells are compared,
    empty where none are. series: what its plots show, empty where it has none.
    """

    name: str
    title: str
    caption: str
    scale: str
    scale_title: str
    row_header: str
    column_header: str
    environment: str
    differing: list[str]
    planned: str
    compared: str
    metrics: list[str]
    plot: list[str]
    series: list[Series]
    cells: list[Cell]


def tabulate(request: Path, evaluations: Path | None, table: Path, chosen: Sequence[Path] = ()) -> None:
    """Write the parquet `table` that a request asks for.

    evaluations: of its runs, None without runs. chosen: the choices of a search, one a row.
    """
    asked = json.loads(request.read_text(encoding="utf-8"))
    rows = pq.read_table(evaluations).to_pylist() if evaluations else []
    evaluated = {row["run"]: row | {"origin": origin(row["environment"])} for row in rows}
    facts = facts_of_models([cell["model"] for cell in asked["cells"] if cell["model"]])
    cells = [asdict(tabulated(cell, asked, evaluated, facts)) for cell in asked["cells"]]
    winners = chosen_runs(asked, evaluated, chosen)
    origins = [
        evaluated[run]["origin"] for run in dict.fromkeys(run for cell in cells for run in cell["runs"])
    ]
    plans, rests_on = planned(asked["cells"], [cell["value"] for cell in cells], {o.device for o in origins})
    for cell, plan in zip(cells, plans, strict=True):
        cell |= {"chosen": not winners.isdisjoint(cell["runs"])} | plan
    changes, how = compared(cells, asked["compare"], evaluated)
    for cell, change in zip(cells, changes, strict=True):
        cell |= change
    keys = ("table", "title", "caption", "scale", "scale_title", "row_header", "column_header")
    about = {key: asked[key] for key in keys}
    has_times = any(name in METRICS and METRICS[name].is_time for name in asked["metrics"])
    about |= {"environment": described(origins, has_times), "differing": json.dumps(differing(origins))}
    about |= {"metrics": json.dumps(asked["metrics"]), "planned": rests_on, "compared": how}
    shown = series_of(asked, evaluated) if asked["plot"] else []
    about |= {"plot": json.dumps(asked["plot"]), "series": json.dumps([asdict(one) for one in shown])}
    stored = pa.Table.from_pylist(cells, schema=pa.schema(COLUMNS, metadata=about))
    replace_file(table, partial(pq.write_table, stored))


def read(table: Path) -> Table:
    """The table that `tabulate` wrote."""
    stored = pq.read_table(table)
    about = {key.decode(): value.decode() for key, value in (stored.schema.metadata or {}).items()}
    if missing := [key for key in ("table", "scale", *LISTS) if key not in about]:
        raise UserError(f"{table} is no table of `looksam tabulate`: its metadata lacks {', '.join(missing)}")
    about.pop("ARROW:schema", None)
    lists = {key: json.loads(about.pop(key)) for key in LISTS}
    lists["series"] = [Series(**row) for row in lists["series"]]
    cells = [Cell(**row) for row in stored.to_pylist()]
    return Table(name=about.pop("table"), cells=cells, **lists, **about)


def tabulated(
    asked: Mapping[str, Any],
    table: Mapping[str, Any],
    evaluated: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Mapping[str, str]],
) -> Cell:
    """One requested cell with its numbers, its fact, or the reason why it has neither."""
    where = f"{table['table']}, {table['rows'][asked['row']]} x {table['columns'][asked['column']]}"
    text = asked["fact"]
    spread: dict[str, Any] = {"value": None, "sd": None, "n": 0, "diverged": 0, "unconverged": 0}
    if asked["model"]:
        of_model = facts[model_key(asked["model"])]
        if asked["metric"] not in of_model:
            raise UserError(f"unknown fact {asked['metric']!r} of a model; known: {', '.join(of_model)}")
        text = of_model[asked["metric"]]
    if missing := [run for run in asked["runs"] if run not in evaluated]:
        raise UserError(f"{where}: no evaluation of {', '.join(missing)}; evaluate, then tabulate again")
    runs = [{**evaluated[run], "seed": s} for run, s in zip(asked["runs"], asked["seeds"], strict=True)]
    if runs:
        spread = over_seeds(where, asked["metric"], runs)
    elif text is None and not asked["absent"]:
        raise UserError(f"{where}: a cell needs runs, a fact, a model, or the reason why it is absent")
    gone = "absent" if not runs else "diverged" if spread["diverged"] == len(runs) else "unmeasured"
    return Cell(
        row_index=asked["row"],
        column_index=asked["column"],
        row=table["rows"][asked["row"]],
        column=table["columns"][asked["column"]],
        status="done" if text is not None or spread["n"] else gone,
        text=text,
        device=together([row["origin"].device for row in runs]),
        environment=together([str(row["origin"]) for row in runs]),
        coordinates=json.dumps(asked["coordinates"], sort_keys=True),
        **{key: asked[key] for key in ("metric", "absent", "runs", "k", "descent")},
        **spread,
        **paper(where, asked["published"] or {"value": None, "status": None, "note": None}),
    )
