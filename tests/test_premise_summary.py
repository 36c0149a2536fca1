from collections.abc import Sequence
from typing import Any

import pytest

from looksam.premise_summary import premise_sentences, premise_summary


def records(gains: Sequence[float] = (0.01, 0.02, 0.03), **more: Any) -> list[dict[str, Any]]:
    """A seed for each gain, at lags 0, 2, on which a period of 5 reuses, and 9, on which it does not."""
    return [
        {
            "model": "net",
            "lr_divisor": 1.0,
            "seed": seed,
            "lag": lag,
            "noise": None if lag else 0.3,
            "drift": 0.5 + 0.1 * seed if lag == 2 else 0.0,
            "reuse": 0.1 * seed if lag == 2 else 0.9,
            "gains": {"ls": value if lag == 2 else -9.0},
        }
        | more
        for seed, value in enumerate(gains)
        for lag in (0, 2, 9)
    ]


def test_means_are_of_the_steps_that_reuse_with_intervals_over_seeds() -> None:
    grid = premise_summary(records())
    assert grid
    # t of 2 degrees of freedom, 4.303, times 0.1 / sqrt(3) and 0.01 / sqrt(3)
    assert grid.rows == [
        ["net", "+0.30", "+0.60 (+0.35 to +0.85)", "+0.10 (−0.15 to +0.35)", "+0.0200 (−0.0048 to +0.0448)"]
    ]


def test_smaller_learning_rates_are_left_out() -> None:
    assert premise_summary(records() + records((5.0, 5.0, 6.0), lr_divisor=3.0)) == premise_summary(records())


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.010, 0.011), "with alpha ls, a step that reuses g_v is nearer to SAM's gradient than g is"),
        ((-0.010, -0.011), "with alpha ls, a step that reuses g_v is farther from SAM's gradient than g is"),
        ((0.010, -0.011), "with alpha ls, neither is shown"),
        ((0.010,), "with alpha ls, neither is shown"),
    ],
)
def test_the_sentence_goes_by_the_interval_of_the_gains(gains: Sequence[float], said: str) -> None:
    assert premise_sentences(records(gains)) == [f"net: {said}."]


def test_without_gains_it_says_so() -> None:
    empty = [record | {"gains": {}} for record in records()]
    assert premise_sentences(empty) == ["net: no gain was measured."]


def test_of_nothing_there_is_neither_table_nor_sentence() -> None:
    assert (premise_summary([]), premise_sentences([])) == (None, [])
