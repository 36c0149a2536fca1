"""Where the bytes of an image lie, in a form that a worker can be told, and how it reads them."""

import os
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from threading import local
from typing import NamedTuple

from looksam.pictures import Broken

# of a zip's member, in the content of its place: bytes that it takes there, and its CRC
ZIP_FACTS = "<QI"
# the largest image file that is read; ImageNet's largest has 15 MB
MOST_BYTES = 256 * 2**20
# by which a file is read that is larger than it was
MORE_BYTES = 2**20


class Place(NamedTuple):
    """kind: a row of PLACES, or "parquet" until unpacked.py has located it; path: of the file with the bytes.

    The rest is the row's to understand.
    """

    kind: str
    path: str
    # bytes of the image, as far as its holder says; 0 if it does not
    size: int = 0
    # nanoseconds, so that a changed source is told from the one that finished shards were made of
    changed: int = 0
    offset: int = 0
    content: bytes = b""


class TooLarge(ValueError):
    """An image file that would not be read into memory."""


def read(place: Place) -> bytes:
    """The bytes at a place, in any thread.

    OSError where its file cannot be read, TooLarge where it is past MOST_BYTES, Broken where it is damaged.
    """
    if place.size > MOST_BYTES:
        raise TooLarge(f"{place.size:,} bytes, more than {MOST_BYTES:,}")
    return PLACES[place.kind](place)


def whole_file(place: Place) -> bytes:
    """The content of a file."""
    # not a file object, which costs as much again as what it reads
    descriptor = os.open(place.path, os.O_RDONLY)
    try:
        # room for one byte more than it should have says that this is the whole
        content = os.read(descriptor, min(place.size, MOST_BYTES) + 1)
        while len(content) != place.size and len(content) <= MOST_BYTES:
            if not (more := os.read(descriptor, MORE_BYTES)):
                break
            content += more
    finally:
        os.close(descriptor)
    if len(content) > MOST_BYTES:
        raise TooLarge(f"more than {MOST_BYTES:,} bytes")
    return content


def span(place: Place) -> bytes:
    """So many bytes from an offset of a file that holds many images, such as a tar."""
    content = os.pread(opened(place.path).fileno(), place.size, place.offset)
    if len(content) < place.size:
        raise OSError(f"it ends {place.size - len(content)} bytes before the image does")
    return content


def stored(place: Place) -> bytes:
    """A member of a zip that is there as it is. offset: of its header."""
    return as_told(place, packed(place))


def deflated(place: Place) -> bytes:
    """A member of a zip, unpacked to the size that the zip's directory says and no further."""
    try:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed(place), place.size + 1)
    except zlib.error as error:
        raise Broken(f"damaged in its zip: {error}") from error
    return as_told(place, content)


def packed(place: Place) -> bytes:
    """A member's bytes in its zip, after its header there."""
    size, _ = struct.unpack(ZIP_FACTS, place.content)
    file = opened(place.path)
    # as in span
    header = os.pread(file.fileno(), 30, place.offset)
    if len(header) < 30 or not header.startswith(b"PK\3\4"):
        raise Broken("not where the directory of its zip says")
    name, extra = struct.unpack_from("<HH", header, 26)
    return os.pread(file.fileno(), size, place.offset + len(header) + name + extra)


def as_told(place: Place, content: bytes) -> bytes:
    """The content, if it has the size and the CRC that the zip's directory says."""
    _, crc = struct.unpack(ZIP_FACTS, place.content)
    if len(content) != place.size or zlib.crc32(content) != crc:
        raise Broken("damaged in its zip")
    return content


def given(place: Place) -> bytes:
    """Bytes that the place carries itself: small images, encoded while they were listed."""
    return place.content


PLACES: dict[str, Callable[[Place], bytes]] = {
    "file": whole_file,
    "span": span,
    "given": given,
    "stored": stored,
    "deflated": deflated,
}


def open_file(path: str) -> BufferedReader:
    """The file, opened to be read."""
    return Path(path).open("rb")


class _Opened(local):
    """Files that this thread keeps open for the next image in them; no other moves where it reads."""

    def __init__(self) -> None:
        self.file = lru_cache(maxsize=16)(open_file)


_opened = _Opened()


def opened(path: str) -> BufferedReader:
    """A file that stays open for the next image in it, in this thread."""
    return _opened.file(path)
