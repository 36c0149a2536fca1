"""Shardings that are killed each at another change of the disk, and gone on with by a second process."""

import hashlib
import os
import sys
from pathlib import Path

# imported here once, and not in each of the children
from image_trees import sharded
from kills import in_child, kill_at

from looksam.detect import list_source


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all files in a folder, hidden ones among them."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def main(source: Path, folders: Path) -> None:
    """Kill shardings at their first, second, ... change of the disk, until one is not.

    What a second process then makes of each must be what a sharding leaves that nothing disturbs. Prints how
    many were killed.
    """
    listing = list_source(str(source))
    whole = hashes(sharded(listing, folders / "whole"))
    for number in range(1, 10_000):
        out = folders / str(number)

        def body(out: Path = out, kill: int = number) -> None:
            kill_at(kill)
            sharded(listing, out)

        ended = in_child(body)
        if not os.WIFSIGNALED(ended):
            print(number - 1)
            sys.exit(ended)
        if (out / "index.parquet").exists() and hashes(out) != whole:
            sys.exit(f"after a kill at change {number} the folder looks whole, and is not")
        if in_child(lambda out=out: sharded(listing, out)):  # type: ignore[misc]
            sys.exit(f"after a kill at change {number} the sharding cannot go on")
        if (found := hashes(out)) != whole:
            sys.exit(f"after a kill at change {number} there are {found}, not {whole}")
    sys.exit("the sharding is killed whatever it does")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
