"""Images of Parquet files, unpacked once: a row group has to be read whole for one image of it.

Images are wanted in random order, which would read a row group of a hundred a hundred times. So the first who
wants one writes all of its row group to a file of its own, in which every image is found by its offset.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.files import put_file
from looksam.parquet_pages import FREE_BYTES, MOST_RATIO, Chunk, check_pages
from looksam.places import Place, opened

UNPACKED = Path("parts", "unpacked")
OFFSET = 8
BUFFER = 2**20
# each held while a row group is unpacked; a row group's name tells which, so that two seldom share one
UNPACKING = tuple(Lock() for _ in range(256))


class Where(NamedTuple):
    """What the places of a row group's images have in their content. start, end: of the images' pages."""

    group: int
    rows: int
    start: int
    end: int
    column: str

    def packed(self) -> bytes:
        """Itself as bytes."""
        return json.dumps(self).encode()


def located(place: Place, folder: Path) -> Place:
    """The place itself, or one in a file of `folder` to which the image's row group was unpacked."""
    if place.kind != "parquet":
        return place
    name = hashlib.sha256(repr((place.path, place.changed, place.content)).encode()).hexdigest()[:32]
    path = folder / name
    # whoever wants the same row group waits until it is there
    with UNPACKING[int(name, 16) % len(UNPACKING)]:
        if not path.exists():
            where = Where(*json.loads(place.content))
            put_file(path, lambda temporary: unpack(temporary, Path(place.path), where))
    file = opened(str(path))
    begin, end = struct.unpack("<2q", os.pread(file.fileno(), 2 * OFFSET, OFFSET * place.offset))
    return Place("span", str(path), end - begin, offset=begin)


def unpack(out: Path, path: Path, where: Where) -> None:
    """Write the images of a row group one after the other, after a table of where each begins."""
    with out.open("wb", buffering=BUFFER) as file:
        offsets = [OFFSET * (where.rows + 1)]
        file.seek(offsets[0])
        for value in values(path, where):
            offsets.append(offsets[-1] + file.write(value))
        if len(offsets) != where.rows + 1:
            raise UserError(f"{path} has changed since it was listed; run the same command again")
        file.seek(0)
        file.write(struct.pack(f"<{len(offsets)}q", *offsets))


def values(path: Path, where: Where) -> Iterator[Any]:
    """The images of a row group, one in memory at a time. UserError where the file is damaged."""
    name = f"{where.column}.bytes"
    left = most = max(FREE_BYTES, MOST_RATIO * (where.end - where.start))
    try:
        with path.open("rb") as raw:
            check_pages(path, raw, Chunk(where.start, where.end))
        # nothing is fetched ahead, for a row group may be as large as its file
        with pq.ParquetFile(
            path, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True
        ) as file:
            for batch in file.iter_batches(1, [where.group], [name], use_threads=False):
                value = batch.column(0).field("bytes")[0].as_buffer() or b""
                left -= len(value)
                if left < 0:
                    raise UserError(f"{path} would unpack to more than {most:,} bytes; it is refused")
                yield value
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); fetch it again") from error
