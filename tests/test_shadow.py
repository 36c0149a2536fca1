"""Facts about shadow steps: they leave no trace, and find what steps taken by hand find."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tiny_runs import SETTINGS, UNSEEN, digit_shards, requested, sha256, trained
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from looksam.augment import evaluation_batch
from looksam.errors import UserError
from looksam.evaluate import evaluate
from looksam.loader import load
from looksam.looks import drawn
from looksam.models import build
from looksam.progress import Progress
from looksam.shadow_rows import SHADOW
from looksam.shadow_settings import step_of
from looksam.train import seeded, train
from looksam.watch import Care

ALPHAS: list[Any] = [0.1, 0.7, "auto", "cos", "ls"]
ASKED = {"phases": [0.1, 0.5, 0.9], "lags": 3, "lr_divisors": [1, 10], "alphas": ALPHAS}
SAM_5 = {"k": 5, "ascent": "global", "descent": "g_s", "rho": 0.05}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run", shards, method=SAM_5, shadow=ASKED)


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "shadow.parquet").to_pylist()
    return found


VIT = {
    "name": "vit",
    "architecture": "vit",
    "patch_size": 4,
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "drop_path": 0.5,
}


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"optimizer": "sgd", "peak_lr": 0.1, "clip": 0.1},
        {"optimizer": "lamb"},
        {"method": SETTINGS["method"], "ema": 0.9},
        {"model": VIT},
    ],
    ids=["batchnorm-adamw", "sgd-clipped", "lamb", "looksam-ema", "drop-path"],
)
def test_a_training_with_shadow_steps_ends_in_the_same_bits(
    tmp_path: Path, shards: Path, other: dict[str, Any]
) -> None:
    settings = {"method": SAM_5} | other
    without = trained(tmp_path / "without", shards, **settings)
    beside = trained(tmp_path / "beside", shards, **settings, shadow=ASKED)
    for name in ("model.safetensors", "history.parquet"):
        assert sha256(without / name) == sha256(beside / name)


def test_there_is_a_row_for_each_phase_divisor_and_lag(run: Path) -> None:
    assert [(row["phase"], row["lr_divisor"], row["lag"]) for row in rows(run)] == [
        (phase, divisor, lag) for phase in (0.1, 0.5, 0.9) for divisor in (1, 10) for lag in range(4)
    ]


def test_the_rows_have_the_declared_columns(run: Path) -> None:
    assert pq.read_table(run / "shadow.parquet").schema == SHADOW


def test_noise_is_of_lag_0_and_drift_and_reuse_of_the_others(run: Path) -> None:
    for row in rows(run):
        known = {name for name in ("noise", "drift", "reuse") if row[name] is not None}
        assert known == ({"noise"} if row["lag"] == 0 else {"drift", "reuse"})


def test_each_row_has_a_gain_of_each_alpha(run: Path) -> None:
    assert all([one["alpha"] for one in row["gains"]] == [str(a) for a in ALPHAS] for row in rows(run))


def test_a_smaller_learning_rate_drifts_less(run: Path) -> None:
    first = {(row["phase"], row["lr_divisor"]): row["drift"] for row in rows(run) if row["lag"] == 1}
    assert all(first[phase, 10] > first[phase, 1] for phase in ASKED["phases"])


def test_a_phase_is_measured_before_the_step_nearest_to_it() -> None:
    assert [step_of(phase, 12) for phase in (0.0, 0.1, 0.5, 0.99)] == [0, 1, 6, 11]


def test_the_rows_are_the_same_bits_each_time(run: Path, tmp_path: Path, shards: Path) -> None:
    again = trained(tmp_path / "again", shards, method=SAM_5, shadow=ASKED)
    assert rows(run) == rows(again)


def test_rows_of_one_phase_do_not_depend_on_others(run: Path, tmp_path: Path, shards: Path) -> None:
    some = ASKED | {"phases": [0.5], "lr_divisors": [10]}
    alone = trained(tmp_path / "alone", shards, method=SAM_5, shadow=some)
    assert rows(alone) == [row for row in rows(run) if (row["phase"], row["lr_divisor"]) == (0.5, 10)]


def test_a_training_that_goes_on_after_a_phase_has_the_same_rows(
    run: Path, tmp_path: Path, shards: Path
) -> None:
    stopped = requested(tmp_path / "stopped", shards, method=SAM_5, shadow=ASKED)

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped / "run.json", Care(stop, seconds_between_checkpoints=0.0))
    assert list(stopped.glob("checkpoint.*"))
    train(stopped / "run.json", UNSEEN)
    assert rows(stopped) == rows(run)


def test_the_rows_are_those_of_steps_taken_by_hand(tmp_path: Path, shards: Path) -> None:
    asked = {"phases": [0.0], "lags": 2, "lr_divisors": [2], "alphas": [0.7, "cos"]}
    plain = {"optimizer": "sgd", "peak_lr": 0.1, "weight_decay": 0.0, "warmup_steps": 0}
    run = trained(tmp_path / "run", shards, method=SAM_5 | {"k": 1}, shadow=asked, **plain)
    data = load(shards, "train", SETTINGS["dataset"])
    network = seeded(0, lambda: build(SETTINGS["model"], SETTINGS["dataset"])).double()
    weights = list(network.parameters())
    optimizer = torch.optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True)
    batches = drawn(64, 15, 5, 0, 0)

    def gradient(number: int) -> Tensor:
        images, labels = data.at(batches[number]), data.labels[batches[number]]
        loss = cross_entropy(network(evaluation_batch(images).double()), labels)
        return torch.cat([x.flatten() for x in torch.autograd.grad(loss, weights)])

    def look(number: int) -> tuple[Tensor, Tensor, Tensor]:
        g, before = gradient(number), parameters_to_vector(weights).detach()
        vector_to_parameters(before + 0.05 * g / g.norm(), weights)
        g_s = gradient(number)
        vector_to_parameters(before, weights)
        return g, g_s, g_s - (g @ g_s) / (g @ g) * g

    def step(g: Tensor) -> None:
        for w, x in zip(weights, g.split([w.numel() for w in weights]), strict=True):
            w.grad = x.view_as(w)
        optimizer.step()

    def cos(a: Tensor, b: Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    before = look(2)
    step(before[0])
    (a_g, a_g_s, a_g_v), c = look(0), look(1)
    expected = [{"noise": cos(a_g_v, c[2])}]
    # number 3 and 4: the new batches of lags 1 and 2
    for number in (3, 4):
        step(c[0])
        c = look(number)
        expected.append({"drift": cos(look(0)[2], a_g_v), "reuse": cos(c[2], a_g_v)})
    g, g_s, g_v = c
    g_h = (a_g @ a_g_s) / a_g.norm()
    pushes = {"0.7": 0.7 / a_g_v.norm(), "cos": max(0, cos(before[2], a_g_v)) / g_h.abs()}
    found = rows(run)
    for row, known in zip(found, expected, strict=True):
        # float32 against float64: what rounding does to g_v, a tenth of g, over three steps
        assert {name: row[name] for name in known} == pytest.approx(known, abs=1e-3)
    assert found[-1]["g_v_over_g"] == pytest.approx(float(g_v.norm() / g.norm()), rel=1e-3)
    gains = {name: cos(g + push * g.norm() * a_g_v, g_s) - cos(g, g_s) for name, push in pushes.items()}
    assert {one["alpha"]: one["gain"] for one in found[-1]["gains"]} == pytest.approx(gains, abs=1e-3)


def test_batches_but_the_first_share_no_image_with_it() -> None:
    batches = drawn(64, 30, 5, 0, 0)
    assert not any(set(batches[0].tolist()) & set(other.tolist()) for other in batches[1:])


def test_batches_of_another_phase_are_others() -> None:
    assert not torch.equal(drawn(64, 30, 2, 0, 0), drawn(64, 30, 2, 0, 1))


def test_a_method_that_never_looks_has_no_shadow_steps(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(UserError, match=r"k >= 1, such as sam-5"):
        trained(tmp_path / "run", shards, method={"k": 0}, shadow=ASKED)


def test_a_batch_larger_than_half_of_the_images_names_what_is_allowed(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(UserError, match=r"batch_size 33 is more than half of the 64 .* take at most 32"):
        trained(tmp_path / "run", shards, method=SAM_5, batch_size=33, shadow=ASKED)


def test_micro_batches_are_refused(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(UserError, match="1 ranks with 3 micro-batches"):
        trained(tmp_path / "run", shards, method=SAM_5, micro_batch_size=5, shadow=ASKED)


def evaluated(run: Path, out: Path) -> dict[str, Any]:
    request = out / "request.json"
    request.write_text(json.dumps({"runs": [{"run": run.name, "code": "0"}]}))
    evaluate(request, run.parent, out / "evaluations.parquet")
    (row,) = pq.read_table(out / "evaluations.parquet").to_pylist()
    return dict(row)


def test_an_evaluation_carries_the_rows(run: Path, tmp_path: Path) -> None:
    assert evaluated(run, tmp_path)["shadow"] == rows(run)


def test_an_evaluation_has_the_mean_over_phases_at_the_training_s_own_rate(run: Path, tmp_path: Path) -> None:
    known = [row["drift"] for row in rows(run) if (row["lr_divisor"], row["lag"]) == (1, 1)]
    assert evaluated(run, tmp_path)["cos_drift_1"] == pytest.approx(sum(known) / 3)


def test_a_lag_that_was_not_asked_for_has_no_cosine(run: Path, tmp_path: Path) -> None:
    assert evaluated(run, tmp_path)["cos_drift_5"] is None


def test_without_shadow_steps_an_evaluation_has_no_rows(tmp_path: Path, shards: Path) -> None:
    assert evaluated(trained(tmp_path / "run", shards), tmp_path)["shadow"] is None


def test_rows_that_are_gone_are_missed_with_what_to_do(tmp_path: Path, shards: Path) -> None:
    gone = trained(tmp_path / "run", shards, method=SAM_5, shadow=ASKED)
    (gone / "shadow.parquet").unlink()
    with pytest.raises(UserError, match=r"shadow\.parquet is gone; delete .*model\.safetensors"):
        evaluated(gone, tmp_path)
