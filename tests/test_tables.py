import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from looksam.config import read_yaml
from looksam.errors import UserError
from looksam.evaluate import EVALUATIONS
from looksam.metrics import METRICS
from looksam.tables import COLUMNS, read, tabulate

CELL = {
    "row": 0,
    "column": 0,
    "metric": "top1",
    "coordinates": {},
    "runs": [],
    "k": None,
    "descent": None,
    "fact": None,
    "model": None,
    "absent": None,
    "cost": None,
    "published": None,
}
REQUEST = {
    "table": "table7",
    "title": "Accuracy on CIFAR-10",
    "caption": "Digits stand in.",
    "scale": "mini",
    "scale_title": "stand-ins; these are not ImageNet numbers",
    "row_header": "model",
    "column_header": "method",
    "rows": ["ResNet-18"],
    "columns": ["SAM"],
    "metrics": ["top1"],
    "plot": [],
    "compare": [],
    "code": "0",
}


ENVIRONMENT = {
    "device": "AMD EPYC",
    "type": "cpu",
    "ranks": 1,
    "threads": 1,
    "torch": "2.9.0",
    "timm": "1.0.20",
    "looksam": "0.1.0",
    "commit": None,
    "python": "3.12.1",
    "determinism": "bitwise on this device",
}


def evaluation(run: str, top1: float | None, seconds: float = 36.0, **other: Any) -> dict[str, Any]:
    """A run's row of the evaluations, with what is `other` about its environment."""
    return {
        "run": run,
        "top1": top1,
        "top5": top1,
        "loss": None,
        "images": 100,
        "test_images": None,
        "correct": None,
        "diverged_at_step": 7 if top1 is None else None,
        "seconds": seconds,
        "seconds_per_epoch": 0.5,
        "images_per_second": 1.0,
        "gradients_per_step": 1.2,
        "sharpness": 0.01,
        "method_sharpness": 0.02,
        "hessian_eigenvalue": 12.0,
        "hessian_converged": True,
        "environment": ENVIRONMENT | other,
    }


def entry(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell of a request, given by what differs from `CELL`; its runs are of seeds 0, 1, ..."""
    return {**CELL, "seeds": list(range(len(cell.get("runs", [])))), **cell}


def tabulated(
    folder: Path, cells: list[dict[str, Any]], evaluations: list[dict[str, Any]], **request: Any
) -> Path:
    """The parquet table of a request of these cells, each given by what differs from `CELL`."""
    asked = {**REQUEST, **request, "cells": [entry(cell) for cell in cells]}
    name = asked["table"]
    (folder / f"{name}.json").write_text(json.dumps(asked), encoding="utf-8")
    evaluated = folder / f"{name}.evaluations.parquet" if evaluations else None
    if evaluated:
        pq.write_table(pa.Table.from_pylist(evaluations), evaluated)
    tabulate(folder / f"{name}.json", evaluated, folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def test_a_cell_is_the_mean_and_the_sample_deviation_of_its_runs(tmp_path: Path) -> None:
    runs = [evaluation("a", 0.25), evaluation("b", 0.5), evaluation("c", 0.75), evaluation("other", 0.0)]
    (cell,) = read(tabulated(tmp_path, [{"runs": ["a", "b", "c"]}], runs)).cells
    assert (cell.value, cell.sd, cell.n, cell.diverged, cell.status) == (0.5, 0.25, 3, 0, "done")


def test_one_run_has_no_deviation(tmp_path: Path) -> None:
    (cell,) = read(tabulated(tmp_path, [{"runs": ["a"]}], [evaluation("a", 0.25)])).cells
    assert (cell.value, cell.sd, cell.n) == (0.25, None, 1)


def test_diverged_runs_are_counted_and_left_out_of_the_mean(tmp_path: Path) -> None:
    runs = [evaluation("a", 0.25), evaluation("b", None), evaluation("c", 0.75)]
    (cell,) = read(tabulated(tmp_path, [{"runs": ["a", "b", "c"]}], runs)).cells
    assert (cell.value, cell.n, cell.diverged, cell.status) == (0.5, 2, 1, "done")


def test_a_cell_all_of_whose_runs_diverged_is_diverged(tmp_path: Path) -> None:
    runs = [evaluation("a", None), evaluation("b", None)]
    (cell,) = read(tabulated(tmp_path, [{"runs": ["a", "b"]}], runs)).cells
    assert (cell.value, cell.n, cell.diverged, cell.status) == (None, 0, 2, "diverged")


def test_training_hours_are_seconds_over_3600(tmp_path: Path) -> None:
    cells = [{"metric": "training_hours", "runs": ["a"]}]
    (cell,) = read(tabulated(tmp_path, cells, [evaluation("a", 0.5, seconds=9.0)])).cells
    assert cell.value == 9.0 / 3600.0


def test_a_cell_without_runs_keeps_its_reason(tmp_path: Path) -> None:
    (cell,) = read(tabulated(tmp_path, [{"absent": "not in the paper"}], [])).cells
    assert (cell.status, cell.absent, cell.value) == ("absent", "not in the paper", None)


def costing(extra_passes: float, run: str = "") -> dict[str, Any]:
    """What differs from CELL in the seconds of an epoch; without a run, of what was not run."""
    cost = {"alike": "a", "batch_size": 20, "operations": 10.0, "extra_passes": extra_passes, "reuses": False}
    absent = None if run else "not run at this scale"
    return {"metric": "seconds_per_epoch", "runs": [run] if run else [], "absent": absent, "cost": cost}


# SAM takes twice as long as the base optimizer
TIMED = [
    evaluation("base", 0.5) | {"seconds_per_epoch": 2.0},
    evaluation("sam", 0.5) | {"seconds_per_epoch": 4.0},
]
PLANNED = [costing(0.0, "base"), costing(1.0, "sam"), costing(0.25)]


def test_a_planned_time_is_no_value(tmp_path: Path) -> None:
    table = read(tabulated(tmp_path, PLANNED, TIMED, metrics=["seconds_per_epoch"]))
    *measured, cell = table.cells
    assert (cell.status, cell.value, cell.n) == ("planned", None, 0)
    assert cell.planned == pytest.approx(2.5)
    assert [(one.status, one.value, one.planned) for one in measured] == [
        ("done", 2.0, None),
        ("done", 4.0, None),
    ]
    assert table.planned.startswith("Planned: not run, but computed")


def test_times_of_two_devices_plan_none(tmp_path: Path) -> None:
    runs = [TIMED[0], TIMED[1] | {"environment": ENVIRONMENT | {"device": "NVIDIA H100"}}]
    table = read(tabulated(tmp_path, PLANNED, runs, metrics=["seconds_per_epoch"]))
    assert (table.cells[-1].status, table.cells[-1].planned, table.planned) == ("absent", None, "")
    assert "not known to be of one device" in (table.cells[-1].absent or "")


def test_a_diverged_run_is_not_calibrated_on(tmp_path: Path) -> None:
    runs = [TIMED[0], evaluation("sam", None) | {"seconds_per_epoch": 4.0}]
    assert read(tabulated(tmp_path, PLANNED, runs)).cells[-1].status == "absent"


def test_a_fact_is_its_text(tmp_path: Path) -> None:
    published = {"value": "200", "status": "conflict", "note": "the text says 300"}
    cells = [{"metric": "epochs", "fact": "300", "published": published}]
    (cell,) = read(tabulated(tmp_path, cells, [])).cells
    assert (cell.text, cell.status, cell.published, cell.published_status) == (
        "300",
        "done",
        "200",
        "conflict",
    )


def test_facts_of_a_model_are_read_off_the_network(tmp_path: Path) -> None:
    model = {"name": "tiny", "architecture": "vit", "patch_size": 32, "dim": 12, "depth": 2, "heads": 3}
    cells = [{"metric": name, "model": model} for name in ("layers", "sequence_length")]
    layers, length = read(tabulated(tmp_path, cells, [])).cells
    assert (layers.text, length.text) == ("2", "49")


def test_a_run_without_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"table7, ResNet-18 x SAM: no evaluation of b, c"):
        tabulated(tmp_path, [{"runs": ["a", "b", "c"]}], [evaluation("a", 0.5)])


def test_an_unknown_metric_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown metric 'top2'.*known: top1, top5, loss, "):
        tabulated(tmp_path, [{"runs": ["a"], "metric": "top2"}], [evaluation("a", 0.5)])


def test_an_unknown_status_names_the_known_ones(tmp_path: Path) -> None:
    published = {"value": "1", "status": "guessed", "note": ""}
    with pytest.raises(UserError, match=r"unknown status 'guessed'; known: printed, repaired"):
        tabulated(tmp_path, [{"absent": "x", "published": published}], [])


def test_a_cell_with_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs runs, a fact, a model, or the reason"):
        tabulated(tmp_path, [{}], [])


def test_the_stored_table_has_the_declared_schema_and_says_what_it_is(tmp_path: Path) -> None:
    schema = pq.read_schema(tabulated(tmp_path, [{"absent": "x", "k": 5}], []))
    assert {field.name: field.type for field in schema} == COLUMNS
    about = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert {key: about[key] for key in ("table", "scale", "scale_title", "metrics", "plot")} == {
        "table": "table7",
        "scale": "mini",
        "scale_title": "stand-ins; these are not ImageNet numbers",
        "metrics": '["top1"]',
        "plot": "[]",
    }


def test_a_failed_tabulation_leaves_the_old_table(tmp_path: Path) -> None:
    table = tabulated(tmp_path, [{"absent": "x"}], [])
    before = table.read_bytes()
    with pytest.raises(UserError):
        tabulated(tmp_path, [{"runs": ["a"]}], [])
    assert table.read_bytes() == before


def test_a_parquet_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="metadata lacks table, scale, metrics"):
        read(tmp_path / "a.parquet")


def test_tabulating_and_reporting_import_no_torch() -> None:
    code = "import sys, looksam.tables, looksam.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("metric", "value"), [("sharpness", 0.01), ("images_per_second", 1.0), ("gradients_per_step", 1.2)]
)
def test_a_cell_shows_any_number_of_its_runs(tmp_path: Path, metric: str, value: float) -> None:
    cells = [{"metric": metric, "runs": ["a"]}]
    (cell,) = read(tabulated(tmp_path, cells, [evaluation("a", 0.5)])).cells
    assert (cell.value, cell.n) == (value, 1)


def test_every_metric_is_a_column_of_the_evaluations_and_known_to_the_schema() -> None:
    columns = set(EVALUATIONS.names)
    assert all({m.column, m.converged or m.column} <= columns for m in METRICS.values())
    schema = read_yaml(Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml")
    asked = schema["$defs"]["table"]["properties"]["cell"]["items"]["enum"]
    # only a search shows what its trials score on images held out
    assert [*asked, "validation_top1"] == list(METRICS)


def test_a_run_without_the_number_is_not_counted(tmp_path: Path) -> None:
    cells = [{"metric": "seconds_per_epoch", "runs": ["a", "b"]}]
    short = evaluation("b", 0.5) | {"seconds_per_epoch": None}
    (cell,) = read(tabulated(tmp_path, cells, [evaluation("a", 0.5), short])).cells
    assert (cell.value, cell.n, cell.diverged, cell.status) == (0.5, 1, 0, "done")


def test_a_cell_none_of_whose_runs_has_the_number_is_unmeasured(tmp_path: Path) -> None:
    cells = [{"metric": "seconds_per_epoch", "runs": ["a"]}]
    short = evaluation("a", 0.5) | {"seconds_per_epoch": None}
    (cell,) = read(tabulated(tmp_path, cells, [short])).cells
    assert (cell.value, cell.n, cell.status) == (None, 0, "unmeasured")


def test_eigenvalues_that_have_not_converged_are_counted(tmp_path: Path) -> None:
    cells = [{"metric": "hessian_eigenvalue", "runs": ["a", "b"]}, {"metric": "top1", "runs": ["a", "b"]}]
    attempt = evaluation("b", 0.5) | {"hessian_converged": False}
    eigenvalue, top1 = read(tabulated(tmp_path, cells, [evaluation("a", 0.5), attempt])).cells
    assert (eigenvalue.n, eigenvalue.unconverged, top1.unconverged) == (2, 1, 0)


def test_a_table_says_where_its_runs_were_trained(tmp_path: Path) -> None:
    table = read(tabulated(tmp_path, [{"runs": ["a"]}], [evaluation("a", 0.5)]))
    assert table.environment.startswith("Trained on AMD EPYC, 1 thread; torch 2.9.0")
    assert table.differing == []


def test_a_table_of_several_environments_says_which_cell_is_from_where(tmp_path: Path) -> None:
    runs = [evaluation("a", 0.5), evaluation("b", 0.5, device="NVIDIA H100", type="cuda")]
    table = read(tabulated(tmp_path, [{"runs": ["a"]}, {"runs": ["b"], "column": 0}], runs))
    assert table.environment.startswith("Cells come from 2 devices: AMD EPYC, 1 thread (1 run), NVIDIA H100")
    assert table.differing == ["device"]
    assert [cell.device for cell in table.cells] == ["AMD EPYC, 1 thread", "NVIDIA H100"]


def test_runs_that_are_not_of_the_table_do_not_speak_for_it(tmp_path: Path) -> None:
    runs = [evaluation("a", 0.5), evaluation("b", 0.5, device="NVIDIA H100")]
    assert read(tabulated(tmp_path, [{"runs": ["a"]}], runs)).differing == []
