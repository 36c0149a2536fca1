"""Splits: which of a data set's images train, validate and test."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# by split: the split of the index that its images are taken from
FROM = {"train": "train", "validation": "train", "test": "test"}


def of_split(table: "pa.Table", split: str, validation_images: int) -> "NDArray[np.int64]":
    """Positions of the split's rows in a table of the index, in their order.

    validation_images: how many training images are held out: "validation" has them, "train" the others.
    """
    import numpy as np

    rows = np.arange(table.num_rows)
    if not validation_images or split == "test":
        return rows[:0] if split == "validation" else rows
    is_held_out = np.zeros(table.num_rows, bool)
    is_held_out[held_out(table, validation_images)] = True
    positions: NDArray[np.int64] = rows[is_held_out == (split == "validation")]
    return positions


def held_out(table: "pa.Table", images: int) -> "NDArray[np.int64]":
    """Positions of so many training images, every class as often, within one; a function of the images only.

    table: columns sha256, key and label. Each class is ordered by its images' SHA-256, which has nothing to
    do with what they show, and the classes take turns. So no seed decides, and more images keep those that
    there were.
    """
    # here, because the Snakefile imports this module, which must cost no more than reading the config
    import numpy as np
    import pyarrow.compute as pc

    by_hash = (
        pc.sort_indices(table, [("sha256", "ascending"), ("key", "ascending")]).to_numpy().astype(np.int64)
    )
    labels = table["label"].to_numpy()[by_hash]
    by_label = np.argsort(labels, kind="stable")
    grouped = labels[by_label]
    turns = np.empty_like(by_hash)
    turns[by_label] = np.arange(len(labels)) - np.searchsorted(grouped, grouped)
    first: NDArray[np.int64] = by_hash[np.lexsort((labels, turns))[:images]]
    return first


def training_images(settings: Mapping[str, Any]) -> int:
    """How many images a run trains on: all of its data set's, less those held out to judge a trial by."""
    images: int = settings["dataset"]["train_images"] - settings.get("validation_images", 0)
    return images
