"""The evidence as tables of words: each question by condition, and what every arm was and reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from looksam.conditions import Arm, Condition
from looksam.evidence import Findings, Secondary
from looksam.evidence_words import counts, fraction, p_value, points, reached_told, shown, size
from looksam.families import LESS, MORE, OPEN, UNDECIDED, Family, Tested
from looksam.ledger import Entry
from looksam.metrics import METRICS


@dataclass(frozen=True)
class Grid:
    """A table of words, the first of a row being its name."""

    title: str
    header: list[str]
    rows: list[list[str]]


def by_condition(one: Family) -> Grid:
    """A family, a row a condition."""
    chance = f"found with {100 * one.wanted:g} %"
    header = ["condition", "difference", "p, Holm", "seeds", "sd", chance, "shown"]
    return Grid(f"{one.of} minus {one.against}", header, [row(each) for each in one.tested])


def row(one: Tested) -> list[str]:
    """A family's row of one condition: of one that decides nothing the numbers of the pairs that are left."""
    contrast = one.contrast
    return [
        str(contrast.condition),
        points(contrast.found),
        p_value(one.p),
        str(len(contrast.differences)),
        "—" if contrast.sd is None else size(contrast.sd),
        "—" if one.smallest is None else size(one.smallest),
        shown(one),
    ]


def overview(families: Sequence[Family]) -> Grid:
    """Families, a row each: in how many conditions they show what, and their means."""
    kinds = (MORE, LESS, OPEN, UNDECIDED)
    header = ["less of two arms", "more", "less", "none shown", "undecided", "mean, over seeds"]
    header += ["mean, over conditions", "would be found"]
    return Grid(
        "Differences", header, [summed(one, [counts(one)[kind] for kind in kinds]) for one in families]
    )


def summed(one: Family, found: Sequence[int]) -> list[str]:
    """A family's row of the overview."""
    sizes = [each.smallest for each in one.tested if each.smallest is not None]
    between = f"{size(min(sizes))} to {size(max(sizes))}" if sizes else "—"
    means = [points(one.over_seeds), points(one.over_conditions)]
    return [f"{one.of} − {one.against}", *map(str, found), *means, between]


def retained_grid(findings: Findings) -> Grid:
    """Each method's retained fraction by condition, and over all of them."""
    rows = [
        [str(condition), *(fraction(one.fractions[place]) for one in findings.secondary)]
        for place, condition in enumerate(findings.study)
    ]
    rows.append(["all that decide", *(fraction(one.fraction_of_all) for one in findings.secondary)])
    return Grid(f"Share of {findings.gain.of}'s gain", header(findings.secondary), rows)


def kept_grid(findings: Findings) -> Grid:
    """Each method's loss against the target, and whether one of the margin is excluded."""
    rows = []
    for place, condition in enumerate(findings.study):
        cells = []
        for one in findings.secondary:
            p, found = one.kept.ps[place], one.kept.against.tested[place].contrast
            said = "undecided" if p is None else "excluded" if one.kept.shown[place] else "not excluded"
            cells.append(f"{said}, p {p_value(p)}: {points(found.found)}")
        rows.append([str(condition), *cells])
    title = f"A loss of {findings.asked['margin']:g} points or more against {findings.gain.of}"
    return Grid(title, header(findings.secondary), rows)


def reached_grid(findings: Findings) -> Grid:
    """How many seeds of each method are as accurate as the target's ends, and after which passes."""
    rows = [
        [str(condition), *(reached_told(one.reached[place]) for one in findings.secondary)]
        for place, condition in enumerate(findings.study)
    ]
    return Grid(f"Reached {findings.gain.of}'s accuracy", header(findings.secondary), rows)


def header(secondary: Sequence[Secondary]) -> list[str]:
    """Conditions down, methods across."""
    return ["condition", *(one.label for one in secondary)]


def arms_grid(condition: Condition, found: Sequence[Arm], trials: Sequence[Entry]) -> Grid:
    """Every arm of a condition: how accurate, what it cost, with which values, from which trials."""
    names = ["arm", "accuracy, %", "seeds", "diverged", "steps", "passes", "learning rate", "rho", "alpha"]
    names += ["trials", "of them diverged", "best on held-out images, %"]
    return Grid(str(condition), names, [described(arm, searched(arm, condition, trials)) for arm in found])


def searched(arm: Arm, condition: Condition, trials: Sequence[Entry]) -> list[Entry]:
    """The trials of the arm's own method in its condition; none where its values are another's or given."""
    here = [one for one in trials if Condition(one.model, one.optimizer, one.label_noise) == condition]
    return [one for one in here if one.method == arm.method]


def described(arm: Arm, trials: Sequence[Entry]) -> list[str]:
    """An arm's row."""
    runs, values = list(arm.runs.values()), [METRICS["top1"].shown * x for x in arm.top1.values()]
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    best = [one.validation_top1 for one in trials if one.chosen and one.validation_top1 is not None]
    return [
        arm.label,
        f"{fmean(values):.2f}{spread}" if values else "—",
        *(str(len(runs)), str(len(arm.diverged)), str(arm.steps), str(arm.passes)),
        *(used([getattr(run, name) for run in runs]) for name in ("peak_lr", "rho", "alpha")),
        *((str(len(trials)), str(sum(one.diverged for one in trials))) if trials else ("—", "—")),
        f"{METRICS['top1'].shown * best[0]:.2f}" if best else "—",
    ]


def used(values: Sequence[float | str | None]) -> str:
    """The values that the runs of an arm had, each once."""
    each = dict.fromkeys("—" if x is None else x if isinstance(x, str) else f"{x:g}" for x in values)
    return ", ".join(each)
