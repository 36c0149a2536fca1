"""Facts about ImageNet's own layouts, on small ones of the same form."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_trees import jpeg, sharded, tree
from scipy.io import savemat

from looksam.detect import list_source
from looksam.errors import UserError
from looksam.listing import Listing, summary
from looksam.places import read

# ILSVRC ids are not in the order of the wnids: 1 is n0002, 2 is n0000, 3 is n0001
WNIDS = {1: "n0002", 2: "n0000", 3: "n0001"}
TRUTH = [1, 1, 2, 3]


def archive(files: dict[str, bytes], mode: str = "w", **odd: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in odd.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def meta() -> bytes:
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    rows = [(number, name, 0) for number, name in WNIDS.items()] + [(4, "n9999", 3)]
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": np.array(rows, dtype=kinds)})
    return buffer.getvalue()


@pytest.fixture
def ilsvrc(tmp_path: Path) -> Path:
    root = tmp_path / "ilsvrc"
    root.mkdir()
    classes = {
        f"{name}.tar": archive({f"{name}_{i}.JPEG": jpeg(10 * c + i) for i in range(3)})
        for c, name in enumerate(sorted(WNIDS.values(), reverse=True))
    }
    (root / "ILSVRC2012_img_train.tar").write_bytes(archive(classes))
    val = {f"ILSVRC2012_val_{i + 1:08d}.JPEG": jpeg(100 + i) for i in (2, 0, 3, 1)}
    (root / "ILSVRC2012_img_val.tar").write_bytes(archive(val))
    truth = "".join(f"{one}\n" for one in TRUTH).encode()
    files = {"data/meta.mat": meta(), "data/ILSVRC2012_validation_ground_truth.txt": truth}
    inside = {f"ILSVRC2012_devkit_t12/{name}": content for name, content in files.items()}
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(archive(inside, "w:gz"))
    return root


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    root = tmp_path / "kaggle"
    images = tree(root / "ILSVRC/Data/CLS-LOC", classes=3)
    lines = ["ImageId,PredictionString"]
    for path in sorted((images / "val").glob("*/*")):
        lines.append(f"{path.stem},{path.parent.name} 1 2 3 4 {path.parent.name} 5 6 7 8 ")
        path.rename(images / "val" / path.name)
    for folder in [path for path in (images / "val").iterdir() if path.is_dir()]:
        folder.rmdir()
    (root / "LOC_val_solution.csv").write_text("\n".join(lines))
    return root


def labels(listing: Listing, split: Any) -> dict[str, int]:
    return {item.source: item.label for item in listing.items[split]}


def test_validation_images_are_labelled_by_the_devkits_ids(ilsvrc: Path) -> None:
    listing = list_source(str(ilsvrc))
    assert listing.classes == ["n0000", "n0001", "n0002"]
    assert list(labels(listing, "test").values()) == [2, 2, 0, 1]
    assert list(labels(listing, "test")) == [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 5)]


def test_an_unpacked_devkit_serves_too(ilsvrc: Path) -> None:
    packed = list_source(str(ilsvrc))
    with tarfile.open(ilsvrc / "ILSVRC2012_devkit_t12.tar.gz") as tar:
        # as `filter="data"`, which the first releases of Python 3.11 do not take
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(ilsvrc)
    (ilsvrc / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    assert list_source(str(ilsvrc)) == packed


def test_images_of_nested_tars_are_read_where_they_lie(ilsvrc: Path) -> None:
    items = list_source(str(ilsvrc)).items["train"]
    assert [(i.label, i.source, read(i.place)) for i in items[:4]] == [
        (0, "n0000/n0000_0.JPEG", jpeg(20)),
        (0, "n0000/n0000_1.JPEG", jpeg(21)),
        (0, "n0000/n0000_2.JPEG", jpeg(22)),
        (1, "n0001/n0001_0.JPEG", jpeg(10)),
    ]


def test_the_tars_are_sharded(ilsvrc: Path, tmp_path: Path) -> None:
    assert (sharded(list_source(str(ilsvrc)), tmp_path / "out") / "index.parquet").exists()


def test_the_summary_counts_images_and_classes(ilsvrc: Path) -> None:
    lines = summary(list_source(str(ilsvrc)))
    assert lines[0] == "ILSVRC2012 tars: 3 classes (n0000, n0001, n0002)"
    assert [line.partition(" images")[0] for line in lines[1:]] == ["train: 9", "test: 4"]


def test_validation_images_without_the_devkit_are_refused(ilsvrc: Path) -> None:
    (ilsvrc / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    with pytest.raises(UserError, match=r"labels are in ILSVRC2012_devkit_t12\.tar\.gz; download it"):
        list_source(str(ilsvrc))


@pytest.mark.parametrize(
    ("name", "odd", "message"),
    [
        ("/etc/passwd", {}, "points out of it"),
        ("a/../../b.JPEG", {}, "points out of it"),
        ("b.JPEG", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "no plain file"),
        ("b.JPEG", {"type": tarfile.LNKTYPE, "linkname": "a.JPEG"}, "no plain file"),
    ],
)
def test_hostile_members_are_refused(ilsvrc: Path, name: str, odd: dict[str, Any], message: str) -> None:
    (ilsvrc / "ILSVRC2012_img_val.tar").write_bytes(archive({name: b""}, **odd))
    with pytest.raises(UserError, match=message):
        list_source(str(ilsvrc))


def test_a_tar_that_is_cut_short_is_refused(ilsvrc: Path) -> None:
    path = ilsvrc / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cut short|no whole tar"):
        list_source(str(ilsvrc))


def test_kaggles_flat_validation_images_are_labelled_by_its_csv(kaggle: Path) -> None:
    listing = list_source(str(kaggle))
    assert listing.kind == "Kaggle's ILSVRC CLS-LOC"
    assert labels(listing, "test") == {f"val/val.{i}.JPEG": i % 3 for i in range(6)}
    assert len(listing.items["train"]) == 20


def test_a_validation_image_that_kaggles_csv_does_not_list_is_named(kaggle: Path) -> None:
    (kaggle / "ILSVRC/Data/CLS-LOC/val/new.JPEG").write_bytes(jpeg(1))
    with pytest.raises(UserError, match=r"new\.JPEG the class None"):
        list_source(str(kaggle))
