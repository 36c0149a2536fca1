"""Families: one question asked in every condition, with Holm's correction over them and the tests' power."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from looksam.conditions import Arm, Arms, Condition, Contrast, arm, contrast
from looksam.intervals import LEVEL, Difference, holm, mean
from looksam.power import smallest

MORE, LESS, OPEN, UNDECIDED = "more", "less", "open", "undecided"
# of one method, or of the arm that a function finds
Chosen = str | Callable[[Arms], Arm | None]


@dataclass(frozen=True)
class Tested:
    """A contrast as a part of its family. p: Holm's, two-sided; None where it decides nothing.

    smallest: the smallest true difference that the family's strictest test finds with the wanted power; None
    where seeds tell no spread.
    """

    contrast: Contrast
    p: float | None
    smallest: float | None

    @property
    def shows(self) -> str:
        """MORE or LESS where a difference is shown, OPEN where none is, UNDECIDED where none can be."""
        if self.p is None or self.contrast.found is None:
            return UNDECIDED
        if self.p > LEVEL:
            return OPEN
        return MORE if self.contrast.found.value > 0 else LESS


@dataclass(frozen=True)
class Family:
    """One arm less another in every condition. of, against: their labels. wanted: the power of `smallest`.

    over_seeds: the mean over the conditions that decide, seed by seed, which speaks of these conditions;
    over_conditions: the mean of their means, with them as a sample, which speaks of others like them.
    """

    of: str
    against: str
    wanted: float
    tested: list[Tested]
    over_seeds: Difference | None
    over_conditions: Difference | None

    @property
    def was_run(self) -> bool:
        """Whether both arms were run in some condition."""
        return any(one.contrast.was_run for one in self.tested)


def family(
    study: Mapping[Condition, Arms], of: Chosen, against: Chosen, wanted: float, names: tuple[str, str]
) -> Family:
    """The family of `of` less `against`. wanted: the power that `smallest` is for. names: of missing arms."""
    found = [
        contrast(condition, chosen(arms, of), chosen(arms, against), names)
        for condition, arms in study.items()
    ]
    deciding = [one for one in found if not one.obstacle]
    # a condition that decides nothing stays in the family, so that losing one makes no other test easier
    adjusted = holm([one.found.p if one.found and not one.obstacle else 1.0 for one in found])
    tested = [
        Tested(one, None if one.obstacle else p, finds(one, wanted, LEVEL / len(found)))
        for one, p in zip(found, adjusted, strict=True)
    ]
    # an arm that some condition lacks is called there by its method
    known = [one for one in found if one.was_run] or found
    labels = (known[0].of, known[0].against) if known else names
    return Family(*labels, wanted, tested, over_seeds(deciding), over_conditions(deciding))


def chosen(arms: Arms, which: Chosen) -> Arm | None:
    """The arm of a method, or the one that a function finds."""
    return arm(arms, which) if isinstance(which, str) else which(arms)


def finds(one: Contrast, wanted: float, level: float) -> float | None:
    """The smallest true difference that a test of this contrast finds with the wanted power."""
    if one.sd is None or one.obstacle:
        return None
    return smallest(one.sd, len(one.differences), wanted, level)


def over_seeds(contrasts: Sequence[Contrast]) -> Difference | None:
    """The mean over contrasts, by the seeds that all have."""
    seeds = shared(one.differences for one in contrasts)
    return mean([fmean(one.differences[seed] for one in contrasts) for seed in seeds]) if seeds else None


def over_conditions(contrasts: Sequence[Contrast]) -> Difference | None:
    """The mean of the contrasts' means, each as one draw."""
    means = [one.found.value for one in contrasts if one.found]
    return mean(means) if means else None


def shared(by_seed: Iterable[Mapping[int, object]]) -> list[int]:
    """The seeds that all have, ascending."""
    sets = [set(one) for one in by_seed]
    return sorted(set.intersection(*sets)) if sets else []
