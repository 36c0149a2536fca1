"""Trials: the values that a search tries, a function of its space and of the trial's number alone."""

import math
from collections.abc import Mapping
from typing import Any

from looksam.config import Row

# what may be searched, and the base that its sequence counts in; coprime, so that no two move together
BASES = {"peak_lr": 2, "rho": 3, "alpha": 5}

DIGITS = 3


def trial_values(space: Mapping[str, Mapping[str, Any]], number: int) -> Row:
    """What trial `number` (from 1) tries, by setting, to three significant digits.

    space: by setting, its `low`, `high` and `scale` (`log` or `linear`). The trials are a Halton sequence, so
    that any number of them is well spread over each range, all methods try the same values, and more trials
    keep those that there were. Halton 1960.
    """
    return {key: _within(space[key], halton(number, base)) for key, base in BASES.items() if key in space}


def halton(number: int, base: int) -> float:
    """The number-th term, from 1, of van der Corput's sequence: its digits in the base, behind the point."""
    value, share = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        share /= base
        value += digit * share
    return value


def _within(limits: Mapping[str, Any], share: float) -> float:
    low, high = limits["low"], limits["high"]
    if limits["scale"] == "log":
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    return float(f"{value:.{DIGITS}g}")
