"""Facts about the shards that a request asks for."""

import hashlib
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from image_trees import jpeg, tree
from shard_servers import served

from looksam.cli import main
from looksam.detect import list_source
from looksam.digits import single
from looksam.errors import UserError
from looksam.room import bytes_needed
from looksam.shard_plan import shard_plan
from looksam.sharding import Options, Show, shard_to
from looksam.shards import requested, shard
from looksam.workers import paying_workers

DIGITS = {
    "name": "digits",
    "source": "digits",
    "classes": 10,
    "train_images": 100,
    "test_images": 1697,
    "per_shard": 400,
}
PHOTOS = {
    "name": "photos",
    "source": "files",
    "classes": 2,
    "train_images": 20,
    "test_images": 6,
    "per_shard": 6,
}
DOCS = Path(__file__).parents[1] / "docs" / "data.md"


@contextmanager
def unseen(images: int) -> Iterator[Show]:
    yield lambda done: None


def request(folder: Path, dataset: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.json").write_text(json.dumps({"dataset": dataset, "code": "0"}))
    return folder / "source.json"


def sharded(folder: Path, dataset: dict[str, Any], workers: int = 1) -> Path:
    shard(request(folder, dataset), workers, unseen)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharded(tmp_path_factory.mktemp("work") / "results/shards/digits.0a1b2c3d", DIGITS)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tree(Path("data/photos"))


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}


def test_shards_are_written_beside_their_request(folder: Path) -> None:
    tests = [f"test-{number:06d}.tar" for number in range(5)]
    assert sorted(path.name for path in folder.glob("*.tar")) == [*tests, "train-000000.tar"]
    lengths = json.loads((folder / "_info.json").read_text())["splits"]["test"]["shard_lengths"]
    assert lengths == [400, 400, 400, 400, 97]


def test_every_sample_of_the_source_is_there_once(folder: Path) -> None:
    index = pq.read_table(folder / "index.parquet").to_pylist()
    found = sorted((row["split"], row["source"], row["label"], row["sha256"]) for row in index)
    assert found == sorted(
        (s.split, s.key, s.label, hashlib.sha256(s.image_bytes).hexdigest()) for s in single(100)
    )


def test_a_request_gives_the_shards_that_the_same_files_give_by_hand(photos: Path, tmp_path: Path) -> None:
    shard_to(list_source("data/photos"), tmp_path / "by_hand", Options(per_shard=6), lambda done: None)
    assert hashes(sharded(tmp_path / "out", PHOTOS)) == hashes(tmp_path / "by_hand")


def test_the_number_of_workers_changes_no_byte(folder: Path, tmp_path: Path) -> None:
    assert hashes(sharded(tmp_path, DIGITS, workers=8)) == hashes(folder)


def test_small_data_is_sharded_by_one_process(folder: Path) -> None:
    assert requested(folder / "source.json", 16)[1].workers == 1


def test_imagenet_is_sharded_by_many_processes_and_cifar_by_one() -> None:
    assert paying_workers({"train_images": 1281167, "test_images": 50000}) > 8
    assert paying_workers({"train_images": 50000, "test_images": 10000}) == 1


def test_digits_are_sharded_in_less_than_a_second(tmp_path: Path) -> None:
    begin = time.perf_counter()
    sharded(tmp_path, DIGITS)
    # imports are done; measured: 0.3 s on an idle core
    assert time.perf_counter() - begin < 1.5


def test_an_unreadable_image_stops_the_shards_and_what_is_finished_is_kept(
    photos: Path, tmp_path: Path
) -> None:
    whole = hashes(sharded(tmp_path / "whole", PHOTOS))
    last = Path("data/photos") / pq.read_table(tmp_path / "whole/index.parquet")["source"].to_pylist()[19]
    content = last.read_bytes()
    last.write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 20 train images are broken.*: empty; mend the source"):
        sharded(tmp_path / "out", PHOTOS)
    kept = times(tmp_path / "out")
    assert "train-000000.tar" in kept
    assert "train-000003.tar" not in kept
    assert not (tmp_path / "out/index.parquet").exists()
    last.write_bytes(content)
    sharded(tmp_path / "out", PHOTOS)
    again = times(tmp_path / "out")
    assert {name: again[name] for name in kept} == kept
    assert hashes(tmp_path / "out") == whole


def test_not_one_broken_image_is_left_out(photos: Path, tmp_path: Path) -> None:
    (photos / "val/n0001/val.3.JPEG").write_bytes(jpeg(5)[:60])
    with pytest.raises(UserError, match="1 of 6 test images are broken"):
        sharded(tmp_path / "out", PHOTOS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": 21}, r"photos \(ImageFolder\) holds 20 train images.*train_images: 21; complete"),
        ({"test_images": 50000}, r"holds 6 test images.*test_images: 50000"),
        ({"classes": 1000}, r"holds 2 classes, but the data set photos is configured with classes: 1000"),
    ],
)
def test_other_data_than_the_config_says_are_refused(
    photos: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        sharded(tmp_path / "out", PHOTOS | change)
    assert not list((tmp_path / "out").glob("*.tar"))


def test_both_splits_must_be_there(photos: Path, tmp_path: Path) -> None:
    (photos / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="holds 0 test images"):
        sharded(tmp_path / "out", PHOTOS)


def test_data_that_are_missing_are_looked_for_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path}/data/photos does not exist"):
        sharded(tmp_path, PHOTOS)


def test_an_unknown_source_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'hdf5'; known: digits, digit-pairs, files"):
        sharded(tmp_path, DIGITS | {"source": "hdf5"})


def test_tars_of_an_earlier_version_make_room(tmp_path: Path) -> None:
    (tmp_path / "train-000000.tar").write_text("old")
    sharded(tmp_path, DIGITS)
    assert (tmp_path / "train-000000.tar").stat().st_size > 10_000


def test_what_a_request_takes_is_said_before_it_is_sharded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["shard", str(request(tmp_path, DIGITS)), "--plan"])
    assert capsys.readouterr().out.startswith("images: 1,797 of ")
    assert [path.name for path in tmp_path.iterdir()] == ["source.json"]


def test_what_a_request_says_cannot_be_given_beside_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--per-shard, --seed goes with OUT"):
        main(["shard", str(request(tmp_path, DIGITS)), "--per-shard", "7", "--seed", "1"])


def test_the_readers_shown_in_the_docs_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[2])
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)
    found: list[dict[str, Any]] = [{} for _ in blocks]
    with served(folder) as server:
        for block, scope in zip(blocks, found, strict=True):
            exec(block.replace("https://example.org/shards", server.url), scope)
    streamed, by_timm, by_row, from_server, fed = found
    assert from_server["image"].size == (8, 8)
    assert (fed["images"].shape, fed["targets"].shape) == ((32, 1, 8, 8), (32, 10))
    assert streamed["image"].size == by_timm["image"].size == (8, 8)
    assert hashlib.sha256(by_row["image_bytes"]).hexdigest() == by_row["row"]["sha256"]
    assert io.BytesIO(by_row["image_bytes"]).read(4) == b"\x89PNG"


def test_the_arrays_beside_the_shards_are_counted_before_anything_is_written(tmp_path: Path) -> None:
    sized = DIGITS | {"decode": "once", "channels": 1, "height": 8, "width": 8}
    listing, options = requested(request(tmp_path / "a", sized), 1)
    plain = bytes_needed(listing, options.per_shard, beside=0)
    arrays = shard_plan(listing, tmp_path / "b", options).needed - plain
    headers = 2 * 128
    assert (
        arrays == sum(path.stat().st_size for path in sharded(tmp_path / "c", sized).glob("*.npy")) - headers
    )


def test_a_disk_without_room_for_the_arrays_is_refused(tmp_path: Path) -> None:
    huge = DIGITS | {"decode": "once", "channels": 3, "height": 10**6, "width": 10**6}
    with pytest.raises(UserError, match=r"the shards take 5[\d,.]+ TB more"):
        sharded(tmp_path / "a", huge)
