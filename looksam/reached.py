"""Reached: after how many gradient passes a training is first as accurate as another ends, seed by seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from looksam.conditions import Arm, losses
from looksam.intervals import Difference, paired
from looksam.ledger import Entry


@dataclass(frozen=True)
class Reached:
    """Passes until the target's final accuracy, as shares of the target's passes, at the milestones.

    shares: by seed, None where it is not reached. own: the same of the target itself, which may be there
    before its end. found: the difference of the two, where all seeds reach it. obstacle: why nothing is
    said; empty where something is.
    """

    label: str
    shares: Mapping[int, float | None]
    own: Mapping[int, float | None]
    found: Difference | None
    obstacle: str

    @property
    def seeds(self) -> int:
        """How many seeds reach it."""
        return sum(share is not None for share in self.shares.values())


def reached(one: Arm | None, target: Arm | None, name: str, of: str) -> Reached:
    """When an arm's runs are as accurate as the target's of the same seed are in the end."""
    if one is None or target is None:
        gone = [called for called, found in ((name, one), (of, target)) if found is None]
        return Reached(one.label if one else name, {}, {}, None, f"{' and '.join(gone)} was not run here")
    if lost := losses(one, target):
        return Reached(one.label, {}, {}, None, lost)
    seeds = [seed for seed in one.runs if seed in target.runs]
    shares = {seed: share(one.runs[seed], target.runs[seed]) for seed in seeds}
    own = {seed: share(target.runs[seed], target.runs[seed]) for seed in seeds}
    pairs = zip(shares.values(), own.values(), strict=True)
    both = [(x, y) for x, y in pairs if x is not None and y is not None]
    found = paired(*zip(*both, strict=True)) if both and len(both) == len(seeds) else None
    return Reached(one.label, shares, own, found, "" if seeds else "they have no seed in common")


def share(run: Entry, target: Entry) -> float | None:
    """Passes of a run at its first milestone with as many test images right, over all of the target's."""
    goal = target.correct
    for passes, correct in zip(run.judged_passes, run.judged_correct, strict=True):
        if goal is not None and correct >= goal:
            return passes / target.passes
    return None
