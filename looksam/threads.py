"""Threads that make shards, and stop between two images once one of them fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from looksam.write import Job, Made

# what is done with a job, and asks before each image whether to stop
Work = Callable[[Job, Callable[[], bool]], Made]


def in_threads(jobs: Iterator[Job], threads: int, work: Work, finish: Callable[[Job, Made], None]) -> None:
    """Have threads do the jobs; `finish` is called here with each and what became of it, in any order.

    Threads and not processes, because reading, hashing, writing and syncing all let the others go on.
    """
    waiting: dict[Future[Made], Job] = {}
    stop = Event()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                waiting[pool.submit(work, job, stop.is_set)] = job
                while len(waiting) > threads:
                    take(waiting, finish)
            while waiting:
                take(waiting, finish)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def take(waiting: dict[Future[Made], Job], finish: Callable[[Job, Made], None]) -> None:
    """Wait until a job is done, and finish those that are."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        finish(waiting.pop(future), future.result())
