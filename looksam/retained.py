"""The retained fraction: which part of one gain another method has, with Fieller's interval. Fieller 1954."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.special import stdtrit

from looksam.intervals import EQUAL, LEVEL

UNBOUNDED = "unbounded"
NOTHING = "nothing to retain"


@dataclass(frozen=True)
class Retained:
    """The ratio of two means over the same seeds, with its interval at 1 - LEVEL.

    value: None where the gain in the denominator is not above 0. interval: None where it is unbounded, and
    then `why` says so.
    """

    value: float | None
    interval: tuple[float, float] | None
    n: int
    why: str = ""


def retained(parts: Sequence[float], wholes: Sequence[float]) -> Retained:
    """Mean of parts over mean of wholes, both gains over the base optimizer, of the same seeds in order.

    The interval holds every ratio r for which a t-test does not tell the mean of part - r * whole from 0. It
    is bounded only where the whole's own interval excludes 0; a whole below 0 is no gain to retain any of.
    """
    n, whole = len(wholes), fmean(wholes)
    value = fmean(parts) / whole if whole > EQUAL else None
    if n < 2:
        return Retained(value, None, n, "one seed")
    limit = float(stdtrit(n - 1, 1 - LEVEL / 2)) ** 2 / n
    # the ratios r with (part - r * whole)^2 <= limit * variance: a r^2 - 2 b r + c <= 0
    a = whole**2 - limit * covariance(wholes, wholes)
    if a <= EQUAL**2:
        return Retained(value, None, n, UNBOUNDED)
    if value is None:
        return Retained(None, None, n, NOTHING)
    b = fmean(parts) * whole - limit * covariance(parts, wholes)
    c = fmean(parts) ** 2 - limit * covariance(parts, parts)
    # not below 0 but for rounding, since the ratio of the means is one of these r
    half = math.sqrt(max(0.0, b**2 - a * c))
    return Retained(value, ((b - half) / a, (b + half) / a), n)


def covariance(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Sample covariance."""
    x, y = fmean(xs), fmean(ys)
    return math.fsum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True)) / (len(xs) - 1)
