"""Facts about what pictures show of series: over seeds, over training, in time."""

from dataclasses import replace
from typing import Any

from test_plots import table
from test_tables import evaluation

from looksam.groups import looks
from looksam.origins import origin
from looksam.panels import Point
from looksam.pareto import accuracy_against_time, front, time_to_accuracy
from looksam.series import Series, series_of
from looksam.traces import premise, sharpness, training_curves

CURVE = {"loss": None, "accuracy": None, "g_v_over_g": None, "cos_g_v_old": None, "reuse_gain": None}


def found(*runs: dict[str, Any]) -> list[Series]:
    """The series of one cell of these runs."""
    evaluated = {run["run"]: run | {"origin": origin(run["environment"])} for run in runs}
    cell = {"row": 0, "column": 0, "runs": list(evaluated), "k": 5, "descent": "g_v"}
    return series_of({"rows": ["ViT"], "columns": ["LookSAM-5"], "cells": [cell, cell]}, evaluated)


def run(name: str, top1: float | None, **losses_by_epoch: float) -> dict[str, Any]:
    curve = [CURVE | {"epoch": int(e[1:]), "loss": loss} for e, loss in losses_by_epoch.items()]
    return evaluation(name, top1) | {"curve": curve, "judged": [{"epoch": 2, "top1": top1 or 0.0}]}


def test_a_series_is_the_mean_over_seeds() -> None:
    (one,) = found(run("a", 0.25, e1=2.0, e2=1.0), run("b", 0.75, e1=4.0, e2=2.0))
    assert (one.n, one.top1, one.curve["loss"], one.judged) == (2, 0.5, [3.0, 1.5], [(2, 0.5)])


def test_a_diverged_seed_is_in_no_series() -> None:
    assert found(run("a", 0.25, e1=2.0), run("b", None, e1=9.0)) == found(run("a", 0.25, e1=2.0))


def test_a_cell_of_which_all_diverged_has_no_series() -> None:
    assert found(run("a", None, e1=9.0)) == []


def series(column: str, top1: float, seconds: float, **other: Any) -> Series:
    (one,) = found(run("a", top1, e1=2.0, e2=1.0))
    judged = [(1, top1 / 2), (2, top1)]
    return replace(one, column=column, top1=top1, seconds_per_epoch=seconds, judged=judged, **other)


def drawn(plot: Any, *members: Series) -> Any:
    return plot(table([], series=list(members), row_header="model", column_header="method"))


BASE = series("AdamW", 0.5, 1.0, k=0, descent=None)
SAM = series("SAM", 0.75, 2.0, k=1, descent="g_s")
LOOK = series("LookSAM-5", 0.875, 1.25, sharpness=0.5)


def test_the_pareto_front_is_what_none_beats() -> None:
    points = [Point(1, 50), Point(2, 75), Point(1.5, 75), Point(3, 70), Point(4, 80), Point(4, 79)]
    assert front(points) == [Point(1, 50), Point(1.5, 75), Point(4, 80)]


def test_the_front_is_in_the_data_after_the_cells() -> None:
    (data,) = drawn(accuracy_against_time, BASE, SAM, LOOK).data
    assert data.rows == [
        ["AdamW", "1", "50"],
        ["SAM", "2", "75"],
        ["LookSAM-5", "1.25", "87.5"],
        ["Pareto front", "1", "50"],
        ["Pareto front", "1.25", "87.5"],
    ]


def test_times_of_two_devices_are_not_drawn() -> None:
    elsewhere = replace(SAM, device="there")
    assert drawn(accuracy_against_time, BASE, elsewhere) is drawn(time_to_accuracy, BASE, elsewhere) is None


def test_sams_accuracy_is_reached_at_the_first_milestone_at_or_above_it() -> None:
    (data,) = drawn(time_to_accuracy, BASE, SAM, LOOK).data
    rings = {row[0]: row[1:] for row in data.rows if row[0].endswith("reaches it")}
    assert rings == {"SAM reaches it": ["4", "75"], "LookSAM-5 reaches it": ["2.5", "87.5"]}


def test_training_curves_have_a_row_an_epoch_and_a_column_a_method() -> None:
    (data,) = drawn(training_curves, BASE, SAM).data
    assert data.header == ["epoch", "AdamW", "SAM"]
    assert data.rows == [["1", "2", "2"], ["2", "1", "1"]]


def test_the_premise_is_drawn_of_methods_that_reuse() -> None:
    cosines = {**LOOK.curve, "cos_g_v_old": [None, 0.25]}
    both = [replace(one, curve=cosines) for one in (SAM, LOOK)]
    (data,) = drawn(premise, *both).data
    assert (data.header, data.rows) == (["epoch", "LookSAM-5"], [["2", "0.25"]])


def test_of_many_networks_each_premise_names_its_own() -> None:
    both = [replace(LOOK, row=row, curve=LOOK.curve | {"g_v_over_g": [0.5, 0.25]}) for row in ("ViT", "4096")]
    (data,) = drawn(premise, *both).data
    assert data.header == ["epoch", "LookSAM-5, ViT", "LookSAM-5, model 4096"]


def test_sharpness_stands_beside_accuracy() -> None:
    (data,) = drawn(sharpness, LOOK).data
    assert data.rows == [["LookSAM-5", "0.5", "87.5"]]


def test_rows_of_methods_are_lines_too() -> None:
    swapped = [replace(one, row=one.column, column=one.row) for one in (BASE, SAM)]
    made = training_curves(table([], series=swapped, row_header="method", column_header="model"))
    assert made is not None
    assert made.data == drawn(training_curves, BASE, SAM).data


def test_words_of_a_long_curve_say_its_ends() -> None:
    epochs = [float(epoch) for epoch in range(1, 31)]
    long = replace(LOOK, curve={**LOOK.curve, "epoch": epochs, "loss": epochs[::-1]})
    assert "from 30 at epoch 1 to 1 at epoch 30, 30 points." in drawn(training_curves, long).svg


def test_numbers_on_axes_keep_their_digits() -> None:
    near = [replace(LOOK, sharpness=x, column=str(x)) for x in (0.012, 0.014)]
    assert ">0.0125<" in drawn(sharpness, *near).svg


def test_markup_in_a_name_is_text() -> None:
    svg = drawn(training_curves, replace(LOOK, column="<script>"), replace(LOOK, row="<b>")).svg
    assert "<script>" not in svg
    assert "<b>" not in svg


def test_dollars_in_a_name_are_text() -> None:
    assert r">$\frac$<" in drawn(training_curves, replace(LOOK, column=r"$\frac$")).svg


def test_sam_looks_the_same_wherever_it_stands_among_methods() -> None:
    first, last = (
        looks({one.column: one for one in members})["SAM"]
        for members in ((SAM, replace(SAM, column="SAM-5", k=5)), (replace(SAM, column="SAM-5", k=5), SAM))
    )
    assert first == last


def test_rings_share_one_key_of_the_legend() -> None:
    svg = drawn(time_to_accuracy, BASE, SAM, LOOK).svg
    assert svg.count(">SAM's end first reached<") == 1
