"""A sample, the unit in which the sources hand over their images, and the checks that all sources share."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from looksam.errors import UserError

Split = Literal["train", "test"]


class Sample(NamedTuple):
    """One image as it is stored: key [0-9a-z_-]+ and unique in the data set, label in [0, classes)."""

    split: Split
    key: str
    image_bytes: bytes
    extension: Literal["png", "jpg"]
    label: int


def png(image: NDArray[np.uint8]) -> bytes:
    """PNG file of an image [H, W] or [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def require(path: Path, how_to: str) -> Path:
    """The path itself, which must exist."""
    if not path.exists():
        raise UserError(f"{path.absolute()} does not exist. {how_to}")
    return path


def expect(dataset: Mapping[str, Any], split: Split, found: int, where: Path | str) -> None:
    """Refuses a split that has another number of images than the config says, if the config says one."""
    wanted = dataset.get(f"{split}_images", found)
    if found != wanted:
        raise UserError(
            f"{where} holds {found} {split} images, but the data set {dataset['name']} is "
            f"configured with {split}_images: {wanted}; complete the data or correct the config"
        )
