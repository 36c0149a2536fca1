"""Where the bytes of an image lie, in a form that a worker process can be told, and how it reads them."""

import zipfile
from collections.abc import Callable
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

# the largest image file that is read; ImageNet's largest has 15 MB
MOST_BYTES = 256 * 2**20


class Place(NamedTuple):
    """kind: a row of PLACES; path: of the file that holds the bytes; the rest is the row's to understand."""

    kind: str
    path: str
    # bytes of the image, as far as its holder says; 0 if it does not
    size: int = 0
    # nanoseconds, so that a changed source is told from the one that finished shards were made of
    changed: int = 0
    offset: int = 0
    member: str = ""
    content: bytes = b""


class TooLarge(ValueError):
    """An image file that would not be read into memory."""


def read(place: Place) -> bytes:
    """The bytes at a place. OSError where its file cannot be read, TooLarge where it is past MOST_BYTES."""
    if place.size > MOST_BYTES:
        raise TooLarge(f"{place.size:,} bytes, more than {MOST_BYTES:,}")
    return PLACES[place.kind](place)


def whole_file(place: Place) -> bytes:
    """The content of a file."""
    with open(place.path, "rb", buffering=0) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise TooLarge(f"more than {MOST_BYTES:,} bytes")
    return content


def span(place: Place) -> bytes:
    """So many bytes from an offset of a file that holds many images, such as a tar."""
    file = opened(place.path)
    file.seek(place.offset)
    return file.read(place.size)


def zip_member(place: Place) -> bytes:
    """A member of a ZIP file; never more than the size that its directory gives."""
    with zip_of(place.path).open(place.member) as member:
        content = member.read(place.size + 1)
    if len(content) != place.size:
        raise OSError(f"{place.path}: {place.member} has not the {place.size} bytes of the ZIP's directory")
    return content


def parquet_row(place: Place) -> bytes:
    """The image's bytes in a row of a Parquet file. offset: the row; member: the row group and the column."""
    group, _, column = place.member.partition(":")
    cells = row_group(place.path, int(group), column)
    content: bytes = cells[place.offset].as_py()
    return content or b""


def given(place: Place) -> bytes:
    """Bytes that the place carries itself: small images, encoded while they were listed."""
    return place.content


PLACES: dict[str, Callable[[Place], bytes]] = {
    "file": whole_file,
    "span": span,
    "zip": zip_member,
    "parquet": parquet_row,
    "given": given,
}


@lru_cache(maxsize=16)
def opened(path: str) -> BufferedReader:
    """A file that stays open for the next image in it."""
    return Path(path).open("rb")


@lru_cache(maxsize=4)
def zip_of(path: str) -> zipfile.ZipFile:
    """A ZIP file whose directory stays in memory for the next image in it."""
    return zipfile.ZipFile(path)


@lru_cache(maxsize=2)
def row_group(path: str, group: int, column: str) -> Any:
    """The images of one row group, a hundred or a thousand of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name, _, field = column.partition(".")
    cells = pq.ParquetFile(path).read_row_group(group, columns=[column])[name].combine_chunks()
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.chunk(0)
    return cells.field(field) if field else cells
