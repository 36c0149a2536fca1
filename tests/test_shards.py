"""Facts about shards, read back with the libraries they are made for."""

import hashlib
import io
import json
import re
import tarfile
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import webdataset
from timm.data import create_dataset

from looksam.errors import UserError
from looksam.sample import Sample
from looksam.shards import shard, write_shards
from looksam.sources import SOURCES

PER_SHARD = 400
DIGITS = {"name": "digits", "source": "digits", "classes": 10, "train_images": 100, "per_shard": PER_SHARD}
TINY = {"name": "tiny", "classes": 10}
DOCS = Path(__file__).parents[1] / "docs" / "data.md"


def digits() -> Iterator[Sample]:
    return SOURCES["digits"](DIGITS, Path("nowhere"))


def tiny(**change: Any) -> list[Sample]:
    """One train and one test sample, the latter changed."""
    train = Sample("train", "a", b"1", "png", 1)
    return [train, Sample("test", "b", b"2", "png", 2)._replace(**change)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("work") / "results" / "shards" / "digits.0a1b2c3d"
    write_shards(DIGITS, digits(), out, PER_SHARD)
    return out


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def index(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "index.parquet").to_pylist()
    return rows


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.tar")}


def test_a_split_is_cut_into_shards_of_the_given_length(folder: Path) -> None:
    tests = [f"test-{number:06d}.tar" for number in range(5)]
    assert names(folder) == ["_info.json", "index.parquet", *tests, "train-000000.tar"]
    lengths = json.loads((folder / "_info.json").read_text())["splits"]["test"]["shard_lengths"]
    assert lengths == [400, 400, 400, 400, 97]


@pytest.mark.parametrize("split", ["train", "test"])
def test_webdataset_reads_the_samples_in_their_order(folder: Path, split: str) -> None:
    urls = [str(path) for path in sorted(folder.glob(f"{split}-*.tar"))]
    read = list(webdataset.WebDataset(urls, shardshuffle=False))
    written = [sample for sample in digits() if sample.split == split]
    assert [(s["__key__"], s["png"], int(s["cls"])) for s in read] == [
        (sample.key, sample.image_bytes, sample.label) for sample in written
    ]


@pytest.mark.parametrize("split", ["train", "test"])
def test_timm_reads_the_samples_by_the_name_of_the_split(folder: Path, split: str) -> None:
    read = create_dataset("wds/", root=str(folder), split=split, input_img_mode="L")
    written = [sample for sample in digits() if sample.split == split]
    assert len(read) == len(written)
    assert [label for _, label in read] == [sample.label for sample in written]


def test_the_index_points_at_the_bytes_of_every_image(folder: Path) -> None:
    for row, sample in zip(index(folder), digits(), strict=True):
        with (folder / row["shard"]).open("rb") as file:
            file.seek(row["offset"])
            content = file.read(row["size"])
        assert content == sample.image_bytes
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["split"], row["key"], row["label"], row["extension"]) == (
            sample.split,
            sample.key,
            sample.label,
            sample.extension,
        )


def test_the_same_samples_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_shards(DIGITS, digits(), tmp_path, PER_SHARD)
    assert hashes(tmp_path) == hashes(folder)


def test_members_carry_no_time_and_no_owner(folder: Path) -> None:
    with tarfile.open(folder / "train-000000.tar") as tar:
        facts = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar}
    assert facts == {(0, 0, 0, "", "", 0o644)}


def test_what_an_earlier_attempt_left_is_removed_and_the_request_is_kept(tmp_path: Path) -> None:
    for name in ("train-000009.tar", "index.parquet", ".test-000000.tar.99", "source.json"):
        (tmp_path / name).write_text("old")
    write_shards(TINY, tiny(), tmp_path, 10)
    assert names(tmp_path) == [
        "_info.json",
        "index.parquet",
        "source.json",
        "test-000000.tar",
        "train-000000.tar",
    ]


def test_an_attempt_that_fails_leaves_no_index_and_no_part_of_a_shard(tmp_path: Path) -> None:
    def failing() -> Iterator[Sample]:
        yield from tiny()
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_shards(TINY, failing(), tmp_path, 10)
    assert names(tmp_path) == ["train-000000.tar"]


def test_samples_are_not_held_in_memory(tmp_path: Path) -> None:
    megabytes = (Sample("train", f"k{number}", bytes(2**20), "png", 0) for number in range(40))
    tracemalloc.start()
    write_shards(TINY, chain(megabytes, tiny()[1:]), tmp_path, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # an image, its copy on the way to the file, and what else a shard needs
    assert peak < 6 * 2**20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 10}, r"label 10 of b is not in 0\.\.9.*tiny is configured with classes: 10"),
        ({"label": -1}, r"label -1 of b is not in 0\.\.9"),
        ({"key": "a"}, "key 'a' occurs twice in tiny"),
        ({"key": "n01.b"}, r"key 'n01\.b' must be"),
        ({"key": "B"}, "key 'B' must be"),
        ({"key": "../b"}, "key '../b' must be"),
        ({"key": "b" * 96}, "must be 1 to 95 of"),
        ({"split": "train"}, "tiny has no test images"),
    ],
)
def test_bad_samples_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_shards(TINY, tiny(**change), tmp_path, 10)
    assert not (tmp_path / "index.parquet").exists()


def test_a_key_of_95_characters_fits_into_a_shard(tmp_path: Path) -> None:
    write_shards(TINY, tiny(key="b" * 95), tmp_path, 10)
    with tarfile.open(tmp_path / "test-000000.tar") as tar:
        assert tar.getnames() == ["b" * 95 + ".png", "b" * 95 + ".cls"]


def test_no_samples_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tiny has no train images"):
        write_shards(TINY, [], tmp_path, 10)


def test_the_command_writes_beside_its_request(tmp_path: Path) -> None:
    request = tmp_path / "digits.1" / "source.json"
    request.parent.mkdir()
    request.write_text(json.dumps({"dataset": DIGITS}))
    shard(request)
    assert len(index(request.parent)) == 1797


def test_the_command_looks_for_files_in_data_and_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = tmp_path / "source.json"
    request.write_text(json.dumps({"dataset": DIGITS | {"name": "fashion", "source": "idx"}}))
    with pytest.raises(UserError, match=f"{tmp_path}/data/fashion does not exist"):
        shard(request)


def test_an_unknown_source_names_the_known_ones(tmp_path: Path) -> None:
    request = tmp_path / "source.json"
    request.write_text(json.dumps({"dataset": DIGITS | {"source": "hdf5"}}))
    with pytest.raises(UserError, match="'hdf5'; known: digits, digit-pairs, idx, cifar, image-folder"):
        shard(request)


def test_the_readers_shown_in_the_docs_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[2])
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)
    found: list[dict[str, Any]] = [{} for _ in blocks]
    for block, scope in zip(blocks, found, strict=True):
        exec(block, scope)
    streamed, by_timm, by_row = found
    assert streamed["image"].size == by_timm["image"].size == (8, 8)
    assert by_row["image_bytes"] == list(digits())[17].image_bytes
    assert io.BytesIO(by_row["image_bytes"]).read(4) == b"\x89PNG"
