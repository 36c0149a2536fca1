import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from looksam.drawing import Drawing
from looksam.heat import brief
from looksam.premise_maps import cosine_map, gain_map


def records(seeds: Sequence[int] = (0, 1, 2), **more: Any) -> list[dict[str, Any]]:
    """Of one network, batch sizes 32 and 64 and lags 0 to 2; values differ by 0.1 a seed."""
    return [
        {
            "model": "net",
            "batch_size": batch,
            "seed": seed,
            "phase": 0.5,
            "lr_divisor": 1.0,
            "lag": lag,
            "noise": None if lag else 0.3 + 0.1 * seed,
            "drift": 0.6 + 0.1 * seed if lag else None,
            "reuse": -0.6 + 0.1 * seed if lag else None,
            "gains": {"0.7": 0.01 * lag + 0.1 * seed},
        }
        | more
        for batch in (32, 64)
        for seed in seeds
        for lag in range(3)
    ]


def drawn(picture: Callable[[Any], Drawing | None], found: Sequence[Any]) -> Drawing:
    result = picture(found)
    assert result
    return result


def test_cells_show_the_means_over_seeds() -> None:
    picture = drawn(cosine_map, records())
    assert {".40", ".70", "−.50"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", picture.svg))


def test_the_table_beside_has_means_with_their_intervals_over_seeds() -> None:
    picture = drawn(cosine_map, records())
    # t of 2 degrees of freedom, 4.303, times 0.1 / sqrt(3)
    assert picture.data[0].rows[0][1] == "0.4 (0.15 to 0.65)"


def test_there_is_a_table_for_drift_and_one_for_reuse() -> None:
    picture = drawn(cosine_map, records())
    assert len(picture.data) == 2


def test_colours_are_the_page_s_blue_above_0_and_orange_below() -> None:
    picture = drawn(cosine_map, records())
    assert all(f"fill: var(--{colour})" in picture.svg for colour in ("look", "sam"))


@pytest.mark.parametrize("picture", [cosine_map, gain_map])
def test_without_records_nothing_is_drawn(picture: Callable[[Any], Drawing | None]) -> None:
    assert picture([]) is None


def test_a_gain_is_the_mean_over_the_steps_that_reuse_and_then_over_seeds() -> None:
    picture = drawn(gain_map, records())
    assert picture.data[0].rows[0][1].startswith("0.115 ± 0.248")


def test_one_seed_has_no_interval() -> None:
    picture = drawn(gain_map, records(seeds=[0]))
    assert picture.data[0].rows[0][1] == "0.015"


@pytest.mark.parametrize(("value", "text"), [(0.5, ".50"), (-0.214, "−.21"), (-0.001, ".00"), (1.0, "1.00")])
def test_a_cell_s_number_has_two_decimals(value: float, text: str) -> None:
    assert brief(value) == text
