"""A study of any number of runs in a folder of its own, and SYNTHETIC results of it: invented numbers."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from study_files import ROOT, edit

from looksam.requests import made_path

TABLES = 10
METHODS = ("sam", "look-layersam-5")
DECAYS = (0.05, 0.1, 0.2, 0.3, 0.4)
SYNTHETIC = "SYNTHETIC: invented by tests/large_study.py, no training made this\n"


def checkout(folder: Path) -> Path:
    """The folder, with what a user's checkout needs to run the workflow."""
    ignored = shutil.ignore_patterns("__pycache__", ".snakemake")
    for name in ("config", "workflow", "looksam", "reports/templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "profiles").symlink_to("workflow/profiles")
    return folder


def generated(folder: Path, runs: int) -> Path:
    """A checkout in `folder` whose config asks for so many runs, a multiple of 100: ten tables, a run a cell.

    A table has a row for each method and peak learning rate, and a column for each weight decay.
    """
    if runs % (TABLES * len(METHODS) * len(DECAYS)):
        raise ValueError(f"runs must be a multiple of 100, got {runs}")
    checkout(folder)
    rates = runs // (TABLES * len(METHODS) * len(DECAYS))
    names = [f"generated-{number}" for number in range(TABLES)]
    for number, name in enumerate(names):
        table = {
            "title": "A generated table",
            "runs": {"recipe": "vit-imagenet-lamb", "model": "vit-b-16", "batch_size": 4096},
            "rows": {
                "method": list(METHODS),
                "peak_lr": [round(1e-3 * (1 + number + TABLES * rate), 6) for rate in range(rates)],
            },
            "columns": {"weight_decay": list(DECAYS)},
            "cell": ["top1"],
        }
        (folder / f"config/tables/{name}.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    edit(folder / "config/config.yaml", lambda c: c.update(scale="paper", seeds=1, tables=names))
    return folder


def invented(run: str) -> dict[str, Any]:
    """An evaluation of the run as a table reads it, the same numbers for the same run."""
    draw = random.Random(run)
    return {
        "run": run,
        "top1": draw.random(),
        "top5": draw.random(),
        "loss": draw.random(),
        "images": 50_000,
        "seconds": 3600.0,
        "seconds_per_epoch": 12.0,
        "images_per_second": 100_000.0,
        "gradients_per_step": 1.2,
    }


def finished(folder: Path) -> None:
    """Give every run and evaluation whose request is in `folder` invented results, which are fresh."""
    # here, because they bring torch, which must not count for what is measured in processes beside
    from looksam.evaluate import EVALUATIONS
    from looksam.history import HISTORY
    from looksam.provenance import recorded

    history = pa.table({name: [0] for name in HISTORY.names}, schema=HISTORY)
    timing = {"seconds": 3600.0, "seconds_per_epoch": 12.0, "images_per_second": 100_000.0, "note": SYNTHETIC}
    for source in (folder / "results/shards").glob("*/source.json"):
        made_from(source)
        (source.parent / "index.parquet").write_text(SYNTHETIC)
        (source.parent / "_info.json").write_text("{}")
    for run in (folder / "results/runs").glob("*/run.json"):
        made_from(run)
        run.with_name("model.safetensors").write_text(SYNTHETIC)
        run.with_name("timing.json").write_text(json.dumps(timing))
        pq.write_table(history, run.with_name("history.parquet"))
    for request in (folder / "results/evaluations").glob("*.json"):
        runs = [folder / "results/runs" / run["run"] for run in json.loads(request.read_text())["runs"]]
        rows = [
            invented(run.name) | recorded(run, (run / "run.json").read_text(), lambda index: "SYNTHETIC")
            for run in runs
        ]
        made_from(request)
        pq.write_table(pa.Table.from_pylist(rows, schema=EVALUATIONS), request.with_suffix(".parquet"))


def made_from(request: Path) -> None:
    """Leave the copy that a command leaves of its request, text and time stamp."""
    shutil.copy2(request, made_path(request))
