"""CIFAR's python version, read by an unpickler that makes arrays alone, so that no code in it runs."""

import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError
from looksam.listing import Listing, of_samples
from looksam.sample import Sample, Split, png
from looksam.tars import check

# by classes: archive, its folder, its files by split, the key of the labels
VERSIONS: dict[int, tuple[str, str, dict[Split, list[str]], bytes]] = {
    10: (
        "cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
        b"labels",
    ),
    100: (
        "cifar-100-python.tar.gz",
        "cifar-100-python",
        {"train": ["train"], "test": ["test"]},
        b"fine_labels",
    ),
}
# CIFAR-100's train has 155 MB
MOST_BYTES = 256 * 2**20


def seen_cifar_python(root: Path) -> Listing | None:
    """The python version of CIFAR-10 or CIFAR-100: its archive, its folder, or what holds one of these."""
    for classes, (archive, folder, files, labels) in VERSIONS.items():
        for place in (root / folder, root / archive, root):
            if place.name not in (archive, folder) or not place.exists():
                continue
            read = packed(place, files) if place.is_file() else unpacked(place)
            samples = samples_of(place, files, labels, read)
            return of_samples(f"CIFAR-{classes}, python", classes, samples)
    return None


def unpacked(folder: Path) -> Callable[[str], bytes]:
    """Reader of the folder's files by name."""

    def read(name: str) -> bytes:
        path = folder / name
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is missing or has more than {MOST_BYTES:,} bytes; fetch it again")
        return path.read_bytes()

    return read


def packed(archive: Path, files: dict[Split, list[str]]) -> Callable[[str], bytes]:
    """Reader of the archive's files by name; they are read at once, in one pass through it."""
    wanted = {name for names in files.values() for name in names}
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


def samples_of(
    where: Path, files: dict[Split, list[str]], key: bytes, read: Callable[[str], bytes]
) -> Iterator[Sample]:
    """The samples of all files."""
    for split, names in files.items():
        number = 0
        for name in names:
            images, labels = batch(where / name, read(name), key)
            for image, label in zip(images, labels, strict=True):
                pixels = np.ascontiguousarray(image.reshape(3, 32, 32).transpose(1, 2, 0))
                yield Sample(split, f"{split}-{number:07d}", png(pixels), "png", label)
                number += 1


def batch(path: Path, content: bytes, key: bytes) -> tuple[NDArray[np.uint8], list[int]]:
    """Images [N, 3072] and labels of one file."""
    try:
        told: Any = ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        images, labels = told[b"data"], told[key]
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    except Exception as error:  # what a damaged pickle raises is anything
        raise UserError(f"{path} is no batch of CIFAR ({error!r}); fetch it again") from error
    whole = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 2
    whole = whole and isinstance(labels, list) and all(type(label) is int for label in labels)
    if not whole or images.shape != (len(labels), 3072):
        raise UserError(f"{path} is no batch of CIFAR: 3072 bytes an image and a label are wanted")
    return images, labels


class ArraysOnly(pickle.Unpickler):
    """An unpickler to which only what numpy arrays are made of is known."""

    def find_class(self, module: str, name: str) -> Any:
        """The function or class that a pickle asks for. UserError for all that is not needed."""
        found = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("multiarray", "_reconstruct"): _reconstruct(),
            ("_codecs", "encode"): _encoded,
        }.get((module.rpartition(".")[2] if module.startswith("numpy") else module, name))
        if found is None:
            raise UserError(f"asks for {module}.{name}, which CIFAR does not; it was not run. Fetch it again")
        return found


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """As _codecs.encode, for the one encoding in which Python 3 stores bytes in an old pickle."""
    if encoding not in ("latin1", "latin-1"):
        raise UserError(f"asks for the encoding {encoding!r}; fetch it again")
    return text.encode("latin1")


def _reconstruct() -> Any:
    """numpy's maker of an empty array, which pickles of arrays name."""
    return np.zeros(0, np.uint8).__reduce__()[0]
