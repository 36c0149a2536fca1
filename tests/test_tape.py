"""Facts about the file that shards are written to."""

from pathlib import Path

import pytest

from looksam.tape import BLOCKS_A_WRITE, BYTES_A_WRITE, BYTES_BEFORE_DISK, Tape


def written(path: Path, blocks: list[bytes]) -> int:
    with Tape(path) as tape:
        for block in blocks:
            tape.append(block)
    return tape.size


@pytest.mark.parametrize(
    ("size", "number"), [(3, 2 * BLOCKS_A_WRITE + 5), (BYTES_A_WRITE - 1, 5), (BYTES_BEFORE_DISK + 7, 3)]
)
def test_a_file_holds_what_was_appended_in_order(tmp_path: Path, size: int, number: int) -> None:
    blocks = [bytes([i % 251]) * size for i in range(number)]
    assert written(tmp_path / "file", blocks) == size * number
    assert (tmp_path / "file").read_bytes() == b"".join(blocks)


def test_nothing_appended_is_an_empty_file(tmp_path: Path) -> None:
    assert written(tmp_path / "file", []) == 0
    assert (tmp_path / "file").read_bytes() == b""
