"""Evaluation of finished trainings on their test images, many in one process."""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from looksam.augment import evaluation_batch
from looksam.distributed import training_device
from looksam.errors import UserError
from looksam.files import replace_file, replace_with
from looksam.loader import Images, load
from looksam.models import build

IMAGES_PER_BATCH = 500

EVALUATIONS = pa.schema(
    [
        ("run", pa.string()),
        ("top1", pa.float64()),
        ("top5", pa.float64()),
        ("loss", pa.float64()),
        ("images", pa.int64()),
        ("diverged_at_step", pa.int64()),
        ("seconds", pa.float64()),
        ("seconds_per_epoch", pa.float64()),
        ("images_per_second", pa.float64()),
        ("gradients_per_step", pa.float64()),
    ]
)


def evaluate(request: Path, runs: Path, evaluations: Path) -> None:
    """Evaluate the runs that `request` lists and write one row each to `evaluations`.

    request: {"runs": [{"run": id, "code": fingerprint of this code}, ...]}. runs: the folder of all runs. A
    metrics.json made from the same weights by the same code is kept, so that tables may share runs.
    """
    rows = []
    for wanted in json.loads(request.read_text())["runs"]:
        folder = runs / wanted["run"]
        metrics = run_metrics(folder, wanted["code"])
        timing = json.loads((folder / "timing.json").read_text())
        rows.append({name: (metrics | timing).get(name) for name in EVALUATIONS.names})
    table = pa.Table.from_pylist(rows, schema=EVALUATIONS)
    replace_file(evaluations, lambda path: pq.write_table(table, path))


def run_metrics(folder: Path, code: str) -> dict[str, Any]:
    """What metrics.json says of the run, measured now if it says nothing of these weights and this code."""
    path = folder / "metrics.json"
    made_from = {
        "model_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "code": code,
    }
    if path.is_file():
        known: dict[str, Any] = json.loads(path.read_text())
        if made_from.items() <= known.items():
            return known
    run = json.loads((folder / "run.json").read_text())
    history = pq.read_table(folder / "history.parquet", columns=["step", "loss", "gradients"]).to_pydict()
    losses = zip(history["step"], history["loss"], strict=True)
    diverged_at = next((step for step, loss in losses if not math.isfinite(loss)), None)
    measured = UNMEASURED if diverged_at is not None else measure(folder, run)
    if measured["loss"] is not None and not math.isfinite(measured["loss"]):
        # the last step ruined the weights, which no loss of the history can show
        measured, diverged_at = UNMEASURED, history["step"][-1]
    metrics = {
        "run": run["id"],
        **measured,
        "diverged_at_step": diverged_at,
        "gradients_per_step": sum(history["gradients"]) / len(history["gradients"]),
        **made_from,
    }
    replace_with(path, json.dumps(metrics, indent=1))
    return metrics


UNMEASURED: Mapping[str, Any] = {"images": 0, "top1": None, "top5": None, "loss": None}


@torch.inference_mode()
def measure(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """Top-1 and top-5 (fractions) and mean loss of the run's weights over every test image, each once."""
    settings = run["settings"]
    torch.set_num_threads(settings["threads"])
    device = training_device()
    data = test_images(run["shards"], json.dumps(settings["dataset"]))
    model = build(settings["model"], settings["dataset"])
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"{folder}/model.safetensors is damaged or not of this run ({said:.300}); "
            "delete it, and run snakemake again to train this run anew"
        ) from error
    model.to(device).eval()
    top1 = top5 = 0
    loss = 0.0
    for images, labels in zip(
        data.images.split(IMAGES_PER_BATCH), data.labels.split(IMAGES_PER_BATCH), strict=True
    ):
        logits, targets = model(evaluation_batch(images.to(device))).float(), labels.to(device)
        ranked = logits.topk(min(5, logits.shape[1])).indices == targets[:, None]
        top1 += int(ranked[:, 0].sum())
        top5 += int(ranked.any(1).sum())
        loss += float(cross_entropy(logits, targets, reduction="sum"))
    count = len(data.labels)
    return {"images": count, "top1": top1 / count, "top5": top5 / count, "loss": loss / count}


@cache
def test_images(shards: str, dataset: str) -> Images:
    """The test split of a shard folder, decoded once a process. dataset: its settings, as JSON text."""
    return load(Path(shards), "test", json.loads(dataset))
