import math
from typing import Any

import pytest

from looksam.trials import halton, trial_values

SPACE: dict[str, dict[str, Any]] = {
    "peak_lr": {"low": 1e-4, "high": 1e-2, "scale": "log"},
    "rho": {"low": 0.0, "high": 1.0, "scale": "linear"},
    "alpha": {"low": 0.1, "high": 1.0, "scale": "log"},
}


def test_the_terms_of_base_2_are_those_of_van_der_corput() -> None:
    assert [halton(number, 2) for number in range(1, 8)] == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]


@pytest.mark.parametrize("base", [2, 3, 5])
def test_any_base_to_the_n_minus_1_trials_have_one_in_each_part_of_the_range(base: int) -> None:
    count = base**3
    parts = [round(halton(number, base) * count) for number in range(1, count)]
    assert sorted(parts) == list(range(1, count))


def test_the_first_trial_is_in_the_middle_of_the_logarithms() -> None:
    assert trial_values(SPACE, 1)["peak_lr"] == pytest.approx(1e-3)


def test_a_linear_range_is_divided_evenly() -> None:
    assert [trial_values(SPACE, number)["rho"] for number in (1, 2)] == [0.333, 0.667]


def test_every_value_lies_within_its_range() -> None:
    for number in range(1, 200):
        for key, value in trial_values(SPACE, number).items():
            assert SPACE[key]["low"] <= value <= SPACE[key]["high"]


def test_a_value_has_three_significant_digits() -> None:
    values = [value for number in range(1, 50) for value in trial_values(SPACE, number).values()]
    assert all(float(f"{value:.3g}") == value and math.isfinite(value) for value in values)


def test_a_setting_more_in_the_space_changes_no_other_ones_values() -> None:
    fewer = {key: SPACE[key] for key in ("peak_lr", "alpha")}
    for number in range(1, 20):
        assert trial_values(fewer, number).items() <= trial_values(SPACE, number).items()


def test_twelve_trials_differ_in_every_setting() -> None:
    trials = [trial_values(SPACE, number) for number in range(1, 13)]
    assert {key: len({trial[key] for trial in trials}) for key in SPACE} == dict.fromkeys(SPACE, 12)
