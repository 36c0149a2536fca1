"""Panels: what a picture draws, lines of points over one x, and the same numbers as words and as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

# of more points, the words say the ends, and the table beside has all
TOLD = 12
# by colour, so that grey tells kinds apart too
MARKERS = {"ink": "DX", "sam": "s^v<>8", "look": "oPp*hd"}
DASHES: dict[str, tuple[Any, ...]] = {
    "ink": (":", (0, (1, 3))),
    "sam": ("--", (0, (9, 3)), (0, (3, 1)), (0, (9, 2, 3, 2)), (0, (2, 2)), (0, (14, 3))),
    "look": ("-", "-.", (0, (12, 2)), (0, (8, 2, 1, 2, 1, 2)), (0, (4, 1, 1, 1)), (0, (16, 2, 2, 2))),
}


class Point(NamedTuple):
    """x, y and half of their error bars, None where one run gives no spread."""

    x: float
    y: float
    y_error: float | None = None
    x_error: float | None = None


class Look(NamedTuple):
    """What tells a line from others: a colour of the page, and for grey a marker and dashes."""

    colour: str
    marker: str
    dashes: Any

    @classmethod
    def of(cls, colour: str, turn: int = 0) -> "Look":
        """The look of a colour's line number `turn`, from 0."""
        markers, dashes = MARKERS[colour], DASHES[colour]
        return cls(colour, markers[turn % len(markers)], dashes[turn % len(dashes)])


@dataclass(frozen=True)
class Line:
    """Named points. is_joined: by a line, straight or is_stepped. is_hollow: marks of no measurement.

    key: what the legend says, where it is not the label.
    """

    label: str
    look: Look
    points: Sequence[Point]
    is_joined: bool = True
    is_hollow: bool = False
    is_stepped: bool = False
    key: str = ""


@dataclass(frozen=True)
class Panel:
    """Lines over one x. x_name: x as a sentence names it. level: a number across all x, after its name."""

    title: str
    x_title: str
    x_name: str
    lines: Sequence[Line]
    level: tuple[str, float] | None = None
    is_log: bool = False
    ticks: Sequence[float] = ()


class Data(NamedTuple):
    """A panel's numbers as a table."""

    title: str
    header: list[str]
    rows: list[list[str]]


def labels(panel: Panel) -> list[str]:
    """What the legend names."""
    return [line.key or line.label for line in panel.lines if line.points] + (
        [panel.level[0]] if panel.level else []
    )


def sentences(panel: Panel) -> list[str]:
    """The panel's numbers in words, for those who do not see it."""
    said = []
    for line in panel.lines:
        if line.points or not line.is_hollow:
            said.append(f"{panel.title}, {line.label}: {listed(line.points, panel.x_name)}.")
    if panel.level:
        said.append(f"{panel.title}, {panel.level[0]}: {panel.level[1]:.3g}.")
    return said


def listed(points: Sequence[Point], name: str) -> str:
    """Points in words: all of a few, of many the ends."""
    told = [f"{point.y:.3g} at {name} {point.x:.3g}" for point in points]
    if len(told) > TOLD:
        return f"from {told[0]} to {told[-1]}, {len(told)} points"
    return ", ".join(told) or "not measured"


def data(panel: Panel) -> Data:
    """The panel's points as a table: a row for each x that lines share, or else for each point."""
    lines = [line for line in panel.lines if line.points]
    level = [[panel.level[0], "", number(panel.level[1])]] if panel.level else []
    if all(line.is_joined and not line.is_stepped for line in lines) and share_x(lines):
        by_x = [{point.x: spread(point.y, point.y_error) for point in line.points} for line in lines]
        xs = sorted({x for points in by_x for x in points})
        rows = [[number(x), *(points.get(x, "") for points in by_x)] for x in xs]
        header = [panel.x_title, *(line.label for line in lines)]
        if panel.level:
            header.append(panel.level[0])
            rows = [[*row, number(panel.level[1])] for row in rows]
        return Data(panel.title, header, rows)
    rows = [
        [line.label, spread(point.x, point.x_error), spread(point.y, point.y_error)]
        for line in lines
        for point in line.points
    ]
    return Data(panel.title, ["", panel.x_title, panel.title], rows + level)


def share_x(lines: Sequence[Line]) -> bool:
    """Whether some lines have points at the same x."""
    return (
        any({p.x for p in a.points} & {p.x for p in b.points} for a, b in pairwise(lines)) or len(lines) == 1
    )


def spread(value: float, error: float | None) -> str:
    """A number and half its error bar."""
    return number(value) + (f" ± {number(error)}" if error is not None else "")


def number(value: float) -> str:
    """Four significant digits, as people write them."""
    return f"{value:.4g}".replace("-", "−")
