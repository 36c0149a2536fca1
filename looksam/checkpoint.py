"""Checkpoints: what a training goes on from, whatever ended it.

`checkpoint.<generation>.<step>.pt` in the run's folder is a `torch.save` file that ends in the SHA-256 of all
before, and names the request it belongs to. The newest is that of the highest generation of the run's lease,
and in it of the highest step. A file appears whole, and two are kept: an older one goes once a newer one is
on the disk. A process writes files of its own generation alone, and deletes none of a later one. So one that
was taken over and wakes up late takes nothing away that its successor needs, as its own two newest stay; and
what it adds, a state of the same training, counts for less than its successor's first checkpoint.
"""

import hashlib
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, BinaryIO

import torch

from looksam.files import replace_file
from looksam.snapshot import room, snapshot

NAME = re.compile(r"checkpoint\.(\d+)\.(\d+)\.pt")
# what a process leaves that is killed while it writes
HALF_WRITTEN = re.compile(r"\.checkpoint\.(\d+)\.(\d+)\.pt\.\w+")
DIGEST_BYTES = hashlib.sha256().digest_size
CHUNK_BYTES = 1 << 20

State = dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, written in the background by the owner of its lease.

    request: the text of run.json. generation, check: the lease's; `check` raises if the run was taken over.
    """

    def __init__(self, folder: Path, request: str, generation: int, check: Callable[[], object]) -> None:
        self.folder, self.generation, self.check = folder, generation, check
        self.request = hashlib.sha256(request.encode()).hexdigest()
        # on the disk and whole: kept beside the one that follows
        self._good: Path | None = None
        self._memory: State = {}
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def load(self) -> State | None:
        """What the newest checkpoint holds that is whole and the request's, on the CPU; None to start anew.

        Warns, in one line, of what is wrong with those that are newer and of what the training goes on from.
        """
        self._remove(HALF_WRITTEN)
        wrong: dict[Path, str] = {}
        state = None
        # listed anew each time: a late writer may just have put a newer file in the place of an older one
        while path := max(set(self._numbered(NAME)) - wrong.keys(), key=_number, default=None):
            try:
                state = self._read(path)
            except (Unusable, OSError) as error:
                wrong[path] = f"{path} {error if isinstance(error, Unusable) else error.strerror}"
                continue
            self._good = path
            break
        if wrong:
            goes_on = f"going on from {self._good.name}" if self._good else "training from the start"
            warnings.warn(f"{'; '.join(wrong.values())}; {goes_on}", stacklevel=2)
        return state

    def prepare(self, state: Mapping[str, Any]) -> None:
        """Allocate the memory of snapshots of `state` in the background, as the first save is slow without.

        For once the optimizer has its state, after a training's first step.
        """
        self.wait()
        self._writing = self._writer.submit(self._allocate, state)

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Copy `state`, that after `step` steps, and write it in the background.

        Waits for the checkpoint before, and raises what went wrong with that: UserError where the disk was
        full or the run was taken over. `snapshot` says what a state may hold.
        """
        self.wait()
        self.check()
        path = self.folder / f"checkpoint.{self.generation}.{step}.pt"
        if path != self._good:
            self._memory = snapshot(state, self._memory)
            self._writing = self._writer.submit(self._write, path, step)

    def wait(self) -> None:
        """Return once the last checkpoint is on the disk; raise what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def close(self) -> None:
        """Wait as `wait` does, and end the thread that writes."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def remove(self) -> None:
        """Delete the run's checkpoints, when its results are on the disk and nothing would train it again."""
        self.wait()
        self.check()
        self._good = None
        self._remove(NAME)
        self._remove(HALF_WRITTEN)

    def _allocate(self, state: Mapping[str, Any]) -> None:
        self._memory = room(state)

    def _write(self, path: Path, step: int) -> None:
        content = {"request": self.request, "generation": self.generation, "step": step}

        def write(temporary: Path) -> None:
            with Sealed(temporary) as file:
                torch.save({**content, "state": self._memory}, file)
                file.seal()
            self.check()

        try:
            replace_file(path, write)
        except FileNotFoundError:
            # a successor has removed the half-written file
            self.check()
            raise
        self._remove(NAME, keep={path, self._good})
        self._good = path

    def _read(self, path: Path) -> State:
        with path.open("rb") as file:
            if not is_whole(file):
                raise Unusable("is damaged: it does not end in the SHA-256 of its content")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        if content["request"] != self.request:
            raise Unusable("belongs to another request than run.json: settings or code have changed since")
        number = content["generation"], content["step"]
        if number != _number(path):
            raise Unusable("is another checkpoint: of generation {} and step {}".format(*number))
        state: State = content["state"]
        return state

    def _numbered(self, pattern: re.Pattern[str]) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if pattern.fullmatch(path.name))

    def _remove(self, pattern: re.Pattern[str], keep: Collection[Path | None] = ()) -> None:
        """Delete files of this generation and of earlier ones, the oldest first."""
        for path in sorted(self._numbered(pattern), key=_number):
            if path not in keep and _number(path)[0] <= self.generation:
                path.unlink(missing_ok=True)


class Unusable(Exception):
    """What is wrong with a checkpoint, as the rest of a sentence on it."""


class Sealed(BufferedWriter):
    """A new file for `torch.save` to write, which takes the SHA-256 of what passes through."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path, "w"))
        self._digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        """Write all of `data`, bytes in whatever holds them."""
        self._digest.update(data)
        return super().write(data)

    def seal(self) -> None:
        """Write the digest of what was written."""
        super().write(self._digest.digest())


def is_whole(file: BinaryIO) -> bool:
    """Whether a file ends in the SHA-256 of all before."""
    left = file.seek(0, 2) - DIGEST_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
    return left == 0 and file.read() == digest.digest()


def _number(path: Path) -> tuple[int, int]:
    """Generation and step that a file's name says."""
    _, generation, step, *_ = path.name.lstrip(".").split(".")
    return int(generation), int(step)
