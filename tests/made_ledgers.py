"""Ledgers of invented runs, with known accuracies, for the tests of what the evidence study says."""

from collections.abc import Mapping, Sequence
from typing import Any

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
        "table": "evidence-sgd",
        "row": str(condition),
        "column": LABELS.get(method, method),
        **condition._asdict(),
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
