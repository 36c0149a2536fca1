"""Facts about the data that needs no download."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from looksam.digits import digit_pairs, digits, paired, single
from looksam.errors import UserError
from looksam.sample import Sample, Split

PAIRS: dict[Split, int] = {"train": 1050, "test": 300}


def read_digits() -> list[Sample]:
    return list(single(500))


def read_pairs() -> list[Sample]:
    return list(paired(PAIRS))


def pixels(sample: Sample) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(sample.image_bytes)))


def of(split: str, samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.split == split]


def test_digits_train_on_as_many_images_of_each_class() -> None:
    assert set(Counter(s.label for s in of("train", read_digits())).values()) == {50}


def test_every_digit_is_in_exactly_one_split() -> None:
    keys = [s.key for s in read_digits()]
    assert len(keys) == len(set(keys)) == 1797


def test_digits_are_shown_in_the_full_range_of_grey() -> None:
    levels = {int(level) for sample in read_digits() for level in np.unique(pixels(sample))}
    assert levels == {round(value * 255 / 16) for value in range(17)}


def test_digits_are_the_same_each_time() -> None:
    assert read_digits() == read_digits()


@pytest.mark.parametrize("count", [0, 1797, 5000])
def test_digits_refuse_to_leave_a_split_empty(count: int) -> None:
    with pytest.raises(UserError, match=f"between 1 and 1796.*got {count}"):
        list(single(count))


def test_as_many_are_listed_as_are_asked_for() -> None:
    asked = {"train_images": 200, "test_images": 100}
    counts = [[len(x) for x in kind(asked, Path()).items.values()] for kind in (digits, digit_pairs)]
    assert counts == [[200, 1597], [200, 100]]


def test_no_source_digit_is_in_the_pairs_of_both_splits() -> None:
    samples = read_pairs()
    train, test = (
        {d for s in of(split, samples) for d in s.key.split("-")[1:]} for split in ("train", "test")
    )
    assert len(train) > 500
    assert len(test) > 300
    assert not train & test


def test_pairs_have_every_class_equally_often_within_one() -> None:
    samples = read_pairs()
    train = Counter(s.label for s in of("train", samples))
    assert sorted(train.values()) == [10] * 50 + [11] * 50
    assert Counter(s.label for s in of("test", samples)) == dict.fromkeys(range(100), 3)


def test_a_pair_shows_its_two_digits_side_by_side_and_is_labelled_so() -> None:
    digits = {s.key.removeprefix("digit-"): s for s in read_digits()}
    pair = read_pairs()[7]
    left, right = (digits[number] for number in pair.key.split("-")[1:])
    assert np.array_equal(pixels(pair), np.hstack([pixels(left), pixels(right)]))
    assert pair.label == 10 * left.label + right.label


def test_more_pairs_than_can_be_made_are_refused() -> None:
    with pytest.raises(UserError, match="10000000 digit pairs take 100000 of class 0"):
        list(paired(PAIRS | {"train": 10_000_000}))
