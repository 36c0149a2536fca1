from typing import Any

import pyarrow as pa
import pytest

from looksam.curves import condensed
from looksam.history import HISTORY


def history(**columns: list[Any]) -> pa.Table:
    """A history of these columns; others are null, but the epoch, which changes with every second step."""
    (count,) = {len(values) for values in columns.values()}
    rows = {name: [None] * count for name in HISTORY.names} | {"epoch": [step // 2 for step in range(count)]}
    return pa.table(rows | columns, schema=HISTORY)


def test_a_curve_has_the_mean_of_each_epoch() -> None:
    found = condensed(history(loss=[1.0, 3.0, 0.5, 0.25]))
    assert [(row["epoch"], row["loss"]) for row in found["curve"]] == [(1, 2.0), (2, 0.375)]


def test_more_epochs_than_points_are_taken_together() -> None:
    found = condensed(history(loss=[float(epoch) for epoch in range(5) for _ in range(2)]), points=2)
    assert [(row["epoch"], row["loss"]) for row in found["curve"]] == [(3, 1.0), (5, 3.5)]


def test_a_curve_has_no_more_rows_than_epochs() -> None:
    assert len(condensed(history(loss=[1.0] * 6))["curve"]) == 3


@pytest.mark.parametrize("name", ["g_v_over_g", "cos_g_v_old", "reuse_gain"])
def test_a_diagnostic_is_a_mean_over_the_refreshes_that_have_it(name: str) -> None:
    found = condensed(history(**{name: [None, None, 0.5, 0.25, None, 0.75]}))
    assert [row[name] for row in found["curve"]] == [None, 0.375, 0.75]
    assert found[name] == 0.5


def test_a_run_without_refreshes_has_no_diagnostics() -> None:
    assert condensed(history(loss=[1.0, 2.0]))["cos_g_v_old"] is None


def test_a_loss_that_is_not_finite_is_in_no_mean() -> None:
    assert condensed(history(loss=[1.0, float("nan")]))["curve"][0]["loss"] == 1.0


def test_milestones_stand_after_the_epochs_that_were_done() -> None:
    assert condensed(history(judged_top1=[None, None, None, 0.5]))["judged"] == [{"epoch": 2, "top1": 0.5}]
