"""Splits: which of a data set's images train, validate and test."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# by split: the split of the index that its images are taken from
FROM = {"train": "train", "validation": "train", "test": "test"}


def of_split(rows: Sequence[dict[str, Any]], split: str, validation_images: int) -> list[dict[str, Any]]:
    """The rows of the split among `rows` of the index, in their order.

    validation_images: how many training images are held out: "validation" has them, "train" the others.
    """
    if split == "test":
        return list(rows)
    keys = held_out(rows, validation_images)
    return [row for row in rows if (row["key"] in keys) == (split == "validation")]


def held_out(rows: Sequence[dict[str, Any]], images: int) -> frozenset[str]:
    """Keys of so many training images, every class as often, within one; a function of the images alone.

    Each class is ordered by its images' SHA-256, which has nothing to do with what they show, and the classes
    take turns. So no seed decides, and more images keep those that there were.
    """
    turns: Counter[int] = Counter()
    taken = []
    for row in sorted(rows, key=lambda row: (row["sha256"], row["key"])):
        taken.append((turns[row["label"]], row["label"], row["key"]))
        turns[row["label"]] += 1
    return frozenset(key for _, _, key in sorted(taken)[:images])


def training_images(settings: Mapping[str, Any]) -> int:
    """How many images a run trains on: all of its data set's, less those held out to judge a trial by."""
    images: int = settings["dataset"]["train_images"] - settings.get("validation_images", 0)
    return images
