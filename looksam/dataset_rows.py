"""What a row of config/datasets.yaml must fulfil beyond its schema."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from looksam.config import one_of
from looksam.errors import UserError


def check_dataset(dataset: Mapping[str, Any], sources: Collection[str]) -> None:
    """UserError where a row, with its name in it, cannot be. sources: the names that `source` may be."""
    where = f"config/datasets.yaml: {dataset['name']}"
    if "shards" not in dataset:
        one_of(dataset["source"], "source", sources, where)
    elif given := [key for key in ("source", "per_shard") if key in dataset]:
        raise UserError(
            f"{where} has shards, at {dataset['shards']}, which are made already; leave out "
            f"{' and '.join(given)}"
        )
    if dataset.get("resize", math.inf) < max(dataset["height"], dataset["width"]):
        raise UserError(
            f"config/datasets.yaml: resize {dataset['resize']} of {dataset['name']} is less than the "
            f"{dataset['height']} x {dataset['width']} that are cut from it; take a larger one"
        )
