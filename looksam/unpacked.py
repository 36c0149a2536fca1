"""Images of Parquet files, unpacked once: a row group has to be read whole for one image of it.

Images are wanted in random order, which would read a row group of a hundred a hundred times. So the first who
wants one writes all of its row group to a file of its own, in which every image is found by its offset.
"""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.files import replace_file
from looksam.parquet_pages import FREE_BYTES, MOST_RATIO, check_pages
from looksam.places import Place, opened

UNPACKED = Path("parts", "unpacked")
OFFSET = 8
BUFFER = 2**20


def located(place: Place, folder: Path) -> Place:
    """The place itself, or one in a file of `folder` to which the image's row group was unpacked."""
    if place.kind != "parquet":
        return place
    group, _, column = place.content.decode().partition(" ")
    name = hashlib.sha256(repr((place.path, place.changed, column)).encode()).hexdigest()[:20]
    path = folder / f"{name}-{group}"
    if not path.exists():
        replace_file(path, lambda temporary: unpack(temporary, Path(place.path), int(group), column))
    file = opened(str(path))
    file.seek(OFFSET * place.offset)
    begin, end = struct.unpack("<2q", file.read(2 * OFFSET))
    return Place("span", str(path), end - begin, offset=begin)


def unpack(out: Path, path: Path, group: int, column: str) -> None:
    """Write the images of a row group one after the other, after a table of where each begins."""
    with out.open("wb", buffering=BUFFER) as file:
        offsets: list[int] = []
        for value in values(path, group, column, offsets):
            file.write(value)
        file.seek(0)
        file.write(struct.pack(f"<{len(offsets)}q", *offsets))


def values(path: Path, group: int, column: str, offsets: list[int]) -> Iterator[Any]:
    """The images of a row group, one in memory at a time, after room for the table. offsets: gets theirs."""
    name = f"{column}.bytes"
    try:
        with path.open("rb") as raw, path.open("rb") as beside:
            # nothing is fetched ahead, for a row group may be as large as its file
            file = pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True)
            facts = file.metadata.row_group(group)
            (chunk,) = [c for i in range(facts.num_columns) if (c := facts.column(i)).path_in_schema == name]
            check_pages(path, beside, chunk)
            offsets.append(OFFSET * (facts.num_rows + 1))
            yield bytes(offsets[0])
            most = max(FREE_BYTES, MOST_RATIO * chunk.total_compressed_size)
            for batch in file.iter_batches(1, row_groups=[group], columns=[name], use_threads=False):
                value = batch.column(0).field("bytes")[0].as_buffer() or b""
                offsets.append(offsets[-1] + len(value))
                if offsets[-1] > most + offsets[0]:
                    raise UserError(f"{path} would unpack to more than {most:,} bytes; it is refused")
                yield value
            if len(offsets) != facts.num_rows + 1:
                raise pa.ArrowInvalid(f"{len(offsets) - 1} rows in row group {group}, not {facts.num_rows}")
    except pa.ArrowException as error:
        raise UserError(f"{path} is damaged ({error}); fetch it again") from error
