"""The last word of a training: the progress.json and preempted.json in its folder.

They are read while trainings write: a file that vanishes, is half there or says nonsense is no word.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# after so many seconds without a word a training may be dead; it says one every ten seconds, but between two
# steps only, and the first of them may compile for minutes
SILENT_AFTER = 300.0


@dataclass(frozen=True)
class Word:
    """Where a training stands by its own last word; nan or "" where that says nothing. updated: Unix time."""

    run: str
    step: float
    steps: float
    epoch: float
    epochs: float
    loss: float
    accuracy: float
    images_per_second: float
    eta_seconds: float
    updated: float
    host: str
    preempted: bool

    @property
    def part(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return min(1.0, max(0.0, self.step / self.steps)) if self.step >= 0 and self.steps > 0 else 0.0

    def age(self, now: float) -> float:
        """Seconds since the word; 0 where the writer's clock is ahead."""
        return max(0.0, now - self.updated)

    def is_live(self, now: float) -> bool:
        """The training is at work, as far as its word tells."""
        return not self.preempted and self.part < 1 and self.age(now) <= SILENT_AFTER


def last_word(folder: Path) -> Word | None:
    """The word of the training in a run's folder, or None where there is none."""
    said, left = read(folder / "progress.json"), read(folder / "preempted.json")
    if not (said or left):
        return None
    step = number(said, "step")
    # a training that took up again at the preempted step has said a later one
    preempted = bool(left) and not step > number(left, "step")
    newest = left | {key: value for key, value in said.items() if key not in left} if preempted else said
    numbers = ("steps", "epoch", "epochs", "loss", "accuracy", "images_per_second", "eta_seconds")
    updated = number(newest, "updated")
    return Word(
        run=folder.name,
        step=number(newest, "step"),
        **{key: number(newest, key) for key in numbers},
        updated=0.0 if math.isnan(updated) else updated,
        host=str(newest.get("host", "")),
        preempted=preempted,
    )


def read(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; nothing where there is none."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def number(content: dict[str, Any], key: str) -> float:
    """The number under a key; nan where there is none."""
    value = content.get(key)
    return float(value) if isinstance(value, int | float) else math.nan
