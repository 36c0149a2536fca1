"""Crops of photographs, brought to the network's size: drawn at random to train, the centre to evaluate."""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from looksam.draws import mix

# Szegedy et al. 2015, "Going deeper with convolutions": share of the area, and width over height
AREAS, RATIOS = (0.08, 1.0), (3 / 4, 4 / 3)
# drawn windows that may not fit, before the largest that does is taken, as torchvision has it
ATTEMPTS = 10

Window = tuple[int, int, int, int]


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """The picture, uint8 [C, h, w], brought to [C, height, width]: bilinear, antialiased.

    What torchvision's v2 does to the bit, without importing it.
    """
    if picture.shape[-2:] == (height, width):
        return picture
    return interpolate(picture[None], (height, width), mode="bilinear", antialias=True)[0]


def centred(picture: Tensor, shorter: int, size: tuple[int, int]) -> Tensor:
    """The centre of the picture, [C, *size], once its shorter side has so many pixels."""
    height, width = picture.shape[-2:]
    if height <= width:
        picture = resized(picture, shorter, shorter * width // height)
    else:
        picture = resized(picture, shorter * height // width, shorter)
    top, left = (round((have - want) / 2) for have, want in zip(picture.shape[-2:], size, strict=True))
    return picture[:, top : top + size[0], left : left + size[1]]


def drawn_crop(picture: Tensor, size: tuple[int, int], chances: list[list[float]]) -> Tensor:
    """A window of the picture, brought to [C, *size]. chances: of `windows_drawn`, for this picture."""
    height, width = picture.shape[-2:]
    top, left, rows, columns = window(height, width, chances)
    return resized(picture[:, top : top + rows, left : left + columns], *size)


def chances_of(keys: Tensor) -> Tensor:
    """Four uniform numbers in [0, 1) for each of ATTEMPTS windows of each picture, float64 [n, ATTEMPTS, 4].

    keys: int64 [n], of which they are a function.
    """
    numbers = mix(mix(keys)[:, None] + torch.arange(ATTEMPTS * 4))
    return ((numbers >> 11) & (2**53 - 1)).double().div_(2**53).view(-1, ATTEMPTS, 4)


def window(height: int, width: int, chances: list[list[float]]) -> Window:
    """Top, left, height and width of a window in a picture: area, then ratio, then place are drawn."""
    low, high = (math.log(ratio) for ratio in RATIOS)
    for of_area, of_ratio, of_top, of_left in chances:
        area = height * width * (AREAS[0] + (AREAS[1] - AREAS[0]) * of_area)
        ratio = math.exp(low + (high - low) * of_ratio)
        rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            return int(of_top * (height - rows + 1)), int(of_left * (width - columns + 1)), rows, columns
    ratio = min(max(width / height, RATIOS[0]), RATIOS[1])
    rows, columns = min(height, round(width / ratio)), min(width, round(height * ratio))
    return (height - rows) // 2, (width - columns) // 2, rows, columns
