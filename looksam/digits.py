"""Data that needs no download: scikit-learn's handwritten digits, single and in pairs, split evenly."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError
from looksam.listing import Listing, of_samples
from looksam.sample import Sample, Split, png
from looksam.subset import in_turns

Indices = NDArray[np.int64]


def digit_images() -> tuple[NDArray[np.uint8], Indices]:
    """The 1,797 digits: images [1797, 8, 8] in 0..255, labels [1797] in 0..9."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels.astype(np.int64)


def balanced_split(labels: Indices, count: int) -> dict[Split, Indices]:
    """Sorted positions: `count` drawn at random for train, all classes equally often, and the rest for test.

    Equally within one, as long as the classes last: the rarest digit has 174 images.
    """
    if not 0 < count < len(labels):
        raise UserError(
            f"train_images must be between 1 and {len(labels) - 1}, because there are {len(labels)} digits "
            f"and those that do not train test; got {count}"
        )
    turns = in_turns(labels)
    return {"train": np.sort(turns[:count]), "test": np.sort(turns[count:])}


def draw_pairs(pool: Indices, labels: Indices, count: int, seed: int) -> list[tuple[int, int]]:
    """Distinct pairs of positions in `pool`, in random order, all 100 classes equally often within one."""
    random = np.random.RandomState(seed)
    each, extra = divmod(count, 100)
    with_one_more = set(random.permutation(100)[:extra].tolist())
    pairs: list[tuple[int, int]] = []
    for label in range(100):
        left, right = pool[labels[pool] == label // 10], pool[labels[pool] == label % 10]
        wanted, possible = each + (label in with_one_more), len(left) * len(right)
        if wanted > possible:
            raise UserError(
                f"{count} digit pairs take {wanted} of class {label}; {possible} is all there are"
            )
        drawn = random.permutation(possible)[:wanted]
        pairs += [(int(left[i // len(right)]), int(right[i % len(right)])) for i in drawn]
    return [pairs[i] for i in random.permutation(len(pairs))]


def digits(dataset: Mapping[str, Any], folder: Path) -> Listing:
    """Images of 8x8, 10 classes: `train_images` of the digits train, the rest test. Reads no folder."""
    return of_samples("digits", 10, single(dataset["train_images"]))


def digit_pairs(dataset: Mapping[str, Any], folder: Path) -> Listing:
    """Images of 8x16, two digits side by side, label 10 * left + right. Reads no folder.

    One half of the digits makes the `train_images`, the other half the `test_images`.
    """
    counts: dict[Split, int] = {"train": dataset["train_images"], "test": dataset["test_images"]}
    return of_samples("digit-pairs", 100, paired(counts))


def single(train_images: int) -> Iterator[Sample]:
    """Samples of one digit each."""
    images, labels = digit_images()
    for split, positions in balanced_split(labels, train_images).items():
        for i in positions:
            yield Sample(split, f"digit-{i:04d}", png(images[i]), "png", int(labels[i]))


def paired(counts: Mapping[Split, int]) -> Iterator[Sample]:
    """Samples of two digits each, so many of each split."""
    images, labels = digit_images()
    for seed, (split, pool) in enumerate(balanced_split(labels, len(labels) // 2).items()):
        for left, right in draw_pairs(pool, labels, counts[split], seed):
            image = png(np.hstack([images[left], images[right]]))
            label = int(10 * labels[left] + labels[right])
            yield Sample(split, f"pair-{left:04d}-{right:04d}", image, "png", label)
