"""Verdicts: what a study decides of the paper's claims, and its answer, as kept and printed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from looksam.files import replace_with

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not decided"


@dataclass(frozen=True)
class Finding:
    """One comparison that a claim rests on. decides: what it says of the claim, by itself.

    what: "LookSAM-5 minus SAM, ResNet-18, cifar10". number, interval: with their units; empty where there
    are none. seeds: how many pairs of runs. test: what gave the interval, or why there is none.
    """

    table: str
    what: str
    number: str
    interval: str
    seeds: int
    decides: str
    test: str


@dataclass(frozen=True)
class Verdict:
    """A claim of the paper, and what the study decides of it.

    verdict: of the paper's claim, so never decided by stand-ins. here: of the same sentence about what the
    study ran. why: in sentences, numbers in it. interval, seeds: of the finding that decides, or that keeps
    it open. rule: what would decide it, margin included.
    """

    id: str
    claim: str
    where: str
    verdict: str
    here: str
    why: str
    interval: str
    seeds: int
    rule: str
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """Does LookSAM keep SAM's accuracy at the base optimizer's cost, in this study? sentences: two to five.

    missing: what would be needed to say more, a sentence each.
    """

    headline: str
    sentences: list[str]
    missing: list[str]


@dataclass(frozen=True)
class Verdicts:
    """All of it. headline: how many claims are decided. method: how they are judged, in sentences."""

    headline: str
    method: str
    claims: list[Verdict]
    answer: Answer


# of a study that no claim of the paper rests on
NO_VERDICTS = Verdicts("", "", [], Answer("", [], []))


def headline(claims: Sequence[Verdict]) -> str:
    """How many of the claims are decided, and how many only for what stands in for the paper's models."""
    decided = sum(one.verdict != UNDECIDED for one in claims)
    here = sum(one.verdict == UNDECIDED != one.here for one in claims)
    said = f"{decided} of the paper's {len(claims)} claims are decided."
    if here:
        are = "is" if here == 1 else "are"
        said += f" For the stand-ins that this study ran, and for nothing else, {here} {are}."
    return said


def write(verdicts: Verdicts, path: Path) -> None:
    """Write the verdicts as JSON."""
    replace_with(path, json.dumps(asdict(verdicts), indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Verdicts:
    """The verdicts that `write` wrote."""
    told = json.loads(path.read_text(encoding="utf-8"))
    claims = [
        Verdict(**one | {"findings": [Finding(**row) for row in one["findings"]]}) for one in told["claims"]
    ]
    return Verdicts(told["headline"], told["method"], claims, Answer(**told["answer"]))
