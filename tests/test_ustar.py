import io
import tarfile

import pytest

from looksam.ustar import end, header, padding


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 70_000])
def test_an_archive_is_what_the_standard_library_writes(size: int) -> None:
    theirs = io.BytesIO()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("k-0.jpg")
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    ours = header("k-0.jpg", size) + bytes(size) + padding(size)
    assert ours + end(len(ours)) == theirs.getvalue()


def test_a_header_holds_sizes_up_to_8_gib() -> None:
    assert tarfile.TarInfo.frombuf(header("a" * 100, 8**11 - 1), "ascii", "strict").size == 8**11 - 1
