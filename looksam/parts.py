"""Parts of the index, one a shard, by which a rerun knows a finished shard, and the index made of them."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.files import put_file, replace_file, sync_folder
from looksam.index import INDEX, timm_splits
from looksam.listing import Listing, key
from looksam.sample import Split
from looksam.unpacked import UNPACKED
from looksam.verify import COLUMNS, wrong_in_shard
from looksam.write import Job, Made

TEXTS = [pa.field("source", pa.string()), pa.field("reason", pa.string())]
QUARANTINE = pa.schema([*(INDEX.field(name) for name in ("split", "key", "label")), *TEXTS])
PARTS = "parts"
# by split: positions in the listing of broken images, each with the reason
Broken = Mapping[Split, Mapping[int, str]]


def part_of(shard: Path) -> Path:
    """The file with a shard's rows."""
    return shard.parent / PARTS / f"{shard.stem}.parquet"


def write_part(job: Job, made: Made, **facts: str) -> None:
    """Keep a shard's rows, with what it was made of, and other facts."""
    columns = zip(*made.rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, INDEX, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=INDEX.with_metadata({"made_of": job.made_of, **facts}))
    put_file(
        part_of(Path(job.path)), lambda temporary: pq.write_table(table, temporary, write_page_checksum=True)
    )


def kept(job: Job) -> Made | None:
    """The shard as it is there, if it was made of the same images and its bytes are as they were written.

    That they are is told by its rows: the hash of each image, and all that stands between the images.
    """
    shard = Path(job.path)
    part = kept_part(job)
    if part is None or any(wrong_in_shard(shard, part.select(COLUMNS).to_pylist())):
        return None
    return Made(shard.name, job.split, [], [])


def kept_part(job: Job) -> pa.Table | None:
    """A shard's rows as they are there, if they are of the same images and their own checksums are right."""
    path = part_of(Path(job.path))
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as part:
            told = part.schema_arrow.metadata or {}
            return part.read() if told.get(b"made_of") == job.made_of.encode() else None
    except (OSError, pa.ArrowException):
        return None


def nothing(index: Path) -> None:
    """What else stands beside shards that are not made for one data set of the config."""


def rows_in(part: Path) -> int:
    """The images of a part's shard; none where it is missing or damaged."""
    try:
        return int(pq.read_metadata(part).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def write_index(
    out: Path,
    names: list[str],
    listing: Listing,
    broken: Broken,
    beside: Callable[[Path], object] = nothing,
) -> None:
    """Write _info.json, classes.json, quarantine.parquet and, last, index.parquet.

    beside: writes what else is to stand there before the index does, whose content is in the file that it is
    given. Shards that only an earlier call needed are removed.
    """
    known = set(names)
    for part in (out / PARTS).glob("*.parquet"):
        if f"{part.stem}.tar" not in known:
            (out / f"{part.stem}.tar").unlink(missing_ok=True)
            part.unlink()
    lengths: dict[str, dict[str, int]] = defaultdict(dict)

    def write(temporary: Path) -> None:
        # verify compares linked tars otherwise than written ones
        facts = {"linked": listing.linked} if listing.linked else None
        with pq.ParquetWriter(temporary, INDEX.with_metadata(facts)) as index:
            for name in names:
                with pq.ParquetFile(part_of(out / name)) as part:
                    rows = part.read()
                index.write_table(rows.replace_schema_metadata())
                lengths[name.partition("-")[0]][name] = rows.num_rows
        write_quarantine(out / "quarantine.parquet", listing, broken)
        put_text(out / "classes.json", json.dumps(listing.classes, indent=1, ensure_ascii=False))
        put_text(out / "_info.json", json.dumps({"splits": splits_of(lengths, listing)}, indent=1))
        beside(temporary)
        # an index that is there after a loss of power has all its shards
        sync_folder(out / PARTS)
        sync_folder(out)

    replace_file(out / "index.parquet", write)
    shutil.rmtree(out / UNPACKED, ignore_errors=True)


def put_text(path: Path, text: str) -> None:
    """Make `path` hold `text`."""
    put_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def splits_of(lengths: Mapping[str, Mapping[str, int]], listing: Listing) -> dict[str, Any]:
    """What timm wants to know of each split, and where its labels are if it is in a json."""
    field = listing.linked.partition(":")[2]
    more = {"alt_label": field} if field else {}
    return {name: split | more for name, split in timm_splits(lengths).items()}


def write_quarantine(path: Path, listing: Listing, broken: Broken) -> None:
    """Write a row for each broken image."""
    rows = [
        {
            "split": split,
            "key": item.key or key(split, p, item.source),
            "label": item.label,
            "source": item.source,
            "reason": why,
        }
        for split, found in broken.items()
        for p, why in sorted(found.items())
        for item in [listing.items[split][p]]
    ]
    put_file(path, lambda temporary: pq.write_table(pa.Table.from_pylist(rows, QUARANTINE), temporary))
