"""The evidence in short: each question's answer under what is shown, what is not, or what is not decided."""

from looksam.evidence import Findings, Kept, Secondary
from looksam.evidence_words import counts, fraction, many, told
from looksam.families import LESS, MORE, UNDECIDED, Family


def in_short(findings: Findings) -> dict[str, list[str]]:
    """What is shown, what is not, and what is not decided: each question in one of them, in a sentence."""
    said: dict[str, list[str]] = {"shown": [], "not shown": [], "not decided": []}
    for family in findings.families:
        found = counts(family)
        key = key_of(bool(found[MORE] or found[LESS]), found[UNDECIDED] < len(family.tested))
        said[key].append(told(family))
    of = findings.asked["primary"].values()
    for one in findings.secondary:
        if one.method not in of:
            continue
        bounded = any(f is not None and f.interval for f in one.fractions)
        said[key_of(bounded, any(one.fractions))].append(retained_told(findings.gain, one))
        said[key_of(any(one.kept.shown), any(p is not None for p in one.kept.ps))].append(
            kept_told(findings, one.kept)
        )
    return said


def key_of(is_shown: bool, is_decided: bool) -> str:
    """Under which head an answer stands."""
    return "shown" if is_shown else "not shown" if is_decided else "not decided"


def retained_told(gain: Family, one: Secondary) -> str:
    """Which part of the target's gain a method has."""
    bounded = sum(bool(f and f.interval) for f in one.fractions)
    if one.fraction_of_all is None:
        return f"What {one.label} has of {gain.of}'s gain over {gain.against}: no condition decides it."
    return (
        f"Of {gain.of}'s mean gain over {gain.against}, {one.label} has {fraction(one.fraction_of_all)}; "
        f"the fraction is bounded in {many(bounded, len(one.fractions))} by itself."
    )


def kept_told(findings: Findings, one: Kept) -> str:
    """In how many conditions a loss of the margin is excluded, of the base optimizer too."""
    margin, base = findings.asked["margin"], findings.base_kept
    lost = sum(p is None for p in one.ps)
    said = f"{one.against.of} loses less than {margin:g} points against {one.against.against} in "
    said += many(sum(one.shown), len(one.ps)) + (f" ({lost} undecided)" if lost else "")
    return f"{said}; {base.against.of} by itself does in {sum(base.shown)}."
