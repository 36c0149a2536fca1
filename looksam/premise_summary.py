"""The premise map in short: what reuse relies on and what it gains, at the training's own learning rate."""

from collections.abc import Callable, Sequence
from statistics import fmean

from looksam.evidence_tables import Grid
from looksam.intervals import Difference, mean
from looksam.premise_maps import REUSING, Record, unsorted

# the columns before the gains: what they are called, and the value of a record
COSINES: dict[str, Callable[[Record], float | None]] = {
    "two batches, same weights": lambda record: record["noise"],
    "same batch, later": lambda record: record["drift"] if record["lag"] in REUSING else None,
    "new batch, later": lambda record: record["reuse"] if record["lag"] in REUSING else None,
}


def premise_summary(records: Sequence[Record]) -> Grid | None:
    """A row a network: means over batch sizes, phases and the steps that reuse, with intervals over seeds."""
    rules = rules_of(records)
    body = [
        [
            model,
            *(told(found(records, model, value), 2) for value in COSINES.values()),
            *(told(found(records, model, gain(rule)), 4) for rule in rules),
        ]
        for model in unsorted(records, "model")
    ]
    title = f"Cosines of g_v, and what reusing it gains, {REUSING[0]} to {REUSING[-1]} steps after a refresh"
    return (
        Grid(title, ["network", *COSINES, *(f"gain, alpha {rule}" for rule in rules)], body) if body else None
    )


def premise_sentences(records: Sequence[Record]) -> list[str]:
    """For each network, which rules of alpha bring the step nearer to SAM's gradient than g is."""
    return [sentence(records, model) for model in unsorted(records, "model")]


# by the side of 0 on which the interval of its gains lies
SAID = {
    "above": "with {}, a step that reuses g_v is nearer to SAM's gradient than g is",
    "below": "with {}, a step that reuses g_v is farther from SAM's gradient than g is",
    "about": "with {}, neither is shown",
}


def sentence(records: Sequence[Record], model: str) -> str:
    """What is known of each rule's gains, by their intervals over seeds."""
    sides: dict[str, list[str]] = {side: [] for side in SAID}
    for rule in rules_of(records):
        one = found(records, model, gain(rule))
        if one is not None:
            sides[side_of(one)].append(f"alpha {rule}")
    said = [SAID[side].format(" and ".join(rules)) for side, rules in sides.items() if rules]
    return f"{model}: {'; '.join(said) or 'no gain was measured'}."


def side_of(one: Difference) -> str:
    """The side of 0 on which an interval lies, about it where one seed has none."""
    low, high = one.interval or (0.0, 0.0)
    return "above" if low > 0 else "below" if high < 0 else "about"


def rules_of(records: Sequence[Record]) -> list[str]:
    """The rules of alpha whose gain was measured."""
    return list(dict.fromkeys(rule for record in records for rule in record["gains"]))


def gain(rule: str) -> Callable[[Record], float | None]:
    """What reads a rule's gain on the steps that reuse."""
    return lambda record: record["gains"].get(rule) if record["lag"] in REUSING else None


def found(
    records: Sequence[Record], model: str, value: Callable[[Record], float | None]
) -> Difference | None:
    """The mean over seeds of each seed's mean at the training's own learning rate; None of nothing."""
    by_seed: dict[int, list[float]] = {}
    for record in records:
        seen = value(record)
        if record["model"] == model and record["lr_divisor"] == 1 and seen is not None:
            by_seed.setdefault(record["seed"], []).append(seen)
    return mean([fmean(values) for values in by_seed.values()]) if by_seed else None


def told(one: Difference | None, decimals: int) -> str:
    """A mean with its interval, a dash of nothing."""
    if one is None:
        return "—"
    value, *ends = (f"{x:+.{decimals}f}".replace("-", "−") for x in (one.value, *(one.interval or ())))
    return f"{value} ({' to '.join(ends)})" if ends else value
