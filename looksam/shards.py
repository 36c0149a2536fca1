"""Shards: a data set as WebDataset tars with an index of every image, its bytes' place and their SHA-256."""

import hashlib
import io
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.files import replace_file, replace_with
from looksam.sample import Sample
from looksam.sources import SOURCES

# offset, size: the image's bytes in its tar; sha256: of these bytes, in hexadecimal
INDEX = pa.schema(
    {
        "split": pa.string(),
        "shard": pa.string(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "key": pa.string(),
        "label": pa.int64(),
        "sha256": pa.string(),
        "extension": pa.string(),
    }
)
# webdataset takes what follows a name's first dot for the extension, and USTAR holds names of up to 100 bytes
KEY = re.compile(r"[0-9a-z_-]{1,95}")


def shard(request: Path) -> None:
    """Write the shards of the data set of `source.json` beside it, from the files in data/<name>."""
    dataset = json.loads(request.read_text())["dataset"]
    if dataset["source"] not in SOURCES:
        raise UserError(f"unknown source {dataset['source']!r}; known: {', '.join(SOURCES)}")
    samples = SOURCES[dataset["source"]](dataset, Path("data") / dataset["name"])
    write_shards(dataset, samples, request.parent, dataset["per_shard"])


def write_shards(dataset: Mapping[str, Any], samples: Iterable[Sample], out: Path, per_shard: int) -> None:
    """Write tars of up to `per_shard` samples, _info.json and, last, index.parquet to `out`.

    The samples keep their order; all of a split come together, and one at a time is held in memory. The same
    samples give the same bytes. What an earlier attempt left in `out` is removed first.
    """
    out.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.parquet", "_info.json", "*.tar", ".*.parquet.*", "._info.json.*", ".*.tar.*"):
        for left in out.glob(pattern):
            left.unlink()

    def write(temporary: Path) -> None:
        lengths: dict[str, dict[str, int]] = defaultdict(dict)
        with pq.ParquetWriter(temporary, INDEX) as index:
            for name, some in cut(checked(samples, dataset), per_shard):
                rows = write_tar(out / name, some)
                index.write_table(pa.Table.from_pylist(rows, INDEX))
                lengths[rows[0]["split"]][name] = len(rows)
        for split in ("train", "test"):
            if split not in lengths:
                raise UserError(f"the data set {dataset['name']} has no {split} images")
        replace_with(out / "_info.json", json.dumps({"splits": timm_splits(lengths)}, indent=1))

    replace_file(out / "index.parquet", write)


def checked(samples: Iterable[Sample], dataset: Mapping[str, Any]) -> Iterator[Sample]:
    """The samples, once it is known of each that its key and its label are good."""
    keys: set[str] = set()
    for sample in samples:
        if not KEY.fullmatch(sample.key):
            raise UserError(f"key {sample.key!r} must be 1 to 95 of 0-9, a-z, _ and -, without dots")
        if sample.key in keys:
            raise UserError(f"key {sample.key!r} occurs twice in {dataset['name']}; a key names one image")
        if not 0 <= sample.label < dataset["classes"]:
            raise UserError(
                f"label {sample.label} of {sample.key} is not in 0..{dataset['classes'] - 1}, though "
                f"{dataset['name']} is configured with classes: {dataset['classes']}; correct the config or "
                "the data"
            )
        keys.add(sample.key)
        yield sample


def cut(samples: Iterable[Sample], per_shard: int) -> Iterator[tuple[str, Iterator[Sample]]]:
    """Names of shards, each with its samples, which must be consumed before the next name is asked for."""
    seen: set[str] = set()
    for split, of_split in groupby(samples, attrgetter("split")):
        assert split not in seen, f"a source must yield all {split} samples together"
        seen.add(split)
        rest = iter(of_split)
        for number, first in enumerate(rest):
            yield f"{split}-{number:06d}.tar", chain([first], islice(rest, per_shard - 1))


def write_tar(path: Path, samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Write one shard, <key>.<png or jpg> and <key>.cls for each sample; its rows of the index."""
    rows: list[dict[str, Any]] = []

    def write(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for sample in samples:
                rows.append(index_row(path.name, file.tell() + tarfile.BLOCKSIZE, sample))
                add(tar, f"{sample.key}.{sample.extension}", sample.image_bytes)
                add(tar, f"{sample.key}.cls", str(sample.label).encode())

    replace_file(path, write)
    return rows


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a member whose header depends on its name and size alone: TarInfo's time and owner are zero."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def index_row(shard: str, offset: int, sample: Sample) -> dict[str, Any]:
    """The sample's row of index.parquet. offset: of its image bytes in the shard."""
    return {
        "split": sample.split,
        "shard": shard,
        "offset": offset,
        "size": len(sample.image_bytes),
        "key": sample.key,
        "label": sample.label,
        "sha256": hashlib.sha256(sample.image_bytes).hexdigest(),
        "extension": sample.extension,
    }


def timm_splits(lengths: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """What timm's reader of WebDatasets wants to know of each split. lengths: samples by split and shard."""
    return {
        split: {
            "name": split,
            "num_samples": sum(shards.values()),
            "filenames": list(shards),
            "shard_lengths": list(shards.values()),
        }
        for split, shards in lengths.items()
    }
