"""Facts about the shards of any source: order, lengths, reruns and broken images."""

import errno
import fcntl
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import webdataset
from image_trees import contents_by_source, jpeg, sharded, tree
from timm.data import create_dataset

from looksam.cli import main
from looksam.detect import list_source
from looksam.errors import UserError
from looksam.loader import load
from looksam.locks import locked
from looksam.sharding import Options
from looksam.write import Job, write_shard

SIZED = {"name": "photos", "height": 9, "width": 12, "channels": 3}
SIX = Options(per_shard=6)
TOLERANT = Options(per_shard=6, broken_share=0.5)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tree(tmp_path / "photos")


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def index(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "index.parquet").to_pylist()
    return rows


def made(source: Path, out: Path, options: Options = SIX) -> Path:
    return sharded(list_source(str(source)), out, options)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}


def test_every_shard_but_a_splits_last_has_the_exact_length(photos: Path, tmp_path: Path) -> None:
    counts = Counter(row["shard"] for row in index(made(photos, tmp_path / "out")))
    assert counts == {"test-000000.tar": 6} | {f"train-{i:06d}.tar": n for i, n in enumerate([6, 6, 6, 2])}


def test_original_bytes_are_found_by_the_index(photos: Path, tmp_path: Path) -> None:
    out, there = made(photos, tmp_path / "out"), contents_by_source(photos)
    for row in index(out):
        content = (out / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["size"]]
        assert content == there.pop(row["source"])
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["width"], row["height"], row["format"], row["mode"]) == (12, 9, "JPEG", "RGB")
        assert row["label"] == int(row["source"].split("/")[1][1:])
    assert not there


def test_the_order_is_shuffled_and_the_seeds(photos: Path, tmp_path: Path) -> None:
    first, other = (
        [row["source"] for row in index(made(photos, tmp_path / str(seed), Options(6, seed=seed)))]
        for seed in (0, 1)
    )
    assert sorted(first) == sorted(other)
    assert first != other
    assert first[:20] != sorted(first[:20])


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_no_byte(photos: Path, tmp_path: Path, workers: int) -> None:
    (photos / "train/n0000/train.4.JPEG").write_bytes(b"")
    one = made(photos, tmp_path / "one", TOLERANT)
    assert hashes(made(photos, tmp_path / "many", TOLERANT._replace(workers=workers))) == hashes(one)


@pytest.mark.parametrize("split", ["train", "test"])
def test_webdataset_reads_the_shards(photos: Path, tmp_path: Path, split: str) -> None:
    out = made(photos, tmp_path / "out")
    urls = [str(path) for path in sorted(out.glob(f"{split}-*.tar"))]
    read = [(s["__key__"], int(s["cls"])) for s in webdataset.WebDataset(urls, shardshuffle=False)]
    assert read == [(row["key"], row["label"]) for row in index(out) if row["split"] == split]


@pytest.mark.parametrize("split", ["train", "test"])
def test_timm_reads_the_shards(photos: Path, tmp_path: Path, split: str) -> None:
    out = made(photos, tmp_path / "out")
    read = create_dataset("wds/", root=str(out), split=split)
    assert [label for _, label in read] == [row["label"] for row in index(out) if row["split"] == split]


def test_the_loader_reads_the_shards(photos: Path, tmp_path: Path) -> None:
    size = {"height": 9, "width": 12, "resize": 12, "channels": 3}
    data = load(made(photos, tmp_path / "out"), "test", {"name": "x", "decode": "each-time", **size})
    assert data.at(torch.arange(6)).shape == (6, 3, 9, 12)


def test_a_rerun_writes_no_shard_again(photos: Path, tmp_path: Path) -> None:
    out = made(photos, tmp_path / "out")
    before, there = times(out), hashes(out)
    made(photos, out)
    assert (times(out), hashes(out)) == (before, there)


def test_a_damaged_shard_is_written_again_and_no_other(photos: Path, tmp_path: Path) -> None:
    out = made(photos, tmp_path / "out")
    before, there = times(out), hashes(out)
    shard = out / "train-000001.tar"
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(before[shard.name], before[shard.name]))
    made(photos, out)
    assert hashes(out) == there
    assert {name for name, time in times(out).items() if time != before[name]} == {shard.name}


@pytest.mark.parametrize("at", [4, 200, 1500, -200, -1])
def test_a_shard_whose_part_of_the_index_is_damaged_is_written_again(
    photos: Path, tmp_path: Path, at: int
) -> None:
    out = made(photos, tmp_path / "out")
    there = hashes(out)
    part = out / "parts/train-000001.parquet"
    content = bytearray(part.read_bytes())
    content[at] ^= 1
    part.write_bytes(content)
    made(photos, out)
    assert hashes(out) == there


def test_a_changed_image_changes_its_own_shard_alone(photos: Path, tmp_path: Path) -> None:
    out = made(photos, tmp_path / "out")
    before = times(out)
    (photos / "train/n0001/train.3.JPEG").write_bytes(jpeg(77))
    (row,) = [row for row in index(out) if row["source"] == "train/n0001/train.3.JPEG"]
    made(photos, out)
    assert {name for name, time in times(out).items() if time != before[name]} == {row["shard"]}


def test_an_interrupted_call_keeps_its_finished_shards(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    last = photos / index(made(photos, tmp_path / "whole"))[19]["source"]
    content, time = last.read_bytes(), last.stat().st_mtime_ns
    last.unlink()
    last.mkdir()
    os.utime(last, ns=(time, time))
    with pytest.raises(UserError, match="cannot read"):
        made(photos, out)
    kept = times(out)
    assert len(kept) == 3
    assert not (out / "index.parquet").exists()
    last.rmdir()
    last.write_bytes(content)
    made(photos, out)
    assert {name: times(out)[name] for name in kept} == kept
    assert hashes(out) == hashes(tmp_path / "whole")


def test_shards_that_are_no_longer_needed_are_removed(photos: Path, tmp_path: Path) -> None:
    out = made(photos, tmp_path / "out", Options(per_shard=2))
    made(photos, out)
    assert hashes(out) == hashes(made(photos, tmp_path / "fresh"))


def test_broken_images_are_in_quarantine_and_the_shards_stay_full(photos: Path, tmp_path: Path) -> None:
    whole = index(made(photos, tmp_path / "whole"))
    broken = whole[2]["source"]
    (photos / broken).write_bytes(jpeg(1)[:50])
    out = made(photos, tmp_path / "out", TOLERANT)
    (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert (row["source"], row["key"], row["label"]) == (broken, whole[2]["key"], whole[2]["label"])
    assert row["reason"] == "cut short before its size"
    counts = Counter(row["shard"] for row in index(out) if row["split"] == "train")
    assert list(counts.values()) == [6, 6, 6, 1]
    assert {row["source"] for row in index(out)} == {row["source"] for row in whole} - {broken}


def test_a_broken_image_leaves_other_full_shards_as_they_are(photos: Path, tmp_path: Path) -> None:
    whole = made(photos, tmp_path / "whole")
    (photos / index(whole)[2]["source"]).write_bytes(b"")
    out = made(photos, tmp_path / "out", TOLERANT)
    same = {name for name, found in hashes(out).items() if found == hashes(whole)[name]}
    assert {"train-000001.tar", "train-000002.tar", "test-000000.tar"} <= same


def test_more_broken_images_than_the_share_stop_the_sharding(photos: Path, tmp_path: Path) -> None:
    (photos / "val/n0001/val.3.JPEG").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"1 of 6 test images are broken.*val\.3\.JPEG: neither JPEG nor PNG"):
        made(photos, tmp_path / "out")
    assert not (tmp_path / "out/index.parquet").exists()


def test_a_folder_with_other_tars_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tar").write_text("precious")
    with pytest.raises(UserError, match="holds tars that are not by looksam shard"):
        made(photos, tmp_path)
    assert (tmp_path / "mine.tar").read_text() == "precious"


def test_a_folder_that_another_command_writes_to_is_refused(photos: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(UserError, match="another looksam shard is writing to"):
        made(photos, tmp_path / "out")


def test_a_file_system_without_locks_serves_too(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert (made(photos, tmp_path / "out") / "index.parquet").exists()


def test_the_command_shards_a_folder(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["shard", str(photos), str(tmp_path / "out"), "--per-shard", "6", "--workers", "2", "--seed", "0"])
    assert hashes(tmp_path / "out") == hashes(made(photos, tmp_path / "same"))
    assert capsys.readouterr().out == f"{tmp_path}/out: finished\n"


def test_embedded_digits_are_sharded_by_their_name(tmp_path: Path) -> None:
    main(["shard", "digits", str(tmp_path / "out")])
    lengths = json.loads((tmp_path / "out/_info.json").read_text())["splits"]
    assert {split: found["num_samples"] for split, found in lengths.items()} == {"train": 300, "test": 1497}


def test_a_request_is_told_from_a_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["shard", str(photos)])


def test_a_shards_turn_is_over_before_it_waits_for_the_disk(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, turn, held = list_source(str(photos)).items["train"], Lock(), list[bool]()
    job = Job(str(tmp_path / "a.tar"), "train", [(0, "a", items[0])], False, "")

    def told(*_: object) -> bool:
        held.append(turn.locked())
        return False

    monkeypatch.setattr(os, "fsync", told)
    write_shard(job, told, turn)
    assert held == [True, False]
