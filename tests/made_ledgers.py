"""Ledgers of invented runs, with known accuracies, for the tests of what the evidence study says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from looksam.conditions import Arm, Condition
from looksam.ledger import Entry

IMAGES = 1000
HERE = Condition("a-net", "sgd", 0.2)
# right test images by seed; None diverged
Counts = Sequence[int | None]
MILESTONES = 10
STEPS = 100
LABELS = {"vanilla": "base", "sam": "SAM", "sam-5": "SAM-5", "looksam-5": "LookSAM-5"}


def entry(method: str, seed: int, correct: int | None, condition: Condition = HERE, **more: Any) -> Entry:
    """An invented run that gets so many test images right, and at each milestone a tenth more of them."""
    k = {"vanilla": 0, "sam": 1, "layersam": 1}.get(method, 5)
    steps = more.get("steps", STEPS)
    passes = steps + (-(-steps // k) if k else 0)
    tenths = range(1, MILESTONES + 1)
    known: dict[str, Any] = {
        "run": f"invented.{method}.s{seed}",
        "scale": "invented",
        "table": "evidence-sgd",
        "row": str(condition),
        "column": LABELS.get(method, method),
        **condition._asdict(),
        "dataset": "invented",
        "train_images": 100,
        "batch_size": 10,
        "method": method,
        "k": k,
        "epochs": 10,
        "seed": seed,
        "trial": None,
        "chosen": False,
        "peak_lr": 0.1,
        "rho": 0.05 if k else None,
        "alpha": None,
        "steps": steps,
        "passes": passes,
        "gradients_per_step": passes / steps,
        "top1": None if correct is None else correct / IMAGES,
        "correct": correct,
        "images": None if correct is None else IMAGES,
        "test_images": "" if correct is None else "these",
        "validation_top1": None,
        "diverged_at_step": 7 if correct is None else None,
        "judged_passes": () if correct is None else tuple(passes * t // MILESTONES for t in tenths),
        "judged_correct": () if correct is None else tuple(correct * t // MILESTONES for t in tenths),
        **dict.fromkeys(("g_v_over_g", "cos_g_v_old", "reuse_gain", "seconds")),
        **dict.fromkeys(("code", "device", "torch", "timm", "looksam", "python"), "invented"),
        **dict.fromkeys(("commit", "determinism"), "invented"),
    }
    return Entry(**known | more)


def ledger(counts: Mapping[str, Counts], condition: Condition = HERE, **more: Any) -> list[Entry]:
    """One run a method and seed."""
    return [
        entry(method, seed, correct, condition, **more)
        for method, by_seed in counts.items()
        for seed, correct in enumerate(by_seed)
    ]


def arm(method: str, counts: Counts, **more: Any) -> Arm:
    """An arm with a run a seed."""
    runs = {seed: entry(method, seed, correct, **more) for seed, correct in enumerate(counts)}
    return Arm(LABELS.get(method, method), method, runs)


METHODS = (
    *("vanilla", "sam", "sam-5", "looksam-5", "looksam-5-auto", "looksam-5-cos", "looksam-5-ls"),
    *("sam-5-as-looksam-5", "random-5", "g-v-before-5", "layersam", "look-layersam-5"),
)
GAINS = dict(zip(METHODS, (0, 30, 12, 18, 17, 15, 20, 12, 12, 16, 28, 17), strict=True))


def study(seeds: int = 10, **gains: float) -> list[Entry]:
    """A ledger of twelve conditions, each arm and trial in it, its gains invented and their noise drawn.

    gains: right test images more than the base optimizer, of a method, underscores for its dashes.
    """
    rng = np.random.default_rng(0)
    known = GAINS | {key.replace("_", "-"): gain for key, gain in gains.items()}
    found = []
    for model, optimizer, noise in product(("vit-tiny", "wrn-tiny"), ("sgd", "adamw"), (0.0, 0.2, 0.4)):
        here = Condition(model, optimizer, noise)
        shared = rng.normal(850 - 300 * noise, 5, seeds)
        for method, gain in known.items():
            counts = np.rint(shared + gain * (0.3 + 2 * noise) + rng.normal(0, 5, seeds)).astype(int)
            found += ledger({method: counts.tolist()}, here)
            found += trials(method, here)
        more = np.rint(shared + 4 + rng.normal(0, 5, seeds)).astype(int).tolist()
        found += ledger({"vanilla": more}, here, steps=120, epochs=12, column="base, 1.2 x the steps")
    return found


def trials(method: str, condition: Condition) -> list[Entry]:
    """Two trials of a search, of which the second was chosen."""
    return [
        replace(
            entry(method, 0, None, condition),
            run=f"invented.{method}.trial{number}",
            table="search-evidence",
            diverged_at_step=None,
            trial=number,
            chosen=number == 2,
            validation_top1=0.8 + number / 100,
        )
        for number in (1, 2)
    ]
