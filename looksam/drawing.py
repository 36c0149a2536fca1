"""Drawings: panels as inline SVG in the page's colours, with their numbers in words and in tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, nan
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from looksam.panels import Data, Line, Panel, Point, data, labels, sentences
from looksam.svg import COLOURS, STYLE, as_svg, inline

# in inches, what stands before and after a name of the legend
MARK = 0.75


@dataclass(frozen=True)
class Drawing:
    """What the page shows of a plot: its title, the SVG, and its numbers."""

    title: str
    svg: Markup
    data: list[Data]


def drawing(title: str, panels: Sequence[Panel]) -> Drawing | None:
    """The panels that have points, side by side; None where none has."""
    kept = [panel for panel in panels if any(line.points and not line.is_hollow for line in panel.lines)]
    if not kept:
        return None
    # four in a square
    columns = 2 if len(kept) == 4 else min(len(kept), 3)
    names = dict.fromkeys(label for panel in kept for label in labels(panel))
    rows, name_width = ceil(len(kept) / columns), MARK + max(map(inches, names))
    # many names beside each other in twos at least, or they would be higher than the panel
    width = max(3.9 * columns, min(2, len(names) // 4) * name_width)
    beside = max(1, min(columns + 1, len(names), int(width / name_width)))
    legend = 0.24 * ceil(len(names) / beside) + 0.1
    height = 2.9 * rows + legend
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        # margins by hand: to fit them takes longer than to draw
        figure.subplots_adjust(
            0.55 / width, (legend + 0.5) / height, 1 - 0.15 / width, 1 - 0.35 / height, 0.22, 0.5
        )
        handles: dict[str, Any] = {}
        for index, panel in enumerate(kept):
            axes = figure.add_subplot(rows, columns, index + 1, title=panel.title, xlabel=panel.x_title)
            draw(axes, panel)
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles.keys(), ncols=beside, frameon=False, loc="lower center")
        svg = as_svg(figure)
    words = " ".join(sentence for panel in kept for sentence in sentences(panel))
    return Drawing(title, Markup(inline(svg, title, words)), [data(panel) for panel in kept])


def inches(name: str) -> float:
    """The width of a name in the legend."""
    with matplotlib.rc_context(STYLE):
        width, _, _ = text_to_path.get_text_width_height_descent(name, FontProperties(), ismath=False)
    return float(width) / 72


def draw(axes: Axes, panel: Panel) -> None:
    """Draw the panel's lines with their error bars, and its level."""
    for line in panel.lines:
        if line.points:
            draw_line(axes, line)
    if panel.level is not None:
        label, level = panel.level
        axes.axhline(level, color=COLOURS["ink"], linestyle=":", linewidth=1.2, label=label)
    if panel.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.locator_params(nbins=5)
    if panel.ticks:
        axes.set_xticks(list(panel.ticks))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.6, alpha=0.6)


def draw_line(axes: Axes, line: Line) -> None:
    """Draw one line; of many points some alone are marked."""
    xs, ys = [point.x for point in line.points], [point.y for point in line.points]
    colour, marker, dashes = line.look
    style: dict[str, Any] = {"color": COLOURS[colour], "marker": marker, "markersize": 5, "linewidth": 1.3}
    style |= {"linestyle": dashes if line.is_joined else "none", "label": line.key or line.label}
    if line.is_hollow:
        style |= {"markerfacecolor": "none", "markersize": 7}
    if line.is_stepped:
        style |= {"drawstyle": "steps-post"}
    style["markevery"] = max(1, len(xs) // 5)
    # matplotlib's own error bars take several times as long
    for bar_xs, bar_ys in bars(line.points):
        axes.plot(bar_xs, bar_ys, color=COLOURS[colour], linewidth=1, marker="")
    axes.plot(xs, ys, **style)


def bars(points: Sequence[Point]) -> list[tuple[list[float], list[float]]]:
    """The error bars as one broken line along y and one along x, those that there are."""
    up = [(p, p.y_error) for p in points if p.y_error is not None]
    across = [(p, p.x_error) for p in points if p.x_error is not None]
    found = [
        ([x for p, _ in up for x in (p.x, p.x, nan)], [y for p, e in up for y in (p.y - e, p.y + e, nan)]),
        (
            [x for p, e in across for x in (p.x - e, p.x + e, nan)],
            [y for p, _ in across for y in (p.y, p.y, nan)],
        ),
    ]
    return [bar for bar in found if bar[0]]
