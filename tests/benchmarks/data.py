"""Sharding: its rate against webdataset's writer and a plain copy, and what memory it takes.

All files are made here, in a folder that is deleted in the end. Rates are of the best of some interleaved
rounds, since another job on the machine can only make a round slower. The others' two processes run before
the clock does, and are given the list of files; looksam's threads start and write the index within its time.
A shard of looksam takes its name once it is on the disk, so what counts are the others with all that they
wrote synced too; beside it stands what comes out where nobody waits for the disk, looksam neither.
"""

import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from workflow import measured, python

ROOT = Path(__file__).parents[2]
ROUNDS = 7
IMAGES, IMAGE_BYTES, PER_SHARD = 3_000, 57_000, 750
SMALL_IMAGES, SMALL_BYTES = 200_000, 1_000

Writer = Callable[[list[Path], Path], object]


def copy_raw(files: list[Path], folder: Path) -> None:
    """The files' bytes, one after the other."""
    with (folder / "copy").open("wb", buffering=0) as target:
        for path in files:
            target.write(path.read_bytes())


def write_webdataset(files: list[Path], folder: Path) -> None:
    """Shards by webdataset."""
    from webdataset import ShardWriter

    with ShardWriter(f"{folder}/%06d.tar", maxcount=PER_SHARD, verbose=0) as writer:
        for number, path in enumerate(files):
            label = path.parent.name[1:].lstrip("0") or "0"
            writer.write({"__key__": f"{number:07d}", "jpg": path.read_bytes(), "cls": label})


def synced(write: Writer, files: list[Path], folder: Path) -> None:
    """What `write` does, and all of it on the disk."""
    write(files, folder)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def in_two(pool: ProcessPoolExecutor, write: Callable[..., object], *first: Writer) -> Writer:
    """A writer of which each of two processes has half of the files."""

    def both(files: list[Path], folder: Path) -> None:
        folders = [folder / "0", folder / "1"]
        for part in folders:
            part.mkdir()
        halves = [pool.submit(write, *first, files[i::2], part) for i, part in enumerate(folders)]
        for half in halves:
            half.result()

    return both


def in_looksam(source: Path) -> Writer:
    """A writer of looksam's shards: index, SHA-256, and names that appear once a file is on the disk."""
    from looksam.detect import list_source
    from looksam.sharding import Options, shard_to

    listing = list_source(str(source))
    return lambda files, folder: shard_to(listing, folder, Options(PER_SHARD, workers=2), lambda images: None)


@contextmanager
def never_synced() -> Iterator[None]:
    """Inside, files are written and nobody waits for the disk."""
    kept = os.fsync, os.posix_fadvise
    os.fsync, os.posix_fadvise = (lambda file: None), (lambda *what: None)  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync, os.posix_fadvise = kept


def unsynced(write: Writer) -> Writer:
    """The same writer in this process, but for the syncing."""

    def without(files: list[Path], folder: Path) -> None:
        with never_synced():
            write(files, folder)

    return without


def compare_writers(folder: Path) -> None:
    """Print images per second of looksam over those of others."""
    from photographs import photo_tree, photograph

    source = photo_tree(folder / "photos", IMAGES, [photograph(i, 500, 375, IMAGE_BYTES) for i in range(20)])
    files = sorted(source.rglob("*.JPEG"))
    size = sum(path.stat().st_size for path in files) / len(files)
    print(f"{IMAGES:,} JPEGs of {size / 1000:.0f} kB, {PER_SHARD} a shard, 2 workers")
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        ours = in_looksam(source)
        writers: dict[str, Writer] = {
            "looksam": ours,
            "ShardWriter": in_two(pool, synced, write_webdataset),
            "raw copy": in_two(pool, synced, copy_raw),
            "looksam, unsynced": unsynced(ours),
            "ShardWriter, unsynced": in_two(pool, write_webdataset),
            "raw copy, unsynced": in_two(pool, copy_raw),
        }
        best = fastest(writers, files, folder / "out")
    for other, reach in (("ShardWriter", 2.0), ("raw copy", 0.45)):
        print(f"shards / {other}, all on the disk: {best[other] / best['looksam']:.2f} (reach: {reach})")
        ratio = best[f"{other}, unsynced"] / best["looksam, unsynced"]
        print(f"  nobody waits for the disk: {ratio:.2f}")


def fastest(writers: dict[str, Writer], files: list[Path], out: Path) -> dict[str, float]:
    """Seconds of each writer's best round."""
    seconds: dict[str, list[float]] = {name: [] for name in writers}
    for _ in range(ROUNDS):
        for name, write in writers.items():
            out.mkdir()
            # what another left to be written is not this one's to wait for
            os.sync()
            started = time.perf_counter()
            write(files, out)
            seconds[name].append(time.perf_counter() - started)
            shutil.rmtree(out)
    return {name: min(times) for name, times in seconds.items()}


SHARD = "from looksam.cli import main; main(['shard', {!r}, {!r}, '--workers', '2'])"


def peak(source: Path, out: Path) -> float:
    """The most megabytes that a sharding has resident, in a process of its own without children."""
    return measured(python(SHARD.format(str(source), str(out))), ROOT).megabytes


def measure_memory(folder: Path) -> None:
    """Print what sharding takes of memory: of many small files, of fewer, and of larger ones."""
    from photographs import photo_tree, photograph

    small = [photograph(i, 40, 30, SMALL_BYTES) for i in range(20)]
    many = photo_tree(folder / "many", SMALL_IMAGES, small, classes=100)
    few = photo_tree(folder / "few", IMAGES, small)
    megabytes = {path: peak(path, folder / f"{path.name}-out") for path in (many, few, folder / "photos")}
    print(f"\nmemory of sharding {SMALL_IMAGES:,} small files: {megabytes[many]:.0f} MB (reach: 500)")
    bytes_each = (megabytes[many] - megabytes[few]) * 2**20 / (SMALL_IMAGES - IMAGES)
    print(f"  {bytes_each:.0f} bytes more for each file, which is its row of the list of files")
    larger = (megabytes[folder / "photos"] - megabytes[few]) * 2**20 / (IMAGES * (IMAGE_BYTES - SMALL_BYTES))
    print(f"  {larger:.3f} bytes more for each byte that files are larger")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    # as looksam's command does
    gc.set_threshold(100_000)
    with tempfile.TemporaryDirectory(prefix="looksam-benchmark-") as temporary:
        compare_writers(Path(temporary))
        measure_memory(Path(temporary))
