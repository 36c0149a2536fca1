"""Facts about the readers of data sets, on tiny files of each kind."""

import gzip
import io
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from looksam.errors import UserError
from looksam.sources import SOURCES, Sample

IDX = {"name": "fashion", "source": "idx", "classes": 10, "train_images": 6, "test_images": 3}
CIFAR10 = {"name": "cifar10", "source": "cifar", "classes": 10, "train_images": 10, "test_images": 2}
CIFAR100 = {"name": "cifar100", "source": "cifar", "classes": 100, "train_images": 4, "test_images": 2}
FOLDER = {"name": "photos", "source": "image-folder", "classes": 2, "train_images": 3, "test_images": 2}


def read(dataset: dict[str, Any], folder: Path) -> list[Sample]:
    return list(SOURCES[dataset["source"]](dataset, folder))


def pixels(sample: Sample) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(sample.image_bytes)))


def write_idx(folder: Path, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for stem, count in (("train", 6), ("t10k", 3)):
        images = random.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        header = struct.pack(">4I", 0x803, count, 5, 4)
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, count) + labels.tobytes()
        )


def write_cifar(folder: Path, labels: bytes, counts: dict[str, int]) -> None:
    folder.mkdir()
    for name, count in counts.items():
        random = np.random.default_rng(count)
        records = [labels + random.integers(0, 256, 3072, dtype=np.uint8).tobytes() for _ in range(count)]
        (folder / name).write_bytes(b"".join(records))


def write_folder(folder: Path) -> None:
    for name in (
        "train/cat/B.jpg",
        "train/cat/a.JPEG",
        "train/ant/é x.png",
        "val/cat/1.jpg",
        "val/ant/2.jpeg",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (9, 7), (len(name) * 9, 50, 20))
        image.save(path, "PNG" if path.suffix == ".png" else "JPEG")


def test_idx_files_give_their_images_and_labels(tmp_path: Path) -> None:
    write_idx(tmp_path)
    samples = read(IDX, tmp_path)
    first = np.frombuffer((tmp_path / "train-images-idx3-ubyte").read_bytes()[16:36], np.uint8).reshape(5, 4)
    assert np.array_equal(pixels(samples[0]), first)
    assert [(s.split, s.label) for s in samples] == [("train", i) for i in range(6)] + [
        ("test", i) for i in range(3)
    ]


def test_gzipped_idx_files_give_the_same_samples(tmp_path: Path) -> None:
    write_idx(tmp_path)
    plain = read(IDX, tmp_path)
    for path in list(tmp_path.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read(IDX, tmp_path) == plain


@pytest.mark.parametrize("count", [5, 7, 2**32 - 1])
def test_an_idx_header_that_promises_another_number_of_images_is_refused(tmp_path: Path, count: int) -> None:
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(struct.pack(">4I", 0x803, count, 5, 4) + path.read_bytes()[16:])
    with pytest.raises(UserError, match=f"promises {count} x 5 x 4 = {count * 20} bytes, but 120 follow"):
        read(IDX, tmp_path)


def test_a_file_that_is_no_idx_file_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte starts with 0x3c68746d.*0x00000801"):
        read(IDX, tmp_path)


def test_an_empty_idx_file_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match="starts with 0x00000000"):
        read(IDX, tmp_path)


def test_a_gzip_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes())[:-12])
    with pytest.raises(UserError, match="not a whole gzip file"):
        read(IDX, tmp_path)


def test_idx_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 2) + b"\1\2")
    with pytest.raises(UserError, match="6 images but 2 labels"):
        read(IDX, tmp_path)


def test_a_train_split_of_another_size_than_configured_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    with pytest.raises(UserError, match=r"6 train images.*fashion.*train_images: 60000"):
        read(IDX | {"train_images": 60000}, tmp_path)


def test_cifar_10_is_read_from_its_six_files(tmp_path: Path) -> None:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)]
    write_cifar(tmp_path / "cifar-10-batches-bin", b"\7", dict.fromkeys(names, 2) | {"test_batch.bin": 2})
    samples = read(CIFAR10, tmp_path)
    planes = np.frombuffer(
        (tmp_path / "cifar-10-batches-bin/data_batch_1.bin").read_bytes()[1:3073], np.uint8
    )
    assert np.array_equal(pixels(samples[0]), planes.reshape(3, 32, 32).transpose(1, 2, 0))
    assert Counter((s.split, s.label) for s in samples) == {("train", 7): 10, ("test", 7): 2}


def test_cifar_100_is_labelled_with_its_fine_classes(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-100-binary", b"\3\x42", {"train.bin": 4, "test.bin": 2})
    assert {s.label for s in read(CIFAR100, tmp_path)} == {0x42}


def test_a_cifar_file_that_ends_inside_a_record_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-100-binary", b"\3\x42", {"train.bin": 4, "test.bin": 2})
    path = tmp_path / "cifar-100-binary/train.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"train.bin has 12295 bytes.*whole records of 3074"):
        read(CIFAR100, tmp_path)


def test_cifar_has_10_or_100_classes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="10 or 100, as CIFAR's; got 20"):
        read(CIFAR100 | {"classes": 20}, tmp_path)


def test_image_folders_keep_the_bytes_and_sort_classes_and_files(tmp_path: Path) -> None:
    write_folder(tmp_path)
    samples = read(FOLDER, tmp_path)
    paths = ["train/ant/é x.png", "train/cat/B.jpg", "train/cat/a.JPEG", "val/ant/2.jpeg", "val/cat/1.jpg"]
    assert [s.image_bytes for s in samples] == [(tmp_path / path).read_bytes() for path in paths]
    assert [s.label for s in samples] == [0, 1, 1, 0, 1]
    assert [s.split for s in samples] == ["train"] * 3 + ["test"] * 2
    keys = ["train-0000000--x", "train-0000001-b", "train-0000002-a", "test-0000000-2", "test-0000001-1"]
    assert [s.key for s in samples] == keys


def test_an_image_is_called_what_its_bytes_are(tmp_path: Path) -> None:
    write_folder(tmp_path)
    Image.new("RGB", (9, 7)).save(tmp_path / "train/cat/a.JPEG", "PNG")
    assert [s.extension for s in read(FOLDER, tmp_path)] == ["png", "jpg", "png", "jpg", "jpg"]


def test_links_inside_an_image_folder_are_followed(tmp_path: Path) -> None:
    write_folder(tmp_path / "real")
    plain = read(FOLDER, tmp_path / "real")
    for part in ("train", "val"):
        (tmp_path / "linked" / part).mkdir(parents=True)
        for name in ("ant", "cat"):
            (tmp_path / "linked" / part / name).symlink_to(tmp_path / "real" / part / name)
    assert read(FOLDER, tmp_path / "linked") == plain


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train/cat/B.jpg").unlink()
    (tmp_path / "train/cat/B.jpg").symlink_to("gone")
    with pytest.raises(UserError, match=r"B.jpg does not exist. It is a link to nothing"):
        read(FOLDER, tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "val/cat/1.jpg").write_text("quota exceeded")
    with pytest.raises(UserError, match=r"val/cat/1.jpg is neither a JPEG nor a PNG"):
        read(FOLDER, tmp_path)


def test_another_number_of_classes_than_configured_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(UserError, match="train holds 2 class folders, the config says classes: 1000"):
        read(FOLDER | {"classes": 1000}, tmp_path)


def test_validation_images_without_class_folders_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for name in ("ant/2.jpeg", "cat/1.jpg"):
        (tmp_path / "val" / name).rename(tmp_path / "val" / Path(name).name)
    for name in ("ant", "cat"):
        (tmp_path / "val" / name).rmdir()
    with pytest.raises(UserError, match=r"val holds 0 class folders.*which come without folders"):
        read(FOLDER, tmp_path)


def test_classes_of_train_and_val_must_be_the_same(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "val/cat").rename(tmp_path / "val/bee")
    with pytest.raises(UserError, match="only one of train and val has the classes bee, cat"):
        read(FOLDER, tmp_path)


def test_images_are_counted_before_the_first_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train/ant/é x.png").write_text("broken")
    with pytest.raises(UserError, match=r"holds 2 test images.*test_images: 50000"):
        read(FOLDER | {"test_images": 50000}, tmp_path)


@pytest.mark.parametrize(
    ("dataset", "how_to"),
    [
        (IDX, "dataset-fashion-mnist puts it in /usr/share/datasets/fashion-mnist"),
        (CIFAR10, 'Unpack the "binary version"'),
        (CIFAR100, 'Unpack the "binary version"'),
        (FOLDER, r"ln -s /where/it/is data/imagenet-1k.*https://image-net.org"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_missing_data_says_where_it_belongs_and_how_to_get_it(
    tmp_path: Path, dataset: dict[str, Any], how_to: str, exists: bool
) -> None:
    folder = tmp_path / "data" / dataset["name"]
    if exists:
        folder.mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{folder}.* does not exist\. .*{how_to}"):
        read(dataset, folder)
