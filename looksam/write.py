"""Writing of one shard, by one worker: read, check, hash and append each image, then rename."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from looksam.errors import UserError
from looksam.files import replace_file
from looksam.listing import Item
from looksam.pictures import Broken, Picture, picture
from looksam.places import TooLarge, read
from looksam.sample import Split
from looksam.ustar import BLOCK, end, header, padding

BYTES_BEFORE_WRITE = 4 * 2**20


class Job(NamedTuple):
    """A shard to be made. samples: position in the listing, key, image; made_of: digest of all of that."""

    path: str
    split: Split
    samples: list[tuple[int, str, Item]]
    decode: bool
    made_of: str


class Made(NamedTuple):
    """What became of a job: rows of the index, or the broken images for whose sake nothing was written.

    sha256: of the whole shard.
    """

    name: str
    split: Split
    rows: list[dict[str, Any]]
    sha256: str
    broken: list[tuple[int, str]]


def write_shard(job: Job) -> Made:
    """Write the shard, unless images are broken: then all of these are told, and nothing stays."""
    path = Path(job.path)
    made = Made(path.name, job.split, [], "", [])
    told = hashlib.sha256()

    def write(temporary: Path) -> None:
        with temporary.open("wb", buffering=BYTES_BEFORE_WRITE) as file:
            at = 0
            for position, name, item in job.samples:
                try:
                    content = contents(item)
                    facts = picture(content, job.decode)
                except (Broken, TooLarge) as error:
                    made.broken.append((position, str(error)))
                    continue
                if made.broken:
                    continue
                made.rows.append(row(job, name, item, content, facts, at + BLOCK))
                for block in blocks(name, item.label, content, facts.extension):
                    told.update(block)
                    at += file.write(block)
            closing = end(at)
            told.update(closing)
            file.write(closing)
        if made.broken:
            raise _Incomplete

    try:
        replace_file(path, write)
    except _Incomplete:
        return made._replace(rows=[])
    return made._replace(sha256=told.hexdigest())


class _Incomplete(Exception):
    """A shard that is not to take its place."""


def contents(item: Item) -> bytes:
    """The image's bytes. UserError where the source cannot be read, which is no fault of the image."""
    try:
        return read(item.place)
    except OSError as error:
        raise UserError(
            f"cannot read {item.source} in {item.place.path} ({error}); finished shards are kept: once it "
            "can be read, run the same command again"
        ) from error


def blocks(name: str, label: int, content: bytes, extension: str) -> tuple[bytes, ...]:
    """The sample's bytes in a tar: its image, then its label as text."""
    text = str(label).encode()
    first, second = header(f"{name}.{extension}", len(content)), header(f"{name}.cls", len(text))
    return first, content, padding(len(content)) + second + text + padding(len(text))


def row(job: Job, name: str, item: Item, content: bytes, facts: Picture, offset: int) -> dict[str, Any]:
    """The sample's row of index.parquet."""
    return {
        "split": job.split,
        "shard": Path(job.path).name,
        "offset": offset,
        "size": len(content),
        "key": name,
        "label": item.label,
        "sha256": hashlib.sha256(content).hexdigest(),
        "extension": facts.extension,
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "mode": facts.mode,
        "source": item.source,
    }
