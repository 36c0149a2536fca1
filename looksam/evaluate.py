"""Evaluation of finished trainings on their test images, many in one process, in float32."""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch import nn

from looksam.choice import run_text
from looksam.curves import COLUMNS, CURVE, JUDGED, condensed
from looksam.distributed import Ranks, joined, training_device
from looksam.errors import UserError
from looksam.files import replace_file, replace_with
from looksam.flatness import FIGURES, flatness, training_images
from looksam.hits import packed
from looksam.loader import noise_of
from looksam.models import build
from looksam.origins import ENVIRONMENT
from looksam.outcomes import OUTCOMES, judging_images, outcomes, summary, write
from looksam.premise import DIAGNOSTICS
from looksam.provenance import RECORDED, recorded
from looksam.shadow_rows import COSINES, SHADOWS, shadow_of

EVALUATIONS = pa.schema(
    [
        ("run", pa.string()),
        ("top1", pa.float64()),
        ("top5", pa.float64()),
        ("loss", pa.float64()),
        ("images", pa.int64()),
        ("test_images", pa.string()),
        ("correct", pa.binary()),
        ("sharpness", pa.float64()),
        ("method_sharpness", pa.float64()),
        ("hessian_eigenvalue", pa.float64()),
        ("hessian_converged", pa.bool_()),
        ("diverged_at_step", pa.int64()),
        ("gradients_per_step", pa.float64()),
        *((name, pa.float64()) for name in DIAGNOSTICS),
        ("curve", CURVE),
        ("judged", JUDGED),
        ("shadow", SHADOWS),
        *((name, pa.float64()) for name in COSINES),
        ("seconds", pa.float64()),
        ("seconds_per_epoch", pa.float64()),
        ("images_per_second", pa.float64()),
        ("environment", ENVIRONMENT),
        *RECORDED,
    ]
)


def evaluate(request: Path, runs: Path, evaluations: Path, workers: int | None = None) -> None:
    """Evaluate the runs that `request` lists and write one row each to `evaluations`.

    Under torchrun, as one of its ranks. request: {"runs": [{"run": id, "code": fingerprint of this code},
    ...]}. runs: the folder of all runs. workers: as of `Care`. A metrics.json made from the same weights by
    the same code is kept, so that tables may share runs.
    """
    with joined() as ranks:
        rows = []
        # runs share their data's index, which may be large
        digest = cache(sha256)
        for wanted in json.loads(request.read_text())["runs"]:
            folder = runs / wanted["run"]
            metrics = run_metrics(folder, wanted["code"], ranks, workers)
            if ranks.is_first:
                timing = json.loads((folder / "timing.json").read_text())
                known = metrics | timing | packed(folder / "outcomes.parquet")
                text = run_text(folder / "run.json")
                known |= recorded(folder, text, digest)
                known |= shadow_of(folder, json.loads(text)["settings"])
                known |= condensed(pq.read_table(folder / "history.parquet", columns=list(COLUMNS)))
                rows.append({name: known.get(name) for name in EVALUATIONS.names})
        if ranks.is_first:
            table = pa.Table.from_pylist(rows, schema=EVALUATIONS)
            replace_file(evaluations, lambda path: pq.write_table(table, path))


def run_metrics(
    folder: Path, code: str, ranks: Ranks | None = None, workers: int | None = None
) -> dict[str, Any]:
    """What metrics.json says of the run, measured now if it says nothing of these weights and this code.

    outcomes.parquet beside it holds each test image's outcome; no rows where the run diverged. metrics.json
    is written last and knows its digest, so that it stands for both. ranks: all call it; alone, if left out.
    """
    ranks = ranks or Ranks(0, 1, training_device())
    made_from = {"model_sha256": sha256(folder / "model.safetensors"), "code": code}
    # by the first rank's word: the others may not yet see what it wrote
    known: dict[str, Any] | None = ranks.told(known_metrics(folder, made_from))
    if known is not None:
        return known
    run = json.loads(run_text(folder / "run.json"))
    history = pq.read_table(folder / "history.parquet", columns=["step", "loss", "gradients"]).to_pydict()
    losses = zip(history["step"], history["loss"], strict=True)
    diverged_at = next((step for step, loss in losses if not math.isfinite(loss)), None)
    each, measured = UNMEASURED if diverged_at is not None else measure(folder, run, ranks, workers)
    if diverged_at is None and not math.isfinite(measured["loss"]):
        # the last step ruined the weights, which no loss of the history can show
        (each, measured), diverged_at = UNMEASURED, history["step"][-1]
    metrics = {
        "run": run["id"],
        **measured,
        "diverged_at_step": diverged_at,
        "gradients_per_step": sum(history["gradients"]) / len(history["gradients"]),
        "precision": "fp32",
        **made_from,
    }
    told: dict[str, Any] = ranks.told(written(folder, each, metrics) if ranks.is_first else None)
    return told


def known_metrics(folder: Path, made_from: Mapping[str, str]) -> dict[str, Any] | None:
    """What metrics.json says, if it was made from these and its outcomes are there."""
    path, images = folder / "metrics.json", folder / "outcomes.parquet"
    if not path.is_file() or not images.is_file():
        return None
    known: dict[str, Any] = json.loads(path.read_text())
    return known if {**made_from, "outcomes_sha256": sha256(images)}.items() <= known.items() else None


def written(folder: Path, each: pa.Table, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics, once they and the outcomes are written."""
    images = folder / "outcomes.parquet"
    replace_file(images, partial(write, each))
    told = {**metrics, "outcomes_sha256": sha256(images)}
    replace_with(folder / "metrics.json", json.dumps(told, indent=1))
    return told


def sha256(path: Path) -> str:
    """Digest of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measure(
    folder: Path, run: Mapping[str, Any], ranks: Ranks, workers: int | None
) -> tuple[pa.Table, dict[str, Any]]:
    """Each judging image's outcome under the run's weights, and their means with the flatness of the minimum.

    The test images judge a run, and the training images held out of it a trial of a search, whose flatness
    nobody asks for. The first rank alone measures flatness.
    """
    settings = run["settings"]
    torch.set_num_threads(settings["threads"])
    model = trained(folder, settings).to(ranks.device)
    split = (run["shards"], json.dumps(settings["dataset"]))
    # float32 in earnest and the same bits each time, which cuDNN by default promises neither of
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        held_out = settings.get("validation_images", 0)
        each = outcomes(model, judging_images(*split, held_out), ranks, workers)
        means = summary(each)
        if held_out or not math.isfinite(means["loss"]) or not ranks.is_first:
            return each, means
        data = training_images(*split, noise_of(settings))
        return each, means | flatness(model, data, settings["method"], ranks.device)


UNMEASURED = (
    OUTCOMES.empty_table(),
    {**summary(OUTCOMES.empty_table()), **dict.fromkeys((*FIGURES, "hessian_converged"))},
)


def trained(folder: Path, settings: Mapping[str, Any]) -> nn.Module:
    """The run's network with its weights, in eval mode."""
    model = build(settings["model"], settings["dataset"])
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"{folder}/model.safetensors is damaged or not of this run ({said:.300}); "
            "delete it, and run snakemake again to train this run anew"
        ) from error
    return model.eval()
