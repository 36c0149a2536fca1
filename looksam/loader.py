"""Loader: the images of a shard folder, checked and decoded into memory, and batches in seeded order."""

import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageOps
from torch import Tensor

from looksam.draws import order
from looksam.errors import UserError
from looksam.splits import FROM, of_split

FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}
SHARE_OF_MEMORY = 0.8


class Images(NamedTuple):
    """A split in memory: images uint8 [N, C, H, W], labels int64 [N]."""

    images: Tensor
    labels: Tensor


def load(shards: Path, split: str, dataset: Mapping[str, Any], validation_images: int = 0) -> Images:
    """The images of a split, in the order of the index, as `decode` gives them.

    validation_images: how many training images are held out of "train" and make up "validation".
    """
    return decode(shards, read_index(shards, split, validation_images), dataset)


def decode(shards: Path, rows: list[dict[str, Any]], dataset: Mapping[str, Any]) -> Images:
    """The images of some rows of the index, in their order, each verified by its SHA-256 and brought to size.

    dataset: height, width, channels (1: grey, 3: RGB). An image of another size is resized (bicubic,
    antialiased) until it just covers height x width, and its centre is kept.
    """
    height, width, channels = dataset["height"], dataset["width"], dataset["channels"]
    wanted = len(rows) * channels * height * width
    check_memory(wanted, f"the {rows[0]['split']} images of {dataset['name']}")
    images = torch.empty((len(rows), channels, height, width), dtype=torch.uint8)
    for i, (row, content) in enumerate(zip(rows, read_images(shards, rows), strict=True)):
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                fitted = ImageOps.fit(
                    image.convert(MODES[channels]), (width, height), Image.Resampling.BICUBIC
                )
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(
                f"{shards / row['shard']}: sample {row['key']} cannot be decoded ({error}); replace this "
                f"image in the data set's folder, delete {shards} and run snakemake again"
            ) from error
        images[i] = torch.from_numpy(np.array(fitted)).reshape(height, width, channels).permute(2, 0, 1)
    return Images(images, torch.tensor([row["label"] for row in rows]))


def read_index(shards: Path, split: str, validation_images: int = 0) -> list[dict[str, Any]]:
    """Rows of index.parquet that are of the split, so many training images being held out for validation."""
    rows = of_split(index_table(shards, FROM[split]).to_pylist(), split, validation_images)
    if not rows:
        raise UserError(f"{shards}/index.parquet lists no {split} images")
    return rows


def index_table(shards: Path, split: str) -> pa.Table:
    """Rows of a split of the index, as a table: a million rows as dicts take a gigabyte."""
    path = shards / "index.parquet"
    if not path.exists():
        raise UserError(
            f"{path} does not exist, so there are no finished shards; make them: run snakemake, or "
            f"looksam shard {shards / 'source.json'}"
        )
    try:
        rows = pq.read_table(path, filters=[("split", "=", split)])
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); delete {shards} and run snakemake again") from error
    if not rows.num_rows:
        raise UserError(f"{path} lists no {split} images; delete {shards} and run snakemake again")
    return rows


def read_images(shards: Path, rows: list[dict[str, Any]]) -> Iterator[bytes]:
    """Bytes of each row's image, after their SHA-256 has been compared with the index."""
    for shard, of_shard in groupby(rows, lambda row: row["shard"]):
        path = shards / shard
        if not path.exists():
            raise UserError(f"{path} is missing; delete {shards} and run snakemake again")
        with path.open("rb") as file:
            for row in of_shard:
                file.seek(row["offset"])
                content = file.read(row["size"])
                if hashlib.sha256(content).hexdigest() != row["sha256"]:
                    what = "changed" if len(content) == row["size"] else "cut short"
                    raise UserError(
                        f"{path} was {what} after it was written: sample {row['key']} is not what the index "
                        f"says; delete {shards} and run snakemake again"
                    )
                yield content


def check_memory(wanted: int, what: str) -> None:
    """Refuses what would take more than 80 % of the memory that is available. wanted: bytes."""
    available = available_memory()
    if wanted > SHARE_OF_MEMORY * available:
        raise UserError(
            f"{what} take {wanted / 2**30:.1f} GiB decoded, which is more than {SHARE_OF_MEMORY:.0%} of the "
            f"{available / 2**30:.1f} GiB of memory available; images are trained from memory, so use a "
            "machine with more of it, or a smaller height and width"
        )


def available_memory() -> int:
    """Bytes that this process may still take: the machine's, or less if Linux or a control group says so."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    if (meminfo := Path("/proc/meminfo")).exists():
        limits += [
            1024 * int(kib) for kib in re.findall(r"^MemAvailable: +(\d+) kB", meminfo.read_text(), re.M)
        ]
    if (cgroup := Path("/proc/self/cgroup")).exists():
        # a job of Slurm or a container is limited by its control group (version 2: line 0::) or one above it
        for group in re.findall(r"^0::/(.*)$", cgroup.read_text(), re.M):
            folder = Path("/sys/fs/cgroup", group)
            files = [level / "memory.max" for level in (folder, *folder.parents)]
            limits += [
                int(file.read_text()) for file in files if file.exists() and file.read_text() != "max\n"
            ]
    return min(limits)


def batches(images: int, batch_size: int, seed: int, epoch: int) -> Tensor:
    """The epoch's batches, int64 [steps, batch_size]: positions of their samples among so many images.

    The images that do not fill a batch are left out, others each epoch.
    """
    if batch_size > images:
        raise UserError(
            f"batch_size {batch_size} is larger than the {images} training images; "
            f"use a batch_size of at most {images}"
        )
    return order(seed, epoch, images)[: images // batch_size * batch_size].view(-1, batch_size)
