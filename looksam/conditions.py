"""Conditions: the rows of the evidence study, and its arms in each, from the ledger's entries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from looksam.facts import OPTIMIZER_LABELS
from looksam.intervals import Difference, Spread, paired
from looksam.ledger import Entry


class Condition(NamedTuple):
    """A network, its optimizer and the share of training labels that were replaced."""

    model: str
    optimizer: str
    label_noise: float

    def __str__(self) -> str:
        optimizer = OPTIMIZER_LABELS.get(self.optimizer, self.optimizer)
        return f"{self.model}, {optimizer}, {100 * self.label_noise:g} % noise"


@dataclass(frozen=True)
class Arm:
    """What is compared: a column of the study in one condition. runs: by seed, diverged ones too."""

    label: str
    method: str
    runs: Mapping[int, Entry]

    @property
    def steps(self) -> int:
        """Steps of each of its trainings."""
        return max(run.steps for run in self.runs.values())

    @property
    def passes(self) -> int:
        """Gradient passes of each of its trainings."""
        return max(run.passes for run in self.runs.values())

    @property
    def diverged(self) -> list[int]:
        """The seeds of runs that diverged."""
        return [seed for seed, run in self.runs.items() if run.diverged]

    @property
    def top1(self) -> dict[int, float]:
        """Accuracy by seed, a fraction, of the runs that did not diverge."""
        return {
            seed: run.correct / run.images
            for seed, run in self.runs.items()
            if run.correct is not None and run.images
        }


Arms = Mapping[str, Arm]


def conditions(entries: Iterable[Entry], tables: Sequence[str]) -> dict[Condition, dict[str, Arm]]:
    """The arms of each condition by label, of the entries of these tables that are no trials."""
    found: dict[Condition, dict[str, dict[int, Entry]]] = {}
    for one in entries:
        if one.table in tables and one.trial is None:
            condition = Condition(one.model, one.optimizer, one.label_noise)
            found.setdefault(condition, {}).setdefault(one.column, {})[one.seed] = one
    return {
        condition: {
            label: Arm(label, next(iter(runs.values())).method, dict(sorted(runs.items())))
            for label, runs in columns.items()
        }
        for condition, columns in found.items()
    }


def arm(arms: Arms, method: str) -> Arm | None:
    """The arm of a method, of several the one of fewest steps; None where it was not run."""
    return min(of_method(arms, method), key=lambda one: one.steps, default=None)


def longer(arms: Arms, method: str) -> Arm | None:
    """The method's arm of most steps, where it has one of more steps than `arm`."""
    longest = max(of_method(arms, method), key=lambda one: one.steps, default=None)
    shortest = arm(arms, method)
    return longest if longest and shortest and longest.steps > shortest.steps else None


def of_method(arms: Arms, method: str) -> list[Arm]:
    """The arms of a method, which may differ in their steps."""
    return [one for one in arms.values() if one.method == method]


def losses(*arms: Arm) -> str:
    """Which of the arms lost runs; empty where none did."""
    lost = {
        one.label: f"{len(one.diverged)} of {len(one.runs)} runs of {one.label} diverged"
        for one in arms
        if one.diverged
    }
    return " and ".join(lost.values())


@dataclass(frozen=True)
class Contrast:
    """One arm less another in one condition, seed by seed. of, against: their labels.

    differences: by seed, fractions, of the runs that did not diverge. found: their mean, None without any.
    obstacle: why it decides nothing; empty where it may. was_run: both arms were.
    """

    condition: Condition
    of: str
    against: str
    differences: Mapping[int, float]
    found: Difference | None
    obstacle: str
    was_run: bool = True

    @property
    def sd(self) -> float | None:
        """Standard deviation of the differences; None where seeds tell none."""
        spread = self.found.spread if self.found else None
        return spread.se * float(spread.df + 1) ** 0.5 if isinstance(spread, Spread) else None


def contrast(condition: Condition, a: Arm | None, b: Arm | None, names: tuple[str, str]) -> Contrast:
    """a less b. names: what they are called where they were not run."""
    labels = (a.label if a else names[0], b.label if b else names[1])
    if a is None or b is None:
        gone = [label for label, one in zip(labels, (a, b), strict=True) if one is None]
        missing = f"{' and '.join(gone)} was not run here"
        return Contrast(condition, *labels, {}, None, missing, was_run=False)
    first, second = a.top1, b.top1
    differences = {seed: first[seed] - second[seed] for seed in first if seed in second}
    shared = list(differences)
    found = paired([first[s] for s in shared], [second[s] for s in shared]) if shared else None
    return Contrast(condition, *labels, differences, found, obstacle(a, b, found))


def obstacle(a: Arm, b: Arm, found: Difference | None) -> str:
    """Why two arms that were run decide nothing; empty where they may."""
    if lost := losses(a, b):
        return lost
    if len({run.test_images for one in (a, b) for run in one.runs.values()}) > 1:
        return "they were judged on different test images"
    if found is None or set(a.runs) != set(b.runs):
        return "they were not run with the same seeds"
    return found.untested
