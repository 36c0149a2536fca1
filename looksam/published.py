"""Published: how well each value beside ours is known, whose it is, and how a cell of a table stores it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from looksam.errors import UserError


@dataclass(frozen=True)
class Status:
    """How well a published value is known: the mark beside it, or a word instead of a value; whose it is."""

    mark: str
    meaning: str
    instead: str = ""
    whose: str = "paper"


STATUSES = {
    "printed": Status("", "printed in the paper"),
    "repaired": Status("†", "damaged in the source text and repaired"),
    "inferred": Status("‡", "not legible, taken from another place in the paper"),
    "secondary": Status("§", "from a secondary source"),
    "conflict": Status("¶", "contradicted elsewhere in the paper"),
    "independent": Status("#", "of an independent re-run, and not the paper's", whose="re-run"),
    "not reported": Status("", "the paper gives no value", "—"),
    "unrecovered": Status("", "the paper has a value, which the source text lost", "lost"),
}


def is_papers(status: str | None) -> bool:
    """Whether a value of that status is the paper's own."""
    return status is not None and STATUSES[status].whose == "paper"


def paper(where: str, published: Mapping[str, str | None]) -> dict[str, Any]:
    """The published value with its status and note, as a cell stores them."""
    if published["status"] not in (None, *STATUSES):
        raise UserError(f"{where}: unknown status {published['status']!r}; known: {', '.join(STATUSES)}")
    names = {"published": "value", "published_status": "status", "published_note": "note"}
    return {name: published[key] for name, key in names.items()}
