"""Trainings that are killed each at another change of the disk, and gone on with by a second process."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# imported here once, and not in each of the children
import torch._dynamo.variables  # noqa: F401
from tiny_runs import UNSEEN

from looksam.train import train

CHANGES = ("os.rename", "os.remove", "os.link")


def in_child(body: Callable[[], None]) -> int:
    """Run the body in a copy of this process; how that ended, as `os.waitpid` says it."""
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def kill_at(number: int) -> None:
    """Kill this process just before it changes the disk for the `number`-th time.

    What is written into a file that is open changes nothing that another process looks at.
    """
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
        if event in CHANGES or flags & (os.O_WRONLY | os.O_RDWR):
            count()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*arguments: Any) -> Any:
            count()
            return function(*arguments)

        return inner

    sys.addaudithook(heard)
    os.fsync = counted(os.fsync)


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
