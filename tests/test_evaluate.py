import json
import math
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from made_shards import write_shards
from safetensors.torch import load_file, save_file
from tiny_runs import SETTINGS, digit_shards, sha256, trained
from torch.nn.functional import cross_entropy

from looksam.augment import evaluation_batch
from looksam.errors import UserError
from looksam.evaluate import EVALUATIONS, evaluate, run_metrics
from looksam.flatness import flatness, training_images
from looksam.hits import unpacked
from looksam.loader import load
from looksam.models import build
from looksam.outcomes import OUTCOMES
from looksam.rows import read_index
from looksam.sample import Sample, png


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture
def run(tmp_path: Path, shards: Path) -> Path:
    return trained(tmp_path / "runs" / "good", shards)


@pytest.fixture
def diverged(tmp_path: Path, shards: Path) -> Path:
    return trained(tmp_path / "runs" / "bad", shards, peak_lr=1e30, warmup_steps=0)


def trained_network(run: Path) -> torch.nn.Module:
    """The run's network as it is evaluated."""
    network = build(SETTINGS["model"], SETTINGS["dataset"])
    network.load_state_dict(load_file(run / "model.safetensors"))
    return network.eval()


def evaluations(*folders: Path, code: str = "c") -> list[dict[str, Any]]:
    """The rows that the evaluation of these runs writes."""
    runs = folders[0].parent
    request, out = runs.parent / "request.json", runs.parent / "rows.parquet"
    request.write_text(json.dumps({"runs": [{"run": folder.name, "code": code} for folder in folders]}))
    evaluate(request, runs, out)
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    return rows


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The outcomes of the run's test images."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "outcomes.parquet").to_pylist()
    return rows


def stamp(folder: Path) -> int:
    return (folder / "metrics.json").stat().st_mtime_ns


def test_a_run_is_measured_on_every_test_image_once(run: Path, shards: Path) -> None:
    data = load(shards, "test", SETTINGS["dataset"])
    with torch.inference_mode():
        logits = trained_network(run)(evaluation_batch(data.images))
    ranks = (logits > logits.gather(1, data.labels[:, None])).sum(1)
    metrics = run_metrics(run, "c")
    assert metrics["images"] == 100
    assert metrics["top1"] == float((ranks < 1).double().mean())
    assert metrics["top5"] == float((ranks < 5).double().mean())
    assert metrics["loss"] == pytest.approx(float(cross_entropy(logits, data.labels)))


def test_a_run_evaluated_twice_has_the_same_metrics_to_the_byte(run: Path) -> None:
    run_metrics(run, "c")
    first = (run / "metrics.json").read_bytes()
    (run / "metrics.json").unlink()
    run_metrics(run, "c")
    assert (run / "metrics.json").read_bytes() == first


def test_the_same_request_trained_twice_has_the_same_metrics(run: Path, tmp_path: Path, shards: Path) -> None:
    again = trained(tmp_path / "others" / "good", shards)
    assert run_metrics(run, "c") == run_metrics(again, "c")
    assert sha256(run / "metrics.json") == sha256(again / "metrics.json")


def test_each_test_image_has_one_outcome_in_the_order_of_the_index(run: Path, shards: Path) -> None:
    run_metrics(run, "c")
    index = read_index(shards, "test")
    keys, labels = index.keys(), index.labels.tolist()
    assert [(row["key"], row["label"]) for row in rows_of(run)] == list(zip(keys, labels, strict=True))
    assert pq.read_schema(run / "outcomes.parquet") == OUTCOMES


def test_an_outcome_is_what_the_network_says_of_that_image_alone(run: Path, shards: Path) -> None:
    run_metrics(run, "c")
    data, network = load(shards, "test", SETTINGS["dataset"]), trained_network(run)
    for i in (0, 57, 99):
        logits = network(evaluation_batch(data.images[i : i + 1]))
        row = rows_of(run)[i]
        assert row["predicted"] == int(logits.argmax())
        assert row["correct"] == (row["predicted"] == row["label"])
        assert row["loss"] == pytest.approx(cross_entropy(logits, data.labels[i : i + 1]).item(), rel=1e-4)


def test_an_evaluation_carries_each_images_outcome(run: Path) -> None:
    (row,) = evaluations(run)
    hits = unpacked(row)
    assert hits is not None
    assert hits.right.tolist() == [image["correct"] for image in rows_of(run)]


def test_a_diverged_runs_evaluation_carries_none(diverged: Path) -> None:
    assert unpacked(evaluations(diverged)[0]) is None


def test_images_in_memory_are_evaluated_without_workers(run: Path) -> None:
    # no machine has so many, and shared memory no room for what they would hand over
    assert run_metrics(run, "c", workers=10**9)["images"] > 0


def test_metrics_follow_from_the_outcomes(run: Path) -> None:
    metrics, rows = run_metrics(run, "c"), rows_of(run)
    names = {"top1": "correct", "top5": "in_top5", "loss": "loss"}
    assert all(
        metrics[name] == pytest.approx(fmean(row[column] for row in rows)) for name, column in names.items()
    )


def test_outcomes_of_many_images_are_small(run: Path) -> None:
    run_metrics(run, "c")
    assert (run / "outcomes.parquet").stat().st_size < 100 * 60


@pytest.mark.parametrize("damage", ["missing", "cut", "of another run"])
def test_without_its_outcomes_a_run_is_measured_again(run: Path, damage: str) -> None:
    metrics, path = run_metrics(run, "c"), run / "outcomes.parquet"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:100] if damage == "cut" else whole.replace(b"digit-0", b"digit-9"))
    assert run_metrics(run, "c") == metrics
    assert path.read_bytes() == whole


def test_a_diverged_run_has_no_outcomes(diverged: Path) -> None:
    metrics = run_metrics(diverged, "c")
    assert rows_of(diverged) == []
    assert (metrics["sharpness"], metrics["hessian_eigenvalue"], metrics["hessian_converged"]) == (None,) * 3
    before = stamp(diverged)
    run_metrics(diverged, "c")
    assert stamp(diverged) == before


def test_metrics_tell_how_flat_the_minimum_is(run: Path, shards: Path) -> None:
    metrics = run_metrics(run, "c")
    data = training_images(str(shards), json.dumps(SETTINGS["dataset"]))
    expected = flatness(trained_network(run), data, SETTINGS["method"], torch.device("cpu"))
    assert {name: metrics[name] for name in expected} == expected
    assert metrics["sharpness"] > 0


def test_a_bf16_training_is_evaluated_in_fp32(tmp_path: Path, shards: Path) -> None:
    run = trained(tmp_path / "runs" / "half", shards, precision="bf16")
    metrics = run_metrics(run, "c")
    data = load(shards, "test", SETTINGS["dataset"])
    logits = trained_network(run)(evaluation_batch(data.images))
    assert metrics["loss"] == pytest.approx(cross_entropy(logits, data.labels).item(), rel=1e-5)
    assert metrics["precision"] == "fp32"


def test_a_row_says_where_the_run_was_trained(run: Path) -> None:
    (row,) = evaluations(run)
    assert row["environment"] == json.loads((run / "timing.json").read_text())["environment"]


def test_metrics_say_what_they_were_made_from(run: Path) -> None:
    metrics = run_metrics(run, "c")
    assert json.loads((run / "metrics.json").read_text()) == metrics
    assert (metrics["run"], metrics["code"], metrics["diverged_at_step"]) == ("good", "c", None)
    assert metrics["model_sha256"] == sha256(run / "model.safetensors")


def test_gradients_a_step_are_the_mean_over_the_history(run: Path) -> None:
    assert run_metrics(run, "c")["gradients_per_step"] == (12 + 3) / 12


def test_metrics_of_the_same_weights_and_code_are_kept(run: Path) -> None:
    run_metrics(run, "c")
    before = stamp(run)
    run_metrics(run, "c")
    assert stamp(run) == before


def test_other_code_makes_the_metrics_anew(run: Path) -> None:
    run_metrics(run, "c")
    assert run_metrics(run, "d")["code"] == "d"
    assert json.loads((run / "metrics.json").read_text())["code"] == "d"


def test_other_weights_make_the_metrics_anew(run: Path) -> None:
    before = run_metrics(run, "c")
    tensors = load_file(run / "model.safetensors")
    save_file({name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, run / "model.safetensors")
    after = run_metrics(run, "c")
    assert after["model_sha256"] != before["model_sha256"]
    assert after["loss"] == pytest.approx(2.302585)


def test_a_diverged_run_says_at_which_step_and_has_no_accuracy(diverged: Path) -> None:
    metrics = run_metrics(diverged, "c")
    losses = pq.read_table(diverged / "history.parquet")["loss"].to_numpy()
    assert metrics["diverged_at_step"] == int((~torch.from_numpy(losses.copy()).isfinite()).nonzero()[0])
    assert (metrics["top1"], metrics["top5"], metrics["loss"], metrics["images"]) == (None, None, None, 0)


def test_evaluation_goes_on_with_the_other_runs(diverged: Path, run: Path) -> None:
    rows = evaluations(diverged, run)
    assert [(row["run"], row["top1"] is None) for row in rows] == [("bad", True), ("good", False)]


def test_evaluations_have_the_declared_columns(run: Path) -> None:
    evaluations(run)
    assert pq.read_schema(run.parent.parent / "rows.parquet") == EVALUATIONS


def test_a_row_joins_metrics_and_timing(run: Path) -> None:
    (row,) = evaluations(run)
    timing = json.loads((run / "timing.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert all(row[name] == timing[name] for name in ("seconds", "seconds_per_epoch", "images_per_second"))
    assert all(row[name] == metrics[name] for name in ("top1", "top5", "loss", "gradients_per_step"))


def test_two_tables_that_share_a_run_have_one_metrics_file(run: Path) -> None:
    (first,) = evaluations(run)
    before = stamp(run)
    (second,) = evaluations(run)
    assert (first, stamp(run)) == (second, before)


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_damaged_weights_are_an_error_that_names_file_and_remedy(run: Path, damage: str) -> None:
    path = run / "model.safetensors"
    if damage == "other":
        save_file({"weight": torch.zeros(2)}, path)
    else:
        path.write_bytes(path.read_bytes()[: 500 if damage == "cut" else 0])
    with pytest.raises(UserError, match=r"(?s)model\.safetensors is damaged or not of this run.*\bdelete it"):
        run_metrics(run, "c")
    assert not (run / "metrics.json").exists()


def test_with_fewer_than_five_classes_top5_is_of_all(tmp_path: Path) -> None:
    dataset = SETTINGS["dataset"] | {"classes": 3}
    image = png(torch.zeros(8, 8, dtype=torch.uint8).numpy())
    trains = [Sample("train", f"train-{i}", image, "png", i % 3) for i in range(15)]
    samples = [*trains, *(s._replace(split="test", key=f"test-{s.label}-{s.key}") for s in trains)]
    write_shards(samples, tmp_path / "shards", dataset=dataset)
    folder = trained(tmp_path / "runs" / "three", tmp_path / "shards", dataset=dataset, augment="none")
    assert run_metrics(folder, "c")["top5"] == 1.0


def test_weights_that_the_last_step_ruined_count_as_diverged_there(tmp_path: Path, shards: Path) -> None:
    # one step: its loss, taken before the update, is finite
    ruined = trained(tmp_path / "runs" / "a", shards, epochs=1, batch_size=64, peak_lr=1e38, warmup_steps=0)
    (loss,) = pq.read_table(ruined / "history.parquet")["loss"].to_pylist()
    metrics = run_metrics(ruined, "c")
    assert math.isfinite(loss)
    assert (metrics["diverged_at_step"], metrics["top1"], metrics["loss"]) == (0, None, None)
