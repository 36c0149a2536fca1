"""CIFAR-10 and CIFAR-100 as their page gives them: the python or the binary version, packed or not."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from looksam.cifar_python import pickled
from looksam.errors import UserError
from looksam.listing import Listing, of_samples
from looksam.sample import Sample, Split, png
from looksam.tars import check

PIXELS = 3 * 32 * 32
# CIFAR-100's train has 155 MB
MOST_BYTES = 256 * 2**20
Batch = tuple[NDArray[np.uint8], list[int]]


def records(path: Path, content: bytes, label_bytes: int) -> Batch:
    """Images [N, 3072] and labels of a binary file; the last byte before an image is its finest label."""
    length = label_bytes + PIXELS
    if not content or len(content) % length:
        raise UserError(
            f"{path} has {len(content)} bytes, which is not one or more whole records of {length}; "
            "fetch it again"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, length)
    return rows[:, label_bytes:], rows[:, label_bytes - 1].tolist()


class Version(NamedTuple):
    """One download. md5: of the archive, as CIFAR's page says it; batch: images and labels of a file."""

    kind: str
    classes: int
    archive: str
    md5: str
    folder: str
    files: dict[Split, list[str]]
    batch: Callable[[Path, bytes], Batch]


VERSIONS = (
    Version(
        "CIFAR-10, binary",
        10,
        "cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
        {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]},
        partial(records, label_bytes=1),
    ),
    Version(
        "CIFAR-10, python",
        10,
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        "cifar-10-batches-py",
        {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
        partial(pickled, key=b"labels"),
    ),
    Version(
        "CIFAR-100, binary",
        100,
        "cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        "cifar-100-binary",
        {"train": ["train.bin"], "test": ["test.bin"]},
        partial(records, label_bytes=2),
    ),
    Version(
        "CIFAR-100, python",
        100,
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        "cifar-100-python",
        {"train": ["train"], "test": ["test"]},
        partial(pickled, key=b"fine_labels"),
    ),
)


def seen_cifar(root: Path) -> Listing | None:
    """A version's archive or folder, a link to one, or the folder that holds one."""
    for version in VERSIONS:
        names = (version.folder, version.archive)
        places = [root / name for name in names if (root / name).exists()]
        if {root.name, root.resolve().name} & set(names):
            places.append(root)
        for place in places:
            is_packed = place.is_file()
            read = packed(place, version) if is_packed else unpacked(place)
            kind = version.kind + (f", {origin(place, version.md5)}" if is_packed else "")
            return of_samples(kind, version.classes, samples_of(place, version, read))
    return None


def origin(archive: Path, md5: str) -> str:
    """Whether the archive is the published one. Another serves too, for nothing in it can run."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    return "as published" if found == md5 else f"NOT as published: its MD5 is {found}, not {md5}"


def unpacked(folder: Path) -> Callable[[str], bytes]:
    """Reader of the folder's files by name."""

    def read(name: str) -> bytes:
        path = folder / name
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is missing or has more than {MOST_BYTES:,} bytes; fetch it again")
        return path.read_bytes()

    return read


def packed(archive: Path, version: Version) -> Callable[[str], bytes]:
    """Reader of the archive's files by name; they are read at once, in one pass through it."""
    wanted = {name for names in version.files.values() for name in names}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                check(archive, member)
                name = Path(member.name).name
                if member.size > MOST_BYTES:
                    raise UserError(f"{archive}: {member.name} has {member.size:,} bytes, too many for CIFAR")
                if name in wanted and name not in found and (file := tar.extractfile(member)):
                    found[name] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{archive} is no whole archive ({error}); fetch it again") from error
    if missing := sorted(wanted - found.keys()):
        raise UserError(f"{archive} holds no {', '.join(missing)}; fetch it again")
    return found.__getitem__


def samples_of(where: Path, version: Version, read: Callable[[str], bytes]) -> Iterator[Sample]:
    """The samples of all files."""
    for split, names in version.files.items():
        number = 0
        for name in names:
            images, labels = version.batch(where / name, read(name))
            for image, label in zip(images, labels, strict=True):
                pixels = np.ascontiguousarray(image.reshape(3, 32, 32).transpose(1, 2, 0))
                yield Sample(split, f"{split}-{number:07d}", png(pixels), "png", label)
                number += 1
