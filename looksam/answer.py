"""The answer to the study's question: does LookSAM keep SAM's accuracy at the base optimizer's cost?"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from looksam.contrasts import Evidence
from looksam.intervals import Draws
from looksam.metrics import METRICS
from looksam.pooled import Pooled, pooled
from looksam.shown import apart, ratio, with_interval
from looksam.tables import COMPARABLE
from looksam.verdicts import Answer

# by what an interval shows of accuracy, in a headline and in a sentence
KEEPS = {
    "better": ("is more accurate than {against}", "more accurate, and so nothing is lost"),
    "kept": ("keeps {against}'s accuracy within {margin}", "a loss of {margin} or more is excluded"),
    "lost": ("does not keep {against}'s accuracy", "a loss of more than {margin}"),
    "worse": ("is less accurate than {against}", "less accurate, by less than {margin} or by more"),
    "open": (
        "is not shown to differ from {against}, nor to keep its accuracy",
        "no difference shown, and a loss of {margin} or more is not excluded",
    ),
    "one seed": (
        "was not judged against {against} on seeds enough",
        "one seed, which tells nothing of others",
    ),
    "diverged": ("is not judged against {against}, since runs diverged", "{lost}, and are in no mean"),
    "missing": ("was not compared with {against}", "not measured, because {why}"),
}
SHOWS = {
    "better": "a gain",
    "worse": "a loss",
    "open": "no difference shown",
    **{key: KEEPS[key][1] for key in ("one seed", "diverged", "missing")},
}
COSTS = {
    "same": ("at {against}'s cost", "at most {limit} times the time, which counts as the same cost"),
    "more": ("at more than {against}'s cost", "more than {limit} times the time, and so not the same cost"),
    "open": (
        "at a cost that may or may not be {against}'s",
        "whether that is at most {limit} times the time is not shown",
    ),
    "one seed": ("at a cost that one seed cannot tell", "one seed, and so no interval"),
    "diverged": ("at a cost that is not judged, since runs diverged", "{lost}, and are in no mean"),
    "missing": ("at a cost that was not measured", "not measured, because {why}"),
}


def answer(asked: Mapping[str, Any], evidence: Evidence) -> Answer:
    """The answer of this study. asked: the config's `answer`."""
    of, target, control, base = (asked[key] for key in ("of", "target", "control", "base"))

    def accuracy(one: str, other: str) -> Pooled:
        return pooled(asked["accuracy"], "top1", one, other, evidence)

    def time(other: str) -> Pooled:
        return pooled(asked["time"], "seconds_per_epoch", of, other, evidence)

    to_target, to_control, to_base, gain = (
        accuracy(of, target),
        accuracy(of, control),
        accuracy(of, base),
        accuracy(target, base),
    )
    base_time, target_time = time(base), time(target)
    margin, limit = asked["margin"], asked["same_cost"]
    keeps, costs = KEEPS[kept(to_target, margin)], COSTS[cost(base_time, limit)]
    words = {"margin": f"{margin:g} pp", "limit": f"{limit:g}"}
    sentences = [
        f"{points(to_target)}: {filled(keeps[1], to_target, **words)}.",
        f"Against what costs as much, {points(to_control)}: {filled(SHOWS[shown(to_control)], to_control)}.",
        f"{points(to_base)}: {filled(SHOWS[shown(to_base)], to_base)}. {points(gain)}: {effect(gain)}.",
        f"{times(base_time)}: {filled(costs[1], base_time, **words)}. {told_time(target_time)}.",
    ]
    scales = sorted({table.scale for table in evidence.tables.values() if table.scale} - COMPARABLE)
    told = f"{filled(keeps[0], to_target, **words)}, {filled(costs[0], base_time, **words)}."
    here = "On this study's stand-ins, " if scales else "In this study, "
    every = [to_target, to_control, to_base, gain, base_time, target_time]
    return Answer(f"{here}{to_target.of} {told}", sentences, missing(every, scales))


def state(one: Pooled) -> str | None:
    """Why seeds say nothing of it; None where they do."""
    if one.lost:
        return "diverged"
    if one.found is None:
        return "missing"
    return None if one.is_of_seeds else "one seed"


def ends(one: Pooled) -> tuple[float, float]:
    """The interval, which is there where `state` is None."""
    found = one.found.interval if one.found else None
    assert found is not None
    return found


def shown(one: Pooled) -> str:
    """What the interval shows of a difference in accuracy."""
    if without := state(one):
        return without
    low, high = ends(one)
    return "better" if low > 0 else "worse" if high < 0 else "open"


def kept(one: Pooled, margin: float) -> str:
    """Whether a method is shown to lose no more than the margin, in percentage points."""
    found, bound = shown(one), -margin / METRICS["top1"].shown
    if state(one) or found == "better":
        return found
    low, high = ends(one)
    return "kept" if low > bound else "lost" if high < bound else found


def cost(one: Pooled, limit: float) -> str:
    """Whether a ratio of times is shown to be at most the limit."""
    if without := state(one):
        return without
    low, high = ends(one)
    return "same" if high <= math.log(limit) else "more" if low > math.log(limit) else "open"


def effect(gain: Pooled) -> str:
    """Whether there is something to keep."""
    found = shown(gain)
    if found == "open":
        return f"no difference shown, so that {gain.of} has no gain here that could be kept or lost"
    return filled(SHOWS[found], gain)


def filled(text: str, one: Pooled, **words: str) -> str:
    """The text with what it says of the comparison."""
    return text.format(of=one.of, against=one.against, lost=one.lost, why=one.why, **words)


def points(one: Pooled) -> str:
    """A difference in accuracy in words."""
    name = f"{one.of} minus {one.against}"
    if one.found is None:
        return name
    return f"{name} is {measured(one, *apart(METRICS['top1'], one.found.value, one.found.interval))}"


def times(one: Pooled) -> str:
    """A ratio of times in words."""
    name = f"{one.of}'s time over {one.against}'s"
    if one.found is None:
        return name
    interval = one.found.interval
    logs = (math.exp(interval[0]), math.exp(interval[1])) if interval else None
    return f"{name} is {measured(one, *ratio(math.exp(one.found.value), logs))}"


def told_time(one: Pooled) -> str:
    """A ratio of times that is asked for no limit, or why it is not there."""
    return times(one) + ("" if one.found else f": {filled(COSTS['missing'][1], one)}")


def measured(one: Pooled, number: str, interval: str) -> str:
    """A number with its interval, seeds, and networks where it is a mean over several."""
    assert one.found is not None
    of_images = " over test images alone" if isinstance(one.found.spread, Draws) else ""
    over = f", mean over {len(one.used)} networks" if len(one.used) > 1 else ""
    said = with_interval(number, interval and interval + of_images, min(one.found.n))
    return said.removesuffix(")") + over + ")"


def missing(every: Sequence[Pooled], scales: Sequence[str]) -> list[str]:
    """What would be needed to say more, each once."""
    found: dict[str, None] = {}
    for one in every:
        what = "Time" if METRICS[one.metric].is_time else "Accuracy"
        name = f"{what} of {one.of} beside {one.against}"
        if one.found is None:
            found[f"{name}: {one.why}."] = None
        elif not one.is_of_seeds:
            found[f"{name}: more seeds; there is {min(one.found.n)}."] = None
        if one.left:
            found[f"More seeds of {', '.join(one.left)}, left out of a mean for having one."] = None
    if scales:
        said = (
            f"These are stand-ins (scale {', '.join(scales)}) and say nothing of the paper's models and data."
        )
        found[said] = None
    return list(found)
