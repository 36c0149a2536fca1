"""`looksam train`, `choose` and `evaluate`: the commands that run networks."""

import argparse
import math
import os
import sys
from pathlib import Path

from looksam.arguments import natural
from looksam.requests import consumed

# each imports what it needs: a command line that is looked at need not start torch


def add_train(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam train`."""
    sub.add_argument("request", type=Path, help="results/runs/<run>/run.json")
    sub.add_argument(
        "--seconds-between-checkpoints",
        type=float,
        default=600.0,
        metavar="S",
        help="what a killed training loses at most (default: %(default)s)",
    )
    add_workers(sub)
    sub.add_argument("--wait", action="store_true", help="wait where another process trains the run")


def train(parsed: argparse.Namespace) -> None:
    """Train one run, or go on with it; its weights, history and timing appear beside run.json."""
    from looksam.allocator import keep_freed_memory
    from looksam.progress import shown
    from looksam.train import train
    from looksam.watch import Care

    keep_freed_memory()
    with shown(parsed.request.parent.name) as show:
        wait = math.inf if parsed.wait else 0.0
        train(parsed.request, Care(show, parsed.seconds_between_checkpoints, wait, parsed.workers))
    end(os.EX_OK)


def add_choose(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam choose`."""
    sub.add_argument("request", type=Path, help="results/searches/<search>/trials.json")
    sub.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    sub.add_argument("--chosen", type=Path, required=True, help="JSON file to write")
    add_workers(sub)


def choose(parsed: argparse.Namespace) -> None:
    """Choose the best of a search's trials by the training images held out of them."""
    from looksam.allocator import keep_freed_memory
    from looksam.choice import choose

    keep_freed_memory()
    with consumed(parsed.request):
        choose(parsed.request, parsed.runs, parsed.chosen, parsed.workers)


def add_evaluate(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam evaluate`."""
    sub.add_argument("request", type=Path, help="results/evaluations/<table>.json")
    sub.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    sub.add_argument("--evaluations", type=Path, required=True, help="Parquet file to write")
    add_workers(sub)


def evaluate(parsed: argparse.Namespace) -> None:
    """Evaluate a table's runs on their test images."""
    from looksam.allocator import keep_freed_memory
    from looksam.evaluate import evaluate

    keep_freed_memory()
    with consumed(parsed.request):
        evaluate(parsed.request, parsed.runs, parsed.evaluations, parsed.workers)
    end(os.EX_OK)


def add_workers(sub: argparse.ArgumentParser) -> None:
    """The option of commands that read images."""
    about = "processes a rank that read large images; as many as the rank has cores. No number depends on it"
    sub.add_argument("--workers", type=natural, metavar="N", help=about)


def end(code: int) -> None:
    """End this process, if it failed or is one of many ranks.

    Ranks end at once: while Python takes itself down, a thread of gloo that wants it once more aborts the
    process, and torchrun takes a finished training for a failed one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)
