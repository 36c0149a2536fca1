"""The premise map in words: how alike g_v stays, by network, batch size, learning rate and steps."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from looksam.errors import UserError
from looksam.evidence_tables import Grid
from looksam.panels import number

# what tells measured steps apart, whatever phase and seed they are of
KEYS = ("model", "optimizer", "batch_size", "lr_divisor", "lag")
# what was measured of them; gains are by alpha
MEASURED = ("noise", "drift", "reuse", "g_v_over_g")
GAINS = "gains."


def read_premise(premise: Path) -> list[dict[str, str]]:
    """The rows of the premise map, as `looksam gather` wrote them."""
    try:
        with premise.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"no file at {premise}; `looksam gather` writes it from a finished study") from None


def premise_grid(rows: Sequence[Mapping[str, str]]) -> Grid | None:
    """Means over phases and seeds, a row for each value of KEYS; None without rows."""
    if not rows:
        return None
    gains = [name for name in rows[0] if name.startswith(GAINS)]
    measured = [name for name in MEASURED if name in rows[0]] + gains
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    header = [*(key.replace("_", " ") for key in KEYS), "measured"]
    header += [f"gain, alpha {name.removeprefix(GAINS)}" if name in gains else name for name in measured]
    body = [
        [*(whole(text) for text in key), str(len(group)), *(mean(group, name) for name in measured)]
        for key, group in groups.items()
    ]
    return Grid("Means over phases and seeds", header, body)


def mean(group: Sequence[Mapping[str, str]], name: str) -> str:
    """The mean of what is known, or a dash."""
    known = [float(row[name]) for row in group if row[name]]
    return number(fmean(known)) if known else "—"


def whole(text: str) -> str:
    """A number without a needless point: 3 of 3.0."""
    return text.removesuffix(".0")
