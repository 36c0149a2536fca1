"""Facts about a subset: how many images of each class, which, and what it refuses."""

from collections import Counter

import numpy as np
import pytest

from looksam.errors import UserError
from looksam.listing import Item, Listing
from looksam.places import Place
from looksam.subset import fewer

CLASSES = [str(label) for label in range(10)]


def images(labels: list[int]) -> list[Item]:
    return [Item(label, f"{i}.png", Place("given", "", 0)) for i, label in enumerate(labels)]


def listing() -> Listing:
    labels = np.random.default_rng(0).integers(0, 10, 2000).tolist()
    return Listing("IDX files", CLASSES, {"train": images(labels), "test": images(labels[:500])})


def test_every_class_is_there_as_often() -> None:
    found = fewer(listing(), {"train": 300, "test": 100})
    assert set(Counter(item.label for item in found.items["train"]).values()) == {30}


def test_a_larger_subset_has_all_images_of_a_smaller_one() -> None:
    small, large = (fewer(listing(), {"train": n}).items["train"] for n in (100, 300))
    assert set(small) <= set(large)


def test_images_keep_the_order_of_the_source() -> None:
    names = [int(item.source.removesuffix(".png")) for item in fewer(listing(), {"train": 99}).items["train"]]
    assert names == sorted(names)


def test_more_images_than_there_are_is_an_error_that_says_how_many_there_are() -> None:
    with pytest.raises(UserError, match="501 test images was asked for, but the IDX files have 500"):
        fewer(listing(), {"train": 10, "test": 501})
