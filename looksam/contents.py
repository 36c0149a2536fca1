"""What is asked of a split's samples by whoever decodes them, wherever they lie."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError


class Contents(Protocol):
    """Images as files, by their positions in a split."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers [N]."""

    def contents(self, positions: Iterable[int]) -> Iterable[bytearray]:
        """The bytes of these, verified, one image in memory at a time."""

    def undecodable(self, position: int, error: Exception) -> UserError:
        """What to say of an image that cannot be decoded."""
