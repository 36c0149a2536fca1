"""What a sharding takes, said before it starts: images, bytes, disk, and the time by a sample of them."""

import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from looksam.columns import duration, size
from looksam.errors import UserError
from looksam.listing import Listing, bytes_of
from looksam.room import bytes_free, bytes_held, bytes_needed, bytes_unpacked
from looksam.sharding import Options, Order
from looksam.write import write_shard

# enough to tell a disk's rate, and a second or less on most
SAMPLE, MOST_SAMPLE = 200, 5000


class ShardPlan(NamedTuple):
    """images, image_bytes: in the source; the other bytes: on OUT's disk; seconds: of the sharding.

    needed: by all shards; held: by finished ones that are there.
    """

    images: int
    shards: int
    image_bytes: int
    needed: int
    held: int
    free: int
    seconds: float

    def lines(self) -> list[str]:
        """What a person reads."""
        return [
            f"images: {self.images:,} of {size(self.image_bytes)}, in {self.shards:,} shards",
            f"disk: about {size(self.needed)} needed, {size(self.held)} there, {size(self.free)} free"
            + ("" if self.needed - self.held <= self.free else "; NOT ENOUGH"),
            f"time: about {duration(self.seconds)}, by a sample of the images",
        ]


def shard_plan(listing: Listing, out: Path, options: Options) -> ShardPlan:
    """What `listing` in `out` takes; the time is that of all shards, finished ones too."""
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    return ShardPlan(
        listing.images,
        shards_of(listing, options),
        sum(bytes_of(items) for items in listing.items.values()),
        bytes_needed(listing, options.per_shard, options.bytes_beside) + bytes_unpacked(listing, out),
        bytes_held(out),
        bytes_free(out),
        listing.images * seconds_per_image(listing, there, options) / options.workers,
    )


def shards_of(listing: Listing, options: Options) -> int:
    """How many shards there will be."""
    if listing.linked:
        return len({item.place.path for items in listing.items.values() for item in items})
    return sum(-(-len(items) // options.per_shard) for items in listing.items.values())


def seconds_per_image(listing: Listing, there: Path, options: Options) -> float:
    """Seconds that one worker needs for an image, by writing some to a folder in `there` that is removed."""
    split = max(listing.items, key=lambda split: len(listing.items[split]))
    order = Order.drawn(split, listing.items[split], options.seed)
    count = SAMPLE
    if (first := order.items[0].place).kind == "parquet":
        # row groups are unpacked whole, for the first of their images
        order.positions.sort()
        group = (first.path, first.content)
        count = max(SAMPLE, sum((i.place.path, i.place.content) == group for i in order.items[:MOST_SAMPLE]))
    try:
        with TemporaryDirectory(dir=there, prefix=".looksam-plan-") as folder:
            (job,) = islice(order.jobs(Path(folder), set(), options._replace(per_shard=count)), 1)
            begin = time.perf_counter()
            write_shard(job)
            return (time.perf_counter() - begin) / len(job.samples)
    except PermissionError as error:
        raise UserError(f"cannot write to {there}: {error.strerror}; choose another OUT") from error
