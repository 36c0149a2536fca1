import re
from dataclasses import replace
from typing import Any

import pytest

from looksam.errors import UserError
from looksam.plots import PLOTS, sensitivity
from looksam.plots import against_k as plotted
from looksam.tables import Cell, Table


def cell(
    k: int | None,
    descent: str | None,
    metric: str,
    value: float | None,
    sd: float | None = None,
    device: str = "here",
) -> Cell:
    return Cell(
        row_index=0,
        column_index=0,
        row="",
        column="",
        metric=metric,
        value=value,
        sd=sd,
        n=1,
        diverged=0,
        unconverged=0,
        text=None,
        status="done",
        absent=None,
        runs=[],
        device=device,
        environment=None,
        k=k,
        descent=descent,
        published=None,
        published_status=None,
        published_note=None,
    )


def table(cells: list[Cell], **other: Any) -> Table:
    """A table of these cells, or of series."""
    words = ("title", "caption", "scale", "scale_title", "row_header", "column_header", "environment")
    about: dict[str, Any] = dict.fromkeys((*words, "planned", "compared"), "")
    about |= {name: [] for name in ("differing", "metrics", "plot", "series")}
    return Table(**about | {"name": "figure4", "cells": cells} | other)


def against_k(cells: list[Cell]) -> str:
    """The SVG, empty where nothing is drawn."""
    drawn = plotted(table(cells))
    return str(drawn.svg) if drawn else ""


CELLS = [
    *[cell(0, None, "top1", 0.75), cell(1, "g_s", "top1", 0.5), cell(5, "g_s", "top1", 0.25)],
    *[cell(5, "g_v", "top1", 0.375, 0.125), cell(0, None, "seconds_per_epoch", 2.0)],
    *[cell(1, "g_s", "seconds_per_epoch", 4.0), cell(5, "g_s", "seconds_per_epoch", 2.5)],
    cell(5, "g_v", "seconds_per_epoch", 3.0),
]


def test_both_descents_start_at_sam() -> None:
    svg = against_k(CELLS)
    assert "Top-1 accuracy, %, LookSAM-k: 50 at k = 1, 37.5 at k = 5." in svg
    assert "Top-1 accuracy, %, SAM-k: 50 at k = 1, 25 at k = 5." in svg


def test_time_is_relative_to_the_base_optimizer() -> None:
    svg = against_k(CELLS)
    assert "LookSAM-k: 2 at k = 1, 1.5 at k = 5." in svg
    assert "SAM-k: 2 at k = 1, 1.25 at k = 5." in svg


def test_no_k_means_the_base_optimizer_too() -> None:
    assert "base optimizer (k = 0): 75" in against_k([cell(None, None, "top1", 0.75), *CELLS[1:]])


def test_both_series_are_drawn_and_named() -> None:
    drawn = against_k(CELLS).split("</desc>")[1]
    for name in ("LookSAM-k", "SAM-k", "base optimizer (k = 0)"):
        assert f">{name}</text>" in drawn
    assert "var(--look)" in drawn
    assert "var(--sam)" in drawn


def test_diverged_cells_are_left_out() -> None:
    svg = against_k([*CELLS, cell(10, "g_v", "top1", None)])
    assert svg == against_k(CELLS)


def test_without_times_there_is_still_accuracy() -> None:
    svg = against_k([one for one in CELLS if one.metric == "top1"])
    assert "Time per epoch" not in svg.split("</desc>")[1]


def test_nothing_measured_draws_nothing() -> None:
    assert against_k([cell(5, "g_v", "top1", None)]) == ""


def test_the_same_cells_give_the_same_bytes() -> None:
    assert against_k(CELLS) == against_k(list(CELLS))


def test_the_svg_can_stand_in_a_page() -> None:
    svg = against_k(CELLS)
    assert svg.startswith('<svg role="img"')
    assert "http" not in svg
    assert "<style" not in svg
    # ids that only markers and clip paths use: equal ids of two plots are equal shapes
    assert not re.search(r'<g [^>]*id="', svg)


def test_times_from_different_devices_are_not_drawn() -> None:
    elsewhere = cell(20, "g_v", "seconds_per_epoch", 2.0, device="there")
    assert "Time per epoch" in against_k(CELLS)
    assert "Time per epoch" not in against_k([*CELLS, elsewhere])


def not_run(k: int, descent: str, planned: float) -> Cell:
    return replace(cell(k, descent, "seconds_per_epoch", None), status="planned", planned=planned, n=0)


def test_planned_times_are_hollow_marks_apart_from_the_lines() -> None:
    svg = against_k([*CELLS, not_run(3, "g_v", 3.5)])
    assert "LookSAM-k: 2 at k = 1, 1.5 at k = 5. " in svg
    assert "LookSAM-k, planned, not run: 1.75 at k = 3." in svg
    assert ">LookSAM-k, planned, not run</text>" in svg
    assert "SAM-k, planned" not in svg.replace("LookSAM-k, planned", "")


def test_planned_times_alone_draw_nothing() -> None:
    assert against_k([not_run(3, "g_v", 3.5)]) == ""


def test_the_data_beside_are_those_of_the_table() -> None:
    drawn = plotted(table(CELLS))
    assert drawn is not None
    accuracy, time = drawn.data
    assert accuracy.header == ["k", "LookSAM-k", "SAM-k", "base optimizer (k = 0)"]
    assert accuracy.rows == [["1", "50", "50", "75"], ["5", "37.5 ± 12.5", "25", "75"]]
    assert time.rows == [["1", "2", "2", "1"], ["5", "1.5", "1.25", "1"]]


def test_error_bars_are_drawn() -> None:
    without = [replace(one, sd=None) for one in CELLS]
    assert len(against_k(CELLS)) > len(against_k(without))


def of_alpha(alpha: float, value: float | None, published: str | None = None) -> Cell:
    made = replace(
        cell(5, "g_v", "top1", value), published=published, published_status="printed", row="32768"
    )
    return replace(made, coordinates=f'{{"alpha": {alpha}}}')


def test_sensitivity_has_the_papers_numbers_beside_ours() -> None:
    cells = [of_alpha(0.5, 0.7, "76.5"), of_alpha(0.7, 0.75, "77.1"), of_alpha(1.0, None, "75.9")]
    drawn = sensitivity(table(cells, row_header="batch size", column_header="alpha"))
    assert drawn is not None
    ours, papers = drawn.data
    assert ours.rows == [["0.5", "70"], ["0.7", "75"]]
    assert papers.rows == [["0.5", "76.5"], ["0.7", "77.1"], ["1", "75.9"]]


def test_sensitivity_takes_no_re_runs_number_for_the_papers() -> None:
    cells = [
        of_alpha(0.5, 0.7, "76.5"),
        replace(of_alpha(0.7, 0.75, "77.1"), published_status="independent"),
    ]
    drawn = sensitivity(table(cells, row_header="batch size", column_header="alpha"))
    assert drawn is not None
    assert drawn.data[1].rows == [["0.5", "76.5"]]


def test_the_papers_numbers_alone_draw_nothing() -> None:
    assert sensitivity(table([of_alpha(0.5, None, "76.5")], column_header="alpha")) is None


def test_sensitivity_to_what_is_no_number_is_refused() -> None:
    cells = [replace(of_alpha(0.5, 0.7), coordinates='{"augment": "none"}')]
    with pytest.raises(UserError, match="sensitivity is over one number, not over 'augment'"):
        sensitivity(table(cells, column_header="augment"))


@pytest.mark.parametrize("name", PLOTS)
def test_a_table_without_numbers_has_no_plot(name: str) -> None:
    assert PLOTS[name](table([])) is None
