"""Results of runs made by hand, as small as files can be, for the tests that look at them from outside."""

import json
import os
import time
from pathlib import Path
from typing import Any

from study_files import study

from looksam.cells import Run
from looksam.requests import consumed
from looksam.results import OUTPUTS, SHARD_OUTPUTS
from looksam.study import Study

# seconds since 1970 of shards, trainings and evaluations, long past, so that whatever is written now is newer
SHARDED, TRAINED, EVALUATED = 1_000_000_000, 1_000_000_100, 1_000_000_200


def finished(root: Path, **chosen: Any) -> Study:
    """The study in `root`, with every request written and every run, shard and evaluation made."""
    made = study(root, **chosen)
    made.write_requests()
    for path in made.requests():
        os.utime(root / path, (SHARDED - 10, SHARDED - 10))
    for run in made.runs.values():
        finish(root / "results/shards" / run.shards / "source.json", SHARD_OUTPUTS, SHARDED)
        train(root, run)
    for table in made.tables.values():
        if table.runs:
            finish(root / f"results/evaluations/{table.name}.json", (f"{table.name}.parquet",), EVALUATED)
    return made


def train(root: Path, run: Run) -> None:
    """Make the results of a run, of stamp TRAINED."""
    finish(root / "results/runs" / run.id / "run.json", OUTPUTS, TRAINED)


def finish(request: Path, names: tuple[str, ...], seconds: float) -> None:
    """Make files beside a request, from it, with a time stamp in seconds since 1970."""
    with consumed(request):
        for name in names:
            (request.parent / name).write_text("made")
            os.utime(request.parent / name, (seconds, seconds))


def say(folder: Path, name: str = "progress.json", **said: Any) -> None:
    """Let the training of a run's folder leave a word, of now where it says no time."""
    word = {"step": 25, "steps": 100, "epoch": 1, "epochs": 4, "loss": 0.5, "accuracy": 0.75}
    word |= {"images_per_second": 1000.0, "eta_seconds": 120.0, "updated": time.time(), "host": "node7"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(word | said))
