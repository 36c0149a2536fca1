"""Row groups and pages of a Parquet file, read from footer and headers before pyarrow unpacks any."""

from pathlib import Path
from typing import BinaryIO, NamedTuple

from looksam.errors import UserError
from looksam.thrift import Thrift

# images are packed already, so an honest page of them hardly shrinks
MOST_PAGE, FREE_BYTES, MOST_RATIO = 2**30, 32 * 2**20, 100
MOST_HEADER, MOST_FOOTER = 2**16, 64 * 2**20
END = b"PAR1"
DAMAGED = (LookupError, TypeError, AttributeError, ValueError, RecursionError)
# numbers of fields: of the file, of a row group, of a chunk of a column and its facts, and of a page's header
ROW_GROUPS = 4
CHUNKS, ROWS = 1, 3
ELSEWHERE, FACTS = 1, 3
PATH, WHOLE, PACKED, DATA, DICTIONARY = 3, 6, 7, 9, 11
PAGE_WHOLE, PAGE_PACKED = 2, 3


class Chunk(NamedTuple):
    """A column's pages in one row group: where they begin and end. whole: their bytes unpacked."""

    start: int
    end: int
    whole: int = 0


class RowGroup(NamedTuple):
    """A row group. chunks: by the column's path, such as image.bytes."""

    rows: int
    chunks: dict[str, Chunk]


def row_groups(path: Path) -> list[RowGroup]:
    """The row groups of a file."""
    with path.open("rb") as file:
        end = file.seek(0, 2) - len(END) - 4
        file.seek(max(0, end))
        length = int.from_bytes(file.read(4), "little")
        if file.read() != END or not 0 < length <= min(end, MOST_FOOTER):
            raise UserError(f"{path} is damaged or no Parquet file: it has no whole footer; fetch it again")
        file.seek(end - length)
        content = file.read(length)
    try:
        return [row_group(fields, end) for fields in Thrift(content).struct()[ROW_GROUPS]]
    except DAMAGED as error:
        raise UserError(f"{path} is damaged: its footer cannot be read ({error}); fetch it again") from error


def row_group(fields: dict[int, list[dict[int, dict[int, int]]]], end: int) -> RowGroup:
    """The row group of some fields. IndexError where it is not all in the file."""
    chunks = {}
    for chunk in fields[CHUNKS]:
        facts = chunk[FACTS]
        name = b".".join(facts[PATH]).decode("utf-8", "replace")  # type: ignore[arg-type]
        starts = [facts[DATA], facts.get(DICTIONARY, 0)]
        start = min(at for at in starts if at > 0)
        if chunk.get(ELSEWHERE) or name in chunks or not 0 <= facts[PACKED] <= end - start:
            raise IndexError(f"the chunk of {name} is not in the file, or twice")
        chunks[name] = Chunk(start, start + facts[PACKED], facts[WHOLE])
    rows = fields[ROWS]
    if not isinstance(rows, int) or rows < 0:
        raise IndexError(f"{rows} rows")
    return RowGroup(rows, chunks)


def check_pages(path: Path, file: BinaryIO, chunk: Chunk) -> None:
    """Refuses a page of a chunk that is too large or unpacks to a hundred times its size."""
    at = chunk.start
    while at < chunk.end:
        file.seek(at)
        header = Thrift(file.read(min(MOST_HEADER, chunk.end - at)))
        try:
            sizes = header.struct()
            whole, packed = int(sizes[PAGE_WHOLE]), int(sizes[PAGE_PACKED])
        except DAMAGED as error:
            raise UserError(f"{path} is damaged: no header of a page at {at:,}; fetch it again") from error
        if packed < 0 or not 0 <= whole <= MOST_PAGE or whole > max(FREE_BYTES, MOST_RATIO * packed):
            raise UserError(
                f"{path} holds a page of {packed:,} bytes that would unpack to {whole:,}; such are refused"
            )
        at += header.at + packed
