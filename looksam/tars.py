"""Members of tar archives, by their place in the file: nothing is extracted, and links are refused."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from looksam.errors import UserError

MOST_OF_HEADER = 2**20


def members(path: Path, file: BinaryIO, start: int = 0) -> Iterator[tarfile.TarInfo]:
    """The files of the uncompressed tar that begins at `start` of `file`, one in memory at a time.

    Their `offset_data` is the place of their bytes in `file`, of a tar within a tar too. UserError names a
    member with an absolute path, `..` or a link, and an archive that is damaged or cut short.
    """
    file.seek(0, 2)
    whole = file.tell()
    file.seek(start)
    try:
        with tarfile.open(fileobj=cast(IO[bytes], Sips(file)), mode="r:") as tar:
            while member := tar.next():
                # or the list of them would grow to a million
                tar.members = []  # type: ignore[attr-defined]
                check(path, member)
                if member.isfile():
                    if member.offset_data + member.size > whole:
                        raise UserError(f"{path} is cut short in {member.name}; fetch it again")
                    yield member
    except tarfile.TarError as error:
        raise UserError(f"{path} is no whole tar ({error}); fetch it again") from error


class Sips:
    """A file of which tarfile reads little at once: it takes a long name or a comment of any size whole."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int) -> bytes:
        """So many bytes, if these are few."""
        if size > MOST_OF_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


def check(path: Path, member: tarfile.TarInfo) -> None:
    """Refuses what an honest data set does not hold."""
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise UserError(f"{path} holds {member.name!r}, which points out of it; such archives are refused")
    if member.issym() or member.islnk() or member.isdev() or member.issparse():
        raise UserError(f"{path} holds {member.name!r}, which is no plain file; such archives are refused")
