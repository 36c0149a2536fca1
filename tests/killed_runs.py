"""Trainings that are killed each at another change of the disk, and gone on with by a second process."""

import os
import sys
from functools import partial
from pathlib import Path

# imported here once, and not in each of the children
import torch._dynamo.variables  # noqa: F401
from kills import in_child, kill_at
from tiny_runs import UNSEEN

from looksam.train import train


def names(folder: Path) -> set[str]:
    """What is there beside leases."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(("lease.", ".lease."))}


def main(reference: Path, folders: Path) -> None:
    """Kill trainings of the reference's run at their first, second, ... change of the disk, until one is not.

    Each is then gone on with to its end, and what that leaves in a folder of `folders` must be what the
    reference left. Prints how many were killed.
    """
    text = (reference / "run.json").read_text()
    for number in range(1, 10_000):
        folder = folders / str(number)
        folder.mkdir()
        (folder / "run.json").write_text(text)

        def body(request: Path = folder / "run.json", kill: int = number) -> None:
            if kill:
                kill_at(kill)
            train(request, UNSEEN._replace(seconds_between_checkpoints=0))

        ended = in_child(body)
        if not os.WIFSIGNALED(ended):
            print(number - 1)
            sys.exit(ended)
        if in_child(partial(body, kill=0)):
            sys.exit(f"after a kill at change {number} the training cannot go on")
        for name in ("model.safetensors", "history.parquet", "run.made.json"):
            if (folder / name).read_bytes() != (reference / name).read_bytes():
                sys.exit(f"after a kill at change {number} {name} is another")
        if names(folder) != names(reference):
            sys.exit(f"after a kill at change {number} there are {sorted(names(folder))}")
    sys.exit("the training is killed whatever it does")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
