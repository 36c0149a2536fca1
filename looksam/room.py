"""The room that shards take on a disk, and whether it is there."""

import shutil
from pathlib import Path

from looksam.columns import size
from looksam.errors import UserError
from looksam.listing import Item, Listing
from looksam.parts import part_of, rows_in
from looksam.unpacked import UNPACKED
from looksam.ustar import BLOCK, RECORD, padding


def check_room(listing: Listing, out: Path, per_shard: int, beside: int) -> None:
    """Refuses to begin shards for which the disk of `out` has no room. beside: as of `bytes_needed`."""
    needed = bytes_needed(listing, per_shard, beside) + bytes_unpacked(listing, out) - bytes_held(out)
    if needed > (free := bytes_free(out)):
        raise UserError(
            f"the shards take {size(needed)} more in {out}, where {size(free)} are free; free some space, or "
            "make that folder a link to a larger disk"
        )


def bytes_needed(listing: Listing, per_shard: int, beside: int) -> int:
    """Bytes of all shards, as far as the source says its images' sizes; none of those that are linked.

    beside: bytes of each image in the arrays of decoded ones, which are written anew each time.
    """
    arrays = listing.images * beside
    if listing.linked:
        return arrays
    shards = sum(-(-len(items) // per_shard) for items in listing.items.values())
    tars = sum(bytes_in_tar(item) for items in listing.items.values() for item in items) + shards * RECORD
    return tars + arrays


def bytes_unpacked(listing: Listing, out: Path) -> int:
    """Bytes that images of Parquet take in unpacked row groups, until no shard in `out` is missing."""
    items = (item for items in listing.items.values() for item in items)
    unpacked = sum(item.place.size for item in items if item.place.kind == "parquet")
    return unpacked if unpacked and images_held(out) < listing.images else 0


def images_held(out: Path) -> int:
    """Images of the finished shards in a folder."""
    return sum(rows_in(part_of(shard)) for shard in out.glob("*.tar"))


def bytes_in_tar(item: Item) -> int:
    """Bytes of an image and its label in a shard: each a header and its padded content."""
    return BLOCK + item.place.size + len(padding(item.place.size)) + 2 * BLOCK


def bytes_held(out: Path) -> int:
    """Bytes of finished shards and unpacked images in a folder, which are kept or make room for others."""
    unpacked = sum(file.stat().st_size for file in (out / UNPACKED).glob("*"))
    written = [shard for shard in out.glob("*.tar") if not shard.is_symlink()]
    return unpacked + sum(shard.stat().st_size for shard in written if part_of(shard).exists())


def bytes_free(out: Path) -> int:
    """Bytes free on the disk where the folder is, or would be."""
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free
