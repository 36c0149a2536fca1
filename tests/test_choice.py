import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tiny_runs import SETTINGS, UNSEEN, digit_shards, requested, trained

from looksam.choice import best, choose, chosen_runs, run_text, with_values
from looksam.errors import UserError
from looksam.evaluate import run_metrics
from looksam.train import train

VALUES = {"peak_lr": 0.02, "rho": 0.3, "alpha": 0.4}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


def referring(folder: Path, shards: Path, **known: float) -> Path:
    """A run's folder whose request takes all its values from a choice that has the `known` ones."""
    choice = folder.parent / "chosen.json"
    run = requested(folder, shards) / "run.json"
    content = json.loads(run.read_text())
    for key in VALUES:
        content["settings"].pop(key, None)
        content["settings"]["method"].pop(key, None)
    content["settings"]["chosen"] = {"from": str(choice), "settings": list(VALUES)}
    run.write_text(json.dumps(content))
    if known:
        choice.write_text(json.dumps({"settings": known}))
    return folder


def test_the_text_of_a_run_without_a_reference_is_its_own(tmp_path: Path) -> None:
    run = requested(tmp_path / "run", tmp_path) / "run.json"
    assert run_text(run) == run.read_text()


def test_a_reference_becomes_the_values_where_they_belong(tmp_path: Path) -> None:
    run = referring(tmp_path / "run", tmp_path, **VALUES)
    assert json.loads(run_text(run / "run.json"))["settings"] == with_values(SETTINGS, VALUES)


def test_only_what_is_referred_to_is_taken(tmp_path: Path) -> None:
    run = referring(tmp_path / "run", tmp_path, **VALUES, weight_decay=9.0)
    assert json.loads(run_text(run / "run.json"))["settings"]["weight_decay"] == SETTINGS["weight_decay"]


def test_another_choice_makes_another_text(tmp_path: Path) -> None:
    run = referring(tmp_path / "run", tmp_path, **VALUES)
    first = run_text(run / "run.json")
    (tmp_path / "chosen.json").write_text(json.dumps({"settings": VALUES | {"rho": 0.2}}))
    assert run_text(run / "run.json") != first


def test_a_training_refuses_a_choice_that_is_not_made(tmp_path: Path, shards: Path) -> None:
    run = referring(tmp_path / "run", shards)
    with pytest.raises(UserError, match=r"takes peak_lr, rho, alpha from .*chosen\.json, which is not there"):
        train(run / "run.json", UNSEEN)


def test_a_training_refuses_a_choice_that_lacks_a_value(tmp_path: Path, shards: Path) -> None:
    run = referring(tmp_path / "run", shards, peak_lr=0.02)
    with pytest.raises(UserError, match=r"chosen\.json has no rho, alpha, .*delete it"):
        train(run / "run.json", UNSEEN)


def test_a_training_with_chosen_values_is_one_with_the_values_written_out(
    tmp_path: Path, shards: Path
) -> None:
    chosen = referring(tmp_path / "chosen", shards, **VALUES)
    train(chosen / "run.json", UNSEEN)
    method = SETTINGS["method"] | {"rho": 0.3, "alpha": 0.4}
    written = trained(tmp_path / "written", shards, peak_lr=0.02, method=method)
    read = [(run / "model.safetensors").read_bytes() for run in (chosen, written)]
    assert read[0] == read[1]
    settings = json.loads((chosen / "run.json").with_suffix(".chosen.json").read_text())["settings"]
    assert settings == SETTINGS | {"peak_lr": 0.02, "method": method}
    assert max(pq.read_table(chosen / "history.parquet")["lr"].to_pylist()) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize(
    ("top1s", "winner"),
    [
        ([0.1, 0.3, 0.2], 1),
        ([0.3, 0.1, 0.3], 0),
        ([None, 0.0, None], 1),
        ([None, None], None),
    ],
    ids=["the highest", "the first of equals", "never a diverged one", "none of diverged ones"],
)
def test_the_best_trial_is(top1s: Sequence[float | None], winner: int | None) -> None:
    assert best(top1s) == winner


def trials_of(folder: Path, runs: Sequence[Path]) -> Path:
    """The request of a choice among these runs."""
    trials = [{"run": run.name, "settings": {"peak_lr": float(i)}} for i, run in enumerate(runs)]
    request = folder / "trials.json"
    request.write_text(json.dumps({"search": "s", "table": "search-x", "row": "WRN, SAM", "trials": trials}))
    return request


@pytest.fixture
def trials(tmp_path: Path, shards: Path) -> list[Path]:
    """A trial that learns nothing, one that learns, and one that diverges."""
    kinds = ((1e-9, "idle"), (0.01, "good"), (1e30, "bad"))
    return [
        trained(tmp_path / "runs" / name, shards, peak_lr=lr, epochs=15, validation_images=20, warmup_steps=0)
        for lr, name in kinds
    ]


def test_the_choice_names_the_best_trial_and_its_values(tmp_path: Path, trials: list[Path]) -> None:
    choose(trials_of(tmp_path, trials), tmp_path / "runs", tmp_path / "chosen.json")
    choice = json.loads((tmp_path / "chosen.json").read_text())
    assert choice == {
        "search": "s",
        "table": "search-x",
        "row": "WRN, SAM",
        "trial": 2,
        "of_trials": 3,
        "run": "good",
        "settings": {"peak_lr": 1.0},
    }


def test_a_trial_is_judged_on_the_images_that_it_did_not_train_on(trials: list[Path]) -> None:
    metrics = run_metrics(trials[1], "c")
    assert metrics["images"] == 20
    assert pq.read_table(trials[1] / "history.parquet").num_rows == (64 - 20) // 15 * 15


def test_where_every_trial_diverged_the_choice_ends_in_an_error_that_says_what_to_change(
    tmp_path: Path, trials: list[Path]
) -> None:
    with pytest.raises(UserError, match=r"every trial of WRN, SAM diverged; narrow .*search-x\.yaml"):
        choose(trials_of(tmp_path, trials[2:]), tmp_path / "runs", tmp_path / "chosen.json")
    assert not (tmp_path / "chosen.json").exists()


def asked(*runs: str) -> dict[str, Any]:
    return {"table": "search-x", "cells": [{"row": 0, "runs": [run]} for run in runs]}


def evaluated(**top1s: float | None) -> dict[str, dict[str, Any]]:
    return {run: {"top1": top1} for run, top1 in top1s.items()}


@pytest.fixture
def choice(tmp_path: Path) -> Path:
    path = tmp_path / "chosen.json"
    path.write_text(json.dumps({"row": "WRN, SAM", "run": "b"}))
    return path


def test_a_search_that_is_tabulated_knows_the_runs_that_were_chosen(choice: Path) -> None:
    assert chosen_runs(asked("a", "b"), evaluated(a=0.1, b=0.2), [choice]) == {"b"}


@pytest.mark.parametrize("rows", [{"a": 0.3, "b": 0.2}, {"a": 0.1, "b": None}, {"a": 0.2, "b": 0.2}])
def test_a_choice_that_the_evaluation_does_not_bear_out_is_an_error(
    choice: Path, rows: dict[str, float | None]
) -> None:
    with pytest.raises(UserError, match=r"today's evaluation a is the best .* chose b; delete it"):
        chosen_runs(asked("a", "b"), evaluated(**rows), [choice])


def test_a_finished_run_trains_again_only_where_the_choice_is_another(tmp_path: Path, shards: Path) -> None:
    run = referring(tmp_path / "run", shards, **VALUES)
    stamps = []
    for rho in (0.3, 0.3, 0.2):
        (tmp_path / "chosen.json").write_text(json.dumps({"settings": VALUES | {"rho": rho}}))
        train(run / "run.json", UNSEEN)
        stamps.append((run / "model.safetensors").stat().st_mtime_ns)
    assert stamps[0] == stamps[1] < stamps[2]
