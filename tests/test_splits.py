import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from tiny_runs import DIGITS, digit_shards

from looksam.loader import load
from looksam.rows import index_table, read_index
from looksam.splits import held_out, training_images


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def rows(shards: Path) -> pa.Table:
    return index_table(shards / "index.parquet", "train", ["key", "label", "sha256"])


def held(rows: pa.Table, images: int) -> set[str]:
    """Keys of the images that are held out."""
    return set(rows["key"].take(held_out(rows, images)).to_pylist())


def test_training_and_validation_images_are_all_training_images_and_share_none(
    shards: Path, rows: pa.Table
) -> None:
    train, validation = (set(read_index(shards, split, 20).keys()) for split in ("train", "validation"))
    assert train.isdisjoint(validation)
    assert train | validation == set(rows["key"].to_pylist())
    assert len(validation) == 20


def test_the_rest_keeps_its_order(shards: Path, rows: pa.Table) -> None:
    keys = held(rows, 20)
    assert read_index(shards, "train", 20).keys() == [k for k in rows["key"].to_pylist() if k not in keys]


def test_classes_take_turns_by_their_images_hashes(rows: pa.Table) -> None:
    turns: Counter[int] = Counter()
    taken = []
    for row in sorted(rows.to_pylist(), key=lambda row: (row["sha256"], row["key"])):
        taken.append((turns[row["label"]], row["label"], row["key"]))
        turns[row["label"]] += 1
    assert held(rows, 23) == {key for _, _, key in sorted(taken)[:23]}


def test_every_class_is_held_out_as_often_within_one(rows: pa.Table) -> None:
    counts = Counter(rows["label"].take(held_out(rows, 25)).to_pylist())
    assert set(counts.values()) == {2, 3}
    assert len(counts) == 10


def test_what_is_held_out_does_not_depend_on_the_order_of_the_images(rows: pa.Table) -> None:
    shuffled = rows.take(random.Random(0).sample(range(rows.num_rows), rows.num_rows))
    assert held(shuffled, 20) == held(rows, 20)


def test_more_images_held_out_keep_those_that_there_were(rows: pa.Table) -> None:
    assert held(rows, 20) < held(rows, 30)


def test_test_images_are_never_held_out(shards: Path) -> None:
    assert len(read_index(shards, "test", 20)) == 100


def test_without_validation_images_all_train(shards: Path, rows: pa.Table) -> None:
    assert len(load(shards, "train", DIGITS).labels) == len(rows) == 64


def test_a_split_is_loaded_with_its_own_images(shards: Path) -> None:
    train, validation = (load(shards, split, DIGITS, 20) for split in ("train", "validation"))
    assert (len(train.labels), len(validation.labels)) == (44, 20)
    assert training_images({"dataset": DIGITS, "validation_images": 20}) == 44
