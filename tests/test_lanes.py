"""Facts about the order in which shards are streamed, and about what is fed from it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photo_runs import PHOTO_SETTINGS, photo_shards
from shard_servers import Server, served

import looksam.lanes
from looksam.draws import order
from looksam.errors import UserError
from looksam.feed import Feed, MicroBatch
from looksam.lanes import LANES, Lanes, piece, shuffled, tape
from looksam.prefetch import prefetched
from looksam.remote import streamed
from looksam.rows import read_index
from looksam.shares import Share

STREAMED: dict[str, Any] = PHOTO_SETTINGS | {"augment": "flip"}
STEPS = 50 // 12


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_shards(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def server(shards: Path) -> Iterator[Server]:
    with served(shards) as found:
        yield found


def feed_of(server: Server, micro_batches: int = 2, rank: int = 0, ranks: int = 1, **chosen: Any) -> Feed:
    dataset = STREAMED["dataset"] | {"decode": "streamed", "shards": server.url}
    data = streamed(read_index(server.folder, "train"), dataset)
    return Feed(data, STREAMED | {"dataset": dataset} | chosen, micro_batches, rank, ranks)


def positions(feed: Feed, epoch: int) -> list[int]:
    """What a rank sees in an epoch."""
    numbers = range(feed.share.steps * feed.share.micro_batches)
    return [position for n in numbers for position in feed.order.part(epoch, n)[1].tolist()]


def fed(feed: Feed, workers: int = 0, first: int = 0) -> list[MicroBatch]:
    with closing(prefetched(feed, range(first, len(feed)), workers)) as found:
        return [(images.clone(), targets.clone()) for images, targets in found]


def assert_equal(found: list[MicroBatch], wanted: list[MicroBatch]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_ranks_of_an_epoch_see_each_image_once_but_for_less_than_a_batch(
    server: Server, ranks: int
) -> None:
    for epoch in range(2):
        of_ranks = [positions(feed_of(server, 2, rank, ranks), epoch) for rank in range(ranks)]
        assert [len(of_rank) for of_rank in of_ranks] == [STEPS * 12 // ranks] * ranks
        seen = [position for of_rank in of_ranks for position in of_rank]
        assert len(set(seen)) == len(seen) == STEPS * 12


def test_what_is_left_out_is_the_end_of_the_last_shard_of_the_epoch(server: Server) -> None:
    feed = feed_of(server)
    of_shards = read_index(server.folder, "train").samples["shard"]
    for epoch in range(3):
        left_out = set(range(50)) - set(positions(feed, epoch))
        assert left_out == set(tape(of_shards, 0, epoch)[-2:].tolist())


def test_each_epoch_and_each_seed_has_an_order_of_its_own(server: Server) -> None:
    orders = {(seed, e): tuple(positions(feed_of(server, seed=seed), e)) for seed in (0, 1) for e in (0, 1)}
    assert len(set(orders.values())) == 4


def test_an_epoch_asks_for_each_piece_of_a_shard_once(server: Server) -> None:
    feed = feed_of(server)
    positions(feed, 0)
    assert len(set(server.requests)) == len(server.requests)
    tars = sum(path.stat().st_size for path in server.folder.glob("train-*.tar"))
    assert server.sent <= tars


def test_the_shards_of_an_epoch_follow_an_order_that_seed_and_epoch_decide() -> None:
    of_shards = np.repeat(np.arange(5, dtype=np.int32), 7)
    found = of_shards[tape(of_shards, 3, 1)].reshape(5, 7)
    assert found[:, 0].tolist() == order(3, 1, 5).tolist()
    assert (found == found[:, :1]).all()


@pytest.mark.parametrize(
    ("ranks", "micro_batches", "steps"), [(1, 1, 5), (2, 3, 7), (8, 1, 100), (300, 4, 30)]
)
def test_lanes_cut_the_tape_without_gap_or_overlap(ranks: int, micro_batches: int, steps: int) -> None:
    pieces = [
        piece(Share(rank, ranks, micro_batches, 4, steps), lane)
        for rank in range(ranks)
        for lane in range(LANES)
    ]
    assert [p.start for p in pieces] == [0, *(p.stop for p in pieces[:-1])]
    assert pieces[-1].stop == ranks * micro_batches * steps * 4


def test_a_lane_holds_fewer_images_than_the_window_and_reads_each_once() -> None:
    places = shuffled(torch.arange(20_000), 0, 0).numpy()
    assert sorted(places.tolist()) == list(range(20_000))
    read = np.maximum.accumulate(places) + 1
    held = read - np.arange(1, 20_001)
    assert held.min() >= 0
    assert held.max() < looksam.lanes.WINDOW
    # it moves an image by the distance of a uniform number from its mean
    assert np.abs(places - np.arange(20_000)).mean() == pytest.approx(looksam.lanes.WINDOW / 4, rel=0.05)


@pytest.mark.parametrize("augment", ["flip", "resized-crop+flip+randaug+erase+mixup"])
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_no_bit(server: Server, workers: int, augment: str) -> None:
    assert_equal(fed(feed_of(server, 4, augment=augment), workers), fed(feed_of(server, 4, augment=augment)))


def test_workers_share_the_lanes_evenly(server: Server) -> None:
    order_of = feed_of(server).order
    assert [order_of.workers(most) for most in (0, 1, 2, 5, 8, 64)] == [0, 1, 2, 4, 6, 12]


def test_the_pixels_are_those_of_the_folder(server: Server) -> None:
    feed = feed_of(server, augment="none")
    local = streamed(read_index(server.folder, "train"), STREAMED["dataset"] | {"shards": server.url})
    _, batch, _ = feed_of(server, augment="none").order.part(0, 3)
    found = feed[3]
    assert not isinstance(found, UserError)
    assert torch.equal(found[0], local.at(batch))
    assert torch.equal(found[1].argmax(1), local.labels[batch])


def test_an_augmentation_depends_on_seed_epoch_and_sample_alone(server: Server) -> None:
    # 1 and 2 micro-batches a step order an epoch otherwise, and draw the same crop of each image
    crops: list[set[bytes]] = []
    for micro_batches in (1, 2):
        feed = feed_of(server, micro_batches, augment="resized-crop+flip", epochs=1, batch_size=50)
        crops.append({image.numpy().tobytes() for images, _ in fed(feed) for image in images})
    assert len(crops[0]) == 50
    assert crops[0] == crops[1]


def test_going_on_is_what_was_left_and_reads_no_image_that_was_seen(server: Server) -> None:
    whole = fed(feed_of(server))
    server.requests.clear()
    server.sent = 0
    first = 2 * STEPS + 4
    assert_equal(fed(feed_of(server), first=first), whole[first:])
    tars = sum(path.stat().st_size for path in server.folder.glob("train-*.tar"))
    assert server.sent < 1.6 * tars  # half of the second epoch, and the third


def test_the_lanes_of_two_epochs_are_not_open_at_once(server: Server) -> None:
    feed = feed_of(server)
    lanes = feed.order
    assert isinstance(lanes, Lanes)
    for number in range(len(feed)):
        feed[number]
        assert len(lanes._lanes) <= 2 * STEPS


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_byte_is_told_and_nothing_else(server: Server, workers: int) -> None:
    server.flipped["train-000001.tar"] = 5000
    with pytest.raises(UserError, match=f"{server.url}/train-000001.tar is not what the index says: sample"):
        fed(feed_of(server), workers)


def test_a_batch_larger_than_the_data_is_refused(server: Server) -> None:
    with pytest.raises(UserError, match="batch_size 4096 is larger than the 50 training images"):
        feed_of(server, batch_size=4096)


def test_memory_holds_fewer_images_than_the_window_a_lane(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looksam.lanes, "WINDOW", 4)
    monkeypatch.setattr(looksam.lanes, "LANES", 2)
    lanes = feed_of(server, 1, batch_size=2).order
    assert isinstance(lanes, Lanes)
    held = []
    for number in range(25):
        lanes.part(0, number)
        held.append(max(len(lane._held) for lane in lanes._lanes.values()))
    assert 0 < max(held) < 4
