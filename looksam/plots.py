"""Plots of the report: from a table's cells and series to panels, each a row of PLOTS."""

import json
from collections.abc import Callable, Mapping, Sequence

from looksam.drawing import Drawing, drawing
from looksam.errors import UserError
from looksam.panels import Line, Look, Panel, Point
from looksam.pareto import accuracy_against_time, time_to_accuracy
from looksam.premise_maps import cosine_map, gain_map, slower_cosine_map
from looksam.published import is_papers
from looksam.tables import Cell, Table
from looksam.traces import premise, sharpness, training_curves

LINES = {"g_v": ("LookSAM-k", Look.of("look")), "g_s": ("SAM-k", Look.of("sam"))}


def against_k(table: Table) -> Drawing | None:
    """Accuracy, and time relative to k = 0, against k.

    One line a descent; k = 1 is SAM, where both start; k = 0 is the dotted line. Error bars: one sd. Hollow
    marks, on no line: planned times.
    """
    cells = table.cells
    base, level = (reference(cells, name) for name in ("seconds_per_epoch", "top1"))
    panels = [panel_of_k("Top-1 accuracy, %", scaled(cells, "top1", 100.0), {}, level and level * 100)]
    # times from different devices do not compare
    if base and len({cell.device for cell in cells if cell.metric == "seconds_per_epoch" and cell.n}) == 1:
        times = scaled(cells, "seconds_per_epoch", 1.0 / base)
        panels.append(panel_of_k("Time per epoch, k = 0 is 1", times, hollow(cells, 1.0 / base), 1.0))
    return drawing("Top-1 accuracy and time per epoch against k", panels)


def panel_of_k(
    title: str,
    lines: Mapping[str, list[Point]],
    planned: Mapping[str, list[Point]],
    level: float | None,
) -> Panel:
    """A panel over k."""
    drawn = []
    for descent, (label, look) in LINES.items():
        drawn.append(Line(label, look, lines[descent]))
        drawn.append(
            Line(f"{label}, planned, not run", look, planned.get(descent, []), False, is_hollow=True)
        )
    ks = sorted({point.x for line in drawn for point in line.points})
    base = None if level is None else ("base optimizer (k = 0)", level)
    return Panel(title, "k", "k =", drawn, base, is_log=True, ticks=ks)


def reference(cells: Sequence[Cell], metric: str) -> float | None:
    """Value at k = 0, the base optimizer."""
    values = [cell.value for cell in cells if cell.metric == metric and not cell.k and cell.value is not None]
    return values[0] if values else None


def scaled(cells: Sequence[Cell], metric: str, factor: float) -> dict[str, list[Point]]:
    """Points of each line by descent, in order of k; k = 1 belongs to every line."""
    lines: dict[str, list[Point]] = {}
    for descent in LINES:
        # the line's own k = 1, if it has one, comes last and counts
        ordered = sorted(cells, key=lambda cell: cell.descent == descent)
        by_k: dict[int, Point] = {}
        for cell in ordered:
            if cell.metric != metric or cell.value is None or not cell.k:
                continue
            if cell.k == 1 or cell.descent == descent:
                sd = cell.sd * factor if cell.sd is not None else None
                by_k[cell.k] = Point(cell.k, cell.value * factor, sd)
        lines[descent] = [by_k[k] for k in sorted(by_k)]
    return lines


def hollow(cells: Sequence[Cell], factor: float) -> dict[str, list[Point]]:
    """Planned times by descent."""
    times: dict[str, list[Point]] = {}
    for cell in cells:
        if cell.metric == "seconds_per_epoch" and cell.planned is not None and cell.k and cell.descent:
            times.setdefault(cell.descent, []).append(Point(cell.k, cell.planned * factor))
    return times


def sensitivity(table: Table) -> Drawing | None:
    """Accuracy against the setting that the columns vary, a line a row, and the paper's beside it.

    In panels of their own, since what the two were measured on may differ; the setting is in the paper's
    terms.
    """
    ours: dict[str, list[Point]] = {}
    papers: dict[str, list[Point]] = {}
    for cell in table.cells:
        x = json.loads(cell.coordinates).get(table.column_header.replace(" ", "_"))
        if not isinstance(x, int | float):
            raise UserError(
                f"{table.name}: the plot sensitivity is over one number, not over {table.column_header!r}; "
                "take it off the table's plots, or give its columns one setting that is a number"
            )
        if cell.metric == "top1" and cell.value is not None:
            sd = cell.sd * 100 if cell.sd is not None else None
            ours.setdefault(cell.row, []).append(Point(x, cell.value * 100, sd))
        if cell.metric == "top1" and cell.published and is_papers(cell.published_status):
            papers.setdefault(cell.row, []).append(Point(x, float(cell.published)))
    rows = list(dict.fromkeys([*ours, *papers]))
    name = table.column_header
    panels = [
        Panel(title, name, f"{name} =", lines_of(rows, table.row_header, found))
        for title, found in (
            ("Top-1 accuracy, %, this study", ours),
            ("Top-1 accuracy, %, the paper", papers),
        )
    ]
    return drawing(f"Top-1 accuracy against {name}", panels) if ours else None


def lines_of(rows: Sequence[str], header: str, points: Mapping[str, list[Point]]) -> list[Line]:
    """A line a row of the table."""
    return [
        Line(f"{header} {row}", Look.of(("look", "sam")[i % 2], i // 2), points.get(row, []))
        for i, row in enumerate(rows)
    ]


def premise_map(table: Table) -> Drawing | None:
    """Cosines of g_v by batch size, lag and phase, of runs with shadow steps."""
    return cosine_map([record for one in table.series for record in one.shadow])


def premise_map_slower(table: Table) -> Drawing | None:
    """The same at smaller learning rates."""
    return slower_cosine_map([record for one in table.series for record in one.shadow])


def reuse_gain(table: Table) -> Drawing | None:
    """What each alpha rule's reuse gains by batch size, of runs with shadow steps."""
    return gain_map([record for one in table.series for record in one.shadow])


# rows of a table's `plot`; None where nothing of it was measured
PLOTS: dict[str, Callable[[Table], Drawing | None]] = {
    "against-k": against_k,
    "sensitivity": sensitivity,
    "accuracy-against-time": accuracy_against_time,
    "time-to-accuracy": time_to_accuracy,
    "training-curves": training_curves,
    "premise": premise,
    "premise-map": premise_map,
    "premise-map-slower": premise_map_slower,
    "reuse-gain": reuse_gain,
    "sharpness": sharpness,
}
