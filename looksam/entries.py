"""Entries: what readers are told of each cell of a table, and of the runs that it is a mean of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from looksam.metrics import METRICS
from looksam.provenance import Provenance
from looksam.published import STATUSES
from looksam.shown import ToBest, difference, ours, shown, to_best
from looksam.tables import COMPARABLE, Cell, Table


@dataclass(frozen=True)
class OfRun:
    """What a cell says of one of its runs. stale: whether it is not of the present code and data."""

    run: str
    seed: str
    number: str
    stale: bool


@dataclass(frozen=True)
class Words:
    """One metric of a cell as readers see it; each format prints these in its own way. Empty: not there.

    order: the number that a column of such cells is sorted by. paper: the published value; whose: the paper,
    or who else published it.
    """

    status: str
    ours: str
    unit: str
    seeds: str
    unconverged: str
    diverged: str
    device: str
    footnote: str
    paper: str
    whose: str
    mark: str
    differs: bool
    difference: str
    note: str
    column: str
    runs: list[OfRun]
    chosen: str
    best: bool
    to_best: ToBest | None
    order: str
    planned: str

    @property
    def rest(self) -> str:
        """What follows our number on its line of text."""
        asides = [f"({aside})" for aside in self.asides if aside]
        return " ".join(filter(None, [self.unit, *asides]))

    @property
    def uncarried(self) -> bool:
        """Whether the runs do not carry the difference from the best."""
        return self.to_best is not None and not self.to_best.carried

    @property
    def behind(self) -> str:
        """The difference from the best on one line of text; a sign or a word says where it is not carried."""
        if self.to_best is None:
            return ""
        sign = "≈" if self.uncarried and self.to_best.interval else "vs"
        told = f" ({self.to_best.interval})" if self.to_best.interval else ", not tested"
        return f"{sign} best {self.to_best.text}{told}"

    @property
    def stale(self) -> str:
        """How many of the runs are not of the present code and data."""
        marked = sum(one.stale for one in self.runs)
        return f"{marked} of {len(self.runs)} not of the present code or data" if marked else ""

    @property
    def asides(self) -> tuple[str, ...]:
        """What is said of ours in brackets, in order; some may be empty."""
        of_runs = (self.seeds, self.unconverged, self.diverged, self.device, self.chosen)
        return self.footnote, self.planned, *of_runs

    @property
    def second(self) -> str:
        """The published value on one line of text."""
        against = f" ({self.difference})" if self.difference else ""
        return f"{self.whose} {self.paper}{self.mark}{against}" if self.paper else ""


def words(
    cell: Cell, table: Table, footnotes: Mapping[str, str], provenance: Mapping[str, Provenance]
) -> Words:
    """What a reader is told of a cell of the table."""
    comparable = table.scale in COMPARABLE
    status = STATUSES[cell.published_status or "not reported"]
    paper = (status.instead or cell.published or "") if cell.published_status else ""
    seeds = cell.n + cell.diverged
    metric = METRICS.get(cell.metric)  # None of a fact
    is_time = metric is not None and metric.is_time
    return Words(
        status=cell.status,
        ours=ours(cell),
        unit=metric.unit if metric and shown(cell) is not None else "",
        seeds=f"n={cell.n}" if cell.n else "",
        unconverged=f"{cell.unconverged} of {cell.n} not converged" if cell.unconverged else "",
        diverged=f"{cell.diverged} of {seeds}{' diverged' if cell.n else ''}" if cell.diverged else "",
        device=cell.device or "" if is_time and "device" in table.differing else "",
        footnote=footnotes.get(cell.absent or "", "") if cell.status == "absent" else "",
        paper=paper,
        whose=status.whose,
        mark=status.mark,
        differs=bool(cell.text and cell.published and cell.text != cell.published),
        # the paper's times are of its TPUs
        difference=difference(cell) if comparable and not status.instead and not is_time else "",
        note=f"{cell.published_status}: {cell.published_note}" if cell.published_note else "",
        column=cell.column,
        runs=runs_of(cell, provenance),
        chosen="chosen" if cell.chosen else "",
        planned="planned" if cell.status == "planned" else "",
        best=cell.best,
        to_best=to_best(cell),
        order="" if shown(cell) is None else f"{shown(cell):.9g}",
    )


def runs_of(cell: Cell, provenance: Mapping[str, Provenance]) -> list[OfRun]:
    """What the cell says of each of its runs, in the order of their seeds."""
    numbers = dict(zip(cell.counted, cell.values, strict=True))
    seeds: dict[str, int | None] = dict(zip(cell.counted, cell.seeds, strict=True))
    lost = len(cell.runs) - len(numbers) == cell.diverged
    found = []
    for run in cell.runs:
        recorded = provenance.get(run)
        seed = seeds.get(run, recorded.seed if recorded else None)
        number = "diverged" if lost else "no number"
        if run in numbers:
            number = ours(replace(cell, status="done", value=numbers[run], sd=None))
        name = "run" if seed is None else f"seed {seed}"
        found.append(OfRun(run, name, number, bool(recorded and recorded.stale)))
    return found
