"""Sharding of any source: seeded order, shards of an exact length, many workers, and a rerun that goes on.

A shard is made of a list of images that depends on the source, the seed and the broken images alone, so that
neither the workers' number nor an interruption changes a byte.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Semaphore
from typing import NamedTuple

import numpy as np

from looksam.errors import UserError
from looksam.files import remove_unfinished
from looksam.listing import Item, Listing, key
from looksam.locks import locked_where_possible
from looksam.parts import PARTS, kept, nothing, write_index, write_part
from looksam.room import check_room
from looksam.sample import Split
from looksam.threads import Work, in_threads
from looksam.unpacked import UNPACKED
from looksam.write import Job, Made, write_shard

# places in the order, by split, of images that are broken, each with the reason
BrokenImages = dict[Split, dict[int, str]]
Show = Callable[[int], None]
SPLITS: tuple[Split, ...] = ("train", "test")


class Options(NamedTuple):
    """How to shard. broken_share: of a split's images; more stops. decode: decode every image to check it.

    bytes_beside: what each image takes on the disk once more, decoded.
    """

    per_shard: int = 5000
    workers: int = 1
    seed: int = 0
    broken_share: float = 0.001
    decode: bool = False
    bytes_beside: int = 0


@dataclass
class Order:
    """The images of a split in the order of its shards, as positions in the listing."""

    split: Split
    items: list[Item]
    positions: list[int]

    @classmethod
    def drawn(cls, split: Split, items: list[Item], seed: int) -> "Order":
        """A random order. RandomState, because numpy has frozen its stream."""
        random = np.random.RandomState([seed, SPLITS.index(split)])
        return cls(split, items, random.permutation(len(items)).tolist())

    def without(self, broken: set[int]) -> list[int]:
        """The positions of whole images: the last take the places of the broken ones.

        So a broken image changes its own shard and the last ones, and no others.
        """
        whole = len(self.positions) - len(broken)
        spare = (p for p in self.positions[whole:] if p not in broken)
        return [next(spare) if p in broken else p for p in self.positions[:whole]]

    def jobs(self, out: Path, broken: set[int], options: Options) -> Iterator[Job]:
        """The shards to be made, one after the other."""
        rest = iter(self.without(broken))
        number = 0
        while some := list(islice(rest, options.per_shard)):
            name = f"{self.split}-{number:06d}.tar"
            samples = [(p, key(self.split, p, self.items[p].source), self.items[p]) for p in some]
            yield Job(str(out / name), self.split, samples, options.decode, digest(samples, options.decode))
            number += 1


def digest(samples: list[tuple[int, str, Item]], decode: bool) -> str:
    """SHA-256 of what a shard is made of: keys, labels, and each image's place with its size and time."""
    told = hashlib.sha256(f"2 {decode}".encode())
    for _, name, (label, source, place, _) in samples:
        if place.content:
            place = place._replace(content=hashlib.sha256(place.content).digest())
        told.update(repr((name, label, source, *place)).encode())
    return told.hexdigest()


def shard_to(
    listing: Listing, out: Path, options: Options, show: Show, beside: Callable[[Path], object] = nothing
) -> BrokenImages:
    """Write the listing's shards, their index and _info.json to `out`; what was broken, by split.

    show: is told how many images are done, again from 0 where broken ones are to be replaced. beside: as of
    `write_index`.
    """
    with prepared(out):
        check_room(listing, out, options.per_shard, options.bytes_beside)
        return write(listing, out, options, show, beside)


@contextmanager
def prepared(out: Path) -> Iterator[None]:
    """The folder is there, unfinished, without what a killed call left, and no other process writes to it."""
    if not (out / PARTS).exists() and any(out.glob("*.tar")):
        raise UserError(f"{out} holds tars that are not by looksam shard; choose a folder of its own for OUT")
    out.mkdir(parents=True, exist_ok=True)
    with locked_where_possible(out) as lock:
        if lock is None:
            raise UserError(f"another looksam shard is writing to {out}; wait until it has ended")
        (out / PARTS).mkdir(parents=True, exist_ok=True)
        # without it the folder is unfinished
        (out / "index.parquet").unlink(missing_ok=True)
        for folder in (out, out / PARTS, out / UNPACKED):
            remove_unfinished(folder)
        yield


def write(
    listing: Listing, out: Path, options: Options, show: Show, beside: Callable[[Path], object]
) -> BrokenImages:
    """The same, in a folder that is prepared."""
    orders = [
        Order.drawn(split, listing.items[split], options.seed) for split in SPLITS if listing.items.get(split)
    ]
    broken: BrokenImages = {order.split: {} for order in orders}
    # others make shards while the disk takes a finished one
    threads = 1 if options.workers == 1 else 2 * options.workers
    work = partial(kept_or_written, turn=Semaphore(options.workers))
    while True:
        made = run(jobs_of(orders, out, broken, options), threads, show, work)
        found = [(one.split, position, why) for one in made for position, why in one.broken]
        for split, position, why in found:
            broken[split][position] = why
        check_share(listing, broken, options)
        if not found:
            break
    write_index(out, [one.name for one in made], listing, broken, beside)
    return broken


def jobs_of(orders: list[Order], out: Path, broken: BrokenImages, options: Options) -> Iterator[Job]:
    """The jobs of all splits."""
    for order in orders:
        yield from order.jobs(out, set(broken[order.split]), options)


def run(jobs: Iterator[Job], threads: int, show: Show, work: Work) -> list[Made]:
    """What `work` made of each job, in order."""
    made: dict[str, Made] = {}
    images = 0

    def finish(job: Job, result: Made) -> None:
        nonlocal images
        made[job.path] = result
        images += len(job.samples)
        show(images)

    if threads == 1:
        for job in jobs:
            finish(job, work(job, lambda: False))
    else:
        in_threads(jobs, threads, work, finish)
    return [made[path] for path in sorted(made, key=lambda path: (SPLITS.index(made[path].split), path))]


def kept_or_written(job: Job, stopped: Callable[[], bool], turn: Semaphore) -> Made:
    """A shard that is there already, or else written, with its part of the index. turn: of `write_shard`."""
    with turn:
        there = kept(job)
    if there:
        return there
    made = write_shard(job, stopped, turn)
    if made.rows:
        write_part(job, made)
    return made._replace(rows=[])


def check_share(listing: Listing, broken: BrokenImages, options: Options) -> None:
    """Refuses a split of which too much is broken."""
    for split, found in broken.items():
        items = listing.items[split]
        if len(found) > options.broken_share * len(items):
            some = "; ".join(f"{items[p].source}: {why}" for p, why in sorted(found.items())[:5])
            raise UserError(
                f"{len(found)} of {len(items)} {split} images are broken, more than "
                f"{options.broken_share:.2%}: {some}; mend the source, or allow "
                "more with --broken-share of looksam shard SOURCE OUT"
            )
