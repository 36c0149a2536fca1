"""Shards that are links to tars which are there already: indexed, and not a byte of them is copied."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

from looksam.errors import UserError
from looksam.listing import Listing
from looksam.parts import kept_part, nothing, write_index, write_part
from looksam.pictures import Broken, picture
from looksam.places import TooLarge
from looksam.room import check_room
from looksam.sharding import SPLITS, BrokenImages, Options, Show, check_share, digest, prepared, run, shard_to
from looksam.tar_folder import shards_of
from looksam.write import Job, Made, Stopped, contents, row

# in the metadata of a part: positions in the listing, each with the reason
BROKEN = b"broken"


def shard_or_link(
    listing: Listing, out: Path, options: Options, show: Show, beside: Callable[[Path], object] = nothing
) -> BrokenImages:
    """Write the listing's shards to `out`, or links where it is in tars already; what was broken, by split.

    Linked tars keep their images, order and lengths; broken ones are in no row of the index. beside: as of
    `write_index`.
    """
    if not listing.linked:
        return shard_to(listing, out, options, show, beside)
    broken: BrokenImages = {split: {} for split in SPLITS if listing.items.get(split)}
    with prepared(out):
        check_room(listing, out, options.per_shard, options.bytes_beside)
        jobs = list(jobs_of(listing, out, options))
        for job in jobs:
            link(Path(job.path), Path(job.samples[0][2].place.path))
        made = run(iter(jobs), options.workers, show, kept_or_indexed)
        for one in made:
            broken[one.split].update(one.broken)
        check_share(listing, broken, options)
        for job, one in zip(jobs, made, strict=True):
            if len(one.broken) == len(job.samples):
                tar = job.samples[0][2].place.path
                raise UserError(f"{tar}: every image of it is broken; take it out of the source")
        write_index(out, [one.name for one in made], listing, broken, beside)
    return broken


def jobs_of(listing: Listing, out: Path, options: Options) -> Iterator[Job]:
    """A job a tar, named as our own shards are."""
    for split in SPLITS:
        for name, some in shards_of(split, listing.items.get(split, [])):
            samples = [(position, item.key, item) for position, item in some]
            path = str(out / f"{name}.tar")
            yield Job(path, split, samples, options.decode, digest(samples, options.decode))


def link(path: Path, tar: Path) -> None:
    """Make `path` a link to the tar: a relative one where both move together, beside each other."""
    here = path.parent.resolve()
    if tar.parent == here:
        raise UserError(f"{tar} would be replaced by a link to itself; choose a folder of its own for OUT")
    target = os.path.relpath(tar, here) if tar.is_relative_to(here.parent) else str(tar)
    if path.is_symlink() and os.readlink(path) == target:
        return
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    temporary.symlink_to(target)
    temporary.replace(path)


def kept_or_indexed(job: Job, stopped: Callable[[], bool]) -> Made:
    """The tar's rows: those that are there if it is the same tar, by its size and time, or else new ones."""
    made = Made(Path(job.path).name, job.split, [], [])
    part = kept_part(job)
    facts = (part.schema.metadata or {}) if part is not None else {}
    if BROKEN in facts:
        return made._replace(broken=[(position, why) for position, why in json.loads(facts[BROKEN])])
    index_tar(job, made, stopped)
    if made.rows:
        write_part(job, made, broken=json.dumps(made.broken))
    return made._replace(rows=[])


def index_tar(job: Job, made: Made, stopped: Callable[[], bool]) -> None:
    """Add the rows of one tar to `made`, and its broken images. stopped: as of `write_shard`."""
    for position, name, item in job.samples:
        if stopped():
            raise Stopped
        try:
            content = contents(item, Path(job.path).parent)
            found = row(made, name, item, content, picture(content, job.decode), item.place.offset)
        except (Broken, TooLarge) as error:
            made.broken.append((position, str(error)))
        else:
            # as the member is called, not as we would call it
            made.rows.append(found._replace(extension=item.source.rpartition(".")[2].lower()))
