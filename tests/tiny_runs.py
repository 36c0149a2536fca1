"""Trainings of a second, on a few of scikit-learn's digits, for the tests of training and evaluation."""

import hashlib
import json
from pathlib import Path
from typing import Any

from made_shards import write_shards

from looksam.digits import single
from looksam.progress import Progress
from looksam.train import train
from looksam.watch import Care

DIGITS: dict[str, Any] = {
    "name": "digits",
    "source": "digits",
    "height": 8,
    "width": 8,
    "channels": 1,
    "classes": 10,
    "train_images": 64,
    "test_images": 1733,
    "per_shard": 1000,
    "decode": "once",
}
SETTINGS: dict[str, Any] = {
    "model": {"name": "tiny", "architecture": "resnet", "bottleneck": False, "width": 4, "blocks": [1, 1]},
    "dataset": DIGITS,
    "method": {"k": 5, "ascent": "layerwise", "descent": "g_v", "rho": 0.1, "alpha": 0.1},
    "batch_size": 15,
    "epochs": 3,
    "optimizer": "adamw",
    "peak_lr": 0.01,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "warmup_steps": 2,
    "label_smoothing": 0.0,
    "augment": "crop",
    "precision": "fp32",
    "threads": 1,
    "seed": 0,
}
UNSEEN = Care(lambda progress: None)


def digit_shards(out: Path) -> Path:
    """Shards of 64 digits to train on and 100 to test with."""
    samples = list(single(DIGITS["train_images"]))
    tests = [sample for sample in samples if sample.split == "test"]
    return write_shards([*(s for s in samples if s.split == "train"), *tests[:100]], out, dataset=DIGITS)


def requested(folder: Path, shards: Path, **settings: Any) -> Path:
    """The folder of a run, with the run.json of these settings in it."""
    folder.mkdir(parents=True)
    run = {"id": folder.name, "shards": str(shards), "settings": SETTINGS | settings, "code": "0"}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def trained(folder: Path, shards: Path, **settings: Any) -> Path:
    """The folder of a run that is trained."""
    train(requested(folder, shards, **settings) / "run.json", UNSEEN)
    return folder


def seen(folder: Path, shards: Path, **settings: Any) -> list[Progress]:
    """The progress that a training shows."""
    shown: list[Progress] = []
    train(requested(folder, shards, **settings) / "run.json", Care(shown.append))
    return shown


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
