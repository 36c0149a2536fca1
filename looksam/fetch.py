"""Shards at a URL: their index, fetched and compared with the config, while the images stay there.

Those of a data set that is decoded once are read once, and kept decoded.
"""

import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.decoded import write_arrays
from looksam.errors import UserError
from looksam.files import replace_file, replace_with
from looksam.index import INDEX
from looksam.parts import nothing
from looksam.remote import Remote
from looksam.remote_file import joined, shown, whole
from looksam.requests import read_request
from looksam.rows import rows_of, splits_in
from looksam.shards import check_counts

# beside the shards at the URL, each written by looksam shard
BESIDE = ("_info.json", "classes.json")


def fetch(request: Path) -> None:
    """Fetch what describes the shards of the data set of `source.json` beside it, the index last.

    The first sample of each shard is read, so that a shard that is missing there is told now.
    """
    dataset, folder = read_request(request)["dataset"], request.parent
    url = dataset["shards"]
    # without it the folder is unfinished
    (folder / "index.parquet").unlink(missing_ok=True)
    fetch_index(url, folder, partial(check, dataset, folder))


def fetch_index(url: str, folder: Path, check: Callable[[Path], object] = nothing) -> None:
    """Fetch index.parquet and what is beside it from a folder of shards.

    check: is given the index before it takes its place.
    """
    for name in BESIDE:
        text = whole(joined(url, name)).decode("utf-8", "replace")
        checked_json(text, joined(url, name))
        replace_with(folder / name, text)
    content = whole(joined(url, "index.parquet"))
    check_index(content, joined(url, "index.parquet"))

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        check(temporary)

    replace_file(folder / "index.parquet", write)


def check(dataset: Mapping[str, Any], folder: Path, index: Path) -> None:
    """Compare an index with the config and the shards at the URL; decode the images where that is once."""
    url = dataset["shards"]
    splits = {split: rows_of(index, split) for split in splits_in(index)}
    classes = json.loads((folder / "classes.json").read_text())
    found = {"classes": len(classes)} | {f"{split}_images": len(rows) for split, rows in splits.items()}
    check_counts({"train_images": 0, "test_images": 0} | found, dataset, shown(url))
    remote = {split: Remote(rows, url) for split, rows in splits.items()}
    for samples in remote.values():
        for _ in samples.contents(samples.first_of_shards()):
            pass
    if dataset["decode"] == "once":
        write_arrays(folder, dataset, remote)


def checked_json(text: str, url: str) -> None:
    """Refuses what is no JSON, as the page that some servers give instead of a file."""
    try:
        json.loads(text)
    except ValueError as error:
        raise UserError(f"{shown(url)} is no JSON ({error}); {REMEDY}") from error


def check_index(content: bytes, url: str) -> None:
    """Refuses what is no index of shards."""
    try:
        schema = pq.read_schema(io.BytesIO(content))
    except pa.ArrowException as error:
        raise UserError(f"{shown(url)} is no Parquet file ({error}); {REMEDY}") from error
    if missing := sorted(set(INDEX.names) - set(schema.names)):
        raise UserError(f"{shown(url)} lacks the columns {', '.join(missing)}; {REMEDY}")


REMEDY = "`shards` must be the URL of a folder that looksam shard wrote and that was copied there whole"
