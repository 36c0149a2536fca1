"""Plots of the report: inline SVG that follows the page's colours, the same bytes for the same cells."""

import io
import re
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from looksam.tables import Cell

# matplotlib draws in fixed colours; in the page each follows a property of the style sheet, in dark mode too
COLOURS = {"ink": "#1f2328", "rule": "#c9cdd2", "look": "#0b62a8", "sam": "#b4500f"}
LINES = {"g_v": ("LookSAM-k", "look", "o", "-"), "g_s": ("SAM-k", "sam", "s", "--")}
STYLE = {
    "svg.hashsalt": "looksam",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.edgecolor": COLOURS["rule"],
    **dict.fromkeys(("axes.titlecolor", "axes.labelcolor", "text.color"), COLOURS["ink"]),
    **{f"{axis}tick.color": COLOURS["rule"] for axis in "xy"},
    **{f"{axis}tick.labelcolor": COLOURS["ink"] for axis in "xy"},
}
# x, y and half the error bar, None where one run gives no spread
Point = tuple[int, float, float | None]
Lines = Mapping[str, list[Point]]
# title, name, points by descent, and those that are planned
Panel = tuple[str, str, Lines, Lines]
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def against_k(cells: Sequence[Cell]) -> str:
    """SVG for an HTML page: accuracy, and time relative to k = 0, against k; empty without a measured k.

    One line a descent; k = 1 is SAM, where both start; k = 0 is the dashed line. Error bars: one sd. Hollow
    marks, on no line: planned times.
    """
    panels: list[Panel] = [("Top-1 accuracy, %", "top1", scaled(cells, "top1", 100.0), {})]
    base = reference(cells, "seconds_per_epoch", 1.0)
    # times from different devices do not compare
    if base and len({cell.device for cell in cells if cell.metric == "seconds_per_epoch" and cell.n}) == 1:
        lines = scaled(cells, "seconds_per_epoch", 1.0 / base)
        panels.append(("Time per epoch, k = 0 is 1", "time", lines, hollow(cells, 1.0 / base)))
    references = {"top1": reference(cells, "top1", 100.0), "time": 1.0}
    panels = [panel for panel in panels if any(panel[2].values())]
    if not panels:
        return ""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.3 * len(panels), 3.2), layout="constrained")
        for index, (title, name, lines, planned) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1, title=title, xlabel="k")
            draw(axes, lines, planned, references[name])
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata=NO_METADATA)
    return inline(drawn.getvalue(), description(panels, references))


def reference(cells: Sequence[Cell], metric: str, factor: float) -> float | None:
    """Value at k = 0, the base optimizer."""
    values = [cell.value for cell in cells if cell.metric == metric and not cell.k and cell.value is not None]
    return values[0] * factor if values else None


def scaled(cells: Sequence[Cell], metric: str, factor: float) -> Lines:
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
                by_k[cell.k] = (cell.k, cell.value * factor, sd)
        lines[descent] = [by_k[k] for k in sorted(by_k)]
    return lines


def hollow(cells: Sequence[Cell], factor: float) -> Lines:
    """Planned times by descent."""
    times: dict[str, list[Point]] = {}
    for cell in cells:
        if cell.metric == "seconds_per_epoch" and cell.planned is not None and cell.k and cell.descent:
            times.setdefault(cell.descent, []).append((cell.k, cell.planned * factor, None))
    return times


def draw(axes: Axes, lines: Lines, planned: Lines, level: float | None) -> None:
    """Draw the lines, their error bars, planned times and the level of k = 0, over a logarithmic axis."""
    for descent, (label, colour, marker, dashes) in LINES.items():
        points = lines[descent]
        if points:
            ks, values, sds = zip(*points, strict=True)
            bars = [nan if sd is None else sd for sd in sds]
            line: dict[str, Any] = {"color": COLOURS[colour], "marker": marker, "linestyle": dashes}
            axes.errorbar(ks, values, bars, label=label, markersize=5, capsize=2.5, **line)
        if planned.get(descent):
            ks, values, _ = zip(*planned[descent], strict=True)
            mark: dict[str, Any] = {"marker": marker, "markeredgecolor": COLOURS[colour], "linestyle": "none"}
            axes.plot(
                ks, values, markerfacecolor="none", label=f"{label}, planned, not run", markersize=7, **mark
            )
    if level is not None:
        axes.axhline(
            level, color=COLOURS["ink"], linestyle=":", linewidth=1.2, label="base optimizer (k = 0)"
        )
    axes.set_xscale("log")
    axes.set_xticks(sorted({k for points in (*lines.values(), *planned.values()) for k, _, _ in points}))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.6, alpha=0.6)


def description(panels: Sequence[Panel], references: Mapping[str, float | None]) -> str:
    """The plot's numbers in words, for those who do not see it."""
    sentences = []
    for title, name, lines, planned in panels:
        for descent, points in lines.items():
            sentences.append(f"{title}, {LINES[descent][0]}: {listed(points) or 'not measured'}.")
            if planned.get(descent):
                sentences.append(f"Planned, not run: {listed(planned[descent])}.")
        if references[name] is not None:
            sentences.append(f"{title}, base optimizer: {references[name]:.3g}.")
    return " ".join(sentences)


def listed(points: Sequence[Point]) -> str:
    """The points in words."""
    return ", ".join(f"{value:.3g} at k = {k}" for k, value, _ in points)


def inline(svg: str, words: str) -> str:
    """The SVG as an HTML page takes it: no prologue, no ids to collide, colours from the style sheet."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    title = "Top-1 accuracy and time per epoch against k"
    named = f'<svg role="img" aria-label="{title}" style="stroke-linejoin: round"'
    head, body = svg.split(">", 1)
    return f"{head.replace('<svg', named)}><title>{title}</title><desc>{words}</desc>{body}"
