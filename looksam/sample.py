"""A sample: a small image as the sources that encode theirs hand it over."""

import io
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
