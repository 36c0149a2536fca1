"""Images of a split for training and evaluation: decoded in memory, or photographs decoded each time."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from looksam.contents import Contents
from looksam.crops import centred
from looksam.decoded import UNDECODABLE
from looksam.pixels import pixels


class Data(Protocol):
    """The samples of a split, by their positions in it."""

    @property
    def is_in_memory(self) -> bool:
        """They need not be read and decoded."""

    @property
    def labels(self) -> Tensor:
        """Class numbers, int64 [N]."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that a network is given."""

    def at(self, positions: Tensor) -> Tensor:
        """Their images as evaluation sees them, uint8 [n, C, H, W]."""

    def pictures(self, positions: Tensor) -> Iterable[Tensor]:
        """Their images as they are stored, each uint8 [C, h, w] of any size, one in memory at a time."""


class Images(NamedTuple):
    """A split in memory: images uint8 [N, C, H, W], labels int64 [N]."""

    images: Tensor
    labels: Tensor

    @property
    def is_in_memory(self) -> bool:
        """They are decoded."""
        return True

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.images.shape[-2:]
        return height, width

    def at(self, positions: Tensor) -> Tensor:
        """Some of the images, copied."""
        return self.images.index_select(0, positions)

    def pictures(self, positions: Tensor) -> Iterable[Tensor]:
        """The same, one by one."""
        return self.at(positions)


class Photographs:
    """A split that is read and decoded sample by sample, each time anew, in any order.

    dataset: channels; height and width of the images that a network is given; `resize`, to which evaluation
    brings the shorter side before it keeps the centre of height x width.
    """

    is_in_memory = False

    rows: Contents

    def __init__(self, rows: Contents, dataset: Mapping[str, Any]) -> None:
        self.rows, self.channels, self.resize = rows, dataset["channels"], dataset["resize"]
        self.size: tuple[int, int] = (dataset["height"], dataset["width"])
        self.labels = torch.from_numpy(rows.labels)

    def at(self, positions: Tensor) -> Tensor:
        """Their images as evaluation sees them, uint8 [n, C, H, W]."""
        images = torch.empty((len(positions), self.channels, *self.size), dtype=torch.uint8)
        for image, picture in zip(images, self.pictures(positions), strict=True):
            image.copy_(centred(picture, self.resize, self.size))
        return images

    def pictures(self, positions: Tensor) -> Iterable[Tensor]:
        """Their images as they are stored, decoded one by one, each verified by its SHA-256."""
        chosen = positions.tolist()
        for position, content in zip(chosen, self.rows.contents(chosen), strict=True):
            try:
                yield pixels(content, self.channels)
            except UNDECODABLE as error:
                raise self.rows.undecodable(position, error) from error
