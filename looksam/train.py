"""One training: from a run's settings and its shards to weights, history and timing."""

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save
from torch import nn

from looksam.choice import chosen_path
from looksam.distributed import joined
from looksam.environment import environment
from looksam.feed import Feed
from looksam.files import replace_file, replace_with
from looksam.images import Data
from looksam.loader import load, noise_of
from looksam.milestones import Milestones
from looksam.models import build
from looksam.prefetch import prefetched, workers_for
from looksam.requests import made_path
from looksam.results import OUTPUTS
from looksam.shadow import Shadow
from looksam.timing import timing
from looksam.training import Training
from looksam.watch import Care, Watch, watched


class Aside(Protocol):
    """What is measured beside a training's steps and changes none of them."""

    def __call__(self, training: Training) -> None:
        """Called before each step."""

    def write(self, training: Training, folder: Path) -> None:
        """Write what was found."""


# by the setting that asks for it; each writes a file of its name
ASIDES: dict[str, Callable[[Training, Data], Aside]] = {"shadow": Shadow}


def train(request: Path, care: Care) -> None:
    """Train the run of `run.json`; write history.parquet, timing.json and model.safetensors beside it.

    Under torchrun, as one of its ranks. A training whose loss is no longer finite ends after that epoch; its
    history shows the step, and evaluation says "diverged". All but timing.json is a function of the request's
    text on one machine, however often it was stopped and started again. Preempted if a signal stops it.
    """
    with joined() as ranks, watched(request, ranks, care) as (text, watch):
        # by the first rank's word: a network file system may show others yesterday's files
        if ranks.told(is_trained(request, text)):
            return
        run = json.loads(text)
        settings = run["settings"]
        if ranks.is_first:
            # of an earlier training of this run; the others' results Snakemake takes away
            for name in ASIDES:
                (request.parent / f"{name}.parquet").unlink(missing_ok=True)
        torch.set_num_threads(settings["threads"])
        held_out, noise = settings.get("validation_images", 0), noise_of(settings)
        data = load(Path(run["shards"]), "train", settings["dataset"], held_out, noise)
        network = seeded(settings["seed"], lambda: build(settings["model"], settings["dataset"]))
        training = Training(network, settings, len(data.labels), ranks)
        watch.resume(training)
        asides = [make(training, data) for name, make in ASIDES.items() if name in settings]
        fit(training, data, watch, Milestones(run, care.workers), asides)
        if ranks.is_first:
            for aside in asides:
                aside.write(training, request.parent)
            write(training, request.parent)


def is_trained(request: Path, text: str) -> bool:
    """The results are there, and made from this text: by another process, while this one waited."""
    with_values = chosen_path(request)
    made = with_values if with_values.is_file() else made_path(request)
    asked_for = (f"{name}.parquet" for name in ASIDES if name in json.loads(text)["settings"])
    are_there = all((request.parent / name).is_file() for name in (*OUTPUTS, *asked_for))
    return are_there and made.is_file() and made.read_text() == text


def fit(
    training: Training, data: Data, watch: Watch, milestones: Milestones, asides: Sequence[Aside] = ()
) -> None:
    """Train from where the run stopped, or from its start, to the last epoch or the first that diverged."""
    ranks, count = training.ranks, training.micro_batches
    feed = Feed(data, training.settings, count, ranks.rank, ranks.size)
    numbers = range(training.history.steps * count, len(feed))
    workers = feed.order.workers(workers_for(data, watch.care.workers))
    with closing(prefetched(feed, numbers, workers, ranks.device.type == "cuda")) as micro_batches:
        while not training.is_done:
            for aside in asides:
                aside(training)
            training.step(micro_batches)
            # before it is saved, so that no milestone is passed twice or never
            milestones(training)
            watch(training)


def write(training: Training, folder: Path) -> None:
    """Write the results of a training that has ended; timing.json has what may differ between equal runs."""
    weights = training.weights()
    model, history, times = (folder / name for name in OUTPUTS)
    replace_file(model, lambda path: path.write_bytes(save(weights)))
    replace_file(history, training.history.write)
    origin = {
        "host": platform.node(),
        "micro_batches": training.micro_batches,
        "perturbation": training.sharpness.method.perturbation,
        "environment": environment(training.ranks.device, training.ranks.size),
    }
    images = training.steps_per_epoch * training.settings["batch_size"]
    replace_with(times, json.dumps(timing(training.seconds, images, training.cold) | origin, indent=1))


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` returns from random numbers set to `seed`."""
    torch.manual_seed(seed)
    return make()
