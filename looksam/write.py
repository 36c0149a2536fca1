"""Writing of one shard, by one worker: read, check, hash and append each image, then rename."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from looksam.errors import UserError
from looksam.files import put_file
from looksam.listing import Item
from looksam.pictures import Broken, Picture, picture
from looksam.places import TooLarge, read
from looksam.sample import Split
from looksam.tape import Tape
from looksam.unpacked import UNPACKED, located
from looksam.ustar import BLOCK, end, header, padding


class Job(NamedTuple):
    """A shard to be made. samples: position in the listing, key, image; made_of: digest of all of that."""

    path: str
    split: Split
    samples: list[tuple[int, str, Item]]
    decode: bool
    made_of: str


class Row(NamedTuple):
    """A sample's row of index.parquet, as looksam.index.INDEX describes it."""

    split: Split
    shard: str
    offset: int
    size: int
    key: str
    label: int
    sha256: str
    extension: str
    width: int
    height: int
    format: str
    mode: str
    source: str


class Made(NamedTuple):
    """What became of a job: rows of the index, or the broken images for whose sake nothing was written."""

    name: str
    split: Split
    rows: list[Row]
    broken: list[tuple[int, str]]


class Stopped(Exception):
    """A shard that was given up, because the sharding ends."""


class _Incomplete(Exception):
    """A shard that is not to take its place."""


def write_shard(
    job: Job,
    stopped: Callable[[], bool] = lambda: False,
    turn: AbstractContextManager[object] = nullcontext(),  # noqa: B008
) -> Made:
    """Write the shard, unless images are broken: then all of these are told, and nothing stays.

    stopped: asked before each image; if it says so, nothing stays either and Stopped is raised. turn: held
    until all is written, and not while the disk is waited for.
    """
    path = Path(job.path)
    made = Made(path.name, job.split, [], [])

    def write(temporary: Path) -> None:
        with turn, Tape(temporary) as tape:
            for position, name, item in job.samples:
                if stopped():
                    raise Stopped
                try:
                    content = contents(item, path.parent)
                    facts = picture(content, job.decode)
                except (Broken, TooLarge) as error:
                    made.broken.append((position, str(error)))
                    continue
                if not made.broken:
                    made.rows.append(row(made, name, item, content, facts, tape.size + BLOCK))
                    tape.append(*blocks(name, item.label, content, facts.extension))
            if made.broken:
                raise _Incomplete
            tape.append(end(tape.size))

    try:
        put_file(path, write)
    except _Incomplete:
        return made._replace(rows=[])
    return made


def contents(item: Item, out: Path) -> bytes:
    """The image's bytes. UserError where the source cannot be read, which is no fault of the image.

    out: folder of the shards, in which Parquet is unpacked.
    """
    try:
        return read(located(item.place, out / UNPACKED))
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


def row(made: Made, name: str, item: Item, content: bytes, facts: Picture, offset: int) -> Row:
    """The sample's row of the index."""
    told = hashlib.sha256(content).hexdigest()
    return Row(
        made.split,
        made.name,
        offset,
        len(content),
        name,
        item.label,
        told,
        facts.extension,
        facts.width,
        facts.height,
        facts.format,
        facts.mode,
        item.source,
    )
