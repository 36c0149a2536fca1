"""Run lists: where the runs of each table come from, each fact once. Torch-free.

A run is listed with the first table that shows it; what all runs of a list share is said above them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from looksam.provenance import Provenance

# stands for the run's name in facts that are the same but for it
RUN = "RUN"
# of these a column shows the first letters
HASHES, LETTERS = ("fingerprint of the code", "SHA-256 of the data's index"), 12
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Row:
    """A run in a list. values: of the list's columns. duration: of its training; stale: why it is marked."""

    run: str
    values: list[str]
    duration: str
    stale: str


@dataclass(frozen=True)
class RunList:
    """The runs that are listed with a table. shared: what is so of all; columns: in what they differ.

    cut: whether a column shows the first letters of a hash. elsewhere: by the label of an earlier table, how
    many of the table's runs are listed there. unrecorded: of how many runs nothing is known.
    """

    shared: dict[str, str]
    columns: list[str]
    cut: bool
    rows: list[Row]
    elsewhere: dict[str, int]
    unrecorded: int


def run_lists(pages: Sequence[Mapping[str, Any]], provenance: Mapping[str, Provenance]) -> dict[str, RunList]:
    """The list of each page of the report, by its table's name. pages: of `looksam.report.page`."""
    home: dict[str, str] = {}
    found = {}
    for page in pages:
        earlier = [home[run] for run in page["runs"] if run in home]
        own = [run for run in page["runs"] if run not in home]
        home |= dict.fromkeys(own, page["label"])
        elsewhere = {label: earlier.count(label) for label in dict.fromkeys(earlier)}
        found[page["name"]] = run_list(own, provenance, elsewhere)
    return found


def run_list(runs: Sequence[str], provenance: Mapping[str, Provenance], elsewhere: dict[str, int]) -> RunList:
    """The list of these runs."""
    told = {run: facts(provenance[run]) if run in provenance else {} for run in runs}
    known = [one for one in told.values() if one]
    names = list(dict.fromkeys(name for one in known for name in one))
    shared = {name: known[0][name] for name in names if len({one.get(name) for one in known}) == 1}
    columns = [name for name in names if name not in shared]
    rows = []
    for run, of_run in told.items():
        origin = provenance.get(run)
        length = duration(origin.seconds) if origin else ""
        values = [of_run.get(name, "")[: LETTERS if name in HASHES else None] for name in columns]
        rows.append(Row(run, values, length, origin.stale if origin else ""))
    return RunList(
        shared, columns, not set(HASHES).isdisjoint(columns), rows, elsewhere, len(told) - len(known)
    )


def facts(one: Provenance) -> dict[str, str]:
    """What is known of a run, by name, in the order of reading; `RUN` stands for its own name."""
    settings = {name: value for name, value in one.settings.items() if name != "seed"}
    made_with = ", ".join(f"{name} {version}" for name, version in one.packages.items())
    return {
        "seed": "" if one.seed is None else str(one.seed),
        **settings,
        "trained on": one.device,
        "determinism": one.determinism,
        "versions": made_with,
        "commit": one.commit,
        "fingerprint of the code": one.code,
        "data": one.shards,
        "SHA-256 of the data's index": one.data_sha256,
        "log": unnamed(one.log, one.run),
        "to train it again": unnamed(one.command, one.run),
    }


def unnamed(text: str, run: str) -> str:
    """The text with `RUN` for the run's name wherever that is a part of a path."""
    return re.sub(rf"(?<=/){re.escape(run)}(?=[/.])", RUN, text)


def duration(seconds: float | None) -> str:
    """A time as people say it: 42.1 s, 3 min 5 s, 2 h 7 min."""
    if seconds is None:
        return ""
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
