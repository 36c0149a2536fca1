"""Whether tars that shards are links to are still as their index says: members, hashes, labels and counts."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.tar_samples import TarSample, samples


def left_out(folder: Path) -> set[str]:
    """Keys of broken images, which are in the tars and not in the index."""
    path = folder / "quarantine.parquet"
    return set(pq.read_table(path, columns=["key"])["key"].to_pylist()) if path.exists() else set()


def wrong_in_linked(path: Path, rows: list[dict[str, Any]], broken: set[str]) -> Iterator[str]:
    """What is wrong in one tar: each of its samples is compared with its row."""
    shard = rows[0]["shard"]
    if path.name != shard or not path.is_file():
        yield f"{shard} is missing"
        return
    told = {row["key"]: row for row in rows}
    try:
        with path.open("rb") as file:
            for sample in samples(path):
                # the shard's name is before a key that other tars have too
                keys = (sample.key, f"{path.stem}/{sample.key}")
                row = next((told.pop(key) for key in keys if key in told), None)
                if row:
                    yield from wrong_sample(file, sample, row)
                elif not broken.intersection(keys):
                    yield f"{shard}: sample {sample.key} is not in the index"
    except UserError as error:
        yield f"{shard}: {error}"
        return
    yield from (f"{shard}: sample {key} is missing" for key in told)


def wrong_sample(file: BinaryIO, sample: TarSample, row: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one sample."""
    where = f"of sample {row['key']}"
    if (sample.offset, sample.size, sample.extension) != (row["offset"], row["size"], row["extension"]):
        yield f"{row['shard']}: the image {where} is not where, or not as long or named, as the index says"
        return
    if sample.label != row["label"]:
        yield f"{row['shard']}: the label {where} is {sample.label}, not {row['label']}, as the index says"
    file.seek(sample.offset)
    if hashlib.sha256(file.read(sample.size)).hexdigest() != row["sha256"]:
        yield f"{row['shard']}: the image {where} has not the SHA-256 of the index"
