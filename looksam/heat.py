"""Heat maps: numbers from -1 to 1 as coloured cells with the number in each, panels in a grid, as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from looksam.drawing import Drawing
from looksam.panels import Data
from looksam.svg import COLOURS, STYLE, as_svg, inline

# a cell's width and height and what stands around a panel, in inches
CELL, ROW, LEFT, TOP, GAP = 0.3, 0.22, 0.75, 0.55, 0.12
# of the colour at 1: the number stays readable on it
DEEPEST = 0.55

Values = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Heat:
    """A panel: values by row and column, where they are known. name: of its row of panels, in the first."""

    title: str
    name: str
    values: Values


@dataclass(frozen=True)
class Grid:
    """Panels [rows of panels][columns], all with the same rows and columns, whose names are theirs."""

    panels: Sequence[Sequence[Heat]]
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str
    column_title: str


def heat_drawing(title: str, grid: Grid, data: Sequence[Data]) -> Drawing:
    """The grid with its numbers beside it: blue above 0, orange below, the more the further from it."""
    wide, high = CELL * len(grid.columns), ROW * len(grid.rows)
    down, across = len(grid.panels), max(len(row) for row in grid.panels)
    width = LEFT + across * (wide + GAP)
    height = down * (high + TOP) + 0.45
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        for i, row in enumerate(grid.panels):
            for j, panel in enumerate(row):
                x, y = LEFT + j * (wide + GAP), height - (i + 1) * (high + TOP) + 0.15
                axes = figure.add_axes((x / width, y / height, wide / width, high / height))
                draw_heat(axes, panel, grid, is_first=j == 0, is_last=i == down - 1)
        svg = as_svg(figure)
    words = " ".join(said(panel, grid) for row in grid.panels for panel in row)
    return Drawing(title, Markup(inline(svg, title, words)), list(data))


def draw_heat(axes: Axes, panel: Heat, grid: Grid, is_first: bool, is_last: bool) -> None:
    """Draw one panel; the first of a row names the rows, those of the last row the columns."""
    for i, row in enumerate(grid.rows):
        for j, column in enumerate(grid.columns):
            value = panel.values.get((row, column))
            if value is None:
                continue
            colour = COLOURS["look" if value >= 0 else "sam"]
            depth = DEEPEST * min(1.0, abs(value))
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, alpha=depth, linewidth=0))
            axes.text(j + 0.5, i + 0.5, brief(value), ha="center", va="center", fontsize=7)
    axes.set(xlim=(0, len(grid.columns)), ylim=(len(grid.rows), 0))
    axes.set_title(f"{panel.name}\n{panel.title}" if is_first else panel.title, fontsize=9)
    axes.set_xticks([j + 0.5 for j in range(len(grid.columns))], grid.columns, fontsize=8)
    axes.set_yticks([i + 0.5 for i in range(len(grid.rows))], grid.rows, fontsize=8)
    axes.tick_params(length=0, labelbottom=is_last, labelleft=is_first)
    if is_first:
        axes.set_ylabel(grid.row_title, fontsize=8)
    if is_last:
        axes.set_xlabel(grid.column_title, fontsize=8)


def brief(value: float) -> str:
    """Two decimals without the 0 before them."""
    rounded = round(value, 2) + 0.0  # no minus before a 0
    return f"{rounded:.2f}".replace("0.", ".", 1).replace("-", "−")


def said(panel: Heat, grid: Grid) -> str:
    """The panel's first and last known number of each row in words."""
    parts = []
    for row in grid.rows:
        known = [(c, panel.values[row, c]) for c in grid.columns if (row, c) in panel.values]
        if known:
            ends = dict((known[0], known[-1]))
            told = ", ".join(f"{value:.2f} at {grid.column_title} {column}" for column, value in ends.items())
            parts.append(f"{grid.row_title} {row}: {told}")
    return f"{panel.name}, {panel.title}: {'; '.join(parts) or 'not measured'}."
