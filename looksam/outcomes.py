"""Outcomes: what a model says of each test image, one row an image, from which the accuracies follow."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from looksam.augment import evaluation_batch
from looksam.loader import Images, decode, read_index

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
    """The test images of a data set, with their keys."""

    keys: list[str]
    images: Images


@cache
def judging_images(shards: str, dataset: str, validation_images: int) -> Tests:
    """The test split of a shard folder or, where any are held out, those; decoded once a process.

    dataset: its settings, as JSON text.
    """
    rows = read_index(Path(shards), "validation" if validation_images else "test", validation_images)
    return Tests([row["key"] for row in rows], decode(Path(shards), rows, json.loads(dataset)))


@torch.inference_mode()
def outcomes(model: nn.Module, tests: Tests, device: torch.device) -> pa.Table:
    """One row of OUTCOMES for each test image. model: in eval mode, on `device`, in float32."""
    images, labels = (part.split(IMAGES_PER_BATCH) for part in tests.images)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for some, targets in zip(images, labels, strict=True):
        logits, targets = model(evaluation_batch(some.to(device))), targets.to(device)
        ranked = logits.topk(min(5, logits.shape[1])).indices
        losses = cross_entropy(logits, targets, reduction="none")
        parts.append((ranked[:, 0], (ranked == targets[:, None]).any(1), losses))
    predicted, in_top5, loss = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    label = tests.images.labels
    columns = {"label": label, "predicted": predicted, "correct": predicted == label, "in_top5": in_top5}
    arrays = {name: column.numpy() for name, column in {**columns, "loss": loss}.items()}
    return pa.table({"key": tests.keys, **arrays}, schema=OUTCOMES)


def summary(table: pa.Table) -> dict[str, Any]:
    """Top-1 and top-5 (fractions), mean loss and number of images; None of an empty table."""
    columns = {"top1": "correct", "top5": "in_top5", "loss": "loss"}
    means = {name: pc.mean(table[column]).as_py() for name, column in columns.items()}
    return {"images": table.num_rows, **means}


def write(table: pa.Table, path: Path) -> None:
    """Write outcomes as Parquet."""
    pq.write_table(table, path, compression="zstd")
