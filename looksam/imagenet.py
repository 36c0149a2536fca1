"""ImageNet as it is downloaded: ILSVRC2012's tars with their devkit, and Kaggle's tree with its flat val."""

import csv
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from looksam.errors import UserError
from looksam.listing import Item, Listing, image_folder_of, images_of, place_of
from looksam.places import Place
from looksam.tars import check, members
from looksam.zip_folder import Folder

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12"
META, TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
# meta.mat has some 100 kB; what is larger is not it
MOST_BYTES = 16 * 2**20
SOLUTION = "LOC_val_solution.csv"


def seen_ilsvrc(root: Path) -> Listing | None:
    """The folder with ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and the devkit, packed or not."""
    if not (root / TRAIN).is_file() and not (root / VAL).is_file():
        return None
    listing = Listing("ILSVRC2012 tars", [])
    by_class: dict[str, list[Item]] = {}
    if (root / TRAIN).is_file():
        by_class = train_images(root / TRAIN)
        listing.classes = sorted(by_class)
        label = {name: i for i, name in enumerate(listing.classes)}
        listing.items["train"] = [
            item._replace(label=label[name]) for name in listing.classes for item in by_class[name]
        ]
    if (root / VAL).is_file():
        names, truth = devkit(root)
        listing.classes = listing.classes or sorted(names.values())
        listing.items["test"] = validation_images(root / VAL, listing.classes, names, truth)
    return listing


def train_images(path: Path) -> dict[str, list[Item]]:
    """Images by class of the tar of class tars, which are read where they lie. Their labels are still 0."""
    changed = path.stat().st_mtime_ns
    found: dict[str, list[Item]] = {}
    with path.open("rb") as outer, path.open("rb") as inner:
        for archive in members(path, outer):
            name = Path(archive.name).stem
            found[name] = [
                Item(0, f"{name}/{m.name}", Place("span", str(path), m.size, changed, m.offset_data))
                for m in members(path, inner, archive.offset_data)
            ]
    return found


def validation_images(
    path: Path, classes: list[str], names: Mapping[int, str], truth: list[int]
) -> list[Item]:
    """The validation images by name, each labelled through the devkit's ids, which are not in wnid order."""
    changed = path.stat().st_mtime_ns
    with path.open("rb") as file:
        found = sorted((m.name, m.size, m.offset_data) for m in members(path, file))
    if len(found) != len(truth):
        raise UserError(f"{path} holds {len(found)} images, but the devkit has {len(truth)} labels for them")
    label = {name: i for i, name in enumerate(classes)}
    if unknown := {names.get(one, f"id {one}") for one in truth} - label.keys():
        raise UserError(f"{path}: the devkit's {', '.join(sorted(unknown)[:5])} are no classes of {TRAIN}")
    return [
        Item(label[names[one]], name, Place("span", str(path), size, changed, offset))
        for (name, size, offset), one in zip(found, truth, strict=True)
    ]


def devkit(root: Path) -> tuple[dict[int, str], list[int]]:
    """The devkit's wnid by ILSVRC id, of classes without children, and the id of each validation image."""
    from scipy.io import loadmat

    meta, truth = (devkit_file(root, name) for name in (META, TRUTH))
    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        names = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if not int(s["num_children"])}
        return names, [int(line) for line in truth.split()]
    except (ValueError, KeyError, TypeError, IndexError, NotImplementedError) as error:
        raise UserError(f"the devkit in {root} is damaged ({error}); fetch it again") from error


def devkit_file(root: Path, name: str) -> bytes:
    """A file of the devkit, in its folder or its .tar.gz."""
    if (unpacked := root / DEVKIT / name).is_file():
        return unpacked.read_bytes()
    packed = root / f"{DEVKIT}.tar.gz"
    if not packed.is_file():
        raise UserError(
            f"{root} holds {VAL}, whose labels are in {packed.name}; download it to there too, from "
            "https://image-net.org"
        )
    try:
        with tarfile.open(packed, "r|gz") as tar:
            for member in tar:
                check(packed, member)
                if (
                    member.name.endswith(name)
                    and member.size <= MOST_BYTES
                    and (file := tar.extractfile(member))
                ):
                    return file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{packed} is no whole archive ({error}); fetch it again") from error
    raise UserError(f"{packed} holds no {name}; fetch it again")


def seen_kaggle(root: Folder) -> Listing | None:
    """Kaggle's tree: ILSVRC/Data/CLS-LOC/train/<wnid>/ and val/, flat, with LOC_val_solution.csv."""
    if not (root / SOLUTION).is_file():
        return None
    images = root / "ILSVRC" / "Data" / "CLS-LOC"
    if not (images / "train").is_dir() or not (images / "val").is_dir():
        raise UserError(f"{root} holds {SOLUTION}, but no ILSVRC/Data/CLS-LOC/train and val beside it")
    listing = image_folder_of({"train": images / "train"})
    listing.kind = "Kaggle's ILSVRC CLS-LOC"
    label = {name: i for i, name in enumerate(listing.classes)}
    lines = (root / SOLUTION).read_text("utf-8").splitlines()
    told = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(lines)}
    listing.items["test"] = []
    for entry in images_of(images / "val"):
        name = told.get(Path(entry.name).stem)
        if name not in label:
            raise UserError(f"{SOLUTION} gives {entry.path} the class {name}, which train does not have")
        listing.items["test"].append(Item(label[name], f"val/{entry.name}", place_of(entry)))
    return listing
