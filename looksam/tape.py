"""A file that is written from its beginning to its end, in large pieces, and is on the disk soon after."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

# larger writes cost fewer pages' worth of work, smaller ones find their images in the processor's cache
BYTES_A_WRITE = 2**19
# what one call of writev takes, on Linux and macOS
BLOCKS_A_WRITE = 1024
BYTES_BEFORE_DISK = 8 * 2**20


class Tape:
    """Holds a file and what is yet to be written to it. size: bytes appended so far."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=0)
        self.size = 0
        self._blocks: list[bytes] = []
        self._written = 0
        self._begun = 0

    def append(self, *blocks: bytes) -> None:
        """Write the blocks, now or later."""
        self._blocks += blocks
        self.size += sum(map(len, blocks))
        if self.size - self._written >= BYTES_A_WRITE or len(self._blocks) > BLOCKS_A_WRITE - 16:
            self._write()

    def _write(self) -> None:
        descriptor = self.file.fileno()
        written = os.writev(descriptor, self._blocks) if self._blocks else 0
        if written < self.size - self._written:
            # a disk that is nearly full takes a part, and says so when it is asked for the rest
            rest = memoryview(b"".join(self._blocks))[written:]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        self._blocks, self._written = [], self.size
        if self._written - self._begun >= BYTES_BEFORE_DISK:
            begin_sync(descriptor, self._begun, self._written - self._begun)
            self._begun = self._written

    def __enter__(self) -> "Tape":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._write()
        finally:
            self.file.close()


def begin_sync(descriptor: int, offset: int, size: int) -> None:
    """Have the disk write these bytes while the next are made, so that syncing them in the end takes little.

    Pages that are not on the disk yet stay in memory, and only begin to be written.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)
