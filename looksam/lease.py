"""The lease of a run: one process trains it, another follows when it is dead, and a late one breaks nothing.

`lease.<n>.json` in the run's folder names the owner of generation n, and the highest n owns the run. The file
is created whole and only where there is none, so that of several processes that follow a dead owner one wins.
The owner counts up in its file, in place: without the power to create, it cannot bring back a file that its
successor removed, and a full disk does not silence it. A process on the owner's machine asks the kernel
whether the owner lives. One elsewhere compares the file's content with what it read before, by its own
monotonic clock: neither another machine's clock nor a time stamp of a network file system is believed. The
last lease stays in the folder when it is released, so that a number never comes twice.
"""

import errno
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from looksam.errors import UserError
from looksam.files import create_with
from looksam.owner import Owner


@contextmanager
def lease(
    folder: Path,
    *,
    wait: float = 0,
    interval: float = 10,
    patience: float = 60,
    owner: Owner | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator["Lease"]:
    """Own the run in `folder` for the body; UserError if a living process does for more than `wait` seconds.

    wait: math.inf waits until the owner ends. interval: seconds between the owner's counts. patience: seconds
    without one after which an owner on another machine counts as dead. owner: this process, unless given.
    meanwhile: called every second of the wait.
    """
    owner = owner or Owner.here()
    held = Lease(folder, _acquire(folder, owner, wait, interval, patience, meanwhile), owner, interval)
    try:
        yield held
    finally:
        held.release()


class Lease:
    """A run that this process owns as `generation`; `lost` once it was found that another took it over."""

    def __init__(self, folder: Path, generation: int, owner: Owner, interval: float) -> None:
        self.folder, self.generation, self.owner = folder, generation, owner
        self.lost = False
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._count, args=[interval], name="lease", daemon=True)
        self._heart.start()

    def check(self) -> None:
        """UserError if another process has taken the run over; to be asked before anything is written."""
        self.lost = self.lost or not self._is_owned()
        if self.lost:
            successor = Owner.parse(_newest(self.folder)[1]) or "another process"
            raise UserError(
                f"{self.folder} was taken over by {successor}, after a time without a sign of life from this "
                f"one, {self.owner}, which ends and writes nothing more; the run goes on there"
            )

    def release(self) -> None:
        """Let the next process have the run at once."""
        self._ended.set()
        self._heart.join()
        self._write(released=True)

    def _is_owned(self) -> bool:
        # first the own file, which a successor removes: opening a file asks the server, a list may be old
        return self.owner.token.encode() in _read(self.folder, self.generation) and all(
            generation <= self.generation for generation in _generations(self.folder)
        )

    def _count(self, interval: float) -> None:
        beat = 0
        while not (self._ended.wait(interval) or self.lost):
            beat += 1
            self._write(beat=beat)

    def _write(self, beat: int = 0, released: bool = False) -> None:
        # a server that is away for a while ends nothing: whoever takes over meanwhile is found by check()
        with suppress(OSError):
            self.lost = self.lost or not self._is_owned()
            if not self.lost:
                with _path(self.folder, self.generation).open("r+b", buffering=0) as file:
                    file.write(replace(self.owner, beat=beat, released=released).text().encode())


@dataclass
class Watch:
    """A lease as seen from another machine: the seconds for which it stands still, and if it ever moved."""

    limit: float
    still: float = 0
    moved: bool = False
    _content: bytes | None = None
    _looked: float = 0

    def look(self, content: bytes) -> None:
        """Compare the content with that of the look before."""
        now = time.monotonic()
        self.moved |= self._content not in (None, content)
        # a look that hung, as the owner's count may have, says nothing about the time in between
        self.still = self.still + min(now - self._looked, self.limit) if content == self._content else 0
        self._content, self._looked = content, now


def _acquire(
    folder: Path,
    owner: Owner,
    wait: float,
    interval: float,
    patience: float,
    meanwhile: Callable[[], object],
) -> int:
    """The generation as which `owner` has the run."""
    watch, began, said = Watch(interval), time.monotonic(), False
    while True:
        generation, content = _newest(folder)
        watch.look(content)
        other = Owner.parse(content)
        lives = other.lives(owner) if other else None
        if generation == 0 or lives is False or watch.still >= patience:
            if take(folder, generation + 1, owner):
                return generation + 1
        elif lives or watch.moved:
            text = f"{folder} is being trained by {other or 'another process'}"
            if time.monotonic() - began >= wait:
                raise UserError(
                    f"{text}; wait until it ends, or end it there. Once it is dead, the next start goes on "
                    f"from its last checkpoint: at once on its machine, after {patience:g} s elsewhere"
                )
            if not said:
                warnings.warn(f"{text}; waiting until it ends", stacklevel=2)
                said = True
        meanwhile()
        time.sleep(min(interval / 4, 1))


def take(folder: Path, generation: int, owner: Owner) -> bool:
    """Create the lease of `generation`, and say whether that makes `owner` the run's."""
    if not create_with(_path(folder, generation), owner.text()):
        return False
    found = _generations(folder)
    if max(found, default=0) > generation:
        # the list that `generation` came from was old
        _path(folder, generation).unlink(missing_ok=True)
        return False
    for older in found:
        if older < generation:
            _path(folder, older).unlink(missing_ok=True)
    return True


def _path(folder: Path, generation: int) -> Path:
    return folder / f"lease.{generation}.json"


def _generations(folder: Path) -> list[int]:
    return [
        int(found[1]) for name in os.listdir(folder) if (found := re.fullmatch(r"lease\.(\d+)\.json", name))
    ]


def _newest(folder: Path) -> tuple[int, bytes]:
    """The highest generation, 0 if there is none, and what its file holds."""
    generation = max(_generations(folder), default=0)
    return generation, _read(folder, generation)


def _read(folder: Path, generation: int) -> bytes:
    """What a lease holds by opening it anew, which asks a network's server; nothing if it is gone."""
    try:
        return _path(folder, generation).read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return b""
        raise
