"""Pixels of a JPEG or PNG file, by torchvision, or by PIL what torchvision does not read."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from looksam.decoded import FORMATS, MODES

JPEG_START = b"\xff\xd8"


def pixels(content: bytearray, channels: int) -> Tensor:
    """The image, uint8 [C, h, w]; grey (1 channel) or RGB (3), whatever the file's own colours.

    By what the content is, not by its name. Raises one of decoded.UNDECODABLE where it is no whole image.
    """
    if content.startswith(JPEG_START):
        # here, because it takes seconds, which trainings on images in memory need not wait for
        from torchvision.io import ImageReadMode, decode_jpeg

        mode = ImageReadMode.RGB if channels == 3 else ImageReadMode.GRAY
        try:
            decoded: Tensor = decode_jpeg(torch.frombuffer(content, dtype=torch.uint8), mode)
            return decoded
        except RuntimeError:
            pass  # what PIL says of it, if not even PIL can read it, is clearer
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        array = np.array(image.convert(MODES[channels]))
    return torch.from_numpy(array).view(*array.shape[:2], channels).permute(2, 0, 1)
