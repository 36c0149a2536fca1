import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from looksam.detect import list_source
from looksam.errors import UserError
from looksam.places import read

NO_ARRAY = pickle.dumps({b"data": 1, b"labels": []})
NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


class Runs:
    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def batch(number: int, protocol: int = 2) -> bytes:
    images = np.random.default_rng(number).integers(0, 256, (2, 3072), dtype=np.uint8)
    return pickle.dumps({b"data": images, b"labels": [number, number + 1]}, protocol)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "cifar-10-batches-py"
    inside.mkdir()
    for number, name in enumerate(NAMES):
        (inside / name).write_bytes(batch(number))
    return tmp_path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_images_and_labels_are_those_of_the_batches(folder: Path, protocol: int) -> None:
    (folder / "cifar-10-batches-py/data_batch_1").write_bytes(batch(0, protocol))
    listing = list_source(str(folder))
    assert [item.label for item in listing.items["train"]] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert [item.label for item in listing.items["test"]] == [5, 6]
    first = np.array(Image.open(io.BytesIO(read(listing.items["train"][0].place))))
    there = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)[0]
    assert np.array_equal(first, there.reshape(3, 32, 32).transpose(1, 2, 0))


def test_the_archive_gives_what_its_folder_gives(folder: Path) -> None:
    unpacked = list_source(str(folder))
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")
    assert list_source(str(archive)) == unpacked


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(
    folder: Path, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    hostile = pickle.dumps({b"data": Runs(), b"labels": []}, protocol)
    (folder / "cifar-10-batches-py/data_batch_3").write_bytes(hostile)
    with pytest.raises(UserError, match=r"data_batch_3 asks for posix\.mkdir.*it was not run"):
        list_source(str(folder))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"<html>", batch(1)[:-50], NO_ARRAY])
def test_what_is_no_batch_is_refused(folder: Path, content: bytes) -> None:
    (folder / "cifar-10-batches-py/test_batch").write_bytes(content)
    with pytest.raises(UserError, match="test_batch is no batch of CIFAR"):
        list_source(str(folder))
