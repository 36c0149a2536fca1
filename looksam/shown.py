"""Numbers as readers see them: rounded, with a true minus, a deviation and a unit."""

import re
from dataclasses import dataclass
from functools import partial

from looksam.metrics import METRICS, Metric
from looksam.tables import Cell


def shown(cell: Cell) -> float | None:
    """The measured number, or the planned one that stands in its place."""
    return cell.planned if cell.status == "planned" else cell.value


def ours(cell: Cell) -> str:
    """Our number, mean and sd, or the word that stands in its place."""
    number = shown(cell)
    if number is None:
        return cell.text if cell.text is not None else {"absent": "—"}.get(cell.status, cell.status)
    metric = METRICS[cell.metric]
    value = number * metric.shown
    # where the metric does not say, three significant digits, two below 1
    digits = 3 if abs(value) >= 1 else 2
    decimals = (
        metric.decimals if metric.decimals is not None else max(0, digits - 1 - exponent(value, digits))
    )
    mean = fixed(value, decimals).replace("-", "−")
    return mean if cell.sd is None else f"{mean} ± {fixed(cell.sd * metric.shown, decimals)}"


def exponent(value: float, digits: int) -> int:
    """The power of ten of a number rounded to so many significant digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def fixed(value: float, decimals: int) -> str:
    """The number with so many decimals, or with its first digit where they would all be zero."""
    return f"{value:.{decimals if round(value, decimals) else max(decimals, -exponent(value, 1))}f}"


def difference(cell: Cell) -> str:
    """Ours less the paper's, in the paper's decimals; empty where either is no number of a run."""
    if cell.value is None or not cell.published:
        return ""
    metric = METRICS[cell.metric]
    decimals = max(1, len(cell.published.partition(".")[2]))
    less = round(cell.value * metric.shown - float(cell.published), decimals)
    sign = "+" if less > 0 else "−" if less < 0 else ""
    return f"{sign}{abs(less):.{decimals}f} {metric.difference_unit}"


def signed(value: float, decimals: int) -> str:
    """The number with its sign, or 0 without one."""
    text = fixed(abs(value), decimals)
    return text if not value else f"{'+' if value > 0 else '−'}{text}"


@dataclass(frozen=True)
class ToBest:
    """How far a cell is from the best of those it competes with.

    interval: empty untested. carried: whether the seeds, or of single runs the test images, carry the
    difference. test: what tested it, or why nothing did.
    """

    text: str
    interval: str
    carried: bool
    test: str


def to_best(cell: Cell) -> ToBest | None:
    """The cell's difference from the best in words; None of the best, and where none compete."""
    if cell.to_best is None:
        return None
    metric = METRICS[cell.metric]
    ends = None
    if cell.to_best_low is not None and cell.to_best_high is not None:
        ends = (cell.to_best_low, cell.to_best_high)
    say = ratio if metric.is_time else partial(apart, metric)
    return ToBest(*say(cell.to_best, ends), cell.carried, cell.test)


def ratio(value: float, ends: tuple[float, float] | None) -> tuple[str, str]:
    """A ratio of times and its interval in words."""
    return f"{value:.2f} ×", f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else ""


def apart(metric: Metric, value: float, ends: tuple[float, float] | None) -> tuple[str, str]:
    """A difference in a metric with its unit, and its interval, in words."""
    ours, *both = (x * metric.shown for x in (value, *(ends or ())))
    digits = metric.decimals if metric.decimals is not None else max(0, 1 - exponent(ours, 2))
    # a residue of rounding, as of means that are equal but for it, is 0
    ours, *both = (round(x, digits + 3) for x in (ours, *both))
    text = " ".join(filter(None, [signed(ours, digits), metric.difference_unit]))
    return text, " to ".join(signed(x, digits) for x in both)


def plain(metric: Metric, value: float, ends: tuple[float, float] | None) -> tuple[str, str]:
    """A number with its unit, and its interval, in words."""
    text, interval = (said.replace("+", "") for said in apart(metric, value, ends))
    return text, interval


def table_label(name: str) -> str:
    """How a reader names a table: "Table 7" for table7."""
    return re.sub(r"^([a-z]+)(\d+)$", lambda match: f"{match[1].title()} {match[2]}", name)


def with_interval(number: str, interval: str, n: int) -> str:
    """A number with its interval and seeds, on one line."""
    seeds = f"{n} seed{'' if n == 1 else 's'}"
    return f"{number} ({f'95 % interval {interval}, ' if interval else ''}{seeds})"
