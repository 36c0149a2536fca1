"""Facts about trainings that are killed, stopped or met by a second process: the result is the same bits."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ranked_runs import kill, started
from study_files import ROOT
from tiny_runs import UNSEEN, digit_shards, requested, sha256, trained

from looksam.errors import UserError
from looksam.lease import lease
from looksam.train import train

# an ascent step every third, so that any stop is in the middle of an epoch or of a period
SETTINGS: dict[str, Any] = {
    "batch_size": 16,
    "method": {"k": 3, "ascent": "layerwise", "descent": "g_v", "rho": 0.1, "alpha": 0.1},
    "augment": "crop+mixup",
    "optimizer": "adamw",
    "ema": 0.9,
}
SHORT = SETTINGS | {"batch_size": 32, "epochs": 2}
LONG = SETTINGS | {"epochs": 60}
SAME = ("model.safetensors", "history.parquet")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """A long run that nothing stopped."""
    return trained(tmp_path_factory.mktemp("runs") / "whole", shards, **LONG)


@pytest.fixture(scope="module")
def whole_on_two(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """The same run on two ranks."""
    folder = requested(tmp_path_factory.mktemp("runs") / "two", shards, **LONG)
    ended(started(folder / "run.json", 2), 0)
    return folder


def saving(request: Path, ranks: int) -> subprocess.Popen[str]:
    """`looksam train`, which saves all the time."""
    return started(request, ranks, "--seconds-between-checkpoints", "0")


def ended(process: subprocess.Popen[str], code: int | None = None) -> str:
    said, _ = process.communicate(timeout=120)
    assert code is None or process.returncode == code, said
    return said


def wait_for(folder: Path, pattern: str) -> None:
    """Until there is such a file."""
    deadline = time.monotonic() + 60
    while not any(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} in a minute"
        time.sleep(0.005)


def stopped(folder: Path, shards: Path) -> subprocess.Popen[str]:
    """A process that began the long run, and left it when it was asked to."""
    requested(folder, shards, **LONG)
    process = saving(folder / "run.json", 1)
    wait_for(folder, "checkpoint*")
    process.terminate()
    ended(process)
    return process


def assert_same(folder: Path, expected: Path) -> None:
    assert [name for name in SAME if sha256(folder / name) != sha256(expected / name)] == []
    assert not list(folder.glob("checkpoint*")) + list(folder.glob(".*")) + list(folder.glob("pre*"))


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that do not outlive their test."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        kill(process)


@pytest.mark.slow
def test_whatever_change_of_the_disk_kills_a_training_it_goes_on_to_the_same_bits(
    tmp_path: Path, shards: Path
) -> None:
    reference = trained(tmp_path / "reference", shards, **SHORT)
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [sys.executable, ROOT / "tests/killed_runs.py", reference, tmp_path / "killed"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # each of three checkpoints alone is opened, written in pieces, synced and renamed
    assert int(done.stdout.split()[-1]) > 30


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_training_that_is_killed_at_random_goes_on_to_the_same_bits(
    tmp_path: Path, shards: Path, request: pytest.FixtureRequest, ranks: int, processes: list[Any]
) -> None:
    expected = request.getfixturevalue("whole" if ranks == 1 else "whole_on_two")
    folder = requested(tmp_path / "run", shards, **LONG)
    pauses = random.Random(ranks)
    for _ in range(2):
        before = set(folder.glob("checkpoint*"))
        process = saving(folder / "run.json", ranks)
        processes.append(process)
        while set(folder.glob("checkpoint*")) <= before:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        time.sleep(pauses.uniform(0, 0.3))
        kill(process)
        assert not (folder / "model.safetensors").exists()
    ended(saving(folder / "run.json", ranks), 0)
    assert_same(folder, expected)


@pytest.mark.parametrize(("ranks", "name"), [(1, "SIGTERM"), (1, "SIGUSR1"), (2, "SIGTERM"), (2, "SIGUSR1")])
def test_a_signal_saves_leaves_a_mark_and_the_same_command_goes_on(
    tmp_path: Path, shards: Path, request: pytest.FixtureRequest, ranks: int, name: str
) -> None:
    expected = request.getfixturevalue("whole" if ranks == 1 else "whole_on_two")
    folder = requested(tmp_path / "run", shards, **LONG)
    process = saving(folder / "run.json", ranks)
    wait_for(folder, "checkpoint*")
    process.send_signal(getattr(signal, name))
    said = ended(process)
    mark = json.loads((folder / "preempted.json").read_text())
    assert mark["signal"] == name
    assert f"{name} stopped it after step {mark['step']} of 240; it is saved" in said
    assert 0 < mark["step"] < 240
    assert not (folder / "model.safetensors").exists()
    assert f"goes on after step {mark['step']}" in ended(saving(folder / "run.json", ranks), 0)
    assert_same(folder, expected)


def test_a_preempted_training_says_so_by_its_exit_code(tmp_path: Path, shards: Path) -> None:
    assert stopped(tmp_path / "run", shards).returncode == os.EX_TEMPFAIL


def test_two_ranks_go_on_with_what_one_began(tmp_path: Path, shards: Path) -> None:
    folder = tmp_path / "run"
    stopped(folder, shards)
    assert "goes on after step" in ended(saving(folder / "run.json", 2), 0)


def test_a_second_process_on_a_run_is_refused_by_the_name_of_the_first(tmp_path: Path, shards: Path) -> None:
    folder = requested(tmp_path / "run", shards, **SHORT)
    with lease(folder), pytest.raises(UserError, match=f"process {os.getpid()} on"):
        train(folder / "run.json", UNSEEN)


def test_a_process_that_waited_while_another_trained_the_run_has_nothing_to_do(
    tmp_path: Path, shards: Path
) -> None:
    folder = trained(tmp_path / "run", shards, **SHORT)
    before = (folder / "timing.json").read_bytes()
    train(folder / "run.json", UNSEEN)
    assert (folder / "timing.json").read_bytes() == before


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, shards: Path, whole: Path
) -> None:
    folder = requested(tmp_path / "run", shards, **LONG)
    process = saving(folder / "run.json", 1)
    wait_for(folder, "checkpoint.1.?*")
    time.sleep(0.2)
    process.terminate()
    ended(process)
    newest = max(folder.glob("checkpoint*"), key=lambda path: int(path.name.split(".")[2]))
    newest.write_bytes(newest.read_bytes()[:-9])
    said = ended(saving(folder / "run.json", 1), 0)
    assert f"{newest.name} is damaged" in said
    assert_same(folder, whole)


def test_a_checkpoint_of_other_code_is_not_gone_on_with(tmp_path: Path, shards: Path) -> None:
    folder = tmp_path / "run"
    stopped(folder, shards)
    run = json.loads((folder / "run.json").read_text()) | {"code": "1"}
    (folder / "run.json").write_text(json.dumps(run))
    said = ended(saving(folder / "run.json", 1), 0)
    assert "belongs to another request" in said
    assert "goes on after step" not in said


def test_the_time_of_a_training_that_was_stopped_is_that_of_all_its_parts(
    tmp_path: Path, shards: Path
) -> None:
    folder = requested(tmp_path / "run", shards, **LONG)
    process = saving(folder / "run.json", 1)
    wait_for(folder, "checkpoint*")
    time.sleep(1)
    process.terminate()
    ended(process)
    time.sleep(3)
    began = time.monotonic()
    ended(saving(folder / "run.json", 1), 0)
    seconds = json.loads((folder / "timing.json").read_text())["seconds"]
    assert 0 < seconds < time.monotonic() - began + 3
