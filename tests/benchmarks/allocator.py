"""How fast a small network's step is where glibc keeps freed memory, over one where it gives it back.

Two processes take turns of one step, since the allocator is told once a process. The ratio is of the medians:
a few steps happen to find all that they need, and the fastest one is of these.
"""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from looksam.allocator import keep_freed_memory
from looksam.models import build

DATASET = {"height": 14, "width": 14, "channels": 1, "classes": 10}
MODELS: dict[str, dict[str, Any]] = {
    "WRN-10-1": {"architecture": "wrn", "depth": 10, "width": 1},
    "ViT, width 64, depth 2": {"architecture": "vit", "patch_size": 7, "dim": 64, "depth": 2, "heads": 4},
}
IMAGES, STEPS = 100, 60


def steps(model: dict[str, Any]) -> Iterator[float]:
    """Seconds of step after step."""
    torch.set_num_threads(1)
    network = build(model, DATASET)
    images, labels = torch.randn(IMAGES, 1, 14, 14), torch.randint(0, 10, (IMAGES,))
    while True:
        started = time.perf_counter()
        network.zero_grad()
        cross_entropy(network(images), labels).backward()
        yield time.perf_counter() - started


def serve(asked: Connection, model: dict[str, Any], is_kept: bool) -> None:
    """Take a step whenever the other side asks for one, and say how long it took."""
    if is_kept:
        keep_freed_memory()
    taken = steps(model)
    while True:
        asked.recv()
        asked.send(next(taken))


def compare(name: str, model: dict[str, Any]) -> None:
    """Print the median step with memory kept over the median without."""
    start = multiprocessing.get_context("spawn")
    seconds: dict[bool, list[float]] = {True: [], False: []}
    sides = {is_kept: start.Pipe() for is_kept in (True, False)}
    children = [
        start.Process(target=serve, args=(there, model, is_kept), daemon=True)
        for is_kept, (_, there) in sides.items()
    ]
    for child in children:
        child.start()
    for _ in range(STEPS):
        for is_kept, (here, _) in sides.items():
            here.send("step")
            seconds[is_kept].append(here.recv())
    for child in children:
        child.terminate()
        child.join()
    ratio = median(seconds[True]) / median(seconds[False])
    print(
        f"{name:24} step with freed memory kept / given back: {ratio:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    for name, model in MODELS.items():
        compare(name, model)
