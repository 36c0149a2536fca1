"""A folder in a zip, asked for what it holds as a folder on disk is; nothing is extracted."""

import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Union

from looksam.errors import UserError
from looksam.places import MOST_BYTES, ZIP_FACTS, Place, read

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
ENCRYPTED = 0x1
# what a member of some size may be packed to at the least; deflate packs zeros to a thousandth
MOST_RATIO, FREE_BYTES = 100, 2**20
HEADER_BYTES = 30


class Folder(Protocol):
    """What is asked of a folder, a pathlib.Path or one in a zip."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    @property
    def parent(self) -> "Folder":
        """The folder that holds it."""

    def __truediv__(self, name: str) -> "Folder": ...

    def is_dir(self) -> bool:
        """Whether it is there and a folder."""

    def is_file(self) -> bool:
        """Whether it is there and a file."""

    def read_text(self, encoding: str) -> str:
        """The text of a file."""


Tree = dict[str, Union["Tree", zipfile.ZipInfo]]


@dataclass
class ZipFolder:
    """A folder in a zip, or a file, or what is not there. inside: the names from the zip's top to it."""

    zip: Path
    changed: int
    tree: Tree
    inside: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> "ZipFolder":
        """The top of a zip, its directory read once. UserError names what is refused in it."""
        try:
            with zipfile.ZipFile(path) as file:
                infos = file.infolist()
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as error:
            raise UserError(f"{path} is no whole zip ({error}); fetch it again") from error
        tree: Tree = {}
        for info in infos:
            check(path, info)
            add(path, tree, info)
        apart(path, infos)
        return cls(path, path.stat().st_mtime_ns, tree)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.inside[-1] if self.inside else self.zip.name

    @property
    def parent(self) -> "ZipFolder":
        """The folder that holds it."""
        return ZipFolder(self.zip, self.changed, self.tree, self.inside[:-1])

    def __truediv__(self, name: str) -> "ZipFolder":
        return ZipFolder(self.zip, self.changed, self.tree, (*self.inside, *name.split("/")))

    def __str__(self) -> str:
        return "/".join((str(self.zip), *self.inside))

    def found(self) -> Tree | zipfile.ZipInfo | None:
        """What is at its path."""
        here: Tree | zipfile.ZipInfo | None = self.tree
        for name in self.inside:
            here = here.get(name) if isinstance(here, dict) else None
        return here

    def is_dir(self) -> bool:
        """Whether it is there and a folder."""
        return isinstance(self.found(), dict)

    def is_file(self) -> bool:
        """Whether it is there and a file."""
        return isinstance(self.found(), zipfile.ZipInfo)

    def read_text(self, encoding: str) -> str:
        """The text of a file."""
        return read(self.place()).decode(encoding)

    def entries(self) -> Iterator["ZipEntry"]:
        """What the folder holds."""
        found = self.found()
        assert isinstance(found, dict)
        yield from (ZipEntry(name, self) for name in found)

    def place(self) -> Place:
        """The place of a file's bytes."""
        info = self.found()
        assert isinstance(info, zipfile.ZipInfo)
        if info.compress_type not in METHODS:
            raise UserError(f"{self} is neither stored nor deflated; zip it again")
        if info.compress_size > 2 * MOST_BYTES:
            raise UserError(f"{self} has {info.compress_size:,} bytes, more than an image")
        facts = struct.pack(ZIP_FACTS, info.compress_size, info.CRC)
        kind = METHODS[info.compress_type]
        return Place(kind, str(self.zip), info.file_size, self.changed, info.header_offset, facts)


@dataclass
class ZipEntry:
    """What os.scandir would give, were the folder on disk."""

    name: str
    folder: ZipFolder

    @property
    def path(self) -> str:
        """Its path, the zip's included."""
        return str(self.folder / self.name)

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return (self.folder / self.name).is_dir()

    def place(self) -> Place:
        """The place of a file's bytes."""
        return (self.folder / self.name).place()


def check(path: Path, info: zipfile.ZipInfo) -> None:
    """Refuses what points out of the zip, is no plain file, is encrypted or unpacks to far more."""
    name = info.orig_filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or ":" in parts[0]:
        raise UserError(f"{path} holds {name!r}, which points out of it; such archives are refused")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"{path} holds {name!r}, which is no plain file; such archives are refused")
    if info.flag_bits & ENCRYPTED:
        raise UserError(f"{path} holds {name!r}, which is encrypted; zip it again without a password")
    if info.file_size > max(FREE_BYTES, MOST_RATIO * info.compress_size):
        raise UserError(
            f"{path} holds {name!r}, whose {info.compress_size:,} bytes would unpack to {info.file_size:,}; "
            "such archives are refused"
        )


def add(path: Path, tree: Tree, info: zipfile.ZipInfo) -> None:
    """Put a member into the tree of names."""
    *folders, name = info.filename.rstrip("/").split("/")
    here = tree
    for folder in folders:
        inner = here.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise UserError(f"{path} holds {info.filename!r} in a file; such archives are refused")
        here = inner
    there = here.setdefault(name, {} if info.is_dir() else info)
    if there is not info and not (info.is_dir() and isinstance(there, dict)):
        raise UserError(f"{path} holds {info.filename!r} twice; such archives are refused")


def apart(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuses members that share bytes, by which a small zip unpacks to any size."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise UserError(f"{path} holds {info.filename!r} inside another; such archives are refused")
        end = info.header_offset + HEADER_BYTES + info.compress_size
