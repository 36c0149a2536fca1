import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import DIGITS, digit_shards

from looksam.loader import load, read_index
from looksam.splits import held_out, of_split, training_images


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def rows(shards: Path) -> list[dict[str, Any]]:
    return read_index(shards, "train")


def test_training_and_validation_images_are_all_training_images_and_share_none(
    rows: list[dict[str, Any]],
) -> None:
    train, validation = ({row["key"] for row in of_split(rows, s, 20)} for s in ("train", "validation"))
    assert train.isdisjoint(validation)
    assert train | validation == {row["key"] for row in rows}
    assert len(validation) == 20


def test_every_class_is_held_out_as_often_within_one(rows: list[dict[str, Any]]) -> None:
    keys = held_out(rows, 25)
    counts = Counter(row["label"] for row in rows if row["key"] in keys)
    assert set(counts.values()) == {2, 3}
    assert len(counts) == 10


def test_what_is_held_out_does_not_depend_on_the_order_of_the_images(rows: list[dict[str, Any]]) -> None:
    shuffled = random.Random(0).sample(rows, len(rows))
    assert held_out(shuffled, 20) == held_out(rows, 20)


def test_more_images_held_out_keep_those_that_there_were(rows: list[dict[str, Any]]) -> None:
    assert held_out(rows, 20) < held_out(rows, 30)


def test_test_images_are_never_held_out(rows: list[dict[str, Any]]) -> None:
    assert of_split(rows, "test", 20) == rows


def test_without_validation_images_all_train(shards: Path, rows: list[dict[str, Any]]) -> None:
    assert len(load(shards, "train", DIGITS).labels) == len(rows) == 64


def test_a_split_is_loaded_with_its_own_images(shards: Path) -> None:
    train, validation = (load(shards, split, DIGITS, 20) for split in ("train", "validation"))
    assert (len(train.labels), len(validation.labels)) == (44, 20)
    assert training_images({"dataset": DIGITS, "validation_images": 20}) == 44
