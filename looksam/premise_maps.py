"""Pictures of shadow steps: where g_v stays alike, and what reuse gains by batch size, over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from looksam.drawing import Drawing, drawing
from looksam.heat import Grid, Heat, heat_drawing
from looksam.intervals import mean
from looksam.panels import Data, Line, Look, Panel, Point, number

# a record: model, batch_size, seed, phase, lr_divisor, lag, noise, drift, reuse and gains, {alpha: gain}
Record = Mapping[str, Any]

KINDS = {"drift": "the same batch after steps", "reuse": "a new batch after steps"}
# the steps on which a period of 5 reuses
REUSING = range(1, 5)


def cosine_map(records: Sequence[Record]) -> Drawing | None:
    """Cosines of g_v by batch size, lag and phase at the training's own learning rate."""
    return cosines_at(records, [1.0])


def slower_cosine_map(records: Sequence[Record]) -> Drawing | None:
    """The same at the smaller learning rates."""
    return cosines_at(records, [divisor for divisor in distinct(records, "lr_divisor") if divisor != 1])


def cosines_at(records: Sequence[Record], divisors: Sequence[float]) -> Drawing | None:
    """Cosines of g_v by batch size and lag: lag 0 two batches, then drift or reuse; a panel a phase.

    A row of panels for each learning rate, network and kind. Means over seeds; their intervals stand in the
    tables.
    """
    panels: list[list[Heat]] = []
    data: list[Data] = []
    lags, batches = distinct(records, "lag"), distinct(records, "batch_size")
    phases = distinct(records, "phase")
    for divisor in divisors:
        for model in unsorted(records, "model"):
            for kind, meaning in KINDS.items():
                some = [r for r in records if (r["model"], r["lr_divisor"]) == (model, divisor)]
                name = f"{model}, {rate(divisor)}: {meaning}"
                panels.append([heat(some, kind, phase, name) for phase in phases])
                data.append(table(some, kind, name, lags))
    if not any(panel.values for row in panels for panel in row):
        return None
    names = [f"{x:g}" for x in batches]
    grid = Grid(panels, names, [f"{lag:g}" for lag in lags], "batch", "steps after the refresh")
    title = f"Cosine of g_v with that of the refresh, at its {' and '.join(map(rate, divisors))}"
    return heat_drawing(title, grid, data)


def rate(divisor: float) -> str:
    """A learning rate as the pictures call it."""
    return "learning rate" if divisor == 1 else f"learning rate / {divisor:g}"


def heat(some: Sequence[Record], kind: str, phase: float, name: str) -> Heat:
    """The panel of a phase."""
    values = {
        (f"{batch:g}", f"{lag:g}"): fmean(seen) for (batch, lag), seen in by_place(some, kind, phase).items()
    }
    return Heat(after(phase), name, values)


def after(phase: float) -> str:
    """A phase as the pictures call it."""
    return f"after {100 * phase:g} % of the steps"


def table(some: Sequence[Record], kind: str, name: str, lags: Sequence[float]) -> Data:
    """A panel row's means with their 95 % intervals over seeds."""
    rows = []
    for phase in distinct(some, "phase"):
        places = by_place(some, kind, phase)
        for batch in distinct(some, "batch_size"):
            cells = [told(places.get((batch, lag), [])) for lag in lags]
            rows.append([f"batch {batch:g}, {after(phase)}", *cells])
    return Data(name, ["", *(f"lag {lag:g}" for lag in lags)], rows)


def by_place(some: Iterable[Record], kind: str, phase: float) -> dict[tuple[float, float], list[float]]:
    """The seeds' values by batch size and lag; at lag 0 the noise."""
    found: dict[tuple[float, float], list[float]] = {}
    for r in some:
        value = r["noise"] if r["lag"] == 0 else r[kind]
        if r["phase"] == phase and value is not None:
            found.setdefault((r["batch_size"], r["lag"]), []).append(value)
    return found


def told(values: Sequence[float]) -> str:
    """The mean with its interval over seeds, empty of nothing."""
    if not values:
        return ""
    found = mean(values)
    # plus 0, so that no minus stands before a 0
    value, *ends = (number(round(x, 2) + 0.0) for x in (found.value, *(found.interval or ())))
    return f"{value} ({' to '.join(ends)})" if ends else value


def gain_map(records: Sequence[Record]) -> Drawing | None:
    """What each rule's reuse gains over g by batch size: means over REUSING and phases, intervals over seeds.

    A panel a network and learning rate.
    """
    alphas = list(dict.fromkeys(alpha for r in records for alpha in r["gains"]))
    panels = [
        Panel(
            f"{model}, lr" + ("" if divisor == 1 else f" / {divisor:g}"),
            "batch size",
            "batch size",
            [
                Line(f"α {alpha}", look(i, alpha), points(records, model, divisor, alpha))
                for i, alpha in enumerate(alphas)
            ],
            level=("g itself", 0.0),
            is_log=True,
            ticks=distinct(records, "batch_size"),
        )
        for model in unsorted(records, "model")
        for divisor in distinct(records, "lr_divisor")
    ]
    return drawing("cos(q, g_s) − cos(g, g_s) on the 4 steps after a refresh, mean and 95 % interval", panels)


def look(index: int, alpha: str) -> Look:
    """Fixed numbers in one colour, measured rules in the other."""
    is_fixed = alpha.replace(".", "").isdigit()
    return Look.of("sam" if is_fixed else "look", index)


def points(records: Sequence[Record], model: str, divisor: float, alpha: str) -> list[Point]:
    """A point a batch size: the mean over seeds of each seed's mean, and half of its interval."""
    found = []
    for batch in distinct(records, "batch_size"):
        by_seed: dict[int, list[float]] = {}
        for r in records:
            gain = r["gains"].get(alpha)
            at = (r["model"], r["lr_divisor"], r["batch_size"]) == (model, divisor, batch)
            if at and r["lag"] in REUSING and gain is not None:
                by_seed.setdefault(r["seed"], []).append(gain)
        if by_seed:
            of_seeds = mean([fmean(gains) for gains in by_seed.values()])
            ends = of_seeds.interval
            found.append(Point(batch, of_seeds.value, (ends[1] - ends[0]) / 2 if ends else None))
    return found


def distinct(records: Iterable[Record], name: str) -> list[float]:
    """The values of a column, ascending."""
    return sorted({r[name] for r in records})


def unsorted(records: Iterable[Record], name: str) -> list[str]:
    """The values of a column, in order of appearance."""
    return list(dict.fromkeys(r[name] for r in records))
