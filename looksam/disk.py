"""What a study's files take on disk: how much is there, and how much there will be. Torch-free."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from looksam.cells import Run
from looksam.config import Row
from looksam.costs import has_alpha
from looksam.macs import parameters
from looksam.results import OUTPUTS, SHARD_OUTPUTS
from looksam.study import Study

BYTES_PER_NUMBER = 4  # weights and states are fp32, whatever the autocast

# numbers that a base optimizer keeps of each parameter
OPTIMIZER_STATES = {"adamw": 2, "lamb": 2, "sgd": 1}

# of an image in a shard, beside its pixels: two tar headers, the label's block, padding
BYTES_PER_MEMBER = 2048
# of an image in an index: SHA-256 as text, key and source hardly compress
BYTES_PER_ROW = 200


@dataclass(frozen=True)
class Use:
    """Bytes of one kind of file: there now, and once all is made."""

    now: int
    planned: int


@dataclass(frozen=True)
class Disk:
    """Bytes on disk. checkpoint: of the largest training while it runs, two kept; free: where results/ is."""

    shards: Use
    weights: Use
    other: int
    checkpoint: int
    free: int

    @property
    def to_come(self) -> int:
        """Bytes still to be written, with one run at work."""
        uses = (self.shards, self.weights)
        return sum(max(0, use.planned - use.now) for use in uses) + self.checkpoint


def disk(study: Study, to_go: Collection[Run]) -> Disk:
    """What the study's files take. to_go: runs whose training is still to be done."""
    results = study.root / "results"
    datasets = {run.shards: run.settings["dataset"] for run in study.runs.values()}
    found = {name: sizes(results / "shards" / name) for name in datasets}
    now = {name: sum(files.values()) for name, files in found.items()}
    planned = sum(
        now[name] if SHARD_OUTPUTS[0] in found[name] else shard_bytes(dataset)
        for name, dataset in datasets.items()
    )
    weights = other = 0
    for run in study.runs.values():
        files = sizes(results / "runs" / run.id)
        weights += files.pop(OUTPUTS[0], 0)
        other += sum(files.values())
    return Disk(
        shards=Use(sum(now.values()), planned),
        weights=Use(weights, sum(weight_bytes(run) for run in study.runs.values())),
        other=other,
        checkpoint=max((2 * checkpoint_bytes(run) for run in to_go), default=0),
        free=shutil.disk_usage(results if results.exists() else study.root).free,
    )


def shard_bytes(dataset: Row) -> int:
    """About what a data set's shards take: its pixels uncompressed, somewhat more than ImageNet's JPEGs.

    Of shards at a URL, what is fetched: the pixels where they are decoded once, and a row of the index.
    """
    image = dataset["height"] * dataset["width"] * dataset["channels"] + BYTES_PER_MEMBER
    if "shards" in dataset:
        image = (image if dataset["decode"] == "once" else 0) + BYTES_PER_ROW
    return int((dataset["train_images"] + dataset["test_images"]) * image)


def weight_bytes(run: Run) -> int:
    """What a run's model.safetensors takes."""
    return BYTES_PER_NUMBER * parameters(run.settings["model"], run.settings["dataset"])


def checkpoint_bytes(run: Run) -> int:
    """What one checkpoint takes: weights, the optimizer's states, g_v where reused, averaged weights."""
    settings = run.settings
    numbers = 1 + OPTIMIZER_STATES.get(settings["optimizer"], 2)
    return weight_bytes(run) * (numbers + has_alpha(settings) + ("ema" in settings))


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file in a folder; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: size_of(entry) for entry in entries}
    except FileNotFoundError:
        return {}


def size_of(entry: "os.DirEntry[str]") -> int:
    """A file's bytes; 0 where it has just vanished."""
    try:
        return entry.stat().st_size if entry.is_file() else 0
    except OSError:
        return 0
