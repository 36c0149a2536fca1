"""The premise map's pictures, of the rows of premise.csv; where nothing was measured they say so."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from looksam.drawing import Drawing
from looksam.evidence_premise import GAINS
from looksam.forest import framed, text
from looksam.premise_maps import Record, cosine_map, gain_map, slower_cosine_map

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


def drawn_map(name: str, measured: Sequence[Record]) -> str:
    """The picture of that name in MAPS, of `records`, as SVG for an HTML page."""
    title, draw = MAPS[name]
    drawing = draw(measured) if measured else None
    if drawing is None:
        return framed(title, NOTHING, WIDTH, HEIGHT, [text(12, 25, NOTHING, "start")])
    return str(drawing.svg)


# by the name of its file, with what an empty one is called
MAPS: dict[str, tuple[str, Callable[[Sequence[Record]], Drawing | None]]] = {
    "premise-cosines": ("How alike g_v stays", cosine_map),
    "premise-cosines-slower": ("How alike g_v stays at smaller learning rates", slower_cosine_map),
    "premise-gains": ("What reuse gains", gain_map),
}
