"""Facts about what a training is fed: the same to the bit for any workers, ranks and resumption."""

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from photo_runs import PHOTO_SETTINGS, PHOTOS, photo_shards, photographs

from looksam.errors import UserError
from looksam.feed import Feed, MicroBatch
from looksam.images import Photographs
from looksam.prefetch import prefetched
from looksam.rows import Rows, read_index

STEPS_PER_EPOCH = 50 // 12
MIXED = PHOTO_SETTINGS | {"augment": "resized-crop+flip+randaug+erase+mixup"}


@dataclasses.dataclass
class Counted(Rows):
    """Rows that remember which samples were read."""

    read: list[int] = dataclasses.field(default_factory=list)

    def content(self, position: int) -> bytearray:
        self.read.append(position)
        return super().content(position)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_shards(tmp_path_factory.mktemp("photos"))


def counted(shards: Path) -> tuple[Photographs, list[int]]:
    """Photographs, and the positions that are read of them."""
    rows = read_index(shards, "train")
    counting = Counted(rows.path, rows.split, rows.shards, rows.samples)
    return Photographs(counting, PHOTOS), counting.read


def fed(feed: Feed, workers: int = 0, first: int = 0) -> list[MicroBatch]:
    """All that it gives from a number on."""
    with closing(prefetched(feed, range(first, len(feed)), workers)) as found:
        # copies, because what workers hand over is memory that is theirs too
        return [(images.clone(), targets.clone()) for images, targets in found]


def assert_equal(found: list[MicroBatch], expected: list[MicroBatch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize("settings", [PHOTO_SETTINGS, MIXED], ids=["uint8", "mixed"])
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_no_bit(shards: Path, workers: int, settings: dict[str, Any]) -> None:
    feed = Feed(photographs(shards), settings, 4)
    assert_equal(fed(feed, workers), fed(feed))


@pytest.mark.parametrize("settings", [PHOTO_SETTINGS, MIXED], ids=["uint8", "mixed"])
def test_two_ranks_see_the_batches_of_one(shards: Path, settings: dict[str, Any]) -> None:
    data = photographs(shards)
    whole = fed(Feed(data, settings, 1))
    ranks = [fed(Feed(data, settings, 1, rank, 2)) for rank in range(2)]
    together = [tuple(torch.cat(both) for both in zip(*two, strict=True)) for two in zip(*ranks, strict=True)]
    assert_equal(together, whole)


def test_every_rank_takes_as_many_steps(shards: Path) -> None:
    lengths = [len(Feed(photographs(shards), PHOTO_SETTINGS, 2, rank, 2)) for rank in range(2)]
    assert lengths == [2 * 3 * STEPS_PER_EPOCH] * 2


def test_an_epoch_reads_no_sample_twice(shards: Path) -> None:
    data, read = counted(shards)
    feed = Feed(data, PHOTO_SETTINGS, 4)
    for number in range(STEPS_PER_EPOCH * 4):
        feed[number]
    assert len(set(read)) == len(read) == STEPS_PER_EPOCH * 12


def test_another_epoch_draws_another_crop_of_each_image(shards: Path) -> None:
    first, second = (fed(Feed(photographs(shards), PHOTO_SETTINGS | {"seed": seed}, 1)) for seed in (0, 1))
    images = torch.cat([images for images, _ in first + second])
    assert len({image.numpy().tobytes() for image in images}) == len(images)


def test_going_on_is_what_was_left_and_reads_nothing_before_it(shards: Path) -> None:
    whole, _ = counted(shards)
    rest, read = counted(shards)
    in_the_second_epoch = (STEPS_PER_EPOCH + 2) * 4
    found = fed(Feed(rest, PHOTO_SETTINGS, 4), first=in_the_second_epoch)
    assert_equal(found, fed(Feed(whole, PHOTO_SETTINGS, 4))[in_the_second_epoch:])
    assert len(read) == 3 * len(found)


def test_a_training_on_one_micro_batch_holds_no_image_twice(shards: Path) -> None:
    images, targets = Feed(photographs(shards), PHOTO_SETTINGS, 4)[0]
    assert (images.dtype, images.shape) == (torch.uint8, (3, 3, 32, 32))
    assert targets.shape == (3, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_sample_is_named_with_its_shard_and_nothing_else(tmp_path: Path, workers: int) -> None:
    shards = photo_shards(tmp_path)
    rows = read_index(shards, "train")
    sample = rows.samples[17]
    with (shards / rows.shards[sample["shard"]]).open("r+b") as file:
        file.seek(sample["offset"] + 300)
        file.write(b"damage")
    with pytest.raises(UserError) as told:
        fed(Feed(photographs(shards), PHOTO_SETTINGS, 4), workers)
    assert str(told.value) == (
        f"{shards}/train-000001.tar was changed after it was written: sample {rows.key(17)} is not what the "
        f"index says; delete {shards} and run snakemake again"
    )


def test_a_batch_larger_than_the_data_is_refused(shards: Path) -> None:
    with pytest.raises(UserError, match="batch_size 4096 is larger than the 50 training images"):
        Feed(photographs(shards), PHOTO_SETTINGS | {"batch_size": 4096}, 1)
