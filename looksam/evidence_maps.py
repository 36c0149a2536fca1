"""The premise map's pictures, of the rows of premise.csv; where nothing was measured they say so."""

from collections.abc import Mapping, Sequence
from typing import Any

from looksam.evidence_premise import GAINS
from looksam.forest import framed, text
from looksam.premise_maps import cosine_map, gain_map

NOTHING = "Not measured in this reading."
# of a picture that says so
WIDTH, HEIGHT = 320, 40
# columns that are no numbers
NAMES = frozenset({"run", "model", "dataset", "optimizer"})


def records(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The rows with their numbers as numbers, None where there is none, and the gains by alpha in `gains`."""
    found = []
    for row in rows:
        known = {name: said if name in NAMES else float(said) if said else None for name, said in row.items()}
        gains = {name.removeprefix(GAINS): known.pop(name) for name in row if name.startswith(GAINS)}
        found.append(known | {"gains": gains})
    return found


def cosines(rows: Sequence[Mapping[str, str]]) -> str:
    """How alike g_v stays, by batch size, steps and learning rate, as SVG for an HTML page."""
    drawn = cosine_map(records(rows)) if rows else None
    return str(drawn.svg) if drawn else nothing("How alike g_v stays")


def gains(rows: Sequence[Mapping[str, str]]) -> str:
    """What reusing g_v brings nearer to SAM's gradient, by batch size and alpha, as SVG for an HTML page."""
    drawn = gain_map(records(rows)) if rows else None
    return str(drawn.svg) if drawn else nothing("What reuse gains")


def nothing(title: str) -> str:
    """A picture that says that there is none."""
    return framed(title, NOTHING, WIDTH, HEIGHT, [text(12, 25, NOTHING, "start")])


# by the name of its file
MAPS = {"premise-cosines": cosines, "premise-gains": gains}
