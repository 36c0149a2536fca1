"""A file of CIFAR's python version, read by an unpickler that makes arrays alone: no code in it runs."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError


def pickled(path: Path, content: bytes, key: bytes) -> tuple[NDArray[np.uint8], list[int]]:
    """Images [N, 3072] and labels of one file. key: of its labels."""
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
