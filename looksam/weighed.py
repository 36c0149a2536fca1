"""Weighed: what a study measured of a claim, with the bounds between which the claim puts it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from looksam.contrasts import Evidence, absence, contrast, diverged, labelled, matching, names, pairs
from looksam.intervals import Difference, Draws, Spread, mean
from looksam.metrics import METRICS, Metric
from looksam.premise import COSINE, GAIN
from looksam.shown import apart, plain, ratio, table_label
from looksam.tables import Cell, Table

Part = Mapping[str, Any]
NOT_RECORDED = "these runs' histories record no cosines of g_v"
OF_IMAGES = "one seed, whose interval is of the test images' sampling and not of training's randomness"


@dataclass(frozen=True)
class Weighed:
    """A number of a study, a difference unless `is_value`, and its bounds, as logarithms where it `is_ratio`.

    what: it is of. obstacle: why it decides nothing, whatever it is.
    """

    table: str
    what: str
    metric: Metric
    found: Difference | None
    low: float = -math.inf
    high: float = math.inf
    is_ratio: bool = False
    is_value: bool = False
    obstacle: str = ""

    @property
    def counts(self) -> bool:
        """Whether seeds say something of it."""
        return not self.obstacle and self.found is not None and isinstance(self.found.spread, Spread)

    def p_for(self) -> float:
        """p of its being out of bounds, which the claim denies."""
        assert self.found is not None
        above = self.found.p_above(self.low) if math.isfinite(self.low) else 0.0
        return max(above, self.found.p_below(self.high) if math.isfinite(self.high) else 0.0)

    def p_against(self) -> float:
        """p of its being within bounds."""
        assert self.found is not None
        below = self.found.p_below(self.low) if math.isfinite(self.low) else 1.0
        return min(below, self.found.p_above(self.high) if math.isfinite(self.high) else 1.0)

    def said(self, value: float, ends: tuple[float, float] | None = None) -> tuple[str, str]:
        """A number of this kind, with its interval, in words."""
        if self.is_ratio:
            return ratio(math.exp(value), (math.exp(ends[0]), math.exp(ends[1])) if ends else None)
        return (plain if self.is_value else apart)(self.metric, value, ends)

    @property
    def numbers(self) -> tuple[str, str]:
        """The number and its interval in words; empty where there are none."""
        return self.said(self.found.value, self.found.interval) if self.found else ("", "")

    @property
    def seeds(self) -> int:
        """How many seeds, or pairs of them, it rests on."""
        return min(self.found.n) if self.found else 0

    def crossed(self) -> list[str]:
        """The bounds that its interval contains, in words."""
        ends = self.found.interval if self.found else None
        if ends is None:
            return []
        within = [bound for bound in (self.low, self.high) if ends[0] <= bound <= ends[1]]
        return [self.said(bound)[0] if bound else "0" for bound in within]


def weighed(part: Part, evidence: Evidence) -> Iterator[Weighed]:
    """Everything that a part of a claim compares, measured or not."""
    metric = METRICS.get(part["metric"], COSINE)
    for name in part["tables"]:
        table = evidence.tables.get(name)
        if table is None:
            missing = f"{table_label(name)} is no part of this study"
            yield Weighed(name, table_label(name), metric, None, obstacle=missing)
        elif metric is COSINE:
            yield from of_cosines(part, table, evidence)
        elif "against" in part:
            yield from of_pairs(part, table, part["against"], evidence)
        else:
            yield from of_cells(part, table)


def beside(part: Part, evidence: Evidence) -> Iterator[Weighed]:
    """What is told beside a part and decides nothing: against what costs as much, or what reuse gains."""
    for name in part["tables"]:
        if (table := evidence.tables.get(name)) is None:
            continue
        if part["metric"] == COSINE.column:
            yield from of_diagnostic(GAIN, part, table, evidence)
        elif "beside" in part:
            yield from of_pairs(part, table, part["beside"], evidence)


def of_pairs(part: Part, table: Table, against: Mapping[str, Any], evidence: Evidence) -> Iterator[Weighed]:
    """Each pair of the table's cells that a part compares, of times their ratio."""
    metric = METRICS[part["metric"]]
    found = pairs(table, part["metric"], part["of"], against, part.get("at"))
    if not found:
        missing = f"{table_label(table.name)} has no {told(part['of'])} beside {told(against)} at this scale"
        yield Weighed(table.name, told(part["of"]), metric, None, obstacle=missing)
    for a, b in found:
        one, other, shared = names(table, a, b)
        link = "over" if metric.is_time else "minus"
        what = ", ".join(filter(None, [f"{one} {link} {other}", shared]))
        gone = absence(a, b, (one, other))
        difference = None if gone else contrast(a, b, evidence.evaluated)
        obstacle = gone or diverged((a, b), (one, other)) or unproved(difference)
        limits = bounds(part, metric)
        yield Weighed(table.name, what, metric, difference, *limits, metric.is_time, obstacle=obstacle)


def of_cells(part: Part, table: Table) -> Iterator[Weighed]:
    """Each of the table's cells that a part is about, by itself."""
    metric = METRICS[part["metric"]]
    cells = matching(table, part["metric"], part["of"], part.get("at", {}))
    if not cells:
        missing = f"{table_label(table.name)} has no {told(part['of'])} at this scale"
        yield Weighed(table.name, told(part["of"]), metric, None, is_value=True, obstacle=missing)
    for cell in cells:
        what = named(table, cell)
        difference = mean(cell.values) if cell.values else None
        gone = "" if cell.values else f"it was not run: {cell.absent or cell.status}"
        if "device" in part and not gone and part["device"] not in (cell.device or ""):
            gone = f"it is a time on {part['device']}, and these runs were on {cell.device}"
        obstacle = gone or diverged((cell,), ("it",)) or unproved(difference)
        yield Weighed(
            table.name, what, metric, difference, *bounds(part, metric), is_value=True, obstacle=obstacle
        )


def of_cosines(part: Part, table: Table, evidence: Evidence) -> Iterator[Weighed]:
    """Each of the table's methods that reuse g_v, by how near successive ones are."""
    found = list(of_diagnostic(COSINE, part, table, evidence))
    if not found:
        yield Weighed(table.name, table_label(table.name), COSINE, None, obstacle=NOT_RECORDED)
    yield from found


def of_diagnostic(metric: Metric, part: Part, table: Table, evidence: Evidence) -> Iterator[Weighed]:
    """A diagnostic's mean over training of each cell whose runs record it, over its seeds."""
    first = table.metrics[0]
    for cell in matching(table, first, part["of"], {}):
        means = [evidence.evaluated.get(run, {}).get(metric.column) for run in cell.counted]
        values = [x for x in means if x is not None]
        if cell.descent == "g_v" and values:
            found = mean(values)
            yield Weighed(
                table.name,
                f"{metric.label}, {named(table, cell)}",
                metric,
                found,
                *bounds(part, metric),
                is_value=True,
                obstacle=unproved(found),
            )


def unproved(found: Difference | None) -> str:
    """Why a measured difference says nothing of other seeds; empty where it does."""
    if found is None or isinstance(found.spread, Spread):
        return ""
    return OF_IMAGES if isinstance(found.spread, Draws) else found.untested


def bounds(part: Part, metric: Metric) -> tuple[float, float]:
    """The bounds of a part in the unit of what is measured."""

    def inner(bound: float) -> float:
        return math.log(bound) if metric.is_time and "against" in part else bound / metric.shown

    low, high = (part.get(key) for key in ("above", "below"))
    return -math.inf if low is None else inner(low), math.inf if high is None else inner(high)


def named(table: Table, cell: Cell) -> str:
    """A cell by its row and column."""
    row, column = labelled(table.row_header, cell.row), labelled(table.column_header, cell.column)
    return f"{row}, {column}"


def told(settings: Mapping[str, Any]) -> str:
    """Settings in words."""
    return ", ".join(str(v) if key == "method" else f"{key} {v}" for key, v in settings.items())
