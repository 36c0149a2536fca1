"""Loader: a split of a shard folder as its data set is to be read, and the order of its batches."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from looksam.decoded import mapped
from looksam.draws import order
from looksam.errors import UserError
from looksam.images import Data, Images, Photographs
from looksam.label_noise import LabelNoise, flipped
from looksam.memory import check_memory
from looksam.remote import streamed
from looksam.rows import Rows, read_index


def load(
    shards: Path,
    split: str,
    dataset: Mapping[str, Any],
    validation_images: int = 0,
    noise: LabelNoise | None = None,
) -> Data:
    """The images of a split, in the order of the index.

    validation_images: how many training images are held out of "train" and make up "validation". noise: of
    the labels, after that.
    """
    rows = read_index(shards, split, validation_images)
    if noise is not None:
        labels, sha256 = rows.samples["label"], rows.samples["sha256"]
        rows.samples["label"] = flipped(labels, sha256, dataset["classes"], noise)
    return LOADERS[dataset["decode"]](rows, dataset)


def noise_of(settings: Mapping[str, Any]) -> LabelNoise | None:
    """The noise of a run's training labels, if it has any."""
    return LabelNoise(settings["label_noise"], settings["seed"]) if "label_noise" in settings else None


def decoded_once(rows: Rows, dataset: Mapping[str, Any]) -> Images:
    """The images that the shards have decoded beside them, on pages that processes share.

    But for a part of a split, which is copied.
    """
    check_memory(
        len(rows) * dataset["channels"] * dataset["height"] * dataset["width"],
        f"the {rows.split} images of {dataset['name']}",
    )
    images = mapped(rows.folder, rows.of)
    if len(rows) < len(images):
        images = images[rows.samples["row"]]
    return Images(torch.from_numpy(images), torch.from_numpy(rows.labels))


LOADERS: dict[str, Callable[[Rows, Mapping[str, Any]], Data]] = {
    "once": decoded_once,
    "each-time": Photographs,
    "streamed": streamed,
}


def batches(images: int, batch_size: int, seed: int, epoch: int) -> Tensor:
    """The epoch's batches, int64 [steps, batch_size]: positions of their samples among so many images.

    The images that do not fill a batch are left out, others each epoch.
    """
    check_batch_size(batch_size, images)
    return order(seed, epoch, images)[: images // batch_size * batch_size].view(-1, batch_size)


def check_batch_size(batch_size: int, images: int) -> None:
    """Refuses a batch that is larger than the data."""
    if batch_size > images:
        raise UserError(
            f"batch_size {batch_size} is larger than the {images} training images; "
            f"use a batch_size of at most {images}"
        )
