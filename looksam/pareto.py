"""Accuracy against training time: which cells none beats in both, and when a training was as good as SAM."""

from collections.abc import Sequence

from looksam.drawing import Drawing, drawing
from looksam.groups import groups, same_device
from looksam.panels import Line, Look, Panel, Point
from looksam.series import Series
from looksam.tables import Table

FRONT = Look("ink", "None", (0, (1, 2)))
UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def accuracy_against_time(table: Table) -> Drawing | None:
    """Accuracy against the time of an epoch, a panel a network, with the front of cells that none beats."""
    panels = []
    for name, members in groups(table) if same_device(table) else ():
        lines = [
            Line(
                label,
                look,
                [
                    Point(
                        one.seconds_per_epoch, one.top1 * 100, percent(one.top1_sd), one.seconds_per_epoch_sd
                    )
                ],
                is_joined=False,
            )
            for label, look, one in members
            if one.seconds_per_epoch is not None and one.top1 is not None
        ]
        unbeaten = front([line.points[0] for line in lines])
        best = Line("Pareto front", FRONT, unbeaten, is_stepped=True) if len(unbeaten) > 1 else None
        panels.append(
            Panel(
                f"Top-1 accuracy, %, {name}",
                "seconds per epoch",
                "seconds per epoch =",
                [*lines, *([best] if best else [])],
            )
        )
    return drawing("Top-1 accuracy against the time of an epoch, with the Pareto front", panels)


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, being as fast and more accurate, or faster and as accurate; by time."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (one.x, -one.y)):
        if not kept or point.y > kept[-1].y:
            kept.append(Point(point.x, point.y))
    return kept


def percent(value: float | None) -> float | None:
    """A fraction in percent."""
    return None if value is None else value * 100


def time_to_accuracy(table: Table) -> Drawing | None:
    """Accuracy on the judging images over training time, beside SAM's at its end; a ring where it is reached.

    Time is epochs times the seconds of a warm epoch.
    """
    panels = []
    for name, members in groups(table) if same_device(table) else ():
        timed = [(label, look, one) for label, look, one in members if one.seconds_per_epoch and one.judged]
        ends = [one.judged[-1][1] * 100 for _, _, one in timed if one.k == 1 and one.descent == "g_s"]
        longest = max((one.judged[-1][0] * (one.seconds_per_epoch or 0) for _, _, one in timed), default=0)
        unit, seconds = next((unit for unit in UNITS if longest >= 2 * unit[1]), UNITS[-1])
        lines = [Line(label, look, over_time(one, seconds)) for label, look, one in timed]
        rings = reached(lines, ends[0]) if ends else []
        level = ("SAM at its end", ends[0]) if ends else None
        panels.append(
            Panel(f"Top-1 accuracy, %, {name}", f"{unit} of training", f"{unit} =", [*lines, *rings], level)
        )
    return drawing("Top-1 accuracy over training time, and when SAM's at its end is reached", panels)


def over_time(one: Series, unit: float) -> list[Point]:
    """Accuracy in percent at the milestones, over time in units of so many seconds."""
    per_epoch = (one.seconds_per_epoch or 0.0) / unit
    return [Point(epoch * per_epoch, top1 * 100) for epoch, top1 in one.judged]


def reached(lines: Sequence[Line], level: float) -> list[Line]:
    """Where each line first is at the level or above, at a milestone, as a hollow ring."""
    found = []
    for line in lines:
        first = next((point for point in line.points if point.y >= level), None)
        if first:
            found.append(
                Line(
                    f"{line.label} reaches it",
                    Look("ink", "o", "-"),
                    [first],
                    is_joined=False,
                    is_hollow=True,
                    key="SAM's end first reached",
                )
            )
    return found
