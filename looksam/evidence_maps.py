"""The premise map's pictures, of the rows of premise.csv; where nothing was measured they say so."""

from collections.abc import Callable, Sequence

from looksam.drawing import Drawing
from looksam.forest import nothing
from looksam.premise_maps import Record, cosine_map, gain_map, slower_cosine_map


def drawn_map(name: str, measured: Sequence[Record]) -> str:
    """The picture of that name in MAPS, of the rows of premise.csv, as SVG for an HTML page."""
    title, draw = MAPS[name]
    drawing = draw(measured) if measured else None
    return str(drawing.svg) if drawing else nothing(title)


# by the name of its file, with what an empty one is called
MAPS: dict[str, tuple[str, Callable[[Sequence[Record]], Drawing | None]]] = {
    "premise-cosines": ("How alike g_v stays", cosine_map),
    "premise-cosines-slower": ("How alike g_v stays at smaller learning rates", slower_cosine_map),
    "premise-gains": ("What reuse gains", gain_map),
}
