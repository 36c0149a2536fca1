"""The four IDX files of MNIST and its relatives, read no further than their headers promise."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError
from looksam.listing import Listing, of_samples
from looksam.sample import Sample, Split, png

STEMS: dict[Split, str] = {"train": "train", "test": "t10k"}
# the largest relative, EMNIST by class, has 550 MB of images
MOST_BYTES = 2**31
# bytes that deflate makes of one, at most
MOST_OF_ONE = 1032


def seen_idx(root: Path) -> Listing | None:
    """MNIST's relatives: train-images-idx3-ubyte and so on."""
    if not any(there(root, f"{stem}-images-idx3-ubyte").is_file() for stem in STEMS.values()):
        return None
    arrays = {split: arrays_of(root, stem) for split, stem in STEMS.items()}
    # labels are numbers, ten of them in all but EMNIST
    classes = max(10, 1 + max(int(labels.max(initial=0)) for _, labels in arrays.values()))
    return of_samples("IDX files", classes, samples_of(arrays))


def samples_of(arrays: dict[Split, tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Iterator[Sample]:
    """The samples of each split's images and labels."""
    for split, (images, labels) in arrays.items():
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Sample(split, f"{split}-{i:07d}", png(image), "png", int(label))


def arrays_of(root: Path, stem: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [N, H, W] and labels [N] of a split; that both are as many is known before either is read."""
    images, labels = there(root, f"{stem}-images-idx3-ubyte"), there(root, f"{stem}-labels-idx1-ubyte")
    shape, (count,) = promised(images, 3), promised(labels, 1)
    if shape[0] != count:
        raise UserError(f"{root.absolute()}: {stem} has {shape[0]} images but {count} labels")
    return content(images, shape), content(labels, (count,))


def there(root: Path, name: str) -> Path:
    """The file, gzipped or not."""
    packed = root / f"{name}.gz"
    return packed if packed.is_file() else root / name


def promised(path: Path, axes: int) -> tuple[int, ...]:
    """The shape in the file's header. UserError where it is no such file, or cannot hold so much."""
    start = 4 + 4 * axes
    with opened(path) as file:
        magic, *shape = struct.unpack(f">{1 + axes}I", file.read(start).ljust(start, b"\0"))
    if magic != 0x0800 + axes:
        raise UserError(
            f"{path.absolute()} starts with 0x{magic:08x}, but an IDX file of {axes} axes of bytes starts "
            f"with 0x{0x0800 + axes:08x}; fetch it again"
        )
    size = path.stat().st_size
    most = size * MOST_OF_ONE if path.suffix == ".gz" else size - start
    if not 0 < prod(shape) <= min(most, MOST_BYTES):
        known = path.suffix != ".gz" and most < MOST_BYTES
        raise unlike(path, shape, f"{most} follow" if known else f"at most {min(most, MOST_BYTES)} can")
    return tuple(shape)


def content(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The bytes after the header, in the shape that it promises; at most one more is unpacked."""
    with opened(path) as file:
        file.read(4 + 4 * len(shape))
        found = file.read(prod(shape) + 1)
    if len(found) != prod(shape):
        raise unlike(path, shape, f"{len(found)} follow" if len(found) < prod(shape) else "more follow")
    return np.frombuffer(found, np.uint8).reshape(shape)


def unlike(path: Path, shape: tuple[int, ...] | list[int], found: str) -> UserError:
    """The error of a file that is not as its header says."""
    return UserError(
        f"{path.absolute()}: the header promises {' x '.join(map(str, shape))} = {prod(shape)} bytes, "
        f"but {found}; fetch it again"
    )


@contextmanager
def opened(path: Path) -> Iterator[gzip.GzipFile | BufferedReader]:
    """The file's bytes, unpacked as they are read."""
    if not path.is_file():
        raise UserError(f"{path.absolute()} does not exist; put it there too, packed (.gz) or not")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path.absolute()} is not a whole gzip file ({error}); fetch it again") from error
