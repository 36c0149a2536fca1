"""Outcomes: what a model says of each test image, one row an image, from which the accuracies follow."""

import json
import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from looksam.augment import evaluation_batch
from looksam.distributed import Ranks
from looksam.errors import UserError
from looksam.images import Data
from looksam.loader import load
from looksam.prefetch import prefetched, workers_for
from looksam.rows import read_index

IMAGES_PER_BATCH = 500

# in the order of the data set's index; key: the sample's; in_top5: the label is one of the five likeliest
OUTCOMES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("predicted", pa.int32(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("in_top5", pa.bool_(), nullable=False),
        pa.field("loss", pa.float32(), nullable=False),
    ]
)


class Tests(NamedTuple):
    """The images that judge a run, with their keys."""

    keys: list[str]
    data: Data


@dataclass(frozen=True)
class TestBatches:
    """The images in batches, by number, each with its labels."""

    data: Data

    @property
    def item_bytes(self) -> int:
        """What a batch takes in memory, of at most three channels."""
        return IMAGES_PER_BATCH * 3 * math.prod(self.data.size)

    @property
    def numbers(self) -> range:
        """Of all batches."""
        return range(math.ceil(len(self.data.labels) / IMAGES_PER_BATCH))

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor] | UserError:
        """Images uint8 [B, C, H, W] and labels; an error is handed over, as of a Feed."""
        some = torch.arange(len(self.data.labels))[number * IMAGES_PER_BATCH :][:IMAGES_PER_BATCH]
        try:
            return self.data.at(some), self.data.labels[some]
        except UserError as error:
            return error


@cache
def judging_images(shards: str, dataset: str, validation_images: int) -> Tests:
    """The test split of a shard folder or, where any are held out, those; found once a process.

    dataset: its settings, as JSON text.
    """
    split = "validation" if validation_images else "test"
    keys = read_index(Path(shards), split, validation_images).keys()
    return Tests(keys, load(Path(shards), split, json.loads(dataset), validation_images))


@torch.inference_mode()
def outcomes(
    model: Callable[[Tensor], Tensor], tests: Tests, ranks: Ranks, workers: int | None = None
) -> pa.Table:
    """One row of OUTCOMES for each image, on every rank; all ranks call it, and take turns with the batches.

    model: logits of images, in eval mode, on the rank's device, in float32. workers: as of `Care`.
    """
    batches, device = TestBatches(tests.data), ranks.device
    own = batches.numbers[ranks.rank :: ranks.size]
    parts: dict[int, tuple[Tensor, ...]] = {}
    # nothing is done with images in memory that another process could do meanwhile
    readers = 0 if tests.data.is_in_memory else workers_for(tests.data, workers)
    with closing(prefetched(batches, own, readers, device.type == "cuda")) as read:
        for number, batch in zip(own, read, strict=True):
            images, targets = (x.to(device, non_blocking=True) for x in batch)
            logits = model(evaluation_batch(images))
            ranked = logits.topk(min(5, logits.shape[1])).indices
            losses = cross_entropy(logits, targets, reduction="none")
            found = (ranked[:, 0], (ranked == targets[:, None]).any(1), losses)
            parts[number] = tuple(x.cpu() for x in found)
    whole = {number: part for told in ranks.gathered(parts) for number, part in told.items()}
    columns = zip(*(whole[number] for number in batches.numbers), strict=True)
    predicted, in_top5, loss = (torch.cat(column) for column in columns)
    label = tests.data.labels
    table = {"label": label, "predicted": predicted, "correct": predicted == label, "in_top5": in_top5}
    arrays = {name: column.numpy() for name, column in {**table, "loss": loss}.items()}
    return pa.table({"key": tests.keys, **arrays}, schema=OUTCOMES)


def summary(table: pa.Table) -> dict[str, Any]:
    """Top-1 and top-5 (fractions), mean loss and number of images; None of an empty table."""
    columns = {"top1": "correct", "top5": "in_top5", "loss": "loss"}
    means = {name: pc.mean(table[column]).as_py() for name, column in columns.items()}
    return {"images": table.num_rows, **means}


def write(table: pa.Table, path: Path) -> None:
    """Write outcomes as Parquet."""
    pq.write_table(table, path, compression="zstd")
