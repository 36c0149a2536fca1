"""What is seen of a training on a slice: its first host's log, and whether it goes on."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from looksam.results import text_of


def say(text: str, end: str = "\n") -> None:
    """Print, where somebody still reads: a signal that ends us may have ended the shell's `tee` before."""
    try:
        print(text, end=end, flush=True)
    except OSError:
        # or Python would end with an error when it flushes at exit
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115


class Tail:
    """What is new in a growing file."""

    def __init__(self, path: Path) -> None:
        self.path, self._seen = path, 0

    def show(self) -> None:
        """Print what was written since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._seen)
            new = file.read()
        self._seen += len(new)
        if new:
            say(new.decode(errors="replace"), end="")


class Pulse:
    """Files that change as a job goes on: still if none does for `limit` seconds by this machine's clock."""

    def __init__(self, signs: Sequence[Path], limit: float) -> None:
        self.signs, self.limit = signs, limit
        self._said: list[str | None] = []
        self._since = time.monotonic()

    def is_still(self) -> bool:
        """Look again: the job has said nothing new for too long."""
        said = [text_of(sign) for sign in self.signs]
        if said != self._said:
            self._said, self._since = said, time.monotonic()
        return time.monotonic() - self._since > self.limit
