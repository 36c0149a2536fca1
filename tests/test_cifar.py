"""Facts about the versions of CIFAR, on small ones of the same form."""

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from looksam.cifar import VERSIONS, origin, seen_cifar
from looksam.detect import list_source
from looksam.errors import UserError
from looksam.listing import Listing
from looksam.places import read

NO_ARRAY = pickle.dumps({b"data": 1, b"labels": []})
# of image and number: two of each file
LABELS = {"train": [0, 1, 1, 2, 2, 3, 3, 4, 4, 5], "test": [5, 6]}


class Runs:
    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def images(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (2, 3072), dtype=np.uint8)


def python(number: int, protocol: int = 2) -> bytes:
    return pickle.dumps({b"data": images(number), b"labels": [number, number + 1]}, protocol)


def binary(number: int, before: bytes = b"") -> bytes:
    return b"".join(before + bytes([number + i]) + image.tobytes() for i, image in enumerate(images(number)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, end, content in (("cifar-10-batches-py", "", python), ("cifar-10-batches-bin", ".bin", binary)):
        inside = tmp_path / name
        inside.mkdir()
        for number, batch in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            (inside / f"{batch}{end}").write_bytes(content(number))
    return tmp_path


def labels(listing: Listing) -> dict[Any, list[int]]:
    return {split: [item.label for item in items] for split, items in listing.items.items()}


@pytest.mark.parametrize("version", ["cifar-10-batches-py", "cifar-10-batches-bin"])
def test_images_and_labels_are_those_of_the_files(folder: Path, version: str) -> None:
    listing = list_source(str(folder / version))
    assert labels(listing) == LABELS
    first = np.array(Image.open(io.BytesIO(read(listing.items["train"][0].place))))
    assert np.array_equal(first, images(0)[0].reshape(3, 32, 32).transpose(1, 2, 0))


@pytest.mark.parametrize("protocol", [0, 4])
def test_pickles_of_every_age_are_read(folder: Path, protocol: int) -> None:
    (folder / "cifar-10-batches-py/data_batch_1").write_bytes(python(0, protocol))
    assert labels(list_source(str(folder / "cifar-10-batches-py"))) == LABELS


def test_cifar_100_is_labelled_with_its_fine_classes(tmp_path: Path) -> None:
    (tmp_path / "cifar-100-binary").mkdir()
    for name in ("train", "test"):
        (tmp_path / f"cifar-100-binary/{name}.bin").write_bytes(binary(66, before=b"\3"))
    listing = list_source(str(tmp_path))
    assert (labels(listing), len(listing.classes)) == ({"train": [66, 67], "test": [66, 67]}, 100)


@pytest.mark.parametrize(
    ("version", "archive"),
    [
        ("cifar-10-batches-py", "cifar-10-python.tar.gz"),
        ("cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
    ],
)
def test_the_archive_gives_what_its_folder_gives(folder: Path, version: str, archive: str) -> None:
    unpacked = list_source(str(folder / version))
    with tarfile.open(folder / archive, "w:gz") as tar:
        tar.add(folder / version, version)
    packed = list_source(str(folder / archive))
    assert packed.items == unpacked.items
    md5 = hashlib.md5((folder / archive).read_bytes()).hexdigest()
    assert packed.kind.startswith(f"{unpacked.kind}, NOT as published: its MD5 is {md5}, not ")


def test_an_archive_is_as_published_by_its_md5(folder: Path) -> None:
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")
    assert origin(archive, hashlib.md5(archive.read_bytes()).hexdigest()) == "as published"


def test_a_link_to_a_version_is_seen_by_what_it_links_to(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data/cifar10").symlink_to(folder / "cifar-10-batches-bin")
    assert labels(list_source(str(folder / "data/cifar10"))) == LABELS


def test_each_version_has_a_place_and_a_sum_of_its_own() -> None:
    for facts in zip(*[(v.archive, v.folder, v.md5) for v in VERSIONS], strict=True):
        assert len(set(facts)) == len(VERSIONS)


def test_a_folder_without_cifar_is_none_of_its_versions(tmp_path: Path) -> None:
    assert seen_cifar(tmp_path) is None


def test_a_binary_file_that_ends_inside_a_record_is_refused(folder: Path) -> None:
    path = folder / "cifar-10-batches-bin/data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"data_batch_2.bin has 6145 bytes.*whole records of 3073"):
        list_source(str(path.parent))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(
    folder: Path, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    hostile = pickle.dumps({b"data": Runs(), b"labels": []}, protocol)
    (folder / "cifar-10-batches-py/data_batch_3").write_bytes(hostile)
    with pytest.raises(UserError, match=r"data_batch_3 asks for posix\.mkdir.*it was not run"):
        list_source(str(folder / "cifar-10-batches-py"))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"<html>", python(1)[:-50], NO_ARRAY])
def test_what_is_no_batch_is_refused(folder: Path, content: bytes) -> None:
    (folder / "cifar-10-batches-py/test_batch").write_bytes(content)
    with pytest.raises(UserError, match="test_batch is no batch of CIFAR"):
        list_source(str(folder / "cifar-10-batches-py"))
