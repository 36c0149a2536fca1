"""Facts about what lies in data/<name>: how it is recognised, and what is said where nothing is."""

import os
from pathlib import Path

import pytest
from image_trees import tree
from PIL import Image

from looksam.errors import UserError
from looksam.listing import Listing
from looksam.sources import SOURCES


def read(folder: Path) -> Listing:
    return SOURCES["files"]({}, folder)


def write_folder(folder: Path) -> Path:
    for name in (
        "train/cat/B.jpg",
        "train/cat/a.JPEG",
        "train/ant/é x.png",
        "val/cat/1.jpg",
        "val/ant/2.jpeg",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (9, 7), (len(name) * 9, 50, 20))
        image.save(path, "PNG" if path.suffix == ".png" else "JPEG")
    return folder


def test_image_folders_sort_classes_and_files(tmp_path: Path) -> None:
    listing = read(write_folder(tmp_path))
    sources = {split: [(item.source, item.label) for item in x] for split, x in listing.items.items()}
    assert sources == {
        "train": [("train/ant/é x.png", 0), ("train/cat/B.jpg", 1), ("train/cat/a.JPEG", 1)],
        "test": [("val/ant/2.jpeg", 0), ("val/cat/1.jpg", 1)],
    }
    assert listing.classes == ["ant", "cat"]


def test_links_inside_an_image_folder_are_followed(tmp_path: Path) -> None:
    write_folder(tmp_path / "real")
    for part in ("train", "val"):
        (tmp_path / "linked" / part).mkdir(parents=True)
        for name in ("ant", "cat"):
            (tmp_path / "linked" / part / name).symlink_to(tmp_path / "real" / part / name)
    plain, linked = (
        [(i.source, i.label, i.place.size) for i in read(tmp_path / name).items["train"]]
        for name in ("real", "linked")
    )
    assert plain == linked


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train/cat/B.jpg").unlink()
    (tmp_path / "train/cat/B.jpg").symlink_to("gone")
    with pytest.raises(UserError, match=r"B.jpg is a link to nothing"):
        read(tmp_path)


def test_validation_images_without_class_folders_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for name in ("ant/2.jpeg", "cat/1.jpg"):
        (tmp_path / "val" / name).rename(tmp_path / "val" / Path(name).name)
    for name in ("ant", "cat"):
        (tmp_path / "val" / name).rmdir()
    with pytest.raises(UserError, match=r"val holds no class folders.*Kaggle's whole tree"):
        read(tmp_path)


def test_classes_of_train_and_val_must_be_the_same(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "val/cat").rename(tmp_path / "val/bee")
    with pytest.raises(UserError, match="the classes bee are in one split and not in train"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fashion-mnist", "dataset-fashion-mnist puts it in /usr/share/datasets/fashion-mnist"),
        ("cifar10", r"cifar-10-python\.tar\.gz or cifar-10-binary\.tar\.gz from https://www\.cs\.toronto"),
        ("cifar100", r"cifar-100-python\.tar\.gz or"),
        ("imagenet-1k", r"https://image-net\.org and download ILSVRC2012_img_train\.tar"),
        ("photos", "CLS-LOC tree; a folder with train/<class>/ and val/<class>/"),
    ],
)
@pytest.mark.parametrize(("exists", "why"), [(True, ": nothing known is there"), (False, " does not exist")])
def test_missing_data_says_where_it_belongs_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str, exists: bool, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data") / name
    if exists:
        folder.mkdir(parents=True)
    with pytest.raises(UserError) as error:
        read(folder)
    assert str(error.value).startswith(f"{tmp_path}/data/{name}{why}. ")
    assert f"`mkdir -p data && ln -s /where/it/is data/{name}`" in str(error.value)
    error.match(told)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    closed = tree(tmp_path) / "train/n0000"
    closed.chmod(0)
    try:
        with pytest.raises(UserError, match=f"cannot read {closed}"):
            read(tmp_path)
    finally:
        closed.chmod(0o755)
