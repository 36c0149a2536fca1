"""Pages of a Parquet file, by their headers, so that one which would unpack to far more is never unpacked."""

from pathlib import Path
from typing import Any, BinaryIO

from looksam.errors import UserError

# images are packed already, so an honest page of them hardly shrinks
MOST_PAGE, FREE_BYTES, MOST_RATIO = 2**30, 32 * 2**20, 100
MOST_HEADER = 2**16
# kinds of values in Thrift's compact protocol, in which page headers are written; no list or map is in one.
# LENGTHS: bytes of true, false, a byte and a double
INTEGERS, BINARY, STRUCT = (4, 5, 6), 8, 12
LENGTHS = {1: 0, 2: 0, 3: 1, 7: 8}
# fields of a page header: its page's bytes unpacked and packed
WHOLE, PACKED = 2, 3


def check_pages(path: Path, file: BinaryIO, chunk: Any) -> None:
    """Refuses a page of a column chunk that is too large or unpacks to a hundred times its size.

    chunk: pyarrow's facts of the chunk.
    """
    start = chunk.data_page_offset
    if chunk.has_dictionary_page:
        start = min(start, chunk.dictionary_page_offset)
    at, end = start, start + chunk.total_compressed_size
    if not 0 <= start <= end <= file.seek(0, 2):
        raise UserError(f"{path} is damaged or cut short: no pages at {start:,}; fetch it again")
    while at < end:
        file.seek(at)
        header = Header(file.read(min(MOST_HEADER, end - at)))
        try:
            sizes = header.struct()
            whole, packed = sizes[WHOLE], sizes[PACKED]
        except (IndexError, KeyError, RecursionError) as error:
            raise UserError(f"{path} is damaged: no header of a page at {at:,}; fetch it again") from error
        if packed < 0 or not 0 <= whole <= MOST_PAGE or whole > max(FREE_BYTES, MOST_RATIO * packed):
            raise UserError(
                f"{path} holds a page of {packed:,} bytes that would unpack to {whole:,}; such are refused"
            )
        at += header.at + packed


class Header:
    """Reader of one Thrift struct. at: how far it has read."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def struct(self) -> dict[int, int]:
        """The integers that are fields of the struct, by number; other fields are passed over."""
        found: dict[int, int] = {}
        number = 0
        while (first := self.byte()) & 0x0F:
            number = number + (first >> 4) if first >> 4 else self.integer()
            value = self.value(first & 0x0F)
            if isinstance(value, int):
                found[number] = value
        return found

    def value(self, kind: int) -> int | None:
        """The value that follows if it is an integer; another is passed over, and KeyError for an unknown."""
        if kind in INTEGERS:
            return self.integer()
        if kind == STRUCT:
            self.struct()
        else:
            length = self.varint() if kind == BINARY else LENGTHS[kind]
            self.at += length
        return None

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.content[self.at - 1]

    def varint(self) -> int:
        """A number of 64 bits at most, 7 bits a byte."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise IndexError("a number without an end")

    def integer(self) -> int:
        """A number with a sign in its last bit."""
        number = self.varint()
        return (number >> 1) ^ -(number & 1)
