from pathlib import Path

import pytest
from image_trees import contents_by_source, sharded, tree

from looksam.cli import main
from looksam.detect import list_source
from looksam.shard_plan import shard_plan
from looksam.sharding import Options

SIX = Options(per_shard=6)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tree(tmp_path / "photos")


def test_a_plan_counts_images_bytes_and_shards(photos: Path, tmp_path: Path) -> None:
    plan = shard_plan(list_source(str(photos)), tmp_path / "a/b", SIX)
    there = sum(map(len, contents_by_source(photos).values()))
    assert (plan.images, plan.image_bytes, plan.shards) == (26, there, 5)


def test_the_disk_that_a_plan_needs_is_what_the_shards_take(photos: Path, tmp_path: Path) -> None:
    listing = list_source(str(photos))
    taken = sum(path.stat().st_size for path in sharded(listing, tmp_path / "out").glob("*.tar"))
    # an archive ends in a whole record
    assert abs(shard_plan(listing, tmp_path / "out", SIX).needed - taken) <= 5 * 10240


def test_the_time_of_a_plan_is_measured(photos: Path, tmp_path: Path) -> None:
    assert 0 < shard_plan(list_source(str(photos)), tmp_path, SIX._replace(workers=4)).seconds < 10


def test_a_plan_writes_nothing(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tmp_path.iterdir())
    main(["shard", str(photos), str(tmp_path / "out"), "--per-shard", "6", "--plan"])
    assert sorted(tmp_path.iterdir()) == before
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["images", "disk", "time"]


def test_a_plan_says_that_the_disk_is_too_small(photos: Path, tmp_path: Path) -> None:
    plan = shard_plan(list_source(str(photos)), tmp_path, SIX)
    assert plan._replace(free=10).lines()[1].endswith("10 B free; NOT ENOUGH")


def test_what_is_there_already_is_enough_for_a_plan(photos: Path, tmp_path: Path) -> None:
    listing = list_source(str(photos))
    plan = shard_plan(listing, sharded(listing, tmp_path / "out", SIX), SIX)
    assert plan.held > 0
    assert plan._replace(free=plan.needed - plan.held).lines()[1].endswith(" free")
