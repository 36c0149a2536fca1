"""What a source holds, listed without extracting it: images by split, labels, and where they lie."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Union

from looksam.errors import UserError
from looksam.places import Place
from looksam.sample import Sample, Split
from looksam.zip_folder import Folder, ZipEntry, ZipFolder

MOST_CLASSES = 1_000_000
EXTENSIONS = (".jpg", ".jpeg", ".png")
SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("val", "validation", "test")}
# what a key does not hold
UNFIT = re.compile(r"[^0-9a-z_]+")


Entry = Union["os.DirEntry[str]", ZipEntry]


class Item(NamedTuple):
    """One image of a source. source: its name there, as the index records it; key: if it has one there."""

    label: int
    source: str
    place: Place
    key: str = ""


@dataclass
class Listing:
    """A source's images by split, in an order of their own; kind: what was recognised; classes by label.

    linked: of images in tars that need no writing, what tells labels: "cls", or "json:" and the field.
    """

    kind: str
    classes: list[str]
    items: dict[Split, list[Item]] = field(default_factory=dict)
    linked: str = ""

    @property
    def images(self) -> int:
        """How many there are."""
        return sum(map(len, self.items.values()))

    def checked(self, where: Path | str) -> "Listing":
        """Itself, if it holds images and every label has a class."""
        if not any(self.items.values()):
            raise UserError(f"{where}: seen as {self.kind}, but there is not one image in it")
        for split, items in self.items.items():
            for item in items:
                if not 0 <= item.label < len(self.classes):
                    raise UserError(
                        f"{where}: label {item.label} of {split} image {item.source} is not in "
                        f"0..{len(self.classes) - 1}"
                    )
        return self


def key(split: Split, position: int, source: str) -> str:
    """A sample's key: unique by its position in the listing, readable by the last part of its name."""
    stem = source.rpartition("/")[2].rpartition(".")[0] or source.rpartition("/")[2]
    return f"{split}-{position:07d}-{UNFIT.sub('-', stem.lower())[:60]}"


def folder_of(root: Folder, split: Split) -> Folder | None:
    """The folder of a split, by the names that are in use."""
    found = [root / name for name in SPLITS[split] if (root / name).is_dir()]
    # ImageNet's `test` has no labels, and `val` is meant where both are there
    return found[0] if found else None


def seen_image_folder(root: Folder) -> Listing | None:
    """A folder by class in train or val."""
    folders = [folder for split in SPLITS if (folder := folder_of(root, split))]
    flat = [folder for folder in folders if not any(entry.is_dir() for entry in visible(folder))]
    if len(flat) == len(folders):
        return None
    if flat:
        raise UserError(
            f"{flat[0]} holds no class folders, though {flat[0].parent} has others that do. ImageNet's "
            "validation images come without them; as downloaded, with the devkit or LOC_val_solution.csv, "
            "they are labelled: give its tars or Kaggle's whole tree instead"
        )
    return image_folder(root)


def image_folder(root: Folder) -> Listing:
    """train/<class>/ and val/<class>/ (or test/), or one of them; labels are the sorted names' positions."""
    return image_folder_of({split: folder for split in SPLITS if (folder := folder_of(root, split))})


def image_folder_of(folders: Mapping[Split, Folder]) -> Listing:
    """Listing of the class folders of each split."""
    names = {split: sorted(e.name for e in visible(f) if e.is_dir()) for split, f in folders.items()}
    where = next(iter(folders.values())).parent
    classes = names.get("train") or next(iter(names.values()))
    if odd := sorted({name for some in names.values() for name in some} ^ set(classes)):
        raise UserError(f"{where}: the classes {', '.join(odd[:10])} are in one split and not in train")
    if len(names) > 1 and (missing := sorted(set(classes) - set(names["test"]))):
        raise UserError(f"{where}: no folder for the classes {', '.join(missing[:10])} in {folders['test']}")
    listing = Listing("ImageFolder", classes)
    for split, folder in folders.items():
        listing.items[split] = [
            Item(label, f"{folder.name}/{name}/{entry.name}", place_of(entry))
            for label, name in enumerate(classes)
            for entry in images_of(folder / name)
        ]
    return listing


def visible(folder: Folder) -> Iterator[Entry]:
    """What a folder holds, less hidden entries."""
    if isinstance(folder, ZipFolder):
        yield from (entry for entry in folder.entries() if not entry.name.startswith("."))
        return
    with os.scandir(str(folder)) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def images_of(folder: Folder) -> list[Entry]:
    """The image files in a folder, by name."""
    found = [entry for entry in visible(folder) if entry.name.lower().endswith(EXTENSIONS)]
    return sorted(found, key=lambda entry: entry.name)


def place_of(entry: Entry) -> Place:
    """The place of a file."""
    if isinstance(entry, ZipEntry):
        return entry.place()
    try:
        facts = entry.stat()
    except FileNotFoundError as error:
        raise UserError(f"{entry.path} is a link to nothing; link it again or delete it") from error
    return Place("file", entry.path, facts.st_size, facts.st_mtime_ns)


def of_samples(kind: str, classes: int, samples: Iterator[Sample]) -> Listing:
    """A listing of small images that are held in memory, encoded."""
    listing = Listing(kind, [str(label) for label in range(classes)])
    for sample in samples:
        place = Place("given", "", len(sample.image_bytes), content=sample.image_bytes)
        listing.items.setdefault(sample.split, []).append(Item(sample.label, sample.key, place))
    return listing


def numbers(items: Mapping[Split, list[Item]]) -> list[str]:
    """Names of classes that nothing names: their labels."""
    largest = max((item.label for some in items.values() for item in some), default=-1)
    if largest >= MOST_CLASSES:
        raise UserError(f"label {largest} is not below {MOST_CLASSES:,}; correct the labels")
    return [str(label) for label in range(largest + 1)]


def summary(listing: Listing) -> list[str]:
    """What `looksam sources` prints: the kind, the classes, and of each split images, bytes and balance."""
    some = ", ".join(listing.classes[:5]) + (", ..." if len(listing.classes) > 5 else "")
    lines = [f"{listing.kind}: {len(listing.classes)} classes ({some})"]
    for split, items in listing.items.items():
        counts = Counter(item.label for item in items)
        each = [counts[label] for label in range(len(listing.classes))]
        spread = f"{min(each):,}" if min(each) == max(each) else f"{min(each):,} to {max(each):,}"
        lines.append(f"{split}: {len(items):,} images, {bytes_of(items):,} bytes, {spread} a class")
    return lines


def bytes_of(items: list[Item]) -> int:
    """Bytes of the images, as far as their source says them."""
    return sum(item.place.size for item in items)


def as_json(listing: Listing) -> Mapping[str, object]:
    """The same for programs."""
    splits = {split: {"images": len(i), "bytes": bytes_of(i)} for split, i in listing.items.items()}
    return {"kind": listing.kind, "classes": listing.classes, "splits": splits}
