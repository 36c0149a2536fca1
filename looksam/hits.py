"""Hits: which test images a run got right, a bit an image, and a digest that says which images these were."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray


class Hits(NamedTuple):
    """The test images that a run got right. test_images: digest of all their keys and labels."""

    test_images: str
    right: NDArray[np.bool_]


def packed(outcomes: Path) -> dict[str, Any]:
    """The columns of an evaluation that hold the hits of outcomes.parquet; None each where it has no rows.

    50,000 images take 6 KB.
    """
    table = pq.read_table(outcomes, columns=["key", "label", "correct"])
    if not table.num_rows:
        return {"test_images": None, "correct": None}
    keys, labels = "\n".join(table["key"].to_pylist()), table["label"].to_numpy().astype("<i4")
    digest = hashlib.sha256(keys.encode() + b"\n" + labels.tobytes()).hexdigest()
    return {"test_images": digest, "correct": np.packbits(table["correct"].to_numpy()).tobytes()}


def unpacked(evaluation: Mapping[str, Any] | None) -> Hits | None:
    """The hits of a run's evaluation; None where it holds none."""
    if not evaluation or not evaluation["correct"]:
        return None
    bits = np.unpackbits(np.frombuffer(evaluation["correct"], np.uint8), count=evaluation["images"])
    return Hits(evaluation["test_images"], bits.astype(bool))
