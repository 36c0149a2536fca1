"""Label noise: a share of the training labels replaced by others, to see what survives their being learnt."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from looksam.draws import key, mix

# by what they draw: which images, and which of the other classes
IMAGE, CLASS = 0, 1


class LabelNoise(NamedTuple):
    """How many of a split's labels are wrong, 0 to less than 1, and the seed of which and of how."""

    share: float
    seed: int


def flipped(
    labels: NDArray[np.int64], sha256: NDArray[np.uint8], classes: int, noise: LabelNoise
) -> NDArray[np.int64]:
    """The labels [N], round(share * N) of them replaced by another class, each of the others as likely.

    sha256 [N, 32]: of the images. Which labels are replaced and by what depends on the images and the seed
    alone, whatever their order. "Symmetric" label noise, but that the share is exact.
    """
    drawn = hashed(sha256, IMAGE, noise.seed)
    wrong = np.argsort(drawn, kind="stable")[: round(noise.share * len(labels))]
    others = hashed(sha256[wrong], CLASS, noise.seed) % np.uint64(classes - 1)
    found = labels.copy()
    found[wrong] = (labels[wrong] + 1 + others.astype(np.int64)) % classes
    return found


def hashed(sha256: NDArray[np.uint8], purpose: int, seed: int) -> NDArray[np.uint64]:
    """64 random bits for each image [N], as a function of its SHA-256, the purpose and the seed."""
    start = np.ascontiguousarray(sha256[:, :8]).view(np.int64).reshape(-1)
    mixed = mix(torch.from_numpy(start ^ np.int64(key(purpose, seed))))
    bits: NDArray[np.uint64] = mixed.numpy().view(np.uint64)
    return bits
