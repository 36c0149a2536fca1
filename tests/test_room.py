"""Facts about the room that shards take on a disk."""

import shutil
from pathlib import Path

import pytest
from image_trees import sharded, tree

from looksam.detect import list_source
from looksam.errors import UserError
from looksam.listing import Item, Listing
from looksam.places import Place
from looksam.room import bytes_held, bytes_needed
from looksam.sharding import Options, shard_to

SIX = Options(per_shard=6)


def larger_than(disk: int) -> Listing:
    """A listing of images of 200 MiB each, which together do not fit."""
    item = Item(0, "x.jpg", Place("file", "x.jpg", 200 * 2**20))
    return Listing("ImageFolder", ["x"], {"train": [item] * (disk // item.place.size + 1)})


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    listing = larger_than(shutil.disk_usage(tmp_path).free)
    with pytest.raises(UserError, match=r"the shards take [\d,.]+ \wB more in .*out, where .* are free"):
        shard_to(listing, tmp_path / "out", Options(), lambda images: None)
    assert not list((tmp_path / "out").rglob("*.tar"))


def test_what_finished_shards_hold_is_not_needed_again(tmp_path: Path) -> None:
    listing = list_source(str(tree(tmp_path / "photos")))
    held = bytes_held(sharded(listing, tmp_path / "out", SIX))
    # an archive ends in a whole record
    assert 0 <= bytes_needed(listing, 6, beside=0) - held <= 5 * 10240


def test_a_tar_without_its_part_is_no_finished_shard(tmp_path: Path) -> None:
    (tmp_path / "train-000000.tar").write_bytes(bytes(1000))
    assert bytes_held(tmp_path) == 0
