"""What shadow steps found: a row a phase, divisor of the learning rate and lag, and means for tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.errors import UserError

FILE = "shadow.parquet"

# step: before which it was measured. noise: cosine of the g_v of two batches at lag 0. drift: of the g_v of
# one batch now and at lag 0. reuse: of the g_v of a new batch now and of that one at lag 0. norm_g,
# g_v_over_g, cos_g_g_s: of the new batch. gains: by alpha, cos(q, g_s) - cos(g, g_s) on the new batch, q what
# reuse hands over there. Null where it is not of this lag, or not finite
SHADOW = pa.schema(
    [
        ("phase", pa.float64()),
        ("step", pa.int32()),
        ("lr_divisor", pa.float64()),
        ("lag", pa.int32()),
        ("noise", pa.float64()),
        ("drift", pa.float64()),
        ("reuse", pa.float64()),
        ("norm_g", pa.float64()),
        ("g_v_over_g", pa.float64()),
        ("cos_g_g_s", pa.float64()),
        ("gains", pa.list_(pa.struct([("alpha", pa.string()), ("gain", pa.float64())]))),
    ]
)
# in a run's evaluation
SHADOWS = pa.list_(pa.struct(list(SHADOW)))

# by column of an evaluation: the column of SHADOW, and the lag
COSINES = {
    "cos_noise": ("noise", 0),
    "cos_drift_1": ("drift", 1),
    "cos_drift_5": ("drift", 5),
    "cos_reuse_5": ("reuse", 5),
}


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as Parquet."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SHADOW), path)


def shadow_of(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`shadow`, the rows of a run that has any, and its COSINES."""
    if "shadow" not in settings:
        return {}
    if not (folder / FILE).is_file():
        raise UserError(
            f"{folder}/{FILE} is gone; delete {folder}/model.safetensors and run snakemake again, to train "
            "this run anew"
        )
    rows = pq.read_table(folder / FILE).to_pylist()
    return {"shadow": rows} | {name: mean(rows, *of) for name, of in COSINES.items()}


def mean(rows: Sequence[Mapping[str, Any]], column: str, lag: int) -> float | None:
    """A column at a lag, mean over the phases, at the largest learning rate; None where nothing is known."""
    least = min((row["lr_divisor"] for row in rows), default=None)
    at = (row[column] for row in rows if (row["lr_divisor"], row["lag"]) == (least, lag))
    known = [x for x in at if x is not None]
    return fmean(known) if known else None
