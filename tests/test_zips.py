"""Facts about zips as sources: read where they lie, and refused where they are hostile."""

import shutil
import stat
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
from image_trees import contents_by_source, jpeg, sharded, tree
from PIL import Image
from timm.data import create_dataset

from looksam.detect import list_source
from looksam.errors import UserError
from looksam.listing import Listing
from looksam.pictures import Broken
from looksam.places import read
from looksam.sharding import Options
from looksam.verify import problems


def zipped(folder: Path, path: Path, method: int = zipfile.ZIP_STORED, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for one in sorted(folder.rglob("*")):
            file.write(one, top + str(one.relative_to(folder)))
    return path


def of_members(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def seen(listing: Listing) -> dict[str, list[tuple[int, str, bytes]]]:
    return {
        split: [(i.label, i.source, read(i.place)) for i in some] for split, some in listing.items.items()
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tree(tmp_path / "photos")


@pytest.fixture
def packed(photos: Path, tmp_path: Path) -> Path:
    return zipped(photos, tmp_path / "photos.zip", zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("top", ["", "imagenette2/"])
def test_a_zip_is_listed_as_its_folder_is(photos: Path, tmp_path: Path, method: int, top: str) -> None:
    listing = list_source(str(zipped(photos, tmp_path / "photos.zip", method, top)))
    folder = list_source(str(photos))
    assert seen(listing) == seen(folder)
    assert (listing.classes, listing.kind) == (folder.classes, "ImageFolder, zipped")


def test_a_link_to_a_zip_needs_no_suffix(photos: Path, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "imagenet-1k").symlink_to(packed)
    assert seen(list_source(str(tmp_path / "imagenet-1k"))) == seen(list_source(str(photos)))


def test_what_macos_adds_is_passed_over(photos: Path, tmp_path: Path) -> None:
    path = zipped(photos, tmp_path / "photos.zip", top="mine/")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/mine/train/._n0000", b"")
        file.writestr("mine/train/n0000/._train.0.JPEG", b"no image")
    assert seen(list_source(str(path))) == seen(list_source(str(photos)))


def test_kaggles_zip_is_listed_as_its_folder_is(tmp_path: Path) -> None:
    root = tmp_path / "kaggle"
    images = tree(root / "ILSVRC/Data/CLS-LOC", classes=3)
    lines = ["ImageId,PredictionString"]
    for path in sorted((images / "val").glob("*/*")):
        lines.append(f"{path.stem},{path.parent.name} 1 2 3 4 ")
        path.rename(images / "val" / path.name)
    for folder in [path for path in (images / "val").iterdir() if path.is_dir()]:
        folder.rmdir()
    (root / "LOC_val_solution.csv").write_text("\n".join(lines))
    path = zipped(root, tmp_path / "imagenet-object-localization-challenge.zip", zipfile.ZIP_DEFLATED)
    listing, folder = list_source(str(path)), list_source(str(root))
    assert seen(listing) == seen(folder)
    assert listing.kind == "Kaggle's ILSVRC CLS-LOC, zipped"


def test_webdataset_and_timm_read_the_shards_of_a_zip(photos: Path, packed: Path, tmp_path: Path) -> None:
    out, there = (
        sharded(list_source(str(packed)), tmp_path / "out", Options(6, workers=2)),
        contents_by_source(photos),
    )
    rows = [row for row in pq.read_table(out / "index.parquet").to_pylist() if row["split"] == "train"]
    urls = [str(path) for path in sorted(out.glob("train-*.tar"))]
    samples = webdataset.WebDataset(urls, shardshuffle=False)
    assert [s["jpg"] for s in samples] == [there[row["source"]] for row in rows]
    timms = create_dataset("wds/", root=str(out), split="train")
    assert [label for _, label in timms] == [row["label"] for row in rows]
    assert list(problems(out)) == []


def test_a_damaged_member_is_in_quarantine(packed: Path, tmp_path: Path) -> None:
    item = list_source(str(packed)).items["train"][3]
    with packed.open("r+b") as file:
        file.seek(item.place.offset + 30 + len(item.source) + 60)
        file.write(b"????")
    out = sharded(list_source(str(packed)), tmp_path / "out", Options(6, broken_share=0.5))
    (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert row["source"] == item.source
    assert row["reason"].startswith("damaged in its zip")


def test_a_member_that_lies_of_its_size_is_not_unpacked_further(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"train/cat/a.jpg": bytes(2**19), "train/dog/b.jpg": b"b"})
    content = path.read_bytes()
    directory = content.rindex(b"PK\1\2", 0, content.rindex(b"PK\1\2"))
    sized = content[: directory + 24] + (1000).to_bytes(4, "little") + content[directory + 28 :]
    path.write_bytes(sized)
    place = list_source(str(path)).items["train"][0].place
    assert place.size == 1000
    with pytest.raises(Broken, match="damaged in its zip"):
        read(place)


def test_an_image_of_50000_by_50000_is_in_quarantine(photos: Path, tmp_path: Path) -> None:
    # a PNG's header says it; no pixel of it is there
    path = photos / "train/n0000/large.png"
    Image.new("L", (1, 1)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:16] + 2 * (50_000).to_bytes(4, "big") + content[24:])
    out = sharded(
        list_source(str(zipped(photos, tmp_path / "a.zip"))), tmp_path / "out", Options(6, broken_share=0.5)
    )
    (row,) = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert row["reason"] == "50000 x 50000 pixels, more than 100,000,000"


@pytest.mark.parametrize(
    "name", ["/etc/passwd.jpg", "train/../../x.jpg", "\\\\host\\x.jpg", "..\\x.jpg", "C:/x.jpg", "x.jpg\0/"]
)
def test_members_that_point_out_are_refused(tmp_path: Path, name: str) -> None:
    path = of_members(tmp_path / "a.zip", {"placeholder": b"x"})
    info = zipfile.ZipInfo("y" * len(name))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(info, b"x")
    path.write_bytes(path.read_bytes().replace(b"y" * len(name), name.encode()))
    with pytest.raises(UserError, match="points out of it"):
        list_source(str(path))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("train/cat/a.jpg")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, b"/etc/passwd")
    with pytest.raises(UserError, match="no plain file"):
        list_source(str(tmp_path / "a.zip"))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"train/cat/a.jpg": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="encrypted; zip it again without a password"):
        list_source(str(path))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"train/cat/a.jpg": bytes(4 * 2**20)})
    with pytest.raises(UserError, match=r"would unpack to 4,194,304; such archives are refused"):
        list_source(str(path))


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"train/cat/a.jpg": b"a" * 50, "train/cat/b.jpg": b"b" * 50})
    content = bytearray(path.read_bytes())
    last = content.rindex(b"PK\1\2")
    content[last + 42 : last + 46] = (0).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UserError, match="inside another"):
        list_source(str(path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"train/cat/a.jpg": b"a"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("train/cat/a.jpg", b"b")
    with pytest.raises(UserError, match="twice"):
        list_source(str(path))


def test_a_zip_that_is_cut_short_is_refused(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(UserError, match="no whole zip"):
        list_source(str(packed))


def test_a_name_inside_a_file_is_refused(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"train/cat": b"a", "train/cat/b.jpg": b"b"})
    with pytest.raises(UserError, match="in a file"):
        list_source(str(path))


def test_an_unknown_compression_is_named(photos: Path, tmp_path: Path) -> None:
    path = zipped(photos, tmp_path / "a.zip", zipfile.ZIP_BZIP2)
    with pytest.raises(UserError, match="neither stored nor deflated; zip it again"):
        list_source(str(path))


def test_a_zip_of_something_else_says_what_it_holds(tmp_path: Path) -> None:
    path = of_members(tmp_path / "a.zip", {"notes.txt": b"x", "cat.jpg": jpeg(1)})
    with pytest.raises(UserError, match=r"holds cat\.jpg, notes\.txt; a zip is read that holds train"):
        list_source(str(path))


def test_nothing_is_extracted(packed: Path, photos: Path, tmp_path: Path) -> None:
    shutil.rmtree(photos)
    sharded(list_source(str(packed)), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"photos.zip", "out"}
