"""Groups: a table's series as pictures compare them, a panel for what is the same and a line a method."""

from collections.abc import Iterator

from looksam.contrasts import labelled
from looksam.panels import Look
from looksam.series import Series
from looksam.tables import Table

# as the page colours what hands over g alone, g_s, or a reused g_v
COLOURS = {None: "ink", "g_s": "sam"}


def groups(table: Table) -> Iterator[tuple[str, list[tuple[str, Look, Series]]]]:
    """By network, batch size or what else the table varies: the methods' labels, looks and series."""
    by_row = table.row_header == "method"
    methods = {(one.row if by_row else one.column): one for one in table.series}
    look = looks(methods)
    for other in dict.fromkeys(one.column if by_row else one.row for one in table.series):
        members = [one for one in table.series if (one.column if by_row else one.row) == other]
        names = [one.row if by_row else one.column for one in members]
        header = table.column_header if by_row else table.row_header
        yield (
            labelled(header, other),
            [(name, look[name], one) for name, one in zip(names, members, strict=True)],
        )


def looks(methods: dict[str, Series]) -> dict[str, Look]:
    """How each method's line looks: a colour a kind, in it markers and dashes by turns."""
    seen: dict[str, int] = {}
    found = {}
    # by k, so that SAM looks the same in every table
    for name, one in sorted(methods.items(), key=lambda item: item[1].k or 0):
        colour = COLOURS.get(one.descent if one.k else None, "look")
        seen[colour] = seen.get(colour, -1) + 1
        found[name] = Look.of(colour, seen[colour])
    return found


def same_device(table: Table) -> bool:
    """Whether all times are from one device, and so compare."""
    return len({one.device for one in table.series}) == 1
