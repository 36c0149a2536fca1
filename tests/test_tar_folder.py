"""Facts about WebDataset tars of others as a source: listed, linked and verified as they are."""

import hashlib
import io
import json
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import webdataset
from image_trees import jpeg, sharded, tree
from timm.data import create_dataset

from looksam.cli import main
from looksam.detect import list_source
from looksam.errors import UserError
from looksam.index import INDEX
from looksam.linked import shard_or_link
from looksam.listing import summary
from looksam.loader import load
from looksam.room import bytes_held, bytes_needed
from looksam.sharding import Options
from looksam.verify import problems

SIZED = {"name": "photos", "decode": "each-time", "height": 9, "width": 12, "resize": 12, "channels": 3}
TRAIN, VAL = ("photos-train-0000.tar", "photos-train-0001.tar"), ("photos-validation-0000.tar",)


def sample(number: int, label: int, **more: Any) -> dict[str, Any]:
    return {"__key__": f"n{label:04d}_{number}", "jpg": jpeg(number), "cls": label} | more


def written(root: Path, names: Mapping[str, list[dict[str, Any]]]) -> Path:
    """A folder with tars by webdataset's own writer."""
    for name, some in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with webdataset.TarWriter(str(root / name)) as writer:
            for one in some:
                writer.write(one)
    return root


def numbered(count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [sample(start + i, i % 3, **more) for i in range(count)]


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    contents = {TRAIN[0]: numbered(7), TRAIN[1]: numbered(5, 100), VAL[0]: numbered(4, 200)}
    return written(tmp_path / "tars", contents)


def raw(path: Path, members: list[tuple[str, bytes]], **odd: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in odd.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return path.parent


def linked(source: Path, out: Path, options: Options = Options()) -> Path:  # noqa: B008
    shard_or_link(list_source(str(source)), out, options, lambda images: None)
    return out


def index(out: Path, split: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "index.parquet").to_pylist()
    return [row for row in rows if not split or row["split"] == split]


def read_by_webdataset(out: Path, split: str) -> list[dict[str, Any]]:
    urls = [str(path) for path in sorted(out.glob(f"{split}-*.tar"))]
    return list(webdataset.WebDataset(urls, shardshuffle=False))


def test_splits_are_told_by_names(tars: Path) -> None:
    listing = list_source(str(tars))
    assert {split: len(items) for split, items in listing.items.items()} == {"train": 12, "test": 4}
    assert (listing.kind, listing.classes) == ("WebDataset tars", ["0", "1", "2"])


def test_splits_are_told_by_folders(tmp_path: Path) -> None:
    listing = list_source(str(written(tmp_path, {"train/0.tar": numbered(3), "val/0.tar": numbered(2)})))
    assert {split: len(items) for split, items in listing.items.items()} == {"train": 3, "test": 2}


def test_info_json_tells_splits_whatever_the_names(tars: Path) -> None:
    (tars / TRAIN[1]).rename(tars / "b.tar")
    splits = {"train": {"filenames": [VAL[0]]}, "validation": {"filenames": ["b.tar"]}}
    (tars / "_info.json").write_text(json.dumps({"splits": splits}))
    listing = list_source(str(tars))
    assert {split: len(items) for split, items in listing.items.items()} == {"train": 4, "test": 5}


def test_tars_without_splits_are_training_and_that_is_said(tmp_path: Path) -> None:
    listing = list_source(str(written(tmp_path, {"0.tar": numbered(3), "pretrained-1.tar": numbered(2)})))
    assert len(listing.items["train"]) == 5
    assert "neither names nor _info.json tell a split, so all are taken for training" in summary(listing)[0]


def test_a_tar_whose_split_alone_is_not_told_is_named(tars: Path) -> None:
    written(tars, {"more.tar": numbered(3)})
    with pytest.raises(UserError, match=r"no name tells the split of more\.tar"):
        list_source(str(tars))


def test_nothing_is_copied(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    links = {path.name: path for path in out.glob("*.tar")}
    assert set(links) == {"train-000000.tar", "train-000001.tar", "test-000000.tar"}
    assert all(path.is_symlink() for path in links.values())
    assert links["train-000001.tar"].resolve() == tars / TRAIN[1]
    assert str(links["train-000001.tar"].readlink()) == f"../tars/{TRAIN[1]}"


def test_links_want_no_room(tars: Path, tmp_path: Path) -> None:
    listing = list_source(str(tars))
    assert bytes_needed(listing, 5000, beside=0) == 0
    assert bytes_held(linked(tars, tmp_path / "out")) == 0


def test_a_link_to_elsewhere_is_absolute(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "deep/er/out")
    assert (out / "test-000000.tar").readlink() == tars / VAL[0]


def test_the_index_has_the_columns_of_written_shards_and_finds_the_images(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    assert pq.read_schema(out / "index.parquet").equals(INDEX)
    for row in index(out):
        content = (out / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["size"]]
        assert content == jpeg(int(row["key"].split("_")[1]))
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["width"], row["height"], row["extension"]) == (12, 9, "jpg")
    assert {row["source"] for row in index(out, "test")} == {
        f"{VAL[0]}/n{i % 3:04d}_{200 + i}.jpg" for i in range(4)
    }


@pytest.mark.parametrize("split", ["train", "test"])
def test_webdataset_reads_what_the_index_says(tars: Path, tmp_path: Path, split: str) -> None:
    out = linked(tars, tmp_path / "out")
    read = [(s["__key__"], int(s["cls"])) for s in read_by_webdataset(out, split)]
    assert read == [(row["key"], row["label"]) for row in index(out, split)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_timm_reads_the_links(tars: Path, tmp_path: Path, split: str) -> None:
    out = linked(tars, tmp_path / "out")
    read = create_dataset("wds/", root=str(out), split=split)
    assert [label for _, label in read] == [row["label"] for row in index(out, split)]
    assert len(read) == len(index(out, split))


def test_timm_finds_labels_in_json(tmp_path: Path) -> None:
    some = [{"__key__": f"a/{i}", "jpeg": jpeg(i), "json": {"label": i % 2}} for i in range(4)]
    out = linked(written(tmp_path / "tars", {"train-0.tar": some}), tmp_path / "out")
    read = create_dataset("wds/", root=str(out), split="train", input_key="jpg;jpeg")
    assert [label for _, label in read] == [0, 1, 0, 1] == [row["label"] for row in index(out)]
    assert [row["extension"] for row in index(out)] == ["jpeg"] * 4
    assert list(problems(out)) == []


def test_the_loader_reads_the_links(tars: Path, tmp_path: Path) -> None:
    data = load(linked(tars, tmp_path / "out"), "test", SIZED)
    assert (data.at(torch.arange(4)).shape, data.labels.tolist()) == ((4, 3, 9, 12), [0, 1, 2, 0])


def test_our_own_shards_are_a_source(tmp_path: Path) -> None:
    listing = list_source(str(tree(tmp_path / "photos")))
    ours = sharded(listing, tmp_path / "ours")
    out = linked(ours, tmp_path / "out")
    columns = ["split", "shard", "offset", "size", "key", "label", "sha256", "extension", "mode"]
    assert pq.read_table(out / "index.parquet", columns=columns).equals(
        pq.read_table(ours / "index.parquet", columns=columns)
    )
    assert json.loads((out / "classes.json").read_text()) == listing.classes
    assert (out / "_info.json").read_text() == (ours / "_info.json").read_text()
    assert list(problems(out)) == []


def test_a_request_for_tars_gets_links(
    tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/photos").symlink_to(tars)
    (tmp_path / "out").mkdir()
    dataset = {"name": "photos", "source": "files", "classes": 3, "train_images": 12, "test_images": 4}
    request = {"dataset": dataset | {"per_shard": 5}, "code": "0"}
    (tmp_path / "out/source.json").write_text(json.dumps(request))
    monkeypatch.chdir(tmp_path)
    main(["shard", "out/source.json"])
    assert all(path.is_symlink() for path in (tmp_path / "out").glob("*.tar"))
    assert list(problems(tmp_path / "out")) == []


def test_arrays_are_decoded_once_from_links(
    tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/photos").symlink_to(tars)
    (tmp_path / "out").mkdir()
    dataset = SIZED | {"decode": "once", "source": "files", "classes": 3, "train_images": 12}
    request = {"dataset": dataset | {"test_images": 4, "per_shard": 5}, "code": "0"}
    (tmp_path / "out/source.json").write_text(json.dumps(request))
    monkeypatch.chdir(tmp_path)
    main(["shard", "out/source.json"])
    assert load(tmp_path / "out", "train", dataset).at(torch.arange(12)).shape == (12, 3, 9, 12)


def test_links_take_the_place_of_shards_and_shards_that_of_links(tars: Path, tmp_path: Path) -> None:
    photos = list_source(str(tree(tmp_path / "photos")))
    out = sharded(photos, tmp_path / "out")
    before = (tars / TRAIN[0]).read_bytes()
    linked(tars, out)
    assert list(problems(out)) == []
    assert sum(path.is_symlink() for path in out.glob("*.tar")) == 3
    sharded(photos, out)
    assert list(problems(out)) == []
    assert not any(path.is_symlink() for path in out.glob("*.tar"))
    assert (tars / TRAIN[0]).read_bytes() == before


def test_links_are_a_source_too(tars: Path, tmp_path: Path) -> None:
    first = linked(tars, tmp_path / "first")
    second = linked(first, tmp_path / "second")
    assert [row["sha256"] for row in index(second)] == [row["sha256"] for row in index(first)]
    assert (second / "test-000000.tar").resolve() == tars / VAL[0]


def test_a_folder_is_not_linked_to_itself(tmp_path: Path) -> None:
    ours = sharded(list_source(str(tree(tmp_path / "photos"))), tmp_path / "ours")
    with pytest.raises(UserError, match="choose a folder of its own for OUT"):
        linked(ours, ours)
    assert not any(path.is_symlink() for path in ours.glob("*.tar"))


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_no_byte(tars: Path, tmp_path: Path, workers: int) -> None:
    one, many = linked(tars, tmp_path / "one"), linked(tars, tmp_path / "many", Options(workers=workers))
    for name in ("index.parquet", "_info.json", "quarantine.parquet", "classes.json"):
        assert (one / name).read_bytes() == (many / name).read_bytes()


def test_a_rerun_indexes_no_tar_again(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.glob("parts/*")}
    links = {path: path.lstat().st_mtime_ns for path in out.glob("*.tar")}
    linked(tars, out)
    assert {path: path.stat().st_mtime_ns for path in out.glob("parts/*")} == before
    assert {path: path.lstat().st_mtime_ns for path in out.glob("*.tar")} == links


def test_a_changed_tar_is_indexed_again_and_no_other(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*")}
    written(tars, {TRAIN[1]: numbered(6, 300)})
    linked(tars, out)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*")}
    assert {name for name in after if after[name] != before[name]} == {"train-000001.parquet"}
    assert list(problems(out)) == []


def test_broken_images_are_in_quarantine_by_their_key(tars: Path, tmp_path: Path) -> None:
    some = [*numbered(3), sample(3, 0, jpg=jpeg(3)[:40])]
    out = linked(written(tars, {TRAIN[0]: some}), tmp_path / "out", Options(broken_share=0.5))
    for _ in range(2):
        (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
        assert (row["key"], row["label"], row["reason"]) == ("n0000_3", 0, "cut short before its size")
        assert "n0000_3" not in {one["key"] for one in index(out)}
        assert list(problems(out)) == []
        linked(tars, out, Options(broken_share=0.5))


def test_an_image_of_50000_by_50000_is_in_quarantine(tars: Path, tmp_path: Path) -> None:
    large = bytearray(jpeg(1))
    frame = large.index(b"\xff\xc0")
    large[frame + 5 : frame + 9] = 2 * (50_000).to_bytes(2, "big")
    some = [*numbered(3), sample(3, 0, jpg=bytes(large))]
    out = linked(written(tars, {TRAIN[0]: some}), tmp_path / "out", Options(broken_share=0.5))
    (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert row["reason"] == "50000 x 50000 pixels, more than 100,000,000"


def test_too_many_broken_images_stop_the_linking(tars: Path, tmp_path: Path) -> None:
    written(tars, {TRAIN[0]: [sample(0, 0, jpg=b"<html>")]})
    with pytest.raises(UserError, match=r"1 of 6 train images are broken"):
        linked(tars, tmp_path / "out")
    assert not (tmp_path / "out/index.parquet").exists()


def test_a_key_in_two_tars_gets_its_shards_name(tmp_path: Path) -> None:
    contents = {
        "train-0.tar": numbered(2),
        "train-1.tar": [sample(0, 0), sample(9, 1)],
        "val-0.tar": numbered(1),
    }
    out = linked(written(tmp_path / "tars", contents), tmp_path / "out")
    assert [row["key"] for row in index(out)] == [
        "train-000000/n0000_0",
        "n0001_1",
        "train-000001/n0000_0",
        "n0001_9",
        "test-000000/n0000_0",
    ]
    assert list(problems(out)) == []


def test_parts_with_a_dot_that_are_no_samples_are_passed_over(tmp_path: Path) -> None:
    some = [sample(i, 0, **{"seg.png": b"mask", "txt": "a cat"}) for i in range(2)]
    out = linked(written(tmp_path / "tars", {"train.tar": some}), tmp_path / "out")
    assert [row["key"] for row in index(out)] == ["n0000_0", "n0000_1"]


def test_pickles_are_not_looked_into(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    hostile = pickle.dumps(Hostile())
    members = [("a.jpg", jpeg(1)), ("a.cls", b"0"), ("a.pyd", hostile), ("a.pickle", hostile)]
    out = linked(raw(tmp_path / "tars/train.tar", members), tmp_path / "out")
    assert list(problems(out)) == []
    assert len(index(out)) == 1
    assert not (tmp_path / "ran").exists()


def test_capital_extensions_are_read_as_webdataset_does(tmp_path: Path) -> None:
    out = linked(
        raw(tmp_path / "tars/train.tar", [("A/B.JPG", jpeg(1)), ("A/B.cls", b"0\n")]), tmp_path / "out"
    )
    (row,) = index(out)
    assert (row["key"], row["extension"]) == ("A/B", "jpg")
    assert read_by_webdataset(out, "train")[0]["__key__"] == "A/B"
    assert list(problems(out)) == []


IMAGE, LABEL = ("a.jpg", jpeg(1)), ("a.cls", b"0")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("b.1.jpg", jpeg(1)), ("b.1.cls", b"0")], "ends a key at the first dot"),
        (
            [("b.1.jpg", jpeg(1)), ("b.1.cls", b"0"), ("b.2.jpg", jpeg(2)), ("b.2.cls", b"1")],
            "one sample to it, b;",
        ),
        ([IMAGE, LABEL, ("a.1.jpg", jpeg(2)), ("a.1.cls", b"1")], "ends a key at the first dot"),
        ([("b.1.jpg", jpeg(1)), ("b.cls", b"0")], "has 0 images"),
        ([IMAGE, IMAGE, LABEL], "two members of the same extension"),
        ([IMAGE, ("a.png", b"x"), LABEL], "has 2 images"),
        ([IMAGE, LABEL, ("b.jpg", jpeg(2)), ("b.cls", b"0"), IMAGE, LABEL], "not next to each other"),
        ([IMAGE], "sample a has no label; one is a number in"),
        ([IMAGE, ("a.cls", b"cat")], "label of sample a cannot be read"),
        ([IMAGE, ("a.cls", b"1" * 5000)], "has 5,000 bytes, more than 32"),
        ([IMAGE, ("a.cls", b"-1")], r"label -1 of train image train\.tar/a\.jpg is not in 0\.\."),
        ([IMAGE, ("a.cls", b"999999999999")], "not below 1,000,000"),
        ([IMAGE, ("a.json", b"[" * 100_000)], "label of sample a cannot be read"),
        ([IMAGE, ("a.json", b'{"label": "cat"}')], "sample a has no label"),
        ([IMAGE, ("a.json", b'{"label": true}')], "sample a has no label"),
        ([("a\nb.jpg", jpeg(1)), ("a\nb.cls", b"0")], "not printable"),
        ([("/etc/a.jpg", jpeg(1))], "points out of it"),
        ([("../a.jpg", jpeg(1))], "points out of it"),
    ],
)
def test_members_that_make_no_sample_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        list_source(str(raw(tmp_path / "train.tar", members)))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(UserError, match="no plain file"):
        list_source(str(raw(tmp_path / "train.tar", [("a.jpg", b"")], type=kind, linkname="/etc/passwd")))


def test_a_name_of_many_bytes_is_not_read_into_memory(tmp_path: Path) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 4 * 2**20
    with (tmp_path / "train.tar").open("wb") as file:
        file.write(member.tobuf())
        file.write(b"x" * member.size + bytes(10240))
    with pytest.raises(UserError, match="a header of 4,194,304 bytes"):
        list_source(str(tmp_path))


@pytest.mark.parametrize("left", [100, 700, 2000, -1500])
def test_a_tar_that_is_cut_short_is_refused(tars: Path, left: int) -> None:
    path = tars / TRAIN[0]
    content = path.read_bytes().rstrip(b"\0") if left < 0 else path.read_bytes()
    path.write_bytes(content[:left])
    with pytest.raises(UserError, match="cut short"):
        list_source(str(tars))


@pytest.mark.parametrize("name", ["train.tar.gz", "train.tgz", "train.tar"])
def test_a_gzipped_tar_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / name, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(UserError, match=rf"{name} is gzipped.*gunzip it"):
        list_source(str(tmp_path))


@pytest.mark.parametrize("name", ["../secret.tar", "/etc/passwd", "missing.tar"])
def test_an_info_json_that_points_elsewhere_is_refused(tars: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.tar").write_bytes(b"")
    (tars / "_info.json").write_text(json.dumps({"splits": {"train": {"filenames": [name]}}}))
    with pytest.raises(UserError, match="which is no file in"):
        list_source(str(tars))


@pytest.mark.parametrize("text", ["[]", "{", '{"splits": {"train": [1]}}', '{"splits": 7}', "[" * 100_000])
def test_a_damaged_info_json_is_named(tars: Path, text: str) -> None:
    (tars / "_info.json").write_text(text)
    with pytest.raises(UserError, match=r"_info\.json (has no filenames|is no JSON).*correct or delete it"):
        list_source(str(tars))


def test_a_tar_that_is_there_twice_is_refused(tars: Path) -> None:
    (tars / "copy-train-2.tar").symlink_to(tars / TRAIN[0])
    with pytest.raises(UserError, match="a tar is there twice"):
        list_source(str(tars))


def test_verify_finds_linked_tars_whole(tars: Path, tmp_path: Path) -> None:
    assert list(problems(linked(tars, tmp_path / "out"))) == []


def test_verify_names_a_changed_image(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    row = index(out, "train")[8]
    with (tars / TRAIN[1]).open("r+b") as file:
        file.seek(row["offset"] + 9)
        file.write(b"?")
    told = f"{row['shard']}: the image of sample {row['key']} has not the SHA-256 of the index"
    assert list(problems(out)) == [told]


def test_verify_names_a_changed_label(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    some = numbered(7)
    some[2]["cls"] = 1
    written(tars, {TRAIN[0]: some})
    told = "the label of sample n0002_2 is 1, not 2, as the index says"
    assert list(problems(out)) == [f"train-000000.tar: {told}"]


def test_verify_names_new_and_missing_samples(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    written(tars, {VAL[0]: [*numbered(3, 200), sample(999, 1)]})
    assert list(problems(out)) == [
        "test-000000.tar: sample n0001_999 is not in the index",
        "test-000000.tar: sample n0000_203 is missing",
    ]


def test_verify_names_a_tar_that_is_gone(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    (tars / VAL[0]).unlink()
    assert list(problems(out)) == ["test-000000.tar is missing"]


def test_verify_names_a_tar_that_was_cut_short(tars: Path, tmp_path: Path) -> None:
    out = linked(tars, tmp_path / "out")
    path = tars / VAL[0]
    path.write_bytes(path.read_bytes()[:2000])
    assert "test-000000.tar: " in next(iter(problems(out)))


def test_the_commands_link_and_verify(tars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    main(["shard", str(tars), str(out), "--plan"])
    assert "in 3 shards" in capsys.readouterr().out
    main(["shard", str(tars), str(out), "--workers", "2"])
    main(["verify", str(out)])
    assert capsys.readouterr().out == f"{out}: finished\n{out}: all as the index says\n"
