"""Which runs are done, stale, missing, running or preempted, as Snakemake would find them."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from looksam.cells import Run
from looksam.config import Row
from looksam.requests import made_path
from looksam.results import NEVER, OUTPUTS, SHARD_OUTPUTS, oldest_of, stamp_of, text_of
from looksam.study import Study
from looksam.words import last_word

STATES = ("done", "stale", "missing", "running", "preempted")

# the time stamp of a request that is to be written or touched
NOW = 2**63


class State(NamedTuple):
    """One of STATES; why a run is stale; how much of a running or preempted training is done, from 0 to 1."""

    name: str
    why: str = ""
    part: float = 0.0


class States:
    """The states of a study's runs, as they would be once its requests are written."""

    def __init__(self, study: Study, requests: Mapping[str, Row], now: float) -> None:
        self.study, self.requests, self.root, self.now = study, requests, study.root, now
        self.data = {run.shards: self.data_of(run.shards) for run in study.runs.values()}

    def state(self, run: Run) -> State:
        """The state of a run: its results decide first, then the last word of its training."""
        why = self.to_train.get(run.id)
        if why is None:
            return State("done")
        word = last_word(self.folder(run.id))
        if word and (word.preempted or word.is_live(self.now)):
            return State("preempted" if word.preempted else "running", part=word.part)
        return State("stale", why) if why else State("missing")

    @cached_property
    def to_train(self) -> dict[str, str]:
        """Runs that Snakemake would train: why they are stale, or "" for those without results.

        As there, what is gone is made anew only for somebody: weights for a table to be evaluated, shards for
        a run or a table; and all that is made from new shards is new.
        """
        found = {key: why for key, run in self.study.runs.items() if (why := self.stale(run))}
        gone = {key for key in self.study.runs if stamp_of(self.folder(key) / OUTPUTS[0]) == NEVER}
        while True:
            pending = [
                t for t in self.study.tables.values() if found.keys() & t.runs or self.is_pending(t.name)
            ]
            wanted = {key: run for table in pending for key, run in table.runs.items()}
            found |= {key: "" for key in wanted.keys() & gone if key not in found}
            remade = {run.shards for run in wanted.values() if self.data[run.shards][1] == NEVER}
            new = {
                k: "data missing"
                for k, run in self.study.runs.items()
                if run.shards in remade and k not in gone
            }
            if new.keys() <= found.keys():
                return found
            found = new | found

    def stale(self, run: Run) -> str:
        """Why the results that a run has are stale, "" where they are not or are not there."""
        folder = self.folder(run.id)
        oldest = oldest_of(folder, OUTPUTS)
        if stamp_of(folder / OUTPUTS[0]) == NEVER:
            return ""
        path = f"results/runs/{run.id}/run.json"
        if request_stamp(self.root / path, self.requests[path]) > oldest:
            return changed(self.root / path, self.requests[path])
        why, stamp = self.data[run.shards]
        return why or ("data newer" if stamp > oldest else "")

    def data_of(self, shards: str) -> tuple[str, int]:
        """Why a shard folder that is there would be made anew ("" where not), and the stamp of its index."""
        path = f"results/shards/{shards}/source.json"
        folder = (self.root / path).parent
        stamp = stamp_of(folder / SHARD_OUTPUTS[0])
        is_old = request_stamp(self.root / path, self.requests[path]) > oldest_of(folder, SHARD_OUTPUTS)
        return "data changed" if stamp != NEVER and is_old else "", stamp

    def is_pending(self, table: str) -> bool:
        """Whether the runs of a table are to be evaluated, be they new or not."""
        path = f"results/evaluations/{table}.json"
        if path not in self.requests:
            return False
        stamp = stamp_of((self.root / path).with_suffix(".parquet"))
        models = (stamp_of(self.folder(key) / OUTPUTS[0]) for key in self.study.tables[table].runs)
        return max(request_stamp(self.root / path, self.requests[path]), *models) > stamp

    def folder(self, run: str) -> Path:
        """The folder of a run."""
        return self.root / "results/runs" / run


def request_stamp(path: Path, content: Row) -> int:
    """The time stamp that a request will have once it is written; follows requests.write_request."""
    text = json.dumps(content, indent=1) + "\n"
    made = text_of(made_path(path))
    if made == text:
        return stamp_of(made_path(path))
    if made is None and text_of(path) == text:
        return stamp_of(path)
    return NOW


def changed(path: Path, content: Row) -> str:
    """What differs between a request and the one that the result was made from."""
    made = text_of(made_path(path))
    if made is None:
        return "request newer"
    try:
        before = json.loads(made)
    except ValueError:
        return "request changed"
    if not isinstance(before, dict):
        return "request changed"
    keys = [key for key, value in content.items() if before.get(key) != value]
    return f"{' and '.join(keys)} changed" if keys else "request changed"
