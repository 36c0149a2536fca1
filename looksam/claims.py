"""Claims: what a study decides of each of the paper's, by intervals over seeds and bounds of the config."""

from collections.abc import Mapping, Sequence
from typing import Any

from looksam.contrasts import Evidence, how_tested
from looksam.intervals import LEVEL, holm
from looksam.shown import table_label, with_interval
from looksam.tables import COMPARABLE
from looksam.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Finding, Verdict
from looksam.weighed import Weighed, beside, weighed

# a bound is passed on one side; both sides of an interval make the level
ONE_SIDE = LEVEL / 2
METHOD = (
    "A claim is supported where the whole 95 % interval of every comparison that it makes is within its "
    "bounds, contradicted where one is wholly out of them, and not decided otherwise. Bounds were fixed in "
    "config/claims.yaml. Intervals are Student's t over seeds, paired by seed, of times over the logarithms "
    "of their ratio; Holm's correction is over the comparisons of a claim. One seed decides nothing, nor "
    "does a cell of which runs diverged, nor do stand-ins decide for the paper's own models and data."
)


def judged(key: str, claim: Mapping[str, Any], evidence: Evidence) -> Verdict:
    """The verdict of a claim of the config."""
    all_weighed = [one for part in claim["parts"] for one in weighed(part, evidence)]
    decisions = decided(all_weighed)
    here = overall(decisions)
    names = {name for part in claim["parts"] for name in part["tables"]}
    tables = [table for name, table in evidence.tables.items() if name in names]
    is_papers = all(table.scale in COMPARABLE for table in tables)
    chief = deciding(all_weighed, decisions, here)
    told = [one for part in claim["parts"] for one in beside(part, evidence) if one.found]
    return Verdict(
        id=key,
        claim=claim["claim"],
        where=claim["where"],
        verdict=here if is_papers else UNDECIDED,
        here=here,
        why=" ".join(sentences(all_weighed, decisions, here, chief, told, is_papers)),
        interval=chief.numbers[1],
        seeds=chief.seeds,
        rule=rule(claim["parts"]),
        findings=[finding(one, says) for one, says in zip(all_weighed, decisions, strict=True)]
        + [finding(one, "") for one in told],
    )


def decided(all_weighed: Sequence[Weighed]) -> list[str]:
    """What each comparison says of the claim; Holm's correction is over those that seeds speak of."""
    says = [UNDECIDED] * len(all_weighed)
    counting = [index for index, one in enumerate(all_weighed) if one.counts]
    for word, ps in (
        (SUPPORTED, [all_weighed[index].p_for() for index in counting]),
        (CONTRADICTED, [all_weighed[index].p_against() for index in counting]),
    ):
        for index, p in zip(counting, holm(ps), strict=True):
            if p <= ONE_SIDE:
                says[index] = word
    return says


def overall(decisions: Sequence[str]) -> str:
    """Contradicted by one, supported by all."""
    if CONTRADICTED in decisions:
        return CONTRADICTED
    return SUPPORTED if set(decisions) == {SUPPORTED} else UNDECIDED


def deciding(all_weighed: Sequence[Weighed], decisions: Sequence[str], here: str) -> Weighed:
    """The comparison that decides the claim or keeps it open: the clearest against, or the least for it."""
    kept = [one for one, says in zip(all_weighed, decisions, strict=True) if says == here]
    if here == CONTRADICTED:
        return min(kept, key=lambda one: one.p_against())
    # where it is open, one that was measured says more than one that was not
    return max(kept, key=lambda one: (one.found is not None, one.counts, one.counts and one.p_for()))


def sentences(
    all_weighed: Sequence[Weighed],
    decisions: Sequence[str],
    here: str,
    chief: Weighed,
    told: Sequence[Weighed],
    is_papers: bool,
) -> list[str]:
    """Why the verdict is what it is."""
    said = [] if is_papers or here == UNDECIDED else [f"On this study's stand-ins, and there alone, {here}."]
    many = len(all_weighed)
    if many > 1:
        support, contradict = decisions.count(SUPPORTED), decisions.count(CONTRADICTED)
        said.append(f"Of {many} comparisons, {support} for it and {contradict} against it.")
    if chief.found:
        said.append(f"{phrase(chief)}.")
    if here == UNDECIDED:
        said.append(f"Open, because {'; '.join(reasons(all_weighed, decisions))}.")
    said += [f"Beside it, deciding nothing: {phrase(one)}." for one in told[:3]]
    if not is_papers:
        said.append("The paper's own claim, on its models and data, is not decided by stand-ins.")
    return said


def phrase(one: Weighed) -> str:
    """A comparison and its numbers."""
    return f"{one.what} ({table_label(one.table)}): {with_interval(*one.numbers, one.seeds)}"


def reasons(all_weighed: Sequence[Weighed], decisions: Sequence[str]) -> list[str]:
    """Why comparisons decide nothing, each reason once."""
    found: dict[str, None] = {}
    for one, says in zip(all_weighed, decisions, strict=True):
        if says != UNDECIDED:
            continue
        crossed = one.crossed()
        by_interval = (
            f"an interval contains {' and '.join(crossed)}" if crossed else "Holm's correction leaves it open"
        )
        found[one.obstacle or by_interval] = None
    return list(found)


def rule(parts: Sequence[Mapping[str, Any]]) -> str:
    """The bounds that decide, in words, each once."""
    said: dict[str, None] = {}
    for part in parts:
        unit = {"top1": " pp", "training_hours": " h"}.get(part["metric"], "")
        unit = " ×" if unit != " pp" and "against" in part else unit
        limits = [f"{key} {part[key]:g}{unit}".replace("-", "−") for key in ("above", "below") if key in part]
        said[" and ".join(limits)] = None
    return "; ".join(said)


def finding(one: Weighed, says: str) -> Finding:
    """A comparison as the file keeps it."""
    test = f"not tested: {one.obstacle}" if one.found is None else how_tested(one.found)
    return Finding(one.table, one.what, *one.numbers, one.seeds, says, test)
