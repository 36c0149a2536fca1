"""Worker processes that read and decode ahead; what they hand over does not depend on how many there are."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Thread
from typing import Protocol, TypeVar

import torch
from torch.utils.data import DataLoader

from looksam.errors import UserError
from looksam.images import Data

Item_co = TypeVar("Item_co", covariant=True)
Item = TypeVar("Item")

# a rank alone takes these: a worker that died of them could not hand over what the last step still needs
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# items that each worker is ahead
AHEAD = 2
SHARED_MEMORY = Path("/dev/shm")


class Items(Protocol[Item_co]):
    """What is read, by number; an item is an error where it cannot be."""

    @property
    def item_bytes(self) -> int:
        """What an item takes in memory."""

    def __getitem__(self, number: int) -> Item_co | UserError: ...


def workers_for(data: Data, asked: int | None) -> int:
    """How many workers: as many as were asked for, or this rank's share of the cores to decode."""
    if asked is not None:
        return asked
    if data.is_in_memory:
        return 0
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, cores)


def prefetched(items: Items[Item], numbers: range, workers: int, pin: bool = False) -> Generator[Item]:
    """The items of these numbers, in order. pin: in memory that a GPU copies from by itself.

    Without workers each is made when it is asked for. Close it to end the workers; they also end by
    themselves, within seconds of the death of this process. UserError where an item is one, or a worker is
    killed.
    """
    found: Iterator[Item | UserError] = (items[number] for number in numbers)
    if workers:
        check_shared_memory(workers, items.item_bytes)
        found = started(items, numbers, workers, pin)
    try:
        for item in found:
            if isinstance(item, UserError):
                raise item
            yield item
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "Caught" in str(error):
            raise
        raise UserError(
            f"a worker that reads images was killed, maybe for want of memory ({error}); run the same "
            "command again, with fewer --workers if memory was short"
        ) from error
    finally:
        if workers:
            # an error's traceback keeps the iterator, and at exit Python would wait for workers that are deaf
            found._shutdown_workers()  # type: ignore[attr-defined]


def started(items: Items[Item], numbers: range, workers: int, pin: bool) -> Iterator[Item | UserError]:
    """An iterator over what workers hand over; they end with it.

    By a server that was started fresh: a fork of this process would keep its sockets to other ranks open
    after it died, and the locks that its threads held; fresh interpreters would each import torch.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["looksam.feed", "torchvision.io"])
    loader: DataLoader[Item | UserError] = DataLoader(
        items,  # type: ignore[arg-type]
        batch_size=None,
        sampler=numbers,
        collate_fn=as_it_is,
        num_workers=workers,
        prefetch_factor=AHEAD,
        worker_init_fn=end_with_parent,
        multiprocessing_context=context,
        pin_memory=pin,
        generator=torch.Generator(),  # or it would draw from the global one
    )
    with deaf():
        return iter(loader)


def end_with_parent(number: int) -> None:
    """Let this worker end once the process that it reads for is dead.

    The server does not, as long as its workers live, and torch's loader looks at the server alone.
    """
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def as_it_is(item: Item) -> Item:
    """The item itself, of which a loader need make nothing."""
    return item


@contextmanager
def deaf() -> Iterator[None]:
    """What is started inside never hears SIGNALS, nor claims an accelerator when it imports torch."""
    # it would listen to them again for all that comes after it
    resource_tracker.ensure_running()
    variable = "TORCH_DEVICE_BACKEND_AUTOLOAD"
    before, mask = os.environ.get(variable), signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.environ[variable] = "0"
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def check_shared_memory(workers: int, item_bytes: int) -> None:
    """Refuses workers for whose items /dev/shm has no room: containers often have 64 MB of it."""
    if not SHARED_MEMORY.is_dir():
        return
    # those ahead, and the one that is in use
    wanted, free = (workers * AHEAD + 1) * item_bytes, shutil.disk_usage(SHARED_MEMORY).free
    if wanted > free:
        raise UserError(
            f"{workers} workers hand over up to {wanted / 2**20:.0f} MiB through {SHARED_MEMORY}, which has "
            f"{free / 2**20:.0f} MiB free; give the container more (docker run --shm-size), or take fewer "
            "--workers; 0 needs none of it"
        )
