"""The files that runs and shards end in: their names and time stamps, whoever writes them meanwhile."""

import os
from pathlib import Path

# what the rules `train` and `shard` make in the folder of their request; first what other rules ask for
OUTPUTS = ("model.safetensors", "history.parquet", "timing.json")
SHARD_OUTPUTS = ("index.parquet", "_info.json")

# the time stamp of a file that is not there
NEVER = -1


def oldest_of(folder: Path, names: tuple[str, ...]) -> int:
    """The oldest time stamp of those files that are there, in nanoseconds; NEVER where none is."""
    return min((s for name in names if (s := stamp_of(folder / name)) != NEVER), default=NEVER)


def stamp_of(path: Path) -> int:
    """A file's time stamp in nanoseconds, NEVER where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return NEVER


def text_of(path: Path) -> str | None:
    """A file's text, None where there is none."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
