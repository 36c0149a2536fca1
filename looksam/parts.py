"""Parts of the index, one a shard, by which a rerun knows a finished shard, and the index made of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.files import replace_file, replace_with
from looksam.index import INDEX, timm_splits
from looksam.listing import Listing, key
from looksam.sample import Split
from looksam.write import Job, Made

TEXTS = [pa.field("source", pa.string()), pa.field("reason", pa.string())]
QUARANTINE = pa.schema([*(INDEX.field(name) for name in ("split", "key", "label")), *TEXTS])
PARTS = "parts"
# by split: positions in the listing of broken images, each with the reason
Broken = Mapping[Split, Mapping[int, str]]


def part_of(shard: Path) -> Path:
    """The file with a shard's rows."""
    return shard.parent / PARTS / f"{shard.stem}.parquet"


def write_part(shard: Path, job: Job, made: Made) -> None:
    """Keep a shard's rows, with what it was made of and the SHA-256 that it has."""
    facts = {"made_of": job.made_of, "sha256": made.sha256}
    table = pa.Table.from_pylist(made.rows, INDEX).replace_schema_metadata(facts)
    replace_file(part_of(shard), lambda temporary: pq.write_table(table, temporary))


def kept(job: Job) -> Made | None:
    """The shard as it is there, if it was made of the same images and its bytes are as they were written."""
    shard = Path(job.path)
    facts = facts_of(part_of(shard))
    if facts.get(b"made_of") != job.made_of.encode() or not shard.exists():
        return None
    if sha256(shard).encode() != facts.get(b"sha256"):
        return None
    return Made(shard.name, job.split, [], facts[b"sha256"].decode(), [])


def facts_of(part: Path) -> Mapping[bytes, bytes]:
    """What a part says of its shard; nothing where it is missing or damaged."""
    try:
        return pq.read_schema(part).metadata or {}
    except (OSError, pa.ArrowException):
        return {}


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_index(out: Path, names: list[str], listing: Listing, broken: Broken) -> None:
    """Write _info.json, classes.json, quarantine.parquet and, last, index.parquet.

    Shards that only an earlier call needed are removed.
    """
    known = set(names)
    for part in (out / PARTS).glob("*.parquet"):
        if f"{part.stem}.tar" not in known:
            (out / f"{part.stem}.tar").unlink(missing_ok=True)
            part.unlink()
    lengths: dict[str, dict[str, int]] = defaultdict(dict)

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, INDEX) as index:
            for name in names:
                rows = pq.read_table(part_of(out / name), schema=INDEX)
                index.write_table(rows.replace_schema_metadata())
                lengths[name.partition("-")[0]][name] = rows.num_rows
        write_quarantine(out / "quarantine.parquet", listing, broken)
        replace_with(out / "classes.json", json.dumps(listing.classes, indent=1, ensure_ascii=False))
        replace_with(out / "_info.json", json.dumps({"splits": timm_splits(lengths)}, indent=1))

    replace_file(out / "index.parquet", write)


def write_quarantine(path: Path, listing: Listing, broken: Broken) -> None:
    """Write a row for each broken image."""
    rows = [
        {
            "split": split,
            "key": key(split, p, item.source),
            "label": item.label,
            "source": item.source,
            "reason": why,
        }
        for split, found in broken.items()
        for p, why in sorted(found.items())
        for item in [listing.items[split][p]]
    ]
    replace_file(path, lambda temporary: pq.write_table(pa.Table.from_pylist(rows, QUARANTINE), temporary))
