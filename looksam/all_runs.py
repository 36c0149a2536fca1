"""Every run of the tables in one tidy file, a row a run, numbers unrounded: all_runs.csv and .parquet."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from looksam.files import replace_file
from looksam.provenance import Provenance

# docs/report.md says what each holds, and its unit
MEASURED = {
    "top1": pa.float64(),
    "top5": pa.float64(),
    "loss": pa.float64(),
    "images": pa.int64(),
    "sharpness": pa.float64(),
    "method_sharpness": pa.float64(),
    "hessian_eigenvalue": pa.float64(),
    "hessian_converged": pa.bool_(),
    "diverged_at_step": pa.int64(),
    "gradients_per_step": pa.float64(),
    "g_v_over_g": pa.float64(),
    "cos_g_v_old": pa.float64(),
    "reuse_gain": pa.float64(),
    "seconds": pa.float64(),
    "seconds_per_epoch": pa.float64(),
    "images_per_second": pa.float64(),
}
ALL_RUNS = pa.schema(
    {
        **dict.fromkeys(("run", "tables", "model", "dataset"), pa.string()),
        "seed": pa.int64(),
        **MEASURED,
        **dict.fromkeys(("device", "torch", "timm", "looksam", "python", "commit"), pa.string()),
        **dict.fromkeys(("determinism", "code", "shards", "data_sha256", "log"), pa.string()),
        **dict.fromkeys(("command", "stale", "settings"), pa.string()),
    }
)


def export_runs(
    rows: Mapping[str, Mapping[str, Any]], provenance: Mapping[str, Provenance], folder: Path
) -> None:
    """Write `folder`/all_runs.parquet and .csv of evaluations and provenance, both by run."""
    listed = [tidy_row(row, provenance[run]) for run, row in rows.items()]
    table = pa.Table.from_pylist(listed, schema=ALL_RUNS)
    replace_file(folder / "all_runs.parquet", partial(pq.write_table, table))
    replace_file(folder / "all_runs.csv", partial(pc.write_csv, table))


def tidy_row(row: Mapping[str, Any], known: Provenance) -> dict[str, Any]:
    """The row of one run."""
    direct = ("run", "seed", "device", "commit", "determinism", "code", "shards", "data_sha256")
    return {
        **{name: row[name] for name in MEASURED if name in row},
        **{name: getattr(known, name) for name in (*direct, "log", "command", "stale")},
        **known.packages,
        "tables": " ".join(row["tables"]),
        "model": known.settings.get("model.name"),
        "dataset": known.settings.get("dataset.name"),
        "settings": row["settings"],
    }
