"""Samples of a WebDataset tar that someone else wrote: keys, labels, and where their images lie."""

import json
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from looksam.errors import UserError
from looksam.tars import members

# as webdataset names a sample: what follows the first dot of the last part is the extension
NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
# members that webdataset passes over
META = re.compile(r"__[^/]*__($|/)")
IMAGES = ("jpg", "jpeg", "png")
FIELDS = ("label", "cls")
MOST_KEY, MOST_TEXT, MOST_JSON = 255, 32, 2**20
GZIP = b"\x1f\x8b"
END = bytes(2 * tarfile.BLOCKSIZE)


class TarSample(NamedTuple):
    """A sample. member: its image's name; told_by: what tells its label: "cls", or "json:" and the field."""

    key: str
    member: str
    extension: str
    offset: int
    size: int
    label: int
    told_by: str


def samples(path: Path) -> Iterator[TarSample]:
    """The samples of a tar, in its order, each image with one label. UserError names what is not so."""
    seen: set[str] = set()
    with path.open("rb") as file, path.open("rb") as beside:
        whole(path, file)
        named = ((match, m) for m in members(path, file) if (match := named_as(m.name)))
        for key, some in groupby(named, lambda pair: str(pair[0][1])):
            if key in seen:
                raise UserError(f"{path}: the members of {key} are not next to each other; write it again")
            if len(key) > MOST_KEY or not key.isprintable():
                raise UserError(f"{path}: the key {key[:MOST_KEY]!r} is too long or not printable")
            seen.add(key)
            yield sample(path, beside, key, [(match[2].lower(), member) for match, member in some])


def whole(path: Path, file: BinaryIO) -> None:
    """Refuses a tar that is gzipped or has no end."""
    if file.read(2) == GZIP:
        raise UserError(f"{path} is gzipped, so that no image can be found in it; gunzip it")
    at = max(0, file.seek(0, 2) - len(END))
    file.seek(at)
    if file.read() != END:
        raise UserError(f"{path} is cut short or no tar; fetch it again")


def named_as(name: str) -> re.Match[str] | None:
    """The match of a name that makes a part of a sample: key and extension."""
    return None if META.match(name) else NAME.fullmatch(name)


def sample(path: Path, file: BinaryIO, key: str, parts: list[tuple[str, tarfile.TarInfo]]) -> TarSample:
    """The sample of some members with the same key."""
    by_extension = dict(parts)
    if len(by_extension) < len(parts):
        raise UserError(f"{path}: sample {key} has two members of the same extension; write it again")
    merged = [m.name for end, m in parts if "." in end and end.rpartition(".")[2] in ("cls", "json")]
    images = [end for end in by_extension if end in IMAGES]
    names = ", ".join(member.name for _, member in parts[:4])
    if merged:
        raise UserError(
            f"{path}: webdataset ends a key at the first dot, so {names} are one sample to it, {key}; "
            "write the tar again, without dots in keys"
        )
    if len(images) != 1:
        raise UserError(
            f"{path}: sample {key} has {len(images)} images ({names}); one .jpg, .jpeg or .png is wanted"
        )
    image = by_extension[images[0]]
    label, told_by = label_of(path, file, key, by_extension)
    return TarSample(key, image.name, images[0], image.offset_data, image.size, label, told_by)


def label_of(path: Path, file: BinaryIO, key: str, parts: dict[str, tarfile.TarInfo]) -> tuple[int, str]:
    """The label of a sample and what tells it. Pickles are never looked into."""
    try:
        if "cls" in parts:
            return int(content(file, parts["cls"], MOST_TEXT)), "cls"
        if "json" in parts:
            told = json.loads(content(file, parts["json"], MOST_JSON))
            for field in FIELDS:
                if type(told) is dict and type(told.get(field)) is int:
                    return told[field], f"json:{field}"
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: the label of sample {key} cannot be read ({error})") from error
    raise UserError(
        f"{path}: sample {key} has no label; one is a number in {key}.cls, or in {key}.json under "
        f"{' or '.join(FIELDS)}"
    )


def content(file: BinaryIO, member: tarfile.TarInfo, most: int) -> bytes:
    """A small member's bytes."""
    if member.size > most:
        raise ValueError(f"{member.name} has {member.size:,} bytes, more than {most:,}")
    file.seek(member.offset_data)
    return file.read(member.size)
