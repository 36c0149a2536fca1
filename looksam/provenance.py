"""Provenance: where each run's numbers come from, and how to make them again. Torch-free.

An evaluation records what stood beside the weights; the report's request says what stands now.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.origins import UNKNOWN, device
from looksam.requests import made_path
from looksam.results import OUTPUTS, stamp_of

# what `recorded` adds to a run's evaluation. settings: JSON; trained_code: fingerprint of what trained it;
# index_sha256: of its shards' index at its evaluation; index_newer: than its weights
RECORDED = [
    ("settings", pa.string()),
    ("trained_code", pa.string()),
    ("shards", pa.string()),
    ("index_sha256", pa.string()),
    ("index_newer", pa.bool_()),
]
# columns of evaluations about each test image, epoch or shadow step, which are large
OUTCOMES = frozenset({"test_images", "correct", "curve", "judged", "shadow"})
PACKAGES = ("torch", "timm", "looksam", "python")


@dataclass(frozen=True)
class Provenance:
    """Where one run comes from, "" or None where that is not recorded.

    settings: by dotted name, in the order of the request. code: fingerprint of what trained it. packages: by
    name, their versions. seconds: of the training. stale: why it is not of the present code and data, ""
    where it is. command: what trains it again in a checkout, from its root.
    """

    run: str
    seed: int | None
    settings: dict[str, str]
    code: str
    commit: str
    packages: dict[str, str]
    device: str
    determinism: str
    shards: str
    data_sha256: str
    log: str
    seconds: float | None
    command: str
    stale: str


NOT_RECORDED: Mapping[str, Provenance] = MappingProxyType({})


def recorded(folder: Path, text: str, sha256: Callable[[Path], str]) -> dict[str, Any]:
    """RECORDED of a finished run. text: its request, with chosen values; sha256: a file's digest."""
    run = json.loads(text)
    made, index = made_path(folder / "run.json"), Path(run["shards"]) / "index.parquet"
    return {
        "settings": json.dumps(run["settings"]),
        # the id names the settings, so that of a run's requests only the code may differ
        "trained_code": json.loads(made.read_text())["code"] if made.is_file() else None,
        "shards": run["shards"],
        "index_sha256": sha256(index) if index.is_file() else None,
        "index_newer": stamp_of(index) > stamp_of(folder / OUTPUTS[0]),
    }


def read(evaluations: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Rows of evaluations by run, each once, with the `tables` that it serves by their names."""
    found: dict[str, dict[str, Any]] = {}
    for path in evaluations:
        file = pq.ParquetFile(path)
        for row in file.read([name for name in file.schema_arrow.names if name not in OUTCOMES]).to_pylist():
            found.setdefault(row["run"], row | {"tables": []})["tables"].append(path.stem)
    return found


def provenances(rows: Iterable[Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Provenance]:
    """The provenance of each evaluated run, by run. request: of the report, which knows the present code."""
    return {row["run"]: provenance(row, request) for row in rows}


def provenance(row: Mapping[str, Any], request: Mapping[str, Any]) -> Provenance:
    """The provenance of one evaluated run."""
    settings = json.loads(row["settings"]) if row["settings"] else {}
    environment = row["environment"] or {}
    return Provenance(
        run=row["run"],
        seed=settings.get("seed"),
        settings=flat(settings),
        code=row["trained_code"] or "",
        commit=environment.get("commit") or "",
        packages={name: environment.get(name) or UNKNOWN for name in PACKAGES},
        device=device(row["environment"]),
        determinism=environment.get("determinism") or UNKNOWN,
        shards=row["shards"] or "",
        data_sha256=row["index_sha256"] or "",
        log=f"results/logs/train/{row['run']}.log",
        seconds=row["seconds"],
        command=command(row["run"], request["chosen"]),
        stale=stale(row, request["runs"].get(row["run"])),
    )


def stale(row: Mapping[str, Any], present: str | None) -> str:
    """Why a run is not of the present code and data; present: the fingerprint of what would train it now."""
    if present is None:
        return "the config asks for no such run any more"
    if row["trained_code"] is None:
        return "the code that trained it is not recorded"
    marks = {
        "trained by other code than the present": row["trained_code"] != present,
        "its data are newer than its weights": row["index_newer"],
    }
    return "; ".join(mark for mark, holds in marks.items() if holds)


def command(run: str, chosen: Mapping[str, Any]) -> str:
    """The command that trains the run again. chosen: what the config has chosen, in place of config.yaml."""
    config = " ".join(quote(f"{key}={json.dumps(value)}") for key, value in chosen.items())
    # --force: without it a run that is there is left as it is
    return f"snakemake --cores all --force results/runs/{run}/model.safetensors --config {config}"


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings by dotted name: {"model": {"depth": 2}} is {"model.depth": "2"}."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found
