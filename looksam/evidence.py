"""Evidence: what the runs of the evidence study say of each question that config/claims.yaml asks of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from looksam.asked import asked_about
from looksam.conditions import Arms, Condition, arm, conditions, longer
from looksam.families import Family, family
from looksam.intervals import LEVEL, holm
from looksam.ledger import Entry
from looksam.metrics import METRICS
from looksam.reached import Reached, reached
from looksam.retained import Retained, retained

# non-inferiority is one-sided
ONE_SIDE = LEVEL / 2
Asked = Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """Whether a method loses less than the margin against the target, by condition.

    ps: one-sided, Holm's over the conditions, in their order; None where a condition decides nothing.
    """

    against: Family
    ps: list[float | None]

    @property
    def shown(self) -> list[bool]:
        """Whether a loss of the margin or more is excluded, by condition."""
        return [p is not None and p <= ONE_SIDE for p in self.ps]


@dataclass(frozen=True)
class Secondary:
    """A method's secondary answers. fractions: of the target's gain, by condition, None undecided."""

    method: str
    label: str
    fractions: list[Retained | None]
    fraction_of_all: Retained | None
    kept: Kept
    reached: list[Reached]


@dataclass(frozen=True)
class Findings:
    """Everything that was asked, answered. asked: the config's `evidence`.

    base_kept: whether the base optimizer itself loses less than the margin against the target, without which
    keeping its accuracy is no feat. rules, controls: by their name, each against SAM-k and against LookSAM-k.
    longer: the base optimizer with
    more steps, against the base optimizer and against LookSAM-k.
    """

    asked: Asked
    study: Mapping[Condition, Arms]
    primary: Family
    gain: Family
    base_kept: Kept
    secondary: list[Secondary]
    rules: dict[str, tuple[Family, Family]]
    controls: dict[str, tuple[Family, Family]]
    longer: tuple[Family, Family]
    layerwise: Family
    not_run: list[str]

    @property
    def families(self) -> list[Family]:
        """Every question of a difference whose arms were run, the primary one first, each once."""
        beside = [one for pair in (*self.rules.values(), *self.controls.values()) for one in pair]
        # LookSAM-k is a rule of alpha itself
        rest = [one for one in beside if one.of != self.primary.of]
        asked = [self.gain, *rest, *self.longer, self.layerwise]
        return [self.primary, *(one for one in asked if one.was_run)]


def findings(entries: Sequence[Entry], asked: Asked) -> Findings:
    """The findings of a ledger. asked: the config's `evidence`."""
    study = conditions(entries, asked["tables"])
    of, control = asked["primary"]["of"], asked["primary"]["against"]
    base, target = asked["base"], asked["target"]

    def less(one: str, other: str) -> Family:
        return family(study, one, other, asked["power"], (one, other))

    def both(method: str) -> tuple[Family, Family]:
        return less(method, control), less(method, of)

    run = {one.method for arms in study.values() for one in arms.values()}
    rules, controls = asked["alpha_rules"], asked["controls"]
    of_more_steps = partial(longer, method=base)
    name = f"{base} with more steps"
    gain = less(target, base)
    return Findings(
        asked=asked,
        study=study,
        primary=less(of, control),
        gain=gain,
        base_kept=kept(less(base, target), asked["margin"] / METRICS["top1"].shown),
        secondary=[secondary(study, method, gain, asked) for method in asked["secondary"] if method in run],
        rules={name: both(method) for name, method in rules.items() if method in run},
        controls={name: both(method) for name, method in controls.items() if method in run},
        longer=(
            family(study, of_more_steps, base, asked["power"], (name, base)),
            family(study, of_more_steps, of, asked["power"], (name, of)),
        ),
        layerwise=less(*asked["layerwise"].values()),
        not_run=[method for method in dict.fromkeys(asked_about(asked)) if method not in run],
    )


def secondary(study: Mapping[Condition, Arms], method: str, gain: Family, asked: Asked) -> Secondary:
    """The secondary answers of a method. gain: of the target over the base optimizer."""
    own = family(study, method, asked["base"], asked["power"], (method, asked["base"]))
    to_target = family(study, method, asked["target"], asked["power"], (method, asked["target"]))
    pairs = [
        (part.contrast, whole.contrast)
        for part, whole in zip(own.tested, gain.tested, strict=True)
        if not part.contrast.obstacle and not whole.contrast.obstacle
    ]
    fractions = {part.condition: ratio([(part.differences, whole.differences)]) for part, whole in pairs}
    return Secondary(
        method=method,
        label=own.of,
        fractions=[fractions.get(condition) for condition in study],
        fraction_of_all=ratio([(part.differences, whole.differences) for part, whole in pairs]),
        kept=kept(to_target, asked["margin"] / METRICS["top1"].shown),
        reached=[
            reached(arm(arms, method), arm(arms, asked["target"]), method, asked["target"])
            for arms in study.values()
        ],
    )


def kept(against: Family, margin: float) -> Kept:
    """Whether the arm loses less than the margin, a fraction, in each condition."""
    found = [one.contrast for one in against.tested]
    ps = holm([one.found.p_above(-margin) if one.found and not one.obstacle else 1.0 for one in found])
    return Kept(against, [None if one.obstacle else p for one, p in zip(found, ps, strict=True)])


def ratio(pairs: Sequence[tuple[Mapping[int, float], Mapping[int, float]]]) -> Retained | None:
    """The retained fraction of means over pairs of gains, by the seeds that all have; None without any."""
    if not pairs:
        return None
    seeds = [seed for seed in pairs[0][0] if all(seed in part and seed in whole for part, whole in pairs)]
    parts = [fmean(part[seed] for part, _ in pairs) for seed in seeds]
    wholes = [fmean(whole[seed] for _, whole in pairs) for seed in seeds]
    return retained(parts, wholes) if seeds else None
