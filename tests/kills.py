"""Processes that are killed each at another change of the disk."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

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
