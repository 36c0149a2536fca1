"""Files that appear whole or not at all, whatever kills the writer."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from looksam.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file, which takes the place of `path` only once it is on the disk.

    UserError where the disk is full; nothing half-written is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"cannot write {path.absolute()}: {error.strerror}; free some space, or make results a link to a "
            "larger disk, and run again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def replace_with(path: Path, text: str) -> None:
    """Make `path` hold `text`."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
