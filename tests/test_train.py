import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from study_files import ROOT
from tiny_runs import SETTINGS, UNSEEN, digit_shards, requested, seen, sha256, trained

from looksam import milestones
from looksam.environment import environment
from looksam.errors import UserError
from looksam.evaluate import run_metrics
from looksam.history import FOUND, HISTORY
from looksam.models import build
from looksam.train import seeded, train

STEPS_PER_EPOCH, EPOCHS = 64 // 15, 3
STEPS = STEPS_PER_EPOCH * EPOCHS


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "first", shards)


def history(folder: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(folder / "history.parquet").to_pydict()
    return columns


def test_the_same_request_gives_the_same_weights_and_history_to_the_bit(
    run: Path, tmp_path: Path, shards: Path
) -> None:
    again = trained(tmp_path / "again", shards)
    for name in ("model.safetensors", "history.parquet"):
        assert sha256(run / name) == sha256(again / name)


def test_neither_threads_nor_draws_outside_change_a_run(run: Path, tmp_path: Path, shards: Path) -> None:
    again = requested(tmp_path / "again", shards)
    code = (
        "import sys; from pathlib import Path; import torch; from looksam.train import train\n"
        "from looksam.watch import Care\n"
        "torch.manual_seed(7); torch.rand(3); train(Path(sys.argv[1]), Care(lambda progress: None))\n"
        "assert torch.get_num_threads() == 1"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code, again / "run.json"], cwd=ROOT, env=environment, check=True)
    for name in ("model.safetensors", "history.parquet"):
        assert sha256(run / name) == sha256(again / name)


@pytest.mark.parametrize(
    "setting",
    [
        {"seed": 1},
        {"peak_lr": 0.02},
        {"augment": "none"},
        {"label_smoothing": 0.1},
        {"clip": 0.1},
        {"precision": "bf16"},
        {"method": SETTINGS["method"] | {"alpha": 0.5}},
        {"method": {"k": 0}},
    ],
)
def test_another_setting_gives_other_weights(
    run: Path, tmp_path: Path, shards: Path, setting: dict[str, Any]
) -> None:
    other = trained(tmp_path / "other", shards, **setting)
    assert sha256(run / "model.safetensors") != sha256(other / "model.safetensors")


def test_history_has_one_row_a_step(run: Path) -> None:
    columns = history(run)
    assert columns["step"] == list(range(STEPS))
    assert columns["epoch"] == [step // STEPS_PER_EPOCH for step in range(STEPS)]


def test_history_has_the_declared_columns(run: Path) -> None:
    assert pq.read_table(run / "history.parquet").schema == HISTORY


def test_the_columns_of_every_step_have_no_nulls(run: Path) -> None:
    table = pq.read_table(run / "history.parquet").drop_columns([*FOUND, "judged_top1"])
    assert [column.null_count for column in table.columns] == [0] * table.num_columns


def test_each_refresh_says_what_it_found_of_g_v_and_each_but_the_first_compares_two(run: Path) -> None:
    columns = history(run)
    refreshes = [step for step, gradients in enumerate(columns["gradients"]) if gradients == 2]
    known = {name: [s for s, x in enumerate(columns[name]) if x is not None] for name in FOUND}
    assert known == {
        "g_v_over_g": refreshes,
        "cos_g_v_old": refreshes[1:],
        "reuse_gain": refreshes[1:],
    }


def test_the_last_milestone_is_the_accuracy_that_evaluation_finds(tmp_path: Path, shards: Path) -> None:
    run = trained(tmp_path / "run", shards)
    assert history(run)["judged_top1"][-1] == run_metrics(run, "0")["top1"]


def test_milestones_leave_the_weights_alone(
    tmp_path: Path, run: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milestones, "COUNT", 1)
    once = trained(tmp_path / "run", shards)
    assert [x is not None for x in history(once)["judged_top1"]] == [False] * (STEPS - 1) + [True]
    assert (once / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_a_trial_of_a_search_is_not_judged_by_test_images(tmp_path: Path, shards: Path) -> None:
    trial = trained(tmp_path / "run", shards, validation_images=20)
    assert set(history(trial)["judged_top1"]) == {None}


def test_with_k_5_every_fifth_step_takes_two_gradients(run: Path) -> None:
    assert history(run)["gradients"] == [2 if step % 5 == 0 else 1 for step in range(STEPS)]


@pytest.mark.parametrize(("k", "gradients"), [(0, 1), (1, 2)])
def test_vanilla_takes_one_gradient_a_step_and_sam_two(
    tmp_path: Path, shards: Path, k: int, gradients: int
) -> None:
    method = {"k": 1, "ascent": "global", "descent": "g_s", "rho": 0.05} if k else {"k": 0}
    assert set(history(trained(tmp_path / "run", shards, method=method))["gradients"]) == {gradients}


def test_history_has_the_rate_that_each_step_was_taken_at(run: Path) -> None:
    lr = history(run)["lr"]
    assert lr[:3] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01])
    assert lr[-1] == pytest.approx(0.005 * (1 + math.cos(math.pi * 9 / 10)))


def test_accuracy_is_a_fraction_of_the_batch(run: Path) -> None:
    hits = [accuracy * 15 for accuracy in history(run)["accuracy"]]
    assert hits == pytest.approx([round(h) for h in hits])
    assert all(0 <= h <= 15 for h in hits)


def test_training_lowers_the_loss(tmp_path: Path, shards: Path) -> None:
    settings = {"epochs": 20, "peak_lr": 0.03, "augment": "none"}
    losses = history(trained(tmp_path / "run", shards, **settings))["loss"]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])


def test_the_weights_are_those_of_the_runs_network_and_finite(run: Path) -> None:
    network = build(SETTINGS["model"], SETTINGS["dataset"])
    tensors = load_file(run / "model.safetensors")
    network.load_state_dict(tensors)
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_progress_is_shown_after_every_epoch(tmp_path: Path, shards: Path) -> None:
    shown = seen(tmp_path / "run", shards)
    assert [(p.epoch, p.epochs, p.images) for p in shown] == [(e, EPOCHS, 60 * e) for e in (1, 2, 3)]


def test_progress_is_the_mean_over_the_epochs_steps(tmp_path: Path, shards: Path) -> None:
    last = seen(tmp_path / "run", shards)[-1]
    columns = history(tmp_path / "run")
    assert last.loss == pytest.approx(sum(columns["loss"][-STEPS_PER_EPOCH:]) / STEPS_PER_EPOCH)
    assert last.accuracy == pytest.approx(sum(columns["accuracy"][-STEPS_PER_EPOCH:]) / STEPS_PER_EPOCH)


def test_a_loss_that_is_no_number_ends_the_training_with_its_epoch(tmp_path: Path, shards: Path) -> None:
    shown = seen(tmp_path / "run", shards, peak_lr=1e30, warmup_steps=0)
    columns = history(tmp_path / "run")
    assert len(shown) == 1
    assert len(columns["step"]) == STEPS_PER_EPOCH
    assert math.isfinite(columns["loss"][0])
    assert not math.isfinite(columns["loss"][-1])


def test_timing_says_what_may_differ_between_equal_runs(run: Path) -> None:
    timing = json.loads((run / "timing.json").read_text())
    assert 0 < timing["seconds_per_epoch"] < timing["seconds"]
    assert timing["images_per_second"] == pytest.approx(60 / timing["seconds_per_epoch"])
    assert timing["environment"] == environment(torch.device("cpu"))


def test_the_time_of_an_epoch_leaves_out_the_first(tmp_path: Path, shards: Path) -> None:
    seconds = [progress.seconds for progress in seen(tmp_path / "run", shards)]
    timing = json.loads((tmp_path / "run/timing.json").read_text())
    assert timing["seconds"] == pytest.approx(seconds[-1])
    assert timing["seconds_per_epoch"] == pytest.approx((seconds[2] - seconds[0]) / 2)


def test_a_training_leaves_its_results_and_nothing_else(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == [
        "history.parquet",
        "lease.1.json",  # what is there of the process that trained it, so that its number never comes twice
        "model.safetensors",
        "run.json",
        "run.made.json",
        "timing.json",
    ]


def test_without_shards_the_error_says_how_to_make_them(tmp_path: Path) -> None:
    request = requested(tmp_path / "run", tmp_path / "nowhere") / "run.json"
    with pytest.raises(UserError, match=r"index\.parquet does not exist.*run snakemake"):
        train(request, UNSEEN)


def test_a_seed_decides_what_is_drawn() -> None:
    first, again, other = (
        seeded(seed, lambda: torch.nn.Linear(2, 2)).state_dict()["weight"] for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
