"""Planned times, against the formula that made the measured ones."""

from typing import Any

import pytest

from looksam.calibration import planned

HERE = ["AMD EPYC, 1 thread"]
# of the base optimizer, of a second pass, and of reusing g_v, by operation
BASE, ASCENT, REUSE = 2.0, 1.5, 0.25


def cell(extra_passes: float, reuses: bool = False, run: str = "", **cost: Any) -> dict[str, Any]:
    """A requested cell of 100 operations; one without a run is not run."""
    of_cost = {"alike": "a", "batch_size": 20, "operations": 100.0, "extra_passes": extra_passes}
    return {
        "metric": "seconds_per_epoch",
        "runs": [run] if run else [],
        "absent": None if run else "not run at this scale",
        "cost": of_cost | {"reuses": reuses} | cost,
    }


def true_time(asked: dict[str, Any]) -> float:
    cost = asked["cost"]
    factor = BASE + ASCENT * cost["extra_passes"] + REUSE * cost["reuses"]
    return float(cost["operations"] * factor)


MEASURED = [
    cell(0.0, run="base"),
    cell(1.0, run="sam"),
    cell(0.2, run="sam-5"),
    cell(0.2, True, run="looksam-5"),
]


def planned_of(
    asked: dict[str, Any], measured: list[dict[str, Any]] = MEASURED, devices: list[str] = HERE, **off: float
) -> tuple[dict[str, Any], str]:
    """What planning makes of a cell beside measured ones. off: by run, what its time is multiplied by."""
    values = [true_time(one) * off.get(one["runs"][0], 1.0) for one in measured]
    changes, told = planned([*measured, asked], [*values, None], devices)
    assert changes[:-1] == [{}] * len(measured)
    return changes[-1], told


@pytest.mark.parametrize("asked", [cell(0.5), cell(0.5, True), cell(0.1, True, operations=70.0)])
def test_a_time_that_follows_the_formula_is_planned_as_it_would_be_measured(asked: dict[str, Any]) -> None:
    change, _ = planned_of(asked)
    assert change == {"status": "planned", "planned": pytest.approx(true_time(asked), rel=1e-12)}


def test_without_a_method_that_reuses_the_others_are_planned() -> None:
    change, _ = planned_of(cell(0.5), MEASURED[:2])
    assert change["planned"] == pytest.approx(true_time(cell(0.5)), rel=1e-12)


def test_times_of_another_metric_or_network_are_not_calibrated_on() -> None:
    others = [one | {"metric": "training_hours"} for one in MEASURED]
    others += [cell(0.0, run="base", alike="b"), cell(1.0, run="sam", alike="b")]
    assert (
        "not measure both the base optimizer and SAM on its network"
        in planned_of(cell(0.5), others)[0]["absent"]
    )
    assert planned_of(cell(0.5), [*MEASURED, *others])[0] == planned_of(cell(0.5))[0]


@pytest.mark.parametrize(
    ("asked", "measured", "devices", "off", "why"),
    [
        (cell(0.5), MEASURED[1:], HERE, {}, "not measure both the base optimizer and SAM"),
        (cell(0.5), [MEASURED[0], *MEASURED[2:]], HERE, {}, "not measure both the base optimizer and SAM"),
        (cell(0.5, True), MEASURED[:3], HERE, {}, "no time of a method that reuses g_v"),
        (cell(0.5), MEASURED, ["a", "b"], {}, "not known to be of one device"),
        (cell(0.5), MEASURED, ["not recorded"], {}, "not known to be of one device"),
        (cell(0.5), MEASURED[:2], HERE, {"sam": 0.5}, "do not grow with gradient passes"),
        (
            cell(0.5),
            MEASURED,
            HERE,
            {"base": 0.4},
            "misses the times that this table measures",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_not_planned_and_says_why(
    asked: dict[str, Any], measured: list[dict[str, Any]], devices: list[str], off: dict[str, float], why: str
) -> None:
    change, told = planned_of(asked, measured, devices, **off)
    assert change["absent"].startswith("not run at this scale, and its time is not planned: ")
    assert why in change["absent"]
    assert (set(change), told) == ({"absent"}, "")


def test_a_cell_without_a_time_is_left_as_it_is() -> None:
    assert planned_of(cell(0.5) | {"cost": None}) == ({}, "")


def test_a_plan_says_on_what_it_rests_and_by_how_much_the_formula_misses_that() -> None:
    assert planned_of(cell(0.5))[1] == (
        "Planned: not run, but computed from operations and gradient passes by the formula of looksam plan, "
        "calibrated on the 4 times that this table measures, on AMD EPYC, 1 thread. "
        "The formula misses these by up to 0 %."
    )
    # two cells of the same passes, of which the mean is met: 1 / 0.8 less 1
    twice = [*MEASURED, cell(0.0, run="again")]
    assert "by up to 25 %." in planned_of(cell(0.5), [*twice[:2], twice[4]], base=1.2, again=0.8)[1]


def test_as_few_times_as_unknowns_are_said_to_show_nothing() -> None:
    few = [MEASURED[0], MEASURED[1], MEASURED[3]]
    assert "nothing here says by how much it is off" in planned_of(cell(0.5), few)[1]


def test_another_batch_size_than_those_measured_is_told() -> None:
    assert "images a second" not in planned_of(cell(0.5))[1]
    assert "takes images a second to be the same" in planned_of(cell(0.5, batch_size=15))[1]
