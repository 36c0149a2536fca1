"""Readers of the files that data sets come in: each yields its samples, all of train before those of test."""

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from math import prod
from os import scandir
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from looksam.digits import digit_pairs, digits
from looksam.errors import UserError
from looksam.sample import Sample, Split, expect, png, require

__all__ = ["SOURCES", "Sample"]

IDX_HOW_TO = (
    "Put or link a folder there with the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped (.gz) or not. Fashion-MNIST: Debian's "
    "package dataset-fashion-mnist puts it in /usr/share/datasets/fashion-mnist, then "
    "`mkdir -p data && ln -s /usr/share/datasets/fashion-mnist data/fashion-mnist`."
)
IDX_STEMS: dict[Split, str] = {"train": "train", "test": "t10k"}


def idx_array(folder: Path, stem: str, axes: int) -> NDArray[np.uint8]:
    """Unsigned bytes of an IDX file, in the shape that its header gives and its length confirms."""
    zipped = require(folder, IDX_HOW_TO) / f"{stem}.gz"
    path = zipped if zipped.exists() else require(folder / stem, IDX_HOW_TO)
    try:
        content = gzip.decompress(path.read_bytes()) if path == zipped else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path.absolute()} is not a whole gzip file ({error}); fetch it again") from error
    start = 4 + 4 * axes
    magic, *shape = struct.unpack(f">{1 + axes}I", content[:start].ljust(start, b"\0"))
    if magic != 0x0800 + axes:
        raise UserError(
            f"{path.absolute()} starts with 0x{magic:08x}, but an IDX file of {axes} axes of bytes starts "
            f"with 0x{0x0800 + axes:08x}; fetch it again"
        )
    if len(content) - start != prod(shape):
        raise UserError(
            f"{path.absolute()}: the header promises {' x '.join(map(str, shape))} = {prod(shape)} bytes, "
            f"but {len(content) - start} follow; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def idx(dataset: Mapping[str, Any], folder: Path) -> Iterator[Sample]:
    """Samples of the four files of MNIST and its relatives."""
    for split, stem in IDX_STEMS.items():
        images = idx_array(folder, f"{stem}-images-idx3-ubyte", axes=3)
        labels = idx_array(folder, f"{stem}-labels-idx1-ubyte", axes=1)
        if len(images) != len(labels):
            raise UserError(f"{folder.absolute()}: {stem} has {len(images)} images but {len(labels)} labels")
        expect(dataset, split, len(images), folder.absolute())
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Sample(split, f"{split}-{i:07d}", png(image), "png", int(label))


CIFAR_HOW_TO = (
    'Unpack the "binary version" of CIFAR-10 or CIFAR-100 from https://www.cs.toronto.edu/~kriz/cifar.html '
    "and put or link what it holds there: data/cifar10/cifar-10-batches-bin/*.bin or "
    "data/cifar100/cifar-100-binary/*.bin, as in `mkdir -p data && ln -s /where/it/is data/cifar10`."
)
# by number of classes: the archive's folder, its files, and the bytes of label before 3 x 32 x 32 of image
# (CIFAR-100 has two, coarse and fine)
CIFAR_FILES: dict[int, tuple[str, dict[Split, list[str]], int]] = {
    10: (
        "cifar-10-batches-bin",
        {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]},
        1,
    ),
    100: ("cifar-100-binary", {"train": ["train.bin"], "test": ["test.bin"]}, 2),
}


def cifar_records(path: Path, length: int) -> NDArray[np.uint8]:
    """Records [N, length] of one binary file of CIFAR."""
    content = np.frombuffer(require(path, CIFAR_HOW_TO).read_bytes(), np.uint8)
    if len(content) == 0 or len(content) % length:
        raise UserError(
            f"{path.absolute()} has {len(content)} bytes, which is not one or more whole records of "
            f"{length}; fetch it again. {CIFAR_HOW_TO}"
        )
    return content.reshape(-1, length)


def cifar(dataset: Mapping[str, Any], folder: Path) -> Iterator[Sample]:
    """Samples of the binary version of CIFAR-10 or, with 100 classes, of CIFAR-100 with its fine labels."""
    if dataset["classes"] not in CIFAR_FILES:
        raise UserError(
            f"classes of {dataset['name']} must be 10 or 100, as CIFAR's; got {dataset['classes']}"
        )
    inside, files, label_bytes = CIFAR_FILES[dataset["classes"]]
    folder = require(folder, CIFAR_HOW_TO) / inside
    for split, names in files.items():
        records = np.concatenate([cifar_records(folder / name, label_bytes + 3072) for name in names])
        expect(dataset, split, len(records), folder.absolute())
        for i, record in enumerate(records):
            image = np.ascontiguousarray(record[label_bytes:].reshape(3, 32, 32).transpose(1, 2, 0))
            yield Sample(split, f"{split}-{i:07d}", png(image), "png", int(record[label_bytes - 1]))


FOLDER_HOW_TO = (
    "Put or link a folder there that holds train/<class>/*.jpg and val/<class>/*.jpg (or .jpeg, .png), one "
    "folder a class: `mkdir -p data && ln -s /where/it/is data/imagenet-1k`. ImageNet: sign up at "
    "https://image-net.org, download the training and validation images of ILSVRC 2012 and unpack them into "
    "folders by class, the validation images too, which come without folders."
)
FOLDERS: dict[Split, str] = {"train": "train", "test": "val"}


def classes_of(folder: Path, wanted: int) -> list[str]:
    """Names of the class folders, sorted; a class's position among them is its label."""
    names = sorted(e.name for e in scandir(require(folder, FOLDER_HOW_TO)) if e.is_dir() and e.name[0] != ".")
    if len(names) != wanted:
        raise UserError(
            f"{folder.absolute()} holds {len(names)} class folders, the config says classes: {wanted}. "
            f"{FOLDER_HOW_TO}"
        )
    return names


def images_of(folder: Path) -> list[str]:
    """Names of the image files in a class folder, sorted."""
    return sorted(e.name for e in scandir(folder) if Path(e.name).suffix.lower() in {".jpg", ".jpeg", ".png"})


def folder_sample(split: Split, number: int, path: Path, label: int) -> Sample:
    """Sample of an image file, bytes untouched; its extension is what they are, whatever the file's name."""
    content = require(path, "It is a link to nothing; link it again or delete it.").read_bytes()
    extension: Literal["png", "jpg"] = "png" if content.startswith(b"\x89PNG") else "jpg"
    if extension == "jpg" and not content.startswith(b"\xff\xd8"):
        raise UserError(f"{path.absolute()} is neither a JPEG nor a PNG file; replace or delete it")
    name = re.sub(r"[^0-9a-z_]+", "-", path.stem.lower())[:60]
    return Sample(split, f"{split}-{number:07d}-{name}", content, extension, label)


def image_folder(dataset: Mapping[str, Any], folder: Path) -> Iterator[Sample]:
    """Samples of train/<class>/ and val/<class>/, class by class; labels follow the sorted class names."""
    require(folder, FOLDER_HOW_TO)
    classes = {split: classes_of(folder / part, dataset["classes"]) for split, part in FOLDERS.items()}
    if odd := sorted(set(classes["train"]) ^ set(classes["test"])):
        raise UserError(
            f"{folder.absolute()}: only one of train and val has the classes {', '.join(odd[:10])}"
        )
    for split, part in FOLDERS.items():  # counted before the first is yielded, as writing ImageNet takes long
        found = sum(len(images_of(folder / part / name)) for name in classes[split])
        expect(dataset, split, found, (folder / part).absolute())
    for split, part in FOLDERS.items():
        number = 0
        for label, name in enumerate(classes[split]):
            for file in images_of(folder / part / name):
                yield folder_sample(split, number, folder / part / name / file, label)
                number += 1


SOURCES: dict[str, Callable[[Mapping[str, Any], Path], Iterator[Sample]]] = {
    "digits": digits,
    "digit-pairs": digit_pairs,
    "idx": idx,
    "cifar": cifar,
    "image-folder": image_folder,
}
