"""Files that appear whole or not at all, whatever kills the writer."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file, which takes the place of `path` only once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_with(path: Path, text: str) -> None:
    """Make `path` hold `text`."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
