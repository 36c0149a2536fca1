"""Facts about Hugging Face's Parquet files as a source: read without memory, and refused where hostile."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from image_trees import jpeg, sharded
from timm.data import create_dataset

from looksam.cli import main
from looksam.detect import list_source
from looksam.errors import UserError
from looksam.listing import Listing
from looksam.room import bytes_unpacked
from looksam.sharding import Options
from looksam.unpacked import located
from looksam.verify import problems

NAMES = ["ant", "bee", "cat"]
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXTS = pa.struct({"bytes": pa.string()})


def table(images: Sequence[Any], labels: Sequence[Any], **more: Any) -> pa.Table:
    """As the `datasets` package writes it. more: image, label (names of columns), names, types."""
    image, label = more.get("image", "image"), more.get("label", "label")
    features: dict[str, Any] = {image: {"_type": "Image"}, label: {"_type": "ClassLabel"}}
    if "names" in more:
        features[label]["names"] = more["names"]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    arrays = [
        pa.array(images, more.get("image_type", IMAGE)),
        pa.array(labels, more.get("label_type", pa.int64())),
    ]
    return pa.table(arrays, [image, label]).replace_schema_metadata(metadata)


def rows(count: int, start: int = 0) -> tuple[list[dict[str, Any]], list[int]]:
    numbers = range(start, start + count)
    return [{"bytes": jpeg(n), "path": f"n{n:05d}.JPEG"} for n in numbers], [n % 3 for n in numbers]


def write(path: Path, made: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, path, **({"row_group_size": 4} | options))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for number, start in enumerate((0, 11)):
        name = f"train-{number:05d}-of-00002-0123456789abcdef.parquet"
        write(root / "data" / name, table(*rows(11, start), names=NAMES))
    write(root / "data/validation-00000-of-00001.parquet", table(*rows(6, 100), names=NAMES))
    write(root / "data/test-00000-of-00001.parquet", table(rows(5, 200)[0], [-1] * 5, names=NAMES))
    return root


def listed(root: Path) -> Listing:
    return list_source(str(root))


def only(tmp_path: Path, made: pa.Table, **options: Any) -> Path:
    return write(tmp_path / "one/train-00000-of-00001.parquet", made, **options).parent


def contents(listing: Listing, split: Any, folder: Path) -> list[bytes]:
    found = []
    for item in listing.items[split]:
        place = located(item.place, folder)
        found.append(Path(place.path).read_bytes()[place.offset : place.offset + place.size])
    return found


def index(out: Path, split: str) -> list[dict[str, Any]]:
    return [row for row in pq.read_table(out / "index.parquet").to_pylist() if row["split"] == split]


def test_splits_labels_and_class_names_are_listed(photos: Path) -> None:
    listing = listed(photos)
    assert (listing.kind, listing.classes) == ("Parquet with images", NAMES)
    assert [item.label for item in listing.items["train"]] == [n % 3 for n in range(22)]
    assert len(listing.items["test"]) == 6
    assert listing.items["train"][12].source == (
        "data/train-00001-of-00002-0123456789abcdef.parquet:1/n00012.JPEG"
    )


def test_a_test_split_without_labels_is_not_taken(photos: Path) -> None:
    (photos / "data/validation-00000-of-00001.parquet").unlink()
    assert list(listed(photos).items) == ["train"]


def test_the_summary_says_about_how_many_bytes_there_are(tmp_path: Path) -> None:
    image = hashlib.shake_256(b"").digest(20_000)
    listing = listed(only(tmp_path, table([{"bytes": bytes([i]) + image} for i in range(30)], [0] * 30)))
    said = sum(item.place.size for item in listing.items["train"])
    # pages have headers, and every value its length
    assert 30 * 20_001 < said < 1.02 * 30 * 20_001


@pytest.mark.parametrize(
    "at", ["train-00000-of-00001.parquet", "train.parquet", "train/0000.parquet", "data/train/0.parquet"]
)
def test_files_are_found_in_the_folder_and_in_folders_by_split(tmp_path: Path, at: str) -> None:
    write(tmp_path / at, table(*rows(5), names=NAMES))
    assert len(listed(tmp_path).items["train"]) == 5


def test_cifar_100s_columns_are_known(tmp_path: Path) -> None:
    made = table(*rows(3), image="img", label="fine_label", names=NAMES)
    root = only(tmp_path, made.append_column("coarse_label", pa.array([0, 0, 0])))
    assert [item.label for item in listed(root).items["train"]] == [0, 1, 2]


def test_other_names_of_columns_are_known_by_the_metadata(tmp_path: Path) -> None:
    root = only(tmp_path, table(*rows(3), image="photo", label="species", names=NAMES))
    assert listed(root).classes == NAMES


def test_classes_without_names_are_numbers(tmp_path: Path) -> None:
    assert listed(only(tmp_path, table(*rows(3)).replace_schema_metadata(None))).classes == ["0", "1", "2"]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
@pytest.mark.parametrize("group", [1, 3, 100])
@pytest.mark.parametrize("dictionary", [True, False])
def test_images_are_unpacked_as_they_are(
    tmp_path: Path, compression: str, group: int, dictionary: bool
) -> None:
    options = {"compression": compression, "row_group_size": group, "use_dictionary": dictionary}
    root = only(tmp_path, table(*rows(7)), **options, write_page_index=True, write_page_checksum=True)
    assert contents(listed(root), "train", tmp_path / "unpacked") == [jpeg(n) for n in range(7)]


def test_images_without_paths_are_named_by_their_row(tmp_path: Path) -> None:
    bare = pa.struct({"bytes": pa.binary()})
    root = only(tmp_path, table([{"bytes": jpeg(n)} for n in range(3)], [0] * 3, image_type=bare))
    listing = listed(root)
    assert listing.items["train"][2].source == "train-00000-of-00001.parquet:2"
    assert contents(listing, "train", tmp_path / "unpacked") == [jpeg(n) for n in range(3)]


def test_large_binary_and_pages_of_version_2_are_read(tmp_path: Path) -> None:
    wide = pa.struct({"bytes": pa.large_binary(), "path": pa.string()})
    root = only(tmp_path, table(*rows(7), image_type=wide), data_page_version="2.0", data_page_size=1000)
    assert contents(listed(root), "train", tmp_path / "unpacked") == [jpeg(n) for n in range(7)]


def test_a_row_group_is_unpacked_once(photos: Path, tmp_path: Path) -> None:
    listing = listed(photos)
    contents(listing, "train", tmp_path / "unpacked")
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "unpacked").iterdir()}
    assert len(first) == 6
    contents(listing, "train", tmp_path / "unpacked")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "unpacked").iterdir()} == first


def test_threads_that_want_one_row_group_unpack_it_once(photos: Path, tmp_path: Path) -> None:
    place = listed(photos).items["train"][0].place
    together = Barrier(8)

    def file_wanted(_: int) -> int:
        together.wait()
        return Path(located(place, tmp_path / "unpacked").path).stat().st_ino

    with ThreadPoolExecutor(8) as pool:
        # a second unpacking would put another file in its place
        assert len(set(pool.map(file_wanted, range(8)))) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_shards_hold_the_original_bytes_in_a_seeded_order(photos: Path, tmp_path: Path, workers: int) -> None:
    out = sharded(listed(photos), tmp_path / "out", Options(6, workers=workers))
    for row in index(out, "train"):
        number = int(row["source"].rpartition("/n")[2].removesuffix(".JPEG"))
        content = (out / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["size"]]
        assert content == jpeg(number)
        assert row["label"] == number % 3
    sources = [row["source"] for row in index(out, "train")]
    assert len(sources) == 22
    assert sources != sorted(sources)
    assert list(problems(out)) == []


def test_the_number_of_workers_changes_no_byte(photos: Path, tmp_path: Path) -> None:
    one = sharded(listed(photos), tmp_path / "one", Options(6))
    many = sharded(listed(photos), tmp_path / "many", Options(6, workers=3))
    names = sorted(path.name for path in one.iterdir() if path.is_file())
    assert all((one / name).read_bytes() == (many / name).read_bytes() for name in names)


def test_what_was_unpacked_is_removed_at_the_end(photos: Path, tmp_path: Path) -> None:
    images, labels = rows(6)
    broken = only(tmp_path, table([*images, {"bytes": b"<html>"}], [*labels, 0]))
    with pytest.raises(UserError, match="1 of 7 train images are broken"):
        sharded(listed(broken), tmp_path / "out")
    assert len(list((tmp_path / "out/parts/unpacked").iterdir())) == 2
    out = sharded(listed(photos), tmp_path / "out")
    assert not (out / "parts/unpacked").exists()


def test_a_rerun_unpacks_nothing(photos: Path, tmp_path: Path) -> None:
    out = sharded(listed(photos), tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    sharded(listed(photos), out)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")} == before


def test_room_is_wanted_for_unpacked_images_until_all_shards_are_there(photos: Path, tmp_path: Path) -> None:
    listing = listed(photos)
    every = sum(item.place.size for items in listing.items.values() for item in items)
    assert bytes_unpacked(listing, tmp_path / "out") == every
    out = sharded(listing, tmp_path / "out", Options(6))
    assert bytes_unpacked(listing, out) == 0
    (out / "train-000001.tar").unlink()
    assert bytes_unpacked(listing, out) == every


def test_webdataset_and_timm_read_the_shards(photos: Path, tmp_path: Path) -> None:
    out = sharded(listed(photos), tmp_path / "out")
    labels = [row["label"] for row in index(out, "train")]
    urls = [str(path) for path in sorted(out.glob("train-*.tar"))]
    assert [int(s["cls"]) for s in webdataset.WebDataset(urls, shardshuffle=False)] == labels
    assert [label for _, label in create_dataset("wds/", root=str(out), split="train")] == labels


@pytest.mark.parametrize("content", [None, b"", b"<html>"])
def test_rows_without_an_image_are_in_quarantine(tmp_path: Path, content: bytes | None) -> None:
    images, labels = rows(8)
    images[5]["bytes"] = content
    out = sharded(listed(only(tmp_path, table(images, labels))), tmp_path / "out", Options(broken_share=0.5))
    (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert row["source"] == "train-00000-of-00001.parquet:5/n00005.JPEG"
    assert row["reason"] in ("empty", "neither JPEG nor PNG: starts with 0x3c68746d")


def test_an_image_of_50000_by_50000_is_in_quarantine(tmp_path: Path) -> None:
    images, labels = rows(4)
    large = bytearray(images[1]["bytes"])
    frame = large.index(b"\xff\xc0")
    large[frame + 5 : frame + 9] = 2 * (50_000).to_bytes(2, "big")
    images[1]["bytes"] = bytes(large)
    out = sharded(listed(only(tmp_path, table(images, labels))), tmp_path / "out", Options(broken_share=0.5))
    (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert row["reason"] == "50000 x 50000 pixels, more than 100,000,000"


def test_hostile_paths_are_names_alone(tmp_path: Path) -> None:
    images, labels = rows(4)
    for image, path in zip(images, ["/etc/passwd", "../../x.jpg", "a\x1b[2J.jpg", None], strict=True):
        image["path"] = path
    sources = [item.source for item in listed(only(tmp_path, table(images, labels))).items["train"]]
    ends = ["0/passwd", "1/x.jpg", "2", "3"]
    assert sources == [f"train-00000-of-00001.parquet:{end}" for end in ends]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (table([b"x"], [0], image_type=pa.binary()), "column image is binary, not struct<bytes: binary"),
        (
            table([{"bytes": "x"}], [0], image_type=pa.struct({"bytes": pa.string()})),
            "not struct<bytes: binary",
        ),
        (table(rows(1)[0], ["cat"], label_type=pa.string()), "column label is string; labels are integers"),
        (table(rows(1)[0], [0.5], label_type=pa.float64()), "column label is double; labels are integers"),
        (table(rows(1)[0], [[0]], label_type=pa.list_(pa.int64())), "labels are integers"),
        (table(rows(1)[0], [None]), "rows without a label in label"),
        (table(rows(1)[0], [-1]), r"label -1 of train image .* is not in 0\.\."),
        (table(rows(1)[0], [7], names=NAMES), r"label 7 of train image .* is not in 0\.\.2"),
        (table(rows(1)[0], [10**9]), "label 1000000000 is not below 1,000,000"),
        (table(*rows(1), names=[1, 2]), "no list of names"),
        (table(*rows(1)).drop_columns("label"), "has no column label or fine_label; it has image"),
        (
            table(*rows(1)).replace_schema_metadata({"huggingface": "{"}),
            "metadata of Hugging Face cannot be read",
        ),
        (table(*rows(1)).replace_schema_metadata({"huggingface": "[" * 100_000}), "cannot be read"),
        (table([{"bytes": b"x", "path": "x" * 5000}], [0]), "path of 5,000 bytes"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, made: pa.Table, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listed(only(tmp_path, made))


def test_a_missing_file_is_named(photos: Path) -> None:
    (photos / "data/train-00001-of-00002-0123456789abcdef.parquet").unlink()
    with pytest.raises(UserError, match=r"holds 1 of 2 files as train-00000-of-00002"):
        listed(photos)


def test_a_file_of_no_split_is_named(photos: Path) -> None:
    write(photos / "data/extra.parquet", table(*rows(2)))
    with pytest.raises(UserError, match=r"the name of extra\.parquet tells no split"):
        listed(photos)


def test_files_of_other_classes_are_named(photos: Path) -> None:
    write(photos / "data/validation-00000-of-00001.parquet", table(*rows(2), names=NAMES[:2]))
    with pytest.raises(UserError, match="differ in columns or class names"):
        listed(photos)


@pytest.mark.parametrize("left", [0, 100, -20])
def test_a_file_that_is_cut_short_is_refused(photos: Path, left: int) -> None:
    path = photos / "data/validation-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError, match="damaged or no Parquet file"):
        listed(photos)


def test_a_changed_footer_is_refused_and_ends_no_process(tmp_path: Path) -> None:
    path = next(only(tmp_path, table(*rows(4))).iterdir())
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    # on some of these, pyarrow's own access to a chunk's facts ends the process
    for at in range(footer, len(content) - 8, 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x12]) + content[at + 1 :])
        try:
            sharded(listed(path.parent), tmp_path / "out", Options(broken_share=1.0))
        except UserError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", [b"imag\xff", b"imagX"])
def test_names_of_chunks_that_are_not_the_columns_are_refused(tmp_path: Path, name: bytes) -> None:
    path = next(only(tmp_path, table(*rows(4)), row_group_size=4).iterdir())
    content = bytearray(path.read_bytes())
    # the footer has it in the schema, in each chunk, and in the metadata
    at = [match.start() for match in re.finditer(b"image", content)]
    for start in at[1:3]:
        content[start : start + 5] = name
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or no Parquet file"):
        listed(path.parent)


def test_a_changed_page_is_found_by_its_checksum(tmp_path: Path) -> None:
    root = only(tmp_path, table(*rows(4)), write_page_checksum=True, compression="none", use_dictionary=False)
    listing = listed(root)
    path = Path(listing.items["train"][0].place.path)
    content = bytearray(path.read_bytes())
    content[content.index(jpeg(2)) + 30] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read|damaged"):
        sharded(listing, tmp_path / "out")


def test_a_page_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    listing = listed(only(tmp_path, table([{"bytes": bytes(40 * 2**20)}], [0]), compression="zstd"))
    with pytest.raises(UserError, match=r"would unpack to 41,9\d\d,\d\d\d; such are refused"):
        located(listing.items["train"][0].place, tmp_path)


def test_one_value_that_stands_in_many_rows_is_refused(tmp_path: Path) -> None:
    # 64 rows of 1 MiB in a file of some 100 kB, whose page of one value is small enough
    content = hashlib.shake_256(b"").digest(50_000) + bytes(2**20)
    made = table([{"bytes": content}] * 64, [0] * 64)
    root = only(tmp_path, made, compression="zstd", row_group_size=64, dictionary_pagesize_limit=2**22)
    assert sum(path.stat().st_size for path in root.iterdir()) < 200_000
    with pytest.raises(UserError, match="would unpack to more than 33,554,432 bytes"):
        located(listed(root).items["train"][0].place, tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_more_rows_than_there_can_be_images_are_refused(tmp_path: Path) -> None:
    root = only(tmp_path, table([{"bytes": b""}] * 100_000, [0] * 100_000), row_group_size=100_000)
    with pytest.raises(UserError, match="claims 100,000 images in"):
        listed(root)


def test_a_row_group_is_unpacked_in_memory_of_a_page(tmp_path: Path) -> None:
    blob = hashlib.shake_256(b"").digest(2**20)
    made = table([{"bytes": i.to_bytes(4, "big") + blob} for i in range(96)], [0] * 96)
    options = {"row_group_size": 96, "data_page_size": 2**20, "use_dictionary": False, "write_batch_size": 1}
    place = listed(only(tmp_path, made, **options)).items["train"][0].place
    code = (
        "import resource; from pathlib import Path; from looksam.places import Place; "
        "from looksam.unpacked import located; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        f"located({place!r}, Path({str(tmp_path)!r})); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 96 MiB in pages of 1 MiB; buffers and the allocator take some of their own
    assert int(told.stdout) < 48 * 1024


def test_the_commands_plan_and_shard(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["shard", str(photos), str(tmp_path / "out"), "--plan"])
    assert "images: 28 of" in capsys.readouterr().out
    main(["shard", str(photos), str(tmp_path / "out"), "--workers", "2", "--per-shard", "5"])
    assert capsys.readouterr().out == f"{tmp_path}/out: finished\n"
