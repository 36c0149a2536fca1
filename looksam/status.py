"""What trains now, read off the files that trainings leave in results/runs/ while they run. Torch-free."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from looksam.columns import aligned, duration
from looksam.costs import base_operations, passes_per_step
from looksam.errors import UserError
from looksam.results import NEVER, OUTPUTS, stamp_of
from looksam.splits import training_images
from looksam.words import Word, last_word, read

SECONDS_BETWEEN_LOOKS = 5.0


@dataclass(frozen=True)
class Status:
    """Trainings at work, without a recent word, and preempted; how many ended and wait; seconds to go."""

    now: float
    running: list[Word]
    silent: list[Word]
    preempted: list[Word]
    finished: int
    finished_today: int
    waiting: int
    eta_seconds: float | None


def show(results: Path, as_json: bool, watch: bool) -> None:
    """Print the status of a results folder; with `watch`, again every few seconds."""
    while True:
        now = status(results, time.time())
        text = json.dumps(as_object(now), indent=1) if as_json else page(now)
        # on a terminal, over what was printed before
        print(("\x1b[H\x1b[2J" if watch and sys.stdout.isatty() else "") + text, flush=True)
        if not watch:
            return
        try:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            return


def status(results: Path, now: float) -> Status:
    """What the folders in results/runs/ say at Unix time `now`."""
    words: dict[str, list[Word]] = {"running": [], "silent": [], "preempted": []}
    ended: list[float] = []
    operations_left = rate = 0.0
    waiting = 0
    for folder in folders(results):
        word = last_word(folder)
        end = ended_at(folder)
        if end is not None and (word is None or word.updated <= end or word.part >= 1):
            ended.append(end)
            continue
        settings = read(folder / "run.json").get("settings")
        cost = operations(settings)
        operations_left += cost * (1 - word.part if word else 1)
        if word is None:
            waiting += 1
            continue
        live = word.is_live(now)
        words["preempted" if word.preempted else "running" if live else "silent"].append(word)
        images = images_of(settings)
        if live and word.images_per_second > 0 and images:
            rate += word.images_per_second * cost / images
    midnight = time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))
    return Status(
        now=now,
        **words,
        finished=len(ended),
        finished_today=sum(end >= midnight for end in ended),
        waiting=waiting,
        eta_seconds=operations_left / rate if rate else None,
    )


def folders(results: Path) -> list[Path]:
    """The folders of runs that were asked for, by name."""
    try:
        with os.scandir(results / "runs") as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        raise UserError(f"no runs in {results}; `snakemake -n` writes what the config asks for") from None
    return [path for name in found if stamp_of((path := results / "runs" / name) / "run.json") != NEVER]


def ended_at(folder: Path) -> float | None:
    """When the training of a run ended, in Unix time; None where it has not."""
    stamps = [stamp_of(folder / name) for name in OUTPUTS]
    return None if NEVER in stamps else max(stamps) / 1e9


def operations(settings: Any) -> float:
    """About what a whole training computes; 0 where its settings are not to be read."""
    try:
        return base_operations(settings) * passes_per_step(settings)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def images_of(settings: Any) -> float:
    """Training images of all epochs; 0 where the settings are not to be read."""
    try:
        return float(training_images(settings) * settings["epochs"])
    except (KeyError, TypeError, ValueError):
        return 0.0


def as_object(status: Status) -> dict[str, Any]:
    """The status as JSON has it."""
    counts = {key: getattr(status, key) for key in ("finished", "finished_today", "waiting", "eta_seconds")}
    return {s: [known(w, status.now) for w in words] for s, words in by_state(status).items()} | counts


def known(word: Word, now: float) -> dict[str, Any]:
    """A training's word with its age in seconds; what is unknown is null, because JSON has no nan."""
    said = asdict(word) | {"age_seconds": word.age(now)}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in said.items()}


def by_state(status: Status) -> Mapping[str, list[Word]]:
    """The lists of trainings that have said something, by what they do."""
    return {"running": status.running, "silent": status.silent, "preempted": status.preempted}


def page(status: Status) -> str:
    """The status as a person reads it."""
    head = ("run", "epoch", "step", "", "loss", "accuracy", "images/s", "to go", "host", "last word")
    rows = [line(word, state, status.now) for state, words in by_state(status).items() for word in words]
    counts = (
        f"{len(status.running)} running, {len(status.silent)} without a word, "
        f"{len(status.preempted)} preempted, {status.waiting} waiting, "
        f"{status.finished} finished ({status.finished_today} today)"
    )
    eta = "" if status.eta_seconds is None else f"\nabout {duration(status.eta_seconds)} to go at these rates"
    return "\n".join([*(aligned([head, *rows]) if rows else []), counts]) + eta


def line(word: Word, state: str, now: float) -> tuple[str, ...]:
    """A training's line."""
    age = duration(word.age(now))
    said = {
        "running": f"{age} ago",
        "silent": f"no word for {age}: dead?",
        "preempted": f"preempted {age} ago",
    }
    return (
        word.run,
        f"{whole(word.epoch)}/{whole(word.epochs)}",
        f"{whole(word.step)}/{whole(word.steps)}",
        f"{word.part:.0%}",
        "?" if math.isnan(word.loss) else f"{word.loss:.4f}",
        "?" if math.isnan(word.accuracy) else f"{word.accuracy:.1%}",
        "?" if math.isnan(word.images_per_second) else f"{word.images_per_second:,.0f}",
        duration(word.eta_seconds) if math.isfinite(word.eta_seconds) and state == "running" else "-",
        word.host or "?",
        said[state],
    )


def whole(number: float) -> str:
    """A count; ? where it is unknown."""
    return f"{number:,.0f}" if math.isfinite(number) else "?"
