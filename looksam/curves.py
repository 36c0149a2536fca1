"""Curves: a run's history in so few numbers that a table of runs can carry them all."""

from typing import Any

import numpy as np
import pyarrow as pa

from looksam.premise import DIAGNOSTICS

POINTS = 30

# means over the steps since the row before; epoch: how many are done. Null where no step of them found any
CURVE = pa.list_(
    pa.struct(
        [
            ("epoch", pa.int32()),
            ("loss", pa.float64()),
            ("accuracy", pa.float64()),
            *((name, pa.float64()) for name in DIAGNOSTICS),
        ]
    )
)
# the accuracy on the images that judge, after so many epochs
JUDGED = pa.list_(pa.struct([("epoch", pa.int32()), ("top1", pa.float64())]))
COLUMNS = ("epoch", "loss", "accuracy", *DIAGNOSTICS, "judged_top1")


def condensed(history: pa.Table, points: int = POINTS) -> dict[str, Any]:
    """`curve` of at most so many rows, `judged`, and each diagnostic's mean over the training's refreshes.

    history: of `looksam.history.HISTORY`, its COLUMNS or more.
    """
    columns = {name: history[name].to_numpy().astype(np.float64) for name in COLUMNS}
    epochs = columns.pop("epoch").astype(np.int64) + 1
    judged = columns.pop("judged_top1")
    # of parts of equally many epochs, the last of each
    ends = np.unique(-(-np.arange(1, points + 1) * epochs[-1] // points))
    part = np.searchsorted(ends, epochs)
    means = {name: part_means(values, part, len(ends)) for name, values in columns.items()}
    return {
        "curve": [
            {"epoch": int(end), **{name: means[name][index] for name in means}}
            for index, end in enumerate(ends)
        ],
        "judged": [
            {"epoch": int(epoch), "top1": float(x)}
            for epoch, x in zip(epochs, judged, strict=True)
            if np.isfinite(x)
        ],
        **{name: part_means(columns[name], np.zeros_like(part), 1)[0] for name in DIAGNOSTICS},
    }


def part_means(values: np.ndarray, part: np.ndarray, parts: int) -> list[float | None]:
    """The mean of the finite values of each part; None where it has none. part: of each value, from 0."""
    known = np.isfinite(values)
    counts = np.bincount(part[known], minlength=parts)
    sums = np.bincount(part[known], weights=values[known], minlength=parts)
    return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]
