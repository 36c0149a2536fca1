"""Pooled: one method against another over all networks of some tables, as one mean, seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from looksam.contrasts import Evidence, absence, at_seeds, common_seeds, diverged, names, pairs
from looksam.hits import unpacked
from looksam.intervals import Difference, Spread, bootstrap, mean
from looksam.metrics import METRICS
from looksam.shown import table_label
from looksam.tables import Cell, Table

Pair = tuple[Table, Cell, Cell]


@dataclass(frozen=True)
class Pooled:
    """One method against another over networks. found: None where nothing was measured, and `why` not.

    of, against: as readers know them. used: in which networks, of which tables. left: what is not part of it.
    """

    metric: str
    of: str
    against: str
    found: Difference | None
    used: list[str]
    left: list[str]
    lost: str
    why: str

    @property
    def is_of_seeds(self) -> bool:
        """Whether seeds say something of it."""
        return self.found is not None and isinstance(self.found.spread, Spread)


def pooled(tables: Sequence[str], metric: str, of: str, against: str, evidence: Evidence) -> Pooled:
    """The one method less the other, of times the logarithm of their ratio; a mean over networks, by seed."""
    known = [evidence.tables[name] for name in tables if name in evidence.tables]
    found: list[Pair] = [
        (table, *pair)
        for table in known
        for pair in pairs(table, metric, {"method": of}, {"method": against})
    ]
    labels = [names(*pair) for pair in found]
    one, other = labels[0][:2] if labels else (of, against)
    gone = [absence(a, b, (one, other)) for _, a, b in found]
    measured = [pair for pair, why in zip(found, gone, strict=True) if not why]
    # one seed beside several would leave one seed of all
    many = [pair for pair in measured if len(common_seeds(*pair[1:])) > 1]
    used = many or measured
    lost = {diverged(pair[1:], (one, other)): None for pair in found}
    return Pooled(
        metric=metric,
        of=one,
        against=other,
        found=together(used, evidence) if used else None,
        used=[where(pair) for pair in used],
        left=[where(pair) for pair in measured if pair not in used],
        lost="; ".join(filter(None, lost)),
        why="; ".join(dict.fromkeys(filter(None, gone))) or f"no table has {one} beside {other}",
    )


def together(used: Sequence[Pair], evidence: Evidence) -> Difference | None:
    """The mean over pairs of cells, by the seeds that all have; None where they share none."""
    seeds = [s for s in common_seeds(*used[0][1:]) if all(s in common_seeds(a, b) for _, a, b in used)]
    if not seeds:
        return None
    by_pair = [
        [x - y for x, y in zip(at_seeds(a, seeds), at_seeds(b, seeds), strict=True)] for _, a, b in used
    ]
    if len(seeds) == 1 and (found := over_images(used, seeds[0], evidence)):
        return found
    return mean([fmean(values) for values in zip(*by_pair, strict=True)])


def over_images(used: Sequence[Pair], seed: int, evidence: Evidence) -> Difference | None:
    """The mean of single runs of several networks over the test images that all were judged on, or None."""
    runs = [cell.counted[cell.seeds.index(seed)] for _, a, b in used for cell in (a, b)]
    hits = [unpacked(evidence.evaluated.get(run)) for run in runs]
    kept = [one for one in hits if one is not None]
    if METRICS[used[0][1].metric].column != "top1" or len(kept) < len(hits):
        return None
    if len({one.test_images for one in kept}) > 1:
        return None
    right = [one.right.astype(np.float64) for one in kept]
    return bootstrap(np.mean([a - b for a, b in zip(right[::2], right[1::2], strict=True)], axis=0))


def where(pair: Pair) -> str:
    """Which network of which table a pair is of."""
    table, a, b = pair
    return f"{names(table, a, b)[2]} of {table_label(table.name)}"
