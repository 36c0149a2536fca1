"""How fast the pipeline trains, over a bare torch loop on the same network, optimizer and images in memory.

Both take turns of one step, and the ratio of the fastest ones is printed, since another job on the machine
can only make a step slower: 1 where the pipeline costs nothing. The pipeline's step takes its batch from the
feed, as that of a run does, whose images are in memory and which so has no workers; the loop indexes the
images by itself.
"""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from looksam.distributed import Ranks
from looksam.feed import Feed
from looksam.loader import Images, batches
from looksam.models import build
from looksam.optimizers import base_optimizer, schedule
from looksam.prefetch import prefetched, workers_for
from looksam.training import Training

SIZE = {"height": 32, "width": 32, "channels": 3}
DATASET = {"name": "random", "decode": "once", "classes": 10, **SIZE}
MODELS: dict[str, dict[str, Any]] = {
    "ViT, width 192, depth 6": {"architecture": "vit", "patch_size": 4, "dim": 192, "depth": 6, "heads": 3},
    "ResNet-18": {"architecture": "resnet", "bottleneck": False, "width": 64, "blocks": [2, 2, 2, 2]},
}
IMAGES, BATCH, STEPS = 640, 32, 20


def settings_of(model: dict[str, Any]) -> dict[str, Any]:
    """A run of the base optimizer without augmentation."""
    return {
        "model": {"name": "bench", **model},
        "dataset": DATASET,
        "method": {"k": 0},
        "batch_size": BATCH,
        "epochs": 3,
        "optimizer": "adamw",
        "peak_lr": 1e-3,
        "weight_decay": 0.1,
        "schedule": "cosine",
        "warmup_steps": 5,
        "clip": 1.0,
        "label_smoothing": 0.0,
        "augment": "none",
        "precision": "fp32",
        "seed": 0,
    }


def bare_step(settings: dict[str, Any], data: Images) -> Callable[[torch.Tensor], None]:
    """One step of a loop that anyone would write."""
    model = build(settings["model"], DATASET)
    optimizer = base_optimizer(settings, model)
    scheduler = schedule(settings, optimizer, 3 * IMAGES // BATCH)

    def step(batch: torch.Tensor) -> None:
        images, labels = data.images[batch].float() / 127.5 - 1, data.labels[batch]
        model.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip"])
        optimizer.step()
        scheduler.step()

    return step


def compare(name: str, model: dict[str, Any], data: Images) -> None:
    """Print the bare loop's time over the pipeline's, which is the pipeline's throughput over the loop's."""
    settings = settings_of(model)
    training = Training(build(settings["model"], DATASET), settings, IMAGES, Ranks(0, 1, torch.device("cpu")))
    feed = Feed(data, settings, training.micro_batches)
    workers = workers_for(data, asked=None)
    seconds: dict[str, list[float]] = {"pipeline": [], "bare": []}
    with closing(prefetched(feed, range(len(feed)), workers)) as micro_batches:
        step = bare_step(settings, data)
        for batch in batches(IMAGES, BATCH, seed=0, epoch=0)[:STEPS]:
            turns = {"pipeline": partial(training.step, micro_batches), "bare": partial(step, batch)}
            for turn, take in turns.items():
                started = time.perf_counter()
                take()
                seconds[turn].append(time.perf_counter() - started)
    pipeline, bare = (min(seconds[turn]) for turn in ("pipeline", "bare"))
    print(
        f"{name:24} throughput of the pipeline / a bare torch loop: {bare / pipeline:.3f} (reach: 0.95)",
        flush=True,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = Images(
        torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8), torch.randint(0, 10, (IMAGES,))
    )
    for name, model in MODELS.items():
        compare(name, model, random)
