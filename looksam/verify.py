"""Whether shards are as their index says: every hash, label and count, and nothing between the samples."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.ustar import BLOCK, end, header, padding
from looksam.verify_linked import left_out, wrong_in_linked

COLUMNS = ["split", "shard", "offset", "size", "key", "label", "sha256", "extension"]


def problems(folder: Path) -> Iterator[str]:
    """What is wrong with the shards in a folder, a line each; nothing if all is as it was written."""
    path = folder / "index.parquet"
    if not path.exists():
        raise UserError(f"{path} does not exist, so no finished shards to verify; run looksam shard")
    try:
        index = pq.ParquetFile(path)
        if missing := set(COLUMNS) - set(index.schema_arrow.names):
            yield f"index.parquet has no columns {', '.join(sorted(missing))}"
            return
        linked = b"linked" in (index.schema_arrow.metadata or {})
        wrong = partial(wrong_in_linked, broken=left_out(folder)) if linked else wrong_in_shard
        lengths: dict[str, int] = {}
        keys: set[str] = set()
        for shard, rows in groupby(rows_of(index), lambda row: str(row["shard"])):
            some = list(rows)
            if shard in lengths:
                yield f"index.parquet lists {shard} in two places"
            lengths[shard] = len(some)
            yield from (f"{shard}: key {row['key']} occurs twice" for row in some if row["key"] in keys)
            keys.update(row["key"] for row in some)
            yield from wrong(folder / shard, some)
    except (pa.ArrowException, OSError) as error:
        yield f"index.parquet is damaged, or a shard cannot be read: {error}"
        return
    yield from wrong_counts(folder, lengths)
    yield from wrong_labels(folder, index)


def rows_of(index: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    """The rows of the index, some thousand of them in memory at a time."""
    for batch in index.iter_batches(batch_size=5000, columns=COLUMNS):
        yield from batch.to_pylist()


def wrong_in_shard(path: Path, rows: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong in one shard: each sample is compared, byte for byte or by its hash."""
    if Path(path.name).name != rows[0]["shard"] or not path.is_file():
        yield f"{rows[0]['shard']} is missing"
        return
    with path.open("rb") as file:
        at = 0
        for row in rows:
            if row["offset"] != at + BLOCK:
                yield f"{path.name}: sample {row['key']} begins at {row['offset']}, not {at + BLOCK}"
            yield from wrong_sample(file, path.name, row)
            text = len(str(row["label"]))
            at = row["offset"] + row["size"] + len(padding(row["size"])) + BLOCK + text + len(padding(text))
        file.seek(at)
        if file.read() != end(at):
            yield f"{path.name}: more or less follows the last sample than the end of a tar"


def wrong_sample(file: BinaryIO, shard: str, row: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one sample."""
    text = str(row["label"]).encode()
    file.seek(max(0, row["offset"] - BLOCK))
    before, content = file.read(BLOCK), file.read(row["size"])
    after = file.read(len(padding(row["size"])) + BLOCK + len(text) + len(padding(len(text))))
    if len(content) < row["size"]:
        yield f"{shard}: cut short in sample {row['key']}"
        return
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        yield f"{shard}: the image of sample {row['key']} has not the SHA-256 of the index"
    if before != header(f"{row['key']}.{row['extension']}", row["size"]):
        yield f"{shard}: the header of sample {row['key']} is not what was written"
    label = header(f"{row['key']}.cls", len(text)) + text + padding(len(text))
    if after != padding(row["size"]) + label:
        yield f"{shard}: the label of sample {row['key']} is not {row['label']}, as the index says"


def wrong_counts(folder: Path, lengths: dict[str, int]) -> Iterator[str]:
    """Where _info.json counts others than the index."""
    path = folder / "_info.json"
    try:
        splits = json.loads(path.read_text())["splits"].values()
        told = {
            name: length
            for split in splits
            for name, length in zip(split["filenames"], split["shard_lengths"], strict=True)
        }
        sums = [(split["name"], split["num_samples"], sum(split["shard_lengths"])) for split in splits]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"_info.json is missing or damaged: {error}"
        return
    for name in sorted(told.keys() | lengths.keys()):
        if told.get(name) != lengths.get(name):
            yield f"{name}: {told.get(name, 0)} samples by _info.json, {lengths.get(name, 0)} by the index"
    yield from (f"_info.json: {name} has {n} samples, its shards {m}" for name, n, m in sums if n != m)
    there = {path.name for path in folder.glob("*.tar")}
    yield from (f"{name} is not in the index" for name in sorted(there - lengths.keys()))


def wrong_labels(folder: Path, index: pq.ParquetFile) -> Iterator[str]:
    """Labels without a class in classes.json, where there is one; else negative ones."""
    path = folder / "classes.json"
    try:
        classes = len(json.loads(path.read_text())) if path.exists() else None
    except (OSError, ValueError, TypeError) as error:
        yield f"classes.json is damaged: {error}"
        return
    for row in rows_of(index):
        if row["label"] < 0 or (classes is not None and row["label"] >= classes):
            yield f"{row['shard']}: label {row['label']} of sample {row['key']} has no class"
