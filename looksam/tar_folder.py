"""A folder of WebDataset tars as a source: its splits, classes and samples."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from looksam.errors import UserError
from looksam.listing import SPLITS, Item, Listing, numbers
from looksam.places import Place
from looksam.sample import Split
from looksam.tar_samples import samples

MOST_JSON = 64 * 2**20
UNTOLD = "neither names nor _info.json tell a split, so all are taken for training"


def seen_tars(root: Path) -> Listing | None:
    """WebDataset tars, in the folder or in folders by split."""
    tars = tars_of(root)
    if not tars:
        if packed := [*sorted(root.glob("*.tar.gz")), *sorted(root.glob("*.tgz"))]:
            raise UserError(f"{packed[0]} is gzipped, so that no image can be found in it; gunzip it")
        return None
    by_split, told = splits_of(root, tars)
    real = [tar.resolve() for some in by_split.values() for tar in some]
    if len(set(real)) < len(real):
        raise UserError(f"{root}: a tar is there twice, under two names or in two splits; keep it once")
    listing = Listing("WebDataset tars" if told else f"WebDataset tars ({UNTOLD})", [])
    told_by: set[str] = set()
    for split, some in by_split.items():
        listing.items[split] = [item for tar in some for item in items_of(tar, told_by)]
    if len(told_by) > 1:
        raise UserError(f"{root}: labels are told by {' and '.join(sorted(told_by))}; one of them is wanted")
    listing.linked = "".join(told_by)
    listing.classes = classes_of(root, listing)
    told_apart(listing)
    return listing


def tars_of(root: Path) -> list[Path]:
    """The tars in a folder and in its folders by split."""
    folders = [root, *(root / name for names in SPLITS.values() for name in names)]
    return [path for folder in folders for path in sorted(folder.glob("*.tar")) if path.is_file()]


def items_of(tar: Path, told_by: set[str]) -> Iterator[Item]:
    """The images of a tar. told_by: is given what tells their labels."""
    real = tar.resolve()
    changed = real.stat().st_mtime_ns
    for one in samples(real):
        told_by.add(one.told_by)
        place = Place("span", str(real), one.size, changed, one.offset)
        yield Item(one.label, f"{tar.name}/{one.member}", place, one.key)


def told_apart(listing: Listing) -> None:
    """Puts the shard's name before keys that are in two tars, as in train-000001/000042; others stay."""
    keys = Counter(item.key for items in listing.items.values() for item in items)
    twice = {key for key, times in keys.items() if times > 1}
    if not twice:
        return
    for split, items in listing.items.items():
        for name, some in shards_of(split, items):
            for position, item in some:
                if item.key in twice:
                    items[position] = item._replace(key=f"{name}/{item.key}")


def shards_of(split: Split, items: list[Item]) -> Iterator[tuple[str, list[tuple[int, Item]]]]:
    """The names that tars have as shards, each with its items and their positions."""
    by_tar = groupby(list(enumerate(items)), lambda pair: pair[1].place.path)
    for number, (_, some) in enumerate(by_tar):
        yield f"{split}-{number:06d}", list(some)


def splits_of(root: Path, tars: list[Path]) -> tuple[Mapping[Split, list[Path]], bool]:
    """The tars by split, and whether anything tells it: _info.json where it is, else their names."""
    by_name = of_info(root) if (root / "_info.json").is_file() else of_names(root, tars)
    if not by_name:
        return {"train": tars}, False
    found = {split: [by_name[name] for name in names if name in by_name] for split, names in SPLITS.items()}
    # as in folders, ImageNet's `test` has no labels, and `val` is meant where both are there
    return {split: some[0] for split, some in found.items() if some}, True


def of_names(root: Path, tars: list[Path]) -> dict[str, list[Path]]:
    """The tars by the split's name in their own, or in their folder's; nothing where none has one."""
    by_name: dict[str, list[Path]] = {}
    untold = []
    for tar in tars:
        texts = (tar.name, tar.parent.name if tar.parent != root else "")
        words = [set(re.findall("[a-z]+", text.lower())) for text in texts]
        found = [[n for names in SPLITS.values() for n in names if n in some] for some in words]
        told = next((names for names in found if len(names) == 1), None)
        if told:
            by_name.setdefault(told[0], []).append(tar)
        else:
            untold.append(tar)
    if by_name and untold:
        names = ", ".join(tar.name for tar in untold[:5])
        raise UserError(f"{root}: no name tells the split of {names}, as those of other tars do; rename them")
    return by_name


def of_info(root: Path) -> dict[str, list[Path]]:
    """The tars by split, as timm's _info.json says."""
    path = root / "_info.json"
    try:
        splits = read_json(path)["splits"].items()
        told = {name: [str(one) for one in split["filenames"]] for name, split in splits}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} has no filenames by split ({error!r}); correct or delete it") from error
    for name in [name for names in told.values() for name in names]:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or not (root / inside).is_file():
            raise UserError(f"{path} lists {name!r}, which is no file in {root}; correct or delete it")
    return {name: [root / one for one in names] for name, names in told.items()}


def classes_of(root: Path, listing: Listing) -> list[str]:
    """The names in classes.json where it is, else numbers."""
    path = root / "classes.json"
    if path.is_file():
        names = read_json(path)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{path} is no list of names; correct or delete it")
        return names
    return numbers(listing.items)


def read_json(path: Path) -> Any:
    """What a JSON file says."""
    if path.stat().st_size > MOST_JSON:
        raise UserError(f"{path} has more than {MOST_JSON:,} bytes; correct or delete it")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({error}); correct or delete it") from error
