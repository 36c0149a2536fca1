"""The ledger: one row a run of the evidence study, every seed and every trial, as runs.csv keeps it."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.files import replace_with


@dataclass(frozen=True)
class Entry:
    """One run. table, row, column: the cell that it stands in, of a search the row's trial.

    scale: of the study. train_images: on which it was trained, those held out for trials left out.
    label_noise: share of the training labels that were replaced. trial, chosen: of a search, its number and
    whether others take its values; trials are judged by validation_top1 alone. alpha: a number, or the name
    of how it is measured; None where the method has none, as rho. steps, passes: of the whole training.
    correct: so many of the test images, whose digest is test_images. judged_passes, judged_correct: at the
    milestones, the passes taken until then and the test images that were right. g_v_over_g, cos_g_v_old,
    reuse_gain: means over the ascent steps. code: fingerprint of what trained it.
    """

    run: str
    scale: str
    table: str
    row: str
    column: str
    model: str
    dataset: str
    train_images: int
    batch_size: int
    optimizer: str
    label_noise: float
    method: str
    k: int
    epochs: int
    seed: int
    trial: int | None
    chosen: bool
    peak_lr: float
    rho: float | None
    alpha: float | str | None
    steps: int
    passes: int
    gradients_per_step: float
    top1: float | None
    correct: int | None
    images: int | None
    test_images: str
    validation_top1: float | None
    diverged_at_step: int | None
    judged_passes: tuple[int, ...]
    judged_correct: tuple[int, ...]
    g_v_over_g: float | None
    cos_g_v_old: float | None
    reuse_gain: float | None
    seconds: float | None
    code: str
    device: str
    torch: str
    timm: str
    looksam: str
    python: str
    commit: str
    determinism: str

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite at some step, so that it has no accuracy."""
        return self.diverged_at_step is not None


def text(value: Any) -> str:
    """A value as CSV holds it: numbers exactly, nothing for None, a list with spaces between."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return " ".join(text(one) for one in value)
    return repr(value) if isinstance(value, float) else str(value)


def number_or_name(said: str) -> float | str:
    """The number that a text is, or the text."""
    try:
        return float(said)
    except ValueError:
        return said


def whole_numbers(said: str) -> tuple[int, ...]:
    """Whole numbers with spaces between."""
    return tuple(int(part) for part in said.split())


PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: lambda said: said == "true",
    int | None: lambda said: int(said) if said else None,
    float | None: lambda said: float(said) if said else None,
    float | str | None: lambda said: number_or_name(said) if said else None,
    tuple[int, ...]: whole_numbers,
}
COLUMNS = {one.name: PARSERS[one.type] for one in fields(Entry)}


def as_csv(names: Iterable[str], rows: Iterable[dict[str, Any]]) -> str:
    """Rows as CSV with these columns; what a row does not have is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: text(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def write(entries: Iterable[Entry], path: Path) -> None:
    """Write the ledger, in the order of the entries."""
    replace_with(path, as_csv(COLUMNS, map(asdict, entries)))


def read(path: Path) -> list[Entry]:
    """The ledger that `write` wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(f"no column {', '.join(missing)}")
            return [Entry(**{name: parse(row[name]) for name, parse in COLUMNS.items()}) for row in reader]
    except FileNotFoundError:
        raise UserError(f"no file at {path}; `looksam gather` writes it from a finished study") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not as `looksam gather` wrote it: {error}") from error
