"""Facts about IDX files: what they hold, and that no more of one is unpacked than its header promises."""

import gzip
import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from looksam.detect import list_source
from looksam.errors import UserError
from looksam.listing import Listing

TRAIN = "train-images-idx3-ubyte"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for stem, count in (("train", 6), ("t10k", 3)):
        images = random.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(header(count, 5, 4) + images.tobytes())
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(header(count) + bytes(range(count)))
    return tmp_path


def header(*shape: int) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)


def read(folder: Path) -> Listing:
    return list_source(str(folder))


def packed(path: Path, content: bytes) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    path.unlink()


def test_the_files_give_their_images_and_labels(folder: Path) -> None:
    found = read(folder).items
    first = np.frombuffer((folder / TRAIN).read_bytes()[16:36], np.uint8).reshape(5, 4)
    assert np.array_equal(np.array(Image.open(io.BytesIO(found["train"][0].place.content))), first)
    assert {split: [item.label for item in items] for split, items in found.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "test": [0, 1, 2],
    }


def test_gzipped_files_give_the_same(folder: Path) -> None:
    plain = read(folder)
    for path in list(folder.iterdir()):
        packed(path, path.read_bytes())
    assert read(folder) == plain


def test_labels_past_nine_make_more_classes(folder: Path) -> None:
    assert len(read(folder).classes) == 10
    (folder / "t10k-labels-idx1-ubyte").write_bytes(header(3) + b"\0\1\56")
    assert len(read(folder).classes) == 47


@pytest.mark.parametrize(("count", "found"), [(5, "more follow"), (7, "120 follow")])
def test_a_header_that_promises_another_number_of_images_is_refused(
    folder: Path, count: int, found: str
) -> None:
    (folder / TRAIN).write_bytes(header(count, 5, 4) + (folder / TRAIN).read_bytes()[16:])
    (folder / "train-labels-idx1-ubyte").write_bytes(header(count) + bytes(count))
    with pytest.raises(UserError, match=f"promises {count} x 5 x 4 = {count * 20} bytes, but {found}"):
        read(folder)


def test_a_packed_file_that_holds_less_than_it_promises_is_refused(folder: Path) -> None:
    packed(folder / TRAIN, header(6, 5, 4) + bytes(119))
    with pytest.raises(UserError, match="promises 6 x 5 x 4 = 120 bytes, but 119 follow"):
        read(folder)


def test_what_a_packed_file_cannot_hold_is_refused_before_it_is_unpacked(folder: Path) -> None:
    packed(folder / TRAIN, header(2**32 - 1, 28, 28) + bytes(1000))
    with pytest.raises(UserError, match=r"promises 4294967295 x 28 x 28 = \d+ bytes, but at most \d+ can"):
        read(folder)


def test_images_without_pixels_are_refused(folder: Path) -> None:
    (folder / TRAIN).write_bytes(header(6, 0, 4))
    with pytest.raises(UserError, match="promises 6 x 0 x 4 = 0 bytes, but 0 follow"):
        read(folder)


def test_of_a_bomb_no_more_is_unpacked_than_its_header_promises(folder: Path) -> None:
    packed(folder / TRAIN, header(6, 5, 4) + bytes(100 * 2**20))
    tracemalloc.start()
    with pytest.raises(UserError, match="promises 6 x 5 x 4 = 120 bytes, but more follow"):
        read(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # two buffers of gzip's, of 128 KiB each, and this error
    assert peak < 2**20


def test_a_file_that_is_no_idx_file_is_refused_by_its_first_bytes(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte starts with 0x3c68746d.*0x00000801"):
        read(folder)


def test_an_empty_file_is_refused(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match="starts with 0x00000000"):
        read(folder)


def test_a_gzip_file_cut_short_is_refused(folder: Path) -> None:
    path = folder / f"{TRAIN}.gz"
    path.write_bytes(gzip.compress((folder / TRAIN).read_bytes())[:-12])
    with pytest.raises(UserError, match="not a whole gzip file"):
        read(folder)


def test_images_and_labels_must_be_as_many(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(header(2) + b"\1\2")
    with pytest.raises(UserError, match="6 images but 2 labels"):
        read(folder)


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte does not exist"):
        read(folder)
