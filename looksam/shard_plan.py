"""What a sharding takes, said before it starts: images, bytes, disk, and the time by a sample of them."""

import shutil
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from looksam.columns import duration, size
from looksam.errors import UserError
from looksam.listing import Item, Listing
from looksam.sharding import SPLITS, Options, Order
from looksam.ustar import BLOCK, RECORD, padding
from looksam.write import write_shard

# enough to tell a disk's rate, and a second or less on most
SAMPLE = 200


class ShardPlan(NamedTuple):
    """images, image_bytes: in the source; needed, free: bytes on OUT's disk; seconds: of the sharding."""

    images: int
    shards: int
    image_bytes: int
    needed: int
    free: int
    seconds: float

    def lines(self) -> list[str]:
        """What a person reads."""
        return [
            f"images: {self.images:,} of {size(self.image_bytes)}, in {self.shards:,} shards",
            f"disk: about {size(self.needed)} needed, {size(self.free)} free"
            + ("" if self.needed <= self.free else "; NOT ENOUGH"),
            f"time: about {duration(self.seconds)}, by a sample of the images",
        ]


def shard_plan(listing: Listing, out: Path, options: Options) -> ShardPlan:
    """What `listing` in `out` takes; nothing that is there already is counted off."""
    items = [item for split in SPLITS for item in listing.items.get(split, [])]
    shards = sum(-(-len(listing.items.get(split, [])) // options.per_shard) for split in SPLITS)
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    return ShardPlan(
        len(items),
        shards,
        sum(item.place.size for item in items),
        sum(map(bytes_in_tar, items)) + shards * RECORD,
        shutil.disk_usage(there).free,
        len(items) * seconds_per_image(listing, there, options) / options.workers,
    )


def bytes_in_tar(item: Item) -> int:
    """Bytes of an image and its label in a shard: each a header and its padded content."""
    return BLOCK + item.place.size + len(padding(item.place.size)) + 2 * BLOCK


def seconds_per_image(listing: Listing, there: Path, options: Options) -> float:
    """Seconds that one worker needs for an image, by writing some to a folder in `there` that is removed."""
    split = max(listing.items, key=lambda split: len(listing.items[split]))
    order = Order.drawn(split, listing.items[split], options.seed)
    try:
        with TemporaryDirectory(dir=there, prefix=".looksam-plan-") as folder:
            (job,) = islice(order.jobs(Path(folder), set(), options._replace(per_shard=SAMPLE)), 1)
            begin = time.perf_counter()
            write_shard(job)
            return (time.perf_counter() - begin) / len(job.samples)
    except PermissionError as error:
        raise UserError(f"cannot write to {there}: {error.strerror}; choose another OUT") from error
