"""Gathering: tables and evaluations, made by hand and of a real training, as CSV."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from study_files import copied, edit, study
from test_tables import evaluation, tabulated
from tiny_runs import digit_shards, trained

from looksam.cli import main
from looksam.evaluate import evaluate
from looksam.gather import as_measured, flat, gather
from looksam.ledger import Entry, read
from looksam.ledger import text as as_text
from looksam.resting import gathering

METHOD = {"k": 5, "ascent": "global", "descent": "g_v", "rho": 0.05, "alpha": "ls"}
SETTINGS: dict[str, Any] = {
    "model": {"name": "a-net"},
    "dataset": {"name": "some", "train_images": 52},
    "method": METHOD,
    "batch_size": 10,
    "epochs": 3,
    "optimizer": "sgd",
    "label_noise": 0.2,
    "peak_lr": 0.1,
}
SHADOW = {"phase": 0.5, "lr_divisor": 3, "lag": 1, "noise": None, "gains": {"auto": 0.25, "ls": 0.5}}


def run(name: str, top1: float | None, seed: int = 0, **more: Any) -> dict[str, Any]:
    """The evaluation of an invented run, of so many of 100 test images."""
    right = np.arange(100) < round(100 * (top1 or 0))
    return {
        **evaluation(name, top1),
        "test_images": None if top1 is None else "these",
        "correct": None if top1 is None else np.packbits(right).tobytes(),
        "images": 0 if top1 is None else 100,
        "settings": json.dumps(SETTINGS | {"seed": seed} | more.pop("settings", {})),
        "trained_code": "c0de",
        **dict.fromkeys(("g_v_over_g", "cos_g_v_old", "reuse_gain"), 0.5),
        "judged": [{"epoch": 1, "top1": 0.29}, {"epoch": 3, "top1": top1}],
        "shadow": None,
        **more,
    }


def gathered(folder: Path, runs: list[dict[str, Any]], **request: Any) -> list[Entry]:
    """The ledger of a table of one cell with these runs."""
    cell = {"runs": [run["run"] for run in runs], "coordinates": {"method": "looksam-5-ls"}}
    cells = [cell | {"metric": request.get("metrics", ["top1"])[0]}]
    table = tabulated(folder, cells, runs, **{"table": "evidence", **request})
    pq.write_table(pa.Table.from_pylist(runs), folder / "evaluations.parquet")
    gather([table], [folder / "evaluations.parquet"], folder / "runs.csv", folder / "premise.csv")
    return read(folder / "runs.csv")


def test_each_seed_has_a_row_in_order(tmp_path: Path) -> None:
    found = gathered(tmp_path, [run("a", 0.3, 0), run("b", 0.4, 1)])
    assert [(one.run, one.seed) for one in found] == [("a", 0), ("b", 1)]


def test_a_diverged_run_has_its_row_and_no_accuracy(tmp_path: Path) -> None:
    _, gone = gathered(tmp_path, [run("a", 0.3), run("b", None)])
    assert (gone.run, gone.diverged_at_step, gone.top1, gone.correct) == ("b", 7, None, None)


def test_right_test_images_are_counted(tmp_path: Path) -> None:
    (one,) = gathered(tmp_path, [run("a", 0.3)])
    assert (one.correct, one.images, one.test_images) == (30, 100, "these")


def test_milestones_have_their_passes_and_right_images(tmp_path: Path) -> None:
    (one,) = gathered(tmp_path, [run("a", 0.3)])
    # five steps an epoch, one in five of them an ascent step
    assert (one.judged_passes, one.judged_correct) == ((6, 18), (29, 30))
    assert (one.steps, one.passes) == (15, 18)


def test_what_a_run_is_stands_in_its_row(tmp_path: Path) -> None:
    (one,) = gathered(tmp_path, [run("a", 0.3)])
    assert (one.model, one.optimizer, one.label_noise, one.method) == ("a-net", "sgd", 0.2, "looksam-5-ls")
    assert (one.peak_lr, one.rho, one.alpha, one.k) == (0.1, 0.05, "ls", 5)


def test_where_a_run_comes_from_stands_in_its_row(tmp_path: Path) -> None:
    (one,) = gathered(tmp_path, [run("a", 0.3)])
    assert (one.code, one.torch, one.device) == ("c0de", "2.9.0", "AMD EPYC, 1 thread")


def test_a_run_without_label_noise_has_none(tmp_path: Path) -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "label_noise"}
    (one,) = gathered(tmp_path, [run("a", 0.3) | {"settings": json.dumps(settings | {"seed": 0})}])
    assert one.label_noise == 0.0


def test_a_trial_is_judged_on_held_out_images_alone(tmp_path: Path) -> None:
    trial = run("a", 0.3, settings={"validation_images": 20}, judged=None)
    (one,) = gathered(tmp_path, [trial], metrics=["validation_top1"])
    assert (one.trial, one.validation_top1, one.top1, one.test_images) == (1, 0.3, None, "")


def test_without_a_map_there_is_its_head_alone(tmp_path: Path) -> None:
    gathered(tmp_path, [run("a", 0.3)])
    assert (tmp_path / "premise.csv").read_text().count("\n") == 1


def test_the_map_has_a_row_a_measured_step_and_every_field(tmp_path: Path) -> None:
    gathered(tmp_path, [run("a", 0.3, shadow=[SHADOW, SHADOW | {"lag": 2}])])
    with (tmp_path / "premise.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["lag"], row["gains.ls"], row["noise"]) for row in rows] == [
        ("a", "1", "0.5", ""),
        ("a", "2", "0.5", ""),
    ]
    assert (rows[0]["batch_size"], rows[0]["label_noise"], rows[0]["rho"]) == ("10", "0.2", "0.05")


def test_values_within_others_are_named_by_both() -> None:
    assert flat({"a": 1, "b": {"c": {"d": 2}}}) == {"a": 1, "b.c.d": 2}


def test_a_list_of_names_and_numbers_is_named_by_them() -> None:
    gains = [{"alpha": "0.7", "gain": 0.1}, {"alpha": "ls", "gain": None}]
    assert flat({"gains": gains, "lag": 5}) == {"gains.0.7": 0.1, "gains.ls": None, "lag": 5}


def test_a_real_training_is_gathered_by_the_command(tmp_path: Path) -> None:
    folder = trained(tmp_path / "runs" / "good", digit_shards(tmp_path))
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps({"runs": [{"run": "good", "code": "c"}]}))
    evaluate(asked, folder.parent, tmp_path / "evidence.parquet")
    (row,) = pq.read_table(tmp_path / "evidence.parquet").to_pylist()
    cells = [{"runs": ["good"], "coordinates": {"method": "looksam-5"}}]
    table = tabulated(tmp_path, cells, [row], table="made")
    (tmp_path / "gather.json").write_text("{}")
    files = ["--tables", table, "--evaluations", tmp_path / "evidence.parquet"]
    files += ["--runs", tmp_path / "runs.csv", "--premise", tmp_path / "premise.csv"]
    main(["gather", str(tmp_path / "gather.json"), *map(str, files)])
    (one,) = read(tmp_path / "runs.csv")
    assert one.top1 is not None
    assert one.images is not None
    assert one.correct == round(one.top1 * one.images) == one.judged_correct[-1]
    assert one.passes == round(one.gradients_per_step * one.steps) == one.judged_passes[-1]
    assert (tmp_path / "gather.made.json").is_file()


def test_a_study_of_other_tables_gathers_nothing() -> None:
    assert "results/evidence/gather.json" not in study(tables=["table7"]).requests()


def test_a_study_with_the_table_gathers_it_and_its_search(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/claims.yaml", lambda claims: claims["evidence"].update(tables=["table7"], map=[]))
    edit(root / "config/scales/cifar.yaml", lambda scale: scale.update(searches={"table7": "search-cifar10"}))
    request = study(root, scale="cifar", tables=["table7", "table8"]).requests()[
        "results/evidence/gather.json"
    ]
    assert request["tables"] == ["results/tables/table7.parquet", "results/tables/search-cifar10.parquet"]
    assert len(request["evaluations"]) == 2


def test_the_maps_runs_are_evaluated_and_no_part_of_the_ledger() -> None:
    made = study(tables=["table7", "figure4"])
    request = gathering({"tables": ["table7"], "map": ["figure4"]}, made.tables, made.serving)
    assert request == {
        "tables": ["results/tables/table7.parquet"],
        "evaluations": ["results/evaluations/table7.parquet", "results/evaluations/figure4.parquet"],
    }


@pytest.mark.parametrize("name", ["runs", "premise"])
def test_gathering_twice_writes_the_same_bytes(tmp_path: Path, name: str) -> None:
    runs = [run("a", 0.3, shadow=[SHADOW]), run("b", None)]
    gathered(tmp_path, runs)
    first = (tmp_path / f"{name}.csv").read_bytes()
    gathered(tmp_path, runs)
    assert (tmp_path / f"{name}.csv").read_bytes() == first


@pytest.mark.parametrize(
    ("value", "text"),
    [(float(np.float32(0.1)), "0.1"), (0.1, "0.1"), (1 / 3, repr(1 / 3)), (7, "7"), (None, "")],
)
def test_what_was_measured_in_float32_is_as_short_as_that_allows(value: Any, text: str) -> None:
    assert as_text(as_measured(value)) == text
