"""Pictures of the evidence: differences, retained fractions and every run's accuracy, from the findings."""

from statistics import fmean

from looksam.conditions import Arm
from looksam.evidence import Findings, Secondary
from looksam.evidence_words import fraction, points, short
from looksam.families import LESS, MORE, Tested
from looksam.forest import Axis, Forest, Mark, drawn
from looksam.intervals import Difference
from looksam.metrics import METRICS

COLOURS = {MORE: "look", LESS: "sam"}
PERCENT = METRICS["top1"].shown
# of retained fractions, beyond which an interval tells no more
FRACTIONS = (-1.0, 2.0)


def primary(findings: Findings) -> str:
    """The primary difference in each condition, and its two means over conditions."""
    one = findings.primary
    marks = [mark(each) for each in one.tested]
    marks.append(pooled("mean, over seeds", one.over_seeds))
    # of two conditions the interval is so wide that beside it no other is seen; the table has it
    if one.over_conditions and one.over_conditions.n[0] > 2:
        marks.append(pooled("mean, over conditions", one.over_conditions))
    title = f"{one.of} minus {one.against}"
    return drawn(title, [Forest(title, marks)], Axis("points of accuracy", [0.0]), columns=1)


def beside(findings: Findings) -> str:
    """Each rule of alpha and each control less what costs as much and reuses nothing."""
    families = [pair[0] for pair in (*findings.rules.values(), *findings.controls.values())]
    forests = [Forest(one.of, [mark(each) for each in one.tested]) for one in families]
    against = findings.primary.against
    axis = Axis(f"minus {against}, points", [0.0])
    return drawn(f"Rules of alpha and controls, each minus {against}", forests, axis)


def retained(findings: Findings) -> str:
    """Which part of the target's gain each method has, by condition."""
    target = findings.gain.of
    forests = [Forest(one.label, fractions(findings, one)) for one in findings.secondary]
    axis = Axis(f"share of {target}'s gain", [0.0, 1.0], FRACTIONS)
    return drawn(f"Retained share of {target}'s gain over {findings.gain.against}", forests, axis)


def accuracies(findings: Findings) -> str:
    """Every run's accuracy, a panel a condition and a row an arm; the bar is the mean."""
    asked = findings.asked
    colours = dict.fromkeys(asked["alpha_rules"].values(), "look")
    colours |= dict.fromkeys((asked["target"], asked["primary"]["against"]), "sam")
    forests = [
        Forest(str(condition), [of_runs(arm, colours.get(arm.method, "ink")) for arm in arms.values()])
        for condition, arms in findings.study.items()
    ]
    return drawn("Accuracy of every run", forests, Axis("top-1 accuracy, %", is_shared=False))


def mark(one: Tested) -> Mark:
    """A condition's difference in points; in colour where it is shown."""
    found, condition = one.contrast.found, str(one.contrast.condition)
    if found is None or one.contrast.obstacle:
        return Mark(condition, None, words=one.contrast.obstacle)
    within = None if one.smallest is None else PERCENT * one.smallest
    is_shown = one.shows in COLOURS
    colour = COLOURS.get(one.shows, "ink")
    return Mark(
        condition,
        PERCENT * found.value,
        scaled(found.interval),
        short(one.contrast),
        colour,
        is_shown,
        within,
    )


def pooled(label: str, found: Difference | None) -> Mark:
    """A mean over conditions in points."""
    value = None if found is None else PERCENT * found.value
    return Mark(label, value, scaled(found.interval if found else None), points(found))


def scaled(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """An interval in points."""
    return None if interval is None else (PERCENT * interval[0], PERCENT * interval[1])


def fractions(findings: Findings, one: Secondary) -> list[Mark]:
    """A method's retained fraction in each condition; words where it is not bounded."""
    marks = []
    for condition, found in zip(findings.study, one.fractions, strict=True):
        is_bounded = found is not None and found.interval is not None
        value = found.value if found and is_bounded else None
        interval = found.interval if found else None
        said = fraction(found) if is_bounded or found is None else found.why
        marks.append(Mark(str(condition), value, interval, said))
    return marks


def of_runs(arm: Arm, colour: str) -> Mark:
    """An arm's accuracies in percent; how many of its runs diverged stands in its label."""
    values = [PERCENT * x for x in arm.top1.values()]
    mean = fmean(values) if values else None
    lost = f" ({len(arm.diverged)} diverged)" if arm.diverged else ""
    said = "every run diverged" if mean is None else f"{mean:.2f}, n = {len(values)}"
    return Mark(arm.label + lost, mean, words=said, colour=colour, points=values)


# by the name of its file
PICTURES = {"primary": primary, "beside": beside, "retained": retained, "accuracies": accuracies}
