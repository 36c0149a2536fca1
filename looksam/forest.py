"""Forest plots: numbers with their intervals, a row each, as SVG in the page's colours, written by hand.

By hand, because they are committed: no version of a drawing library may change their bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

ROW, TITLE, FOOT, PANEL, GAP = 19, 26, 40, 250, 22
NOTHING = "Not measured in this reading."
# of a letter, on average, at the size of the labels
LETTER = 7.2


@dataclass(frozen=True)
class Mark:
    """One row: a number with its interval, or the `words` that stand for it.

    colour: of the page's; filled where something is shown. within: half the width in which nothing is found.
    points: single numbers, as of seeds.
    """

    label: str
    value: float | None
    interval: tuple[float, float] | None = None
    words: str = ""
    colour: str = "ink"
    is_filled: bool = False
    within: float | None = None
    points: Sequence[float] = ()


@dataclass(frozen=True)
class Forest:
    """One panel."""

    title: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Axis:
    """What x is, numbers that have a line, and its ends if not the data's. is_shared: by all panels."""

    title: str
    levels: Sequence[float] = ()
    limits: tuple[float, float] | None = None
    is_shared: bool = True


@dataclass(frozen=True)
class Scale:
    """From a number to a place, within the ends of a panel."""

    low: float
    high: float
    left: float

    def __call__(self, x: float) -> float:
        """The place of x; beyond an end, that end."""
        share = (min(max(x, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + share * PANEL


def drawn(title: str, forests: Sequence[Forest], axis: Axis, columns: int = 3) -> str:
    """The panels as SVG for an HTML page, so many side by side, the labels of a row of panels at its left.

    With one column, each number stands in words at the right of its row.
    """
    if not any(forest.marks for forest in forests):
        return nothing(title)
    margin = LETTER * max(len(mark.label) for forest in forests for mark in forest.marks) + 14
    words = (
        LETTER * max(len(mark.words) for forest in forests for mark in forest.marks) if columns == 1 else 0
    )
    body: list[str] = []
    top = 0.0
    for start in range(0, len(forests), columns):
        side_by_side = forests[start : start + columns]
        for column, forest in enumerate(side_by_side):
            together = forests if axis.is_shared else [forest]
            scale = Scale(*(axis.limits or ends(together, axis)), margin + column * (PANEL + GAP))
            body += panel(forest, axis, scale, top, is_first=column == 0, has_words=columns == 1)
        top += TITLE + ROW * max(len(forest.marks) for forest in side_by_side) + FOOT
    width = margin + min(columns, len(forests)) * (PANEL + GAP) + words
    told = " ".join(
        f"{forest.title}, {mark.label}: {mark.words}." for forest in forests for mark in forest.marks
    )
    return framed(title, told, width, top, body)


def nothing(title: str) -> str:
    """A picture that says that there is none."""
    return framed(title, NOTHING, 320, 40, [text(12, 25, NOTHING, "start")])


def framed(title: str, words: str, width: float, height: float, body: Sequence[str]) -> str:
    """The SVG element with its title and its numbers in words."""
    return "\n".join(
        [
            f'<svg role="img" aria-label="{escape(title)}" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{escape(title)}</title><desc>{escape(words)}</desc>",
            *body,
            "</svg>",
        ]
    )


def panel(
    forest: Forest, axis: Axis, scale: Scale, top: float, is_first: bool, has_words: bool
) -> Iterator[str]:
    """One panel with its ticks and rows."""
    bottom = top + TITLE + ROW * len(forest.marks)
    yield text(scale.left, top + 15, forest.title, "start", 'font-weight="600"')
    for tick in ticks(scale.low, scale.high):
        yield line(scale(tick), bottom, scale(tick), bottom + 4, "rule")
        yield text(scale(tick), bottom + 17, plain(tick), "middle")
    yield line(scale.left, bottom, scale.left + PANEL, bottom, "rule")
    yield text(scale.left + PANEL / 2, bottom + 33, axis.title, "middle")
    for level in axis.levels:
        yield line(scale(level), top + TITLE - 3, scale(level), bottom, "ink", 'stroke-dasharray="2 2"')
    for row, mark in enumerate(forest.marks):
        y = top + TITLE + ROW * (row + 0.5)
        if is_first:
            yield text(scale.left - 12, y + 4, mark.label, "end")
        if has_words:
            yield text(scale.left + PANEL + 10, y + 4, mark.words, "start")
        elif mark.value is None:
            yield text(scale.left + 4, y + 4, mark.words, "start", 'font-style="italic"')
        yield from strokes(mark, scale, y)


def strokes(mark: Mark, scale: Scale, y: float) -> Iterator[str]:
    """The row's marks: what it may miss, its interval, its points and its number."""
    if mark.within is not None:
        for end in (-mark.within, mark.within):
            if scale.low <= end <= scale.high:
                yield line(scale(end), y - 6, scale(end), y + 6, "rule", 'stroke-width="2"')
    for point in mark.points:
        yield dot(scale(point), y, 2.2, mark.colour, True, 'fill-opacity="0.45" stroke="none"')
    if mark.interval is not None:
        low, high = mark.interval
        yield line(scale(low), y, scale(high), y, mark.colour, 'stroke-width="1.6"')
        for end, sign, is_out in ((low, -1, low < scale.low), (high, 1, high > scale.high)):
            if is_out:
                x = scale(end)
                arrow = f"M{x - 5 * sign:.2f} {y - 4:.2f} L{x:.2f} {y:.2f} L{x - 5 * sign:.2f} {y + 4:.2f}"
                yield f'<path d="{arrow}" fill="none" stroke="var(--{mark.colour})"/>'
    if mark.value is not None and mark.points:
        yield line(scale(mark.value), y - 7, scale(mark.value), y + 7, mark.colour, 'stroke-width="2"')
    elif mark.value is not None and scale.low <= mark.value <= scale.high:
        yield dot(scale(mark.value), y, 4, mark.colour, mark.is_filled)


def line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    """A straight line."""
    ends = f'x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"'
    return f'<line {ends} stroke="var(--{colour})"{" " + more if more else ""}/>'


def dot(x: float, y: float, radius: float, colour: str, is_filled: bool, more: str = "") -> str:
    """A disc, or a ring with the paper within."""
    fill = f"var(--{colour if is_filled else 'paper'})"
    stroke = more or f'stroke="var(--{colour})" stroke-width="1.4"'
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}" fill="{fill}" {stroke}/>'


def text(x: float, y: float, said: str, anchor: str, more: str = "") -> str:
    """Words that start at x, end there or have it in their middle."""
    place = f'x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"'
    return f'<text {place} fill="var(--ink)"{" " + more if more else ""}>{escape(said)}</text>'


def ends(forests: Sequence[Forest], axis: Axis) -> tuple[float, float]:
    """The ends of x that leave room around every number, level and interval."""
    marks = [mark for forest in forests for mark in forest.marks]
    xs = [*axis.levels, *(x for mark in marks for x in (*(mark.interval or ()), *mark.points))]
    xs += [mark.value for mark in marks if mark.value is not None]
    xs += [sign * mark.within for mark in marks if mark.within is not None for sign in (-1, 1)]
    low, high = (min(xs), max(xs)) if xs else (0.0, 1.0)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends, three to seven of them."""
    power = 10.0 ** floor(log10((high - low) / 3))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if (high - low) / (step * power) <= 6)
    return [round(number * step, 10) for number in range(ceil(low / step), floor(high / step) + 1)]


def plain(tick: float) -> str:
    """A tick in words, with a true minus."""
    return f"{tick:g}".replace("-", "−")
