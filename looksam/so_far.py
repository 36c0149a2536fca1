"""A study as it stands now: each cell's numbers so far, and why the rest is not there. Torch-free."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from looksam.cells import Cell, Place, Run, Table
from looksam.config import Row
from looksam.files import replace_with
from looksam.metrics import METRICS, over_seeds
from looksam.results import NEVER, OUTPUTS, stamp_of
from looksam.states import State, States
from looksam.study import Study
from looksam.words import SILENT_AFTER, read

# of a log, so much of its end is read
TAIL_BYTES = 4000
ERROR = re.compile(r"\b(error|\w+Error|\w+Exception|Killed|Preempted)\b")
REASONS = {
    "missing": "not run",
    "running": "running",
    "preempted": "preempted, goes on when run again",
    "stale": "stale",
}


class Look(NamedTuple):
    """What is known of one run: its numbers, where they are present, and what keeps it from being done."""

    row: Row | None
    reason: str


def so_far(study: Study, now: float, templates: Path, html: Path) -> None:
    """Write the page `html` of the study at Unix time `now`, from its files as they are; none is changed."""
    looks = looked(study, now)
    tables = [table_so_far(table, looks) for table in study.tables.values() if table.runs]
    done = sum(look.row is not None for look in looks.values())
    web = Environment(
        loader=FileSystemLoader(templates), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    page = web.get_template("so_far.html.j2").render(
        scale=study.scale_name,
        meaning=study.scale["title"],
        tables=tables,
        done=done,
        runs=len(looks),
        reasons=Counter(look.reason.partition(":")[0].partition(",")[0] for look in looks.values()),
    )
    replace_with(html, page)


def looked(study: Study, now: float) -> dict[str, Look]:
    """What is known of each run of the study."""
    requests = study.requests()
    states = States(study, requests, now)
    asked = {
        run["run"]: run["code"]
        for table in study.tables.values()
        if table.runs
        for run in requests[f"results/evaluations/{table.name}.json"]["runs"]
    }
    return {key: look(study.root, run, states.state(run), asked[key], now) for key, run in study.runs.items()}


def look(root: Path, run: Run, state: State, code: str, now: float) -> Look:
    """What is known of one run in this state. code: the fingerprint of what would evaluate it."""
    folder = root / "results/runs" / run.id
    if state.name != "done":
        return Look(None, reason(root / f"results/logs/train/{run.id}.log", folder, state, now))
    metrics, timing = read(folder / "metrics.json"), read(folder / "timing.json")
    is_newer = stamp_of(folder / "metrics.json") >= stamp_of(folder / OUTPUTS[0])
    if not (timing and is_newer and metrics.get("code") == code):
        return Look(None, "trained but not evaluated")
    diverged = metrics["diverged_at_step"]
    return Look(
        metrics | timing | {"run": run.id, "seed": run.settings["seed"]},
        "" if diverged is None else f"diverged: at step {diverged}",
    )


def reason(log: Path, folder: Path, state: State, now: float) -> str:
    """Why a run is not done: its state, how far it is, or the last line of its log where it failed."""
    if state.name in ("running", "preempted"):
        return f"{REASONS[state.name]}: {state.part:.0%} done"
    said, stamp = last_line(log), stamp_of(log)
    if said and stamp > stamp_of(folder / OUTPUTS[0]):
        if ERROR.search(said):
            return f"failed: {said}"
        if now - stamp / 1e9 <= SILENT_AFTER:
            return "running: no word yet"
        if stamp_of(folder / OUTPUTS[0]) == NEVER:
            return f"stopped: its log ends in {said}"
    return f"{REASONS[state.name]}: {state.why}" if state.why else REASONS[state.name]


def last_line(log: Path) -> str:
    """The last line of a log that says something, "" where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def table_so_far(table: Table, looks: Mapping[str, Look]) -> dict[str, Any]:
    """What the template prints of a table."""
    cells = {cell.place: cell_so_far(table, cell, looks) for cell in table.cells}
    return {
        "name": table.name,
        "title": table.spec["title"],
        "columns": [point.label for point in table.columns],
        "rows": [
            (row.label, [cells.get(Place(i, j)) for j in range(len(table.columns))])
            for i, row in enumerate(table.rows)
        ],
    }


def cell_so_far(table: Table, cell: Cell, looks: Mapping[str, Look]) -> dict[str, Any]:
    """A cell's numbers so far, each with how many of its seeds it is of, and the reasons for the others."""
    if not cell.runs:
        return {"numbers": [], "reasons": [cell.absent]}
    seen = [looks[run.id] for run in cell.runs]
    rows = [one.row for one in seen if one.row is not None]
    numbers = [number(table.name, metric, rows, len(seen)) for metric in table.spec["cell"] if rows]
    counts = Counter(one.reason for one in seen if one.reason)
    many = len(seen) > 1
    return {
        "numbers": [text for text in numbers if text],
        "reasons": [f"{n} of {len(seen)} {why}" if many else why for why, n in counts.items()],
    }


def number(where: str, name: str, rows: list[Row], seeds: int) -> str:
    """The mean of a metric over the seeds that have it, and of how many it is; "" where none has."""
    spread = over_seeds(where, name, rows)
    if spread["value"] is None:
        return ""
    metric = METRICS[name]
    value = f"{spread['value'] * metric.shown:.3g}"
    return (
        f"{metric.label}: {value}{' ' + metric.unit if metric.unit else ''}, {spread['n']} of {seeds} seeds"
    )
