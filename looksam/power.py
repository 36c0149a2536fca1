"""Power: which true difference a paired t-test would find, by the noncentral t-distribution. Cohen 1988."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, stdtrit

from looksam.intervals import LEVEL

# a difference of so many standard deviations is beyond any study, and ends the search for the smallest
LARGEST = 1e6
# of the rule that integrates over the sample's standard deviation; 200 leave errors below 1e-6
NODES = 200


def power(difference: float, sd: float, n: int, level: float = LEVEL) -> float:
    """The chance that a two-sided paired t-test at `level` of n pairs shows a true difference.

    sd: of the differences of pairs, as of the population; above 0. n: two or more.
    """
    edge = float(stdtrit(n - 1, 1 - level / 2))
    shift = abs(difference) / sd * math.sqrt(n)
    # given the sample's standard deviation, what is left is a normal; scipy's own noncentral t has gaps
    scales, weights = deviations(n - 1)
    return float(weights @ (ndtr(shift - edge * scales) + ndtr(-shift - edge * scales)))


@cache
def deviations(df: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard deviations that samples have where the true one is 1, and how likely each, by Gauss's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return np.sqrt(2 * gammaincinv(df / 2, (nodes + 1) / 2) / df), weights / 2


def smallest(sd: float, n: int, wanted: float, level: float = LEVEL) -> float:
    """The smallest true difference that the test finds with a chance of `wanted`, in the unit of sd.

    By halving, to a relative 1e-9: the power grows with the difference. wanted: above the level, below 1.
    """
    low, high = 0.0, 1.0
    while power(high * sd, sd, n, level) < wanted and high < LARGEST:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle * sd, sd, n, level) < wanted else (low, middle)
    return high * sd
