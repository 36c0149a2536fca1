"""The evidence in words: sentences that code chooses from the findings' numbers."""

from dataclasses import replace

from looksam.conditions import Contrast
from looksam.families import LESS, MORE, OPEN, UNDECIDED, Family, Tested
from looksam.intervals import Difference
from looksam.metrics import METRICS
from looksam.reached import Reached
from looksam.retained import Retained
from looksam.shown import apart

# of ten thousand test images a hundredth of a point is one
POINTS = replace(METRICS["top1"], decimals=2)


def points(one: Difference | None) -> str:
    """A difference in points with its interval, or what stands in its place."""
    if one is None:
        return "not measured"
    number, interval = apart(POINTS, one.value, one.interval)
    return f"{number} ({interval})" if interval else number


def size(value: float) -> str:
    """A number of points without a sign."""
    return f"{100 * value:.2f}"


def p_value(p: float | None) -> str:
    """A p as people write it; a dash where there is none."""
    return "—" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def many(number: int, of: int) -> str:
    """So many of the conditions."""
    return f"{number} of {conditions(of)}"


def conditions(number: int) -> str:
    """A number of conditions."""
    return f"{number} condition{'' if number == 1 else 's'}"


def sentences(one: Family) -> list[str]:
    """What stands under the answer to the primary question."""
    return [said for said in (mean_told(one), sample_told(one), excluded(one), power_told(one)) if said]


def counts(one: Family) -> dict[str, int]:
    """In how many conditions the family shows each."""
    return {word: sum(each.shows == word for each in one.tested) for word in (MORE, LESS, OPEN, UNDECIDED)}


def headline(one: Family) -> str:
    """The answer to the primary question, in a sentence."""
    found, total = counts(one), len(one.tested)
    if not total:
        return f"{one.of} was not compared with {one.against}."
    shown = [
        f"{word} accurate than {one.against} in {many(found[key], total)}"
        for key, word in ((MORE, "more"), (LESS, "less"))
        if found[key]
    ]
    if shown:
        return f"{one.of} is {' and '.join(shown)}{rest(found)}."
    if found[UNDECIDED] == total:
        return f"Between {one.of} and {one.against} nothing is decided in any of {conditions(total)}."
    nothing = f"No difference between {one.of} and {one.against} is shown in any of {conditions(total)}"
    return f"{nothing}{undecided(found)}."


def rest(found: dict[str, int]) -> str:
    """What of the other conditions."""
    return (f"; in {found[OPEN]} no difference is shown" if found[OPEN] else "") + undecided(found)


def undecided(found: dict[str, int]) -> str:
    """How many conditions decide nothing."""
    return (
        f"; {found[UNDECIDED]} decide{'s' if found[UNDECIDED] == 1 else ''} nothing"
        if found[UNDECIDED]
        else ""
    )


def told(one: Family) -> str:
    """What a family shows, with the mean over conditions and what its tests would have found."""
    found, total = counts(one), len(one.tested)
    name = f"{one.of} minus {one.against}"
    if found[UNDECIDED] == total:
        return f"{name}: not decided{because(one)}."
    if found[MORE] or found[LESS]:
        kinds = [f"{word} in {found[key]}" for key, word in ((MORE, "more"), (LESS, "less")) if found[key]]
        said = f"{name}: {' and '.join(kinds)} of {conditions(total)}{rest(found)}"
    else:
        said = f"{name}: no difference shown in any of {conditions(total)}{undecided(found)}"
    return " ".join([f"{said}.", *filter(None, (mean_told(one), power_told(one)))])


def mean_told(one: Family) -> str:
    """The mean over the conditions that decide, whose interval speaks of these alone; empty of none."""
    return f"The mean over these conditions is {points(one.over_seeds)}." if one.over_seeds else ""


def sample_told(one: Family) -> str:
    """The same mean with the conditions as a sample; empty of two or fewer, which say nothing of others."""
    if one.over_conditions is None or one.over_conditions.n[0] < 3:
        return ""
    mean = points(one.over_conditions)
    return f"With them as a sample of others like them, each with a search of its own, it is {mean}."


def because(one: Family) -> str:
    """Why conditions decide nothing, each reason once; empty where there is none."""
    reasons = list(dict.fromkeys(each.contrast.obstacle for each in one.tested if each.contrast.obstacle))
    return f", because {'; '.join(reasons)}" if reasons else ""


def power_told(one: Family) -> str:
    """Which true differences the family's tests would have found; empty where there is none."""
    sizes = [each.smallest for each in one.tested if each.smallest is not None]
    if not sizes:
        return ""
    least, most = size(min(sizes)), size(max(sizes))
    between = f"{least} points" if least == most else f"{least} to {most} points, by condition,"
    return f"A true difference of {between} would have been found with a chance of {percent(one.wanted)}."


def excluded(one: Family) -> str:
    """Which gains and losses every deciding condition's interval leaves out; empty where there is none."""
    intervals = [
        each.contrast.found.interval
        for each in one.tested
        if not each.contrast.obstacle and each.contrast.found and each.contrast.found.interval
    ]
    if not intervals:
        return ""
    gain, loss = max(high for _, high in intervals), min(low for low, _ in intervals)
    parts = [
        text
        for text, holds in (
            (f"a gain of {size(gain)} points or more", gain > 0),
            (f"a loss of {size(-loss)} points or more", loss < 0),
        )
        if holds
    ]
    where = "In every condition that decides" if len(intervals) > 1 else "There"
    lie = "lie" if len(parts) > 1 else "lies"
    return f"{where}, {' and '.join(parts)} {lie} outside the 95 % interval." if parts else ""


def fraction(one: Retained | None) -> str:
    """A retained fraction with Fieller's interval, or why it has none."""
    if one is None:
        return "not decided"
    number = "—" if one.value is None else percent(one.value)
    if one.interval is None:
        return f"{number} ({one.why})" if one.value is not None else one.why
    return f"{number} ({percent(one.interval[0])} to {percent(one.interval[1])})"


def percent(value: float) -> str:
    """A share in percent, with a true minus."""
    return f"{100 * value:.0f} %".replace("-", "−")


def reached_told(one: Reached) -> str:
    """How many seeds reach the target's accuracy, after which share of its passes, and how that compares."""
    if one.obstacle:
        return one.obstacle
    known = [share for share in one.shares.values() if share is not None]
    said = f"{len(known)} of {len(one.shares)} seeds"
    if known:
        said += f", after {percent(sum(known) / len(known))} of its passes"
    if one.found and one.found.interval:
        low, high = one.found.interval
        ends = " to ".join(f"{'+' if x > 0 else ''}{percent(x)}" for x in (low, high))
        said += f"; less {percent(sum(filter(None, one.own.values())) / len(one.own))} of its own: {ends}"
    return said


def shown(one: Tested) -> str:
    """What one condition shows, in a few words."""
    words = {MORE: "more", LESS: "less", OPEN: "no difference shown"}
    return words.get(one.shows) or f"not decided: {one.contrast.obstacle}"


def short(one: Contrast) -> str:
    """A contrast in a row of a picture."""
    return f"{points(one.found)}, n = {len(one.differences)}" if one.found else one.obstacle
