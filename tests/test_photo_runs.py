"""Facts about trainings on photographs, through the commands: workers, ranks, stops and evaluation."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from photo_runs import PHOTO_SETTINGS, photo_shards
from ranked_runs import kill, started
from study_files import ROOT
from tiny_runs import requested, sha256

from looksam.cli import main

BUSY = PHOTO_SETTINGS | {"epochs": 40}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_shards(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """A run that is trained without workers."""
    folder = requested(tmp_path_factory.mktemp("runs") / "run", shards, **PHOTO_SETTINGS)
    main(["train", str(folder / "run.json"), "--workers", "0"])
    return folder


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    return said


def wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not any(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def below(pid: int) -> list[int]:
    """The processes that this one started, and theirs."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [pid for child in found for pid in below(child)]


def test_workers_train_the_weights_of_none(tmp_path: Path, shards: Path, run: Path) -> None:
    again = requested(tmp_path / "again", shards, **PHOTO_SETTINGS)
    ended(started(again / "run.json", 1, "--workers", "2"))
    assert sha256(again / "model.safetensors") == sha256(run / "model.safetensors")


def test_a_training_asked_to_leave_goes_on_to_the_same_weights(tmp_path: Path, shards: Path) -> None:
    whole, stopped = (requested(tmp_path / name, shards, **BUSY) for name in ("whole", "stopped"))
    ended(started(whole / "run.json", 1, "--workers", "0"))
    process = started(stopped / "run.json", 1, "--workers", "2", "--seconds-between-checkpoints", "0")
    wait_for(stopped, "checkpoint.*")
    # as Slurm does: to the training and to all that it started
    for pid in [*below(process.pid), process.pid]:
        os.kill(pid, signal.SIGUSR1)
    assert "SIGUSR1 stopped it after step" in ended(process, 75)
    ended(started(stopped / "run.json", 1, "--workers", "2"))
    assert sha256(stopped / "model.safetensors") == sha256(whole / "model.safetensors")


def test_workers_end_with_a_training_that_is_killed(tmp_path: Path, shards: Path) -> None:
    folder = requested(tmp_path / "run", shards, **BUSY)
    process = started(folder / "run.json", 1, "--workers", "2", "--seconds-between-checkpoints", "0")
    try:
        wait_for(folder, "checkpoint.*")
        workers = below(process.pid)
        assert len(workers) >= 3  # two, and the server that they come from
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 20
        while alive := [pid for pid in workers if Path(f"/proc/{pid}/exe").exists()]:
            assert time.monotonic() < deadline, alive
            time.sleep(0.1)
    finally:
        kill(process)


def test_a_damaged_shard_is_one_line_of_the_command(tmp_path: Path) -> None:
    shards = photo_shards(tmp_path)
    with (shards / "train-000002.tar").open("r+b") as file:
        file.seek(700)
        file.write(b"damage")
    folder = requested(tmp_path / "run", shards, **PHOTO_SETTINGS)
    said = ended(started(folder / "run.json", 1, "--workers", "2"), 1)
    assert "looksam train: error: " in said
    assert "train-000002.tar was changed after it was written: sample train-" in said
    assert "Traceback" not in said


def test_two_ranks_evaluate_every_image_once_to_the_same_bits(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = tmp_path / "table.json"
    request.write_text(json.dumps({"runs": [{"run": run.name, "code": "c"}]}))
    # batches of 4, so that both ranks have some of the 17 images
    script = (
        "import sys, looksam.outcomes, looksam.cli; looksam.outcomes.IMAGES_PER_BATCH = 4\n"
        "looksam.cli.main(sys.argv[1:])"
    )
    found = []
    for ranks in (1, 2):
        torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "--no-python"]
        start = [sys.executable, *torchrun, sys.executable] if ranks == 2 else [sys.executable]
        arguments = ["evaluate", request, "--runs", run.parent, "--evaluations", tmp_path / "rows.parquet"]
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [*start, "-c", script, *map(str, arguments), "--workers", "0"],
            cwd=ROOT,
            env=environment,
            check=True,
            timeout=120,
        )
        outcomes = pq.read_table(run / "outcomes.parquet")
        found.append((outcomes, json.loads((run / "metrics.json").read_text())))
        (run / "metrics.json").unlink()
    assert found[0][0].num_rows == len(set(found[0][0]["key"].to_pylist())) == 17
    assert found[0][0].equals(found[1][0])
    assert found[0][1] == found[1][1]
