"""The premise map in words: how alike g_v stays, by network, batch size, learning rate and steps."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from looksam.errors import UserError
from looksam.evidence_tables import Grid
from looksam.panels import number
from looksam.premise_maps import Record

# what tells measured steps apart, whatever phase and seed they are of
KEYS = ("model", "optimizer", "batch_size", "lr_divisor", "lag")
# what was measured of them; gains are by alpha
MEASURED = ("noise", "drift", "reuse", "g_v_over_g")
GAINS = "gains."
COLUMNS = (*KEYS, *MEASURED, "phase", "seed")
# columns that are no numbers
NAMES = frozenset({"run", "model", "dataset", "optimizer"})


def read_premise(premise: Path) -> list[dict[str, Any]]:
    """The rows of the premise map that `looksam gather` wrote; the gains by alpha in `gains`."""
    try:
        with premise.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            found = [record(row) for row in reader]
            # of a study that measured nothing, the head has what is said of runs alone
            missing = {"run", *(COLUMNS if found else ())} - set(reader.fieldnames or [])
            if missing:
                raise ValueError(f"no column {', '.join(sorted(missing))}")
            return found
    except FileNotFoundError:
        raise UserError(f"no file at {premise}; `looksam gather` writes it from a finished study") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{premise}: not as `looksam gather` wrote it: {error}") from error


def record(row: Mapping[str, str]) -> dict[str, Any]:
    """A row with its numbers as numbers, None where there is none."""
    known = {name: said if name in NAMES else float(said) if said else None for name, said in row.items()}
    gains = {name.removeprefix(GAINS): known.pop(name) for name in row if name.startswith(GAINS)}
    return known | {"gains": gains}


def premise_grid(records: Sequence[Record]) -> Grid | None:
    """Means over phases and seeds, a row for each value of KEYS; None without rows."""
    if not records:
        return None
    rules = list(records[0]["gains"])
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for one in records:
        groups.setdefault(tuple(one[key] for key in KEYS), []).append(one)
    header = [*(key.replace("_", " ") for key in KEYS), "measured", *MEASURED]
    header += [f"gain, alpha {rule}" for rule in rules]
    body = [
        [
            *(key if isinstance(key, str) else f"{key:g}" for key in keys),
            str(len(group)),
            *(mean(one[name] for one in group) for name in MEASURED),
            *(mean(one["gains"][rule] for one in group) for rule in rules),
        ]
        for keys, group in groups.items()
    ]
    return Grid("Means over phases and seeds", header, body)


def mean(values: Iterable[float | None]) -> str:
    """The mean of what is known, or a dash."""
    known = [value for value in values if value is not None]
    return number(fmean(known)) if known else "—"
