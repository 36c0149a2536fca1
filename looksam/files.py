"""Files that appear whole or not at all, whatever kills the writer."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from looksam.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
# what file systems say that have no hard links, and that cannot sync a folder
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
# names of files that have not taken their place
UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file, which takes the place of `path` only once it is on the disk, and stays there.

    UserError where the disk is full; nothing half-written is left.
    """
    with made_whole(path, write) as temporary:
        temporary.replace(path)


def put_file(path: Path, write: Callable[[Path], object]) -> None:
    """The same of one of many files: the disk may lose its new name, not its bytes, until `sync_folder`."""
    with _whole(path, write) as temporary:
        temporary.replace(path)


def replace_with(path: Path, text: str) -> None:
    """Make `path` hold `text`."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def create_with(path: Path, text: str) -> bool:
    """Make `path` hold `text`, or say False if it is there: of several that try one does, on NFS too."""
    with made_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8")) as temporary:
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno in NO_LINKS:
                return _opened_anew(path, text)
            # a server's answer may get lost; asked again, it says that the link is there already
            linked = temporary.stat().st_nlink > 1
            if not linked and not isinstance(error, FileExistsError):
                raise
            return linked
        return True


@contextmanager
def made_whole(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """A file beside `path`, on the disk, for the body to put in its place; then that is on the disk too."""
    with _whole(path, write) as temporary:
        yield temporary
        sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder, to which nobody else writes now."""
    for left in folder.glob(".*"):
        if UNFINISHED.fullmatch(left.name):
            left.unlink()


def sync_folder(folder: Path) -> None:
    """Return once the names in `folder` are on the disk, where its file system can tell."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(opened)


def _opened_anew(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


@contextmanager
def _whole(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    # a name of its own: processes on two machines, or in two containers, may have one process id
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        yield temporary
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"cannot write {path.absolute()}: {error.strerror}; free some space, or make results a link to a "
            "larger disk, and run again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
