"""Facts about the reader of Parquet's footers and page headers."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from looksam.parquet_pages import row_groups
from looksam.thrift import Thrift

DAMAGED = [
    b"",
    b"\x15",
    b"\x15" + b"\xff" * 20,
    b"\x1d" * 50,
    b"\x18\xff\x7f",
    b"\x19\xfc\xff\xff\xff\x7f",
    b"\x19\xf2",
]


def test_integers_texts_lists_and_structs_are_read() -> None:
    # 1: -1, 2: "ab", 3: true, 4: [5, -6], 20 (a long step): {1: 7}
    content = b"\x15\x01\x18\x02ab\x11\x19\x25\x0a\x0b\x0c\x28\x15\x0e\x00\x00rest"
    reader = Thrift(content)
    assert reader.struct() == {1: -1, 2: b"ab", 3: True, 4: [5, -6], 20: {1: 7}}
    assert content[reader.at :] == b"rest"


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_bytes_end_in_an_error(content: bytes) -> None:
    with pytest.raises(LookupError):
        Thrift(content).struct()


def test_deep_structs_end_in_an_error() -> None:
    with pytest.raises(RecursionError):
        Thrift(b"\x1c" * 5000).struct()


def test_a_list_that_claims_any_length_is_not_read_further_than_its_bytes() -> None:
    # 2^40 structs without fields
    reader = Thrift(b"\x19\xfc" + b"\x80" * 5 + b"\x20" + bytes(1000))
    with pytest.raises(IndexError):
        reader.struct()
    assert reader.at < 1100


@pytest.mark.parametrize("dictionary", [True, False])
def test_row_groups_are_as_pyarrow_says(tmp_path: Path, dictionary: bool) -> None:
    column = pa.array([{"bytes": bytes([i]) * 500, "path": str(i)} for i in range(50)])
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"image": column, "x": range(50)}), path, row_group_size=20, use_dictionary=dictionary
    )
    found, told = row_groups(path), pq.read_metadata(path)
    assert [group.rows for group in found] == [20, 20, 10]
    for number, group in enumerate(found):
        for i in range(3):
            chunk = told.row_group(number).column(i)
            start = chunk.dictionary_page_offset if dictionary else chunk.data_page_offset
            end = start + chunk.total_compressed_size
            assert group.chunks[chunk.path_in_schema] == (start, end, chunk.total_uncompressed_size)
