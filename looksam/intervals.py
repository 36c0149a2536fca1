"""Intervals: how far two means are apart, as far as seeds or test images tell, and Holm's correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

# of every interval and of every test, two-sided
LEVEL = 0.05
RESAMPLES = 10_000
# accuracies and logarithms that are equal but for rounding are apart by less, and no two that differ
EQUAL = 1e-12


class Draws(NamedTuple):
    """Differences of means over resampled test images, ascending."""

    sorted: NDArray[np.float64]


class Spread(NamedTuple):
    """Student's t about a difference of means. se: its standard error; df: degrees of freedom."""

    se: float
    df: float


@dataclass(frozen=True)
class Difference:
    """One mean less another, and what is known of how far that may be off.

    spread: over seeds, or over test images; None where nothing tells it, and then `untested` says why. n:
    seeds of the one and of the other. paired: seed by seed.
    """

    value: float
    n: tuple[int, int]
    paired: bool
    spread: Spread | Draws | None
    untested: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The two-sided interval at 1 - LEVEL; None untested."""
        if isinstance(self.spread, Spread):
            half = float(stdtrit(self.spread.df, 1 - LEVEL / 2)) * self.spread.se
            return self.value - half, self.value + half
        if isinstance(self.spread, Draws):
            low, high = np.quantile(self.spread.sorted, [LEVEL / 2, 1 - LEVEL / 2])
            return float(low), float(high)
        return None

    def p_above(self, bound: float) -> float:
        """One-sided p of the hypothesis that the true difference is at most `bound`; 1 untested."""
        if isinstance(self.spread, Spread):
            return float(stdtr(self.spread.df, (bound - self.value) / self.spread.se))
        if isinstance(self.spread, Draws):
            # one more than drawn, or no resample of many would be a p of 0
            at_most = int(np.searchsorted(self.spread.sorted, bound, side="right"))
            return (at_most + 1) / (len(self.spread.sorted) + 1)
        return 1.0

    def p_below(self, bound: float) -> float:
        """One-sided p of the hypothesis that the true difference is at least `bound`; 1 untested."""
        if isinstance(self.spread, Spread):
            return float(stdtr(self.spread.df, (self.value - bound) / self.spread.se))
        if isinstance(self.spread, Draws):
            ascending = self.spread.sorted
            at_least = len(ascending) - int(np.searchsorted(ascending, bound, side="left"))
            return (at_least + 1) / (len(ascending) + 1)
        return 1.0

    @property
    def p(self) -> float:
        """Two-sided p of no difference."""
        return min(1.0, 2 * min(self.p_above(0.0), self.p_below(0.0)))


NO_SPREAD = "the seeds do not differ, which tells nothing of how much they might"


def mean(values: Sequence[float]) -> Difference:
    """The mean of one sample over its seeds, as a difference to 0."""
    n = (len(values), len(values))
    if len(values) < 2:
        return Difference(values[0], n, True, None, "one seed")
    is_flat = max(values) - min(values) < EQUAL
    se = 0.0 if is_flat else math.sqrt(variance(values) / len(values))
    spread = Spread(se, len(values) - 1) if se else None
    return Difference(fmean(values), n, True, spread, "" if se else NO_SPREAD)


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of a - b, seed by seed: Student's t over the pairs."""
    return mean([x - y for x, y in zip(a, b, strict=True)])


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of a less mean of b, each of at least one seed, with Welch's t where both have two or more."""
    value, n = fmean(a) - fmean(b), (len(a), len(b))
    if min(n) < 2:
        return Difference(value, n, False, None, "one seed")
    a_part, b_part = variance(a) / len(a), variance(b) / len(b)
    total = a_part + b_part
    if not total:
        return Difference(value, n, False, None, NO_SPREAD)
    # as parts of the sum, whose squares neither overflow nor vanish
    of_a, of_b = a_part / total, b_part / total
    df = 1 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    return Difference(value, n, False, Spread(math.sqrt(total), df))


def bootstrap(differences: NDArray[np.float64]) -> Difference:
    """Mean over test images of what one run scores on each less what another does: one seed of each.

    RESAMPLES draws of as many images with replacement; the same ones for the same differences. Few values
    differ, so a resample is how often each is drawn, which is multinomial.
    """
    values, counts = np.unique(differences, return_counts=True)
    images = len(differences)
    value = float(differences.mean())
    if len(values) < 2:
        return Difference(value, (1, 1), True, None, "both are right on the same test images")
    drawn = np.random.default_rng(0).multinomial(images, counts / images, RESAMPLES) @ values / images
    return Difference(value, (1, 1), True, Draws(np.sort(drawn)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each of a family of tests: at most the level where it rejects."""
    adjusted, running = [1.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        running = max(running, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = running
    return adjusted
