"""What a study would cost: each run's devices, hours and state, before anything runs. Torch-free."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from looksam.cells import Cell, Run, Table
from looksam.config import Row, one_of, read_yaml
from looksam.costs import Device, device_hours, passes_per_step, steps_of, time_factor
from looksam.states import STATES, State, States
from looksam.study import Study

# the state of a cell is that of its run that is furthest from done
FURTHEST = ("running", "preempted", "stale", "missing", "done")


@dataclass(frozen=True)
class Planned:
    """One run with its state and cost. hours: on so many devices, all trained together."""

    run: Run
    state: State
    device: Device
    devices: int
    steps: int
    device_hours: float

    @property
    def hours(self) -> float:
        """Wall-clock of the whole training."""
        return self.device_hours / self.devices

    @property
    def left(self) -> float:
        """The part of the training that is still to be done."""
        return 0.0 if self.state.name == "done" else 1 - self.state.part


@dataclass(frozen=True)
class Tally:
    """Runs and costs of a table or the study. left: device-hours to go; hours: their wall-clock, in turn."""

    name: str
    runs: int
    states: Counter[str]
    why: Counter[str]
    steps: int
    device_hours: float
    left: float
    hours: float


class Plan:
    """The costs of a study's runs. device_of: a run's device by its settings; devices: how many of it."""

    def __init__(
        self, study: Study, device_of: Callable[[Row], Device], devices: int | None, now: float
    ) -> None:
        self.study, self.device_of, self.devices = study, device_of, devices
        self.states = States(study, study.requests(), now)

    @cached_property
    def runs(self) -> dict[str, Planned]:
        """Every run by id, planned once however many tables share it."""
        return {key: self.planned(run) for key, run in self.study.runs.items()}

    def planned(self, run: Run) -> Planned:
        """The run with its state and cost."""
        device = self.device_of(run.settings)
        devices = self.devices or device.count(run.settings)
        hours = device_hours(run.settings, device)
        return Planned(run, self.states.state(run), device, devices, steps_of(run.settings), hours)

    @property
    def tallies(self) -> list[Tally]:
        """One a table that has runs."""
        tables = self.study.tables.values()
        return [tally(table.name, self.of(table.runs)) for table in tables if table.runs]

    @property
    def total(self) -> Tally:
        """Of all runs, each counted once."""
        return tally("total", self.runs.values())

    def of(self, runs: Iterable[str]) -> list[Planned]:
        """The planned runs of these ids."""
        return [self.runs[run] for run in runs]

    def cells(self) -> list[Row]:
        """One object a cell that runs fill, in the paper's terms: what `looksam plan --json` prints."""
        tables = self.study.tables.values()
        return [self.cell(table, cell) for table in tables for cell in table.cells if cell.runs]

    def cell(self, table: Table, cell: Cell) -> Row:
        """The object of a cell. device_hours, hours, steps: of one training; other seeds cost the same."""
        runs = self.of(run.id for run in cell.runs)
        one, settings, device = runs[0], runs[0].run.settings, runs[0].device
        paper = self.study.resolver.paper_side(cell.coordinates, f"config/tables/{table.name}.yaml")
        states = Counter(planned.state.name for planned in runs)
        return {
            "table": table.name,
            "row": table.rows[cell.place.row].label,
            "column": table.columns[cell.place.column].label,
            **{key: paper[key] for key in ("method", "model", "dataset", "batch_size")},
            **{key: value for key, value in cell.coordinates.items() if key != "recipe"},
            "trained": {
                "model": settings["model"]["name"],
                "dataset": settings["dataset"]["name"],
                "batch_size": settings["batch_size"],
                "epochs": settings["epochs"],
            },
            "device": device.name,
            "devices": one.devices,
            "basis": device.basis,
            "utilisation": device.utilisation,
            "steps": one.steps,
            "gradient_passes_per_step": passes_per_step(settings),
            "time_factor": time_factor(settings, device),
            "device_hours": one.device_hours,
            "hours": one.hours,
            "published_hours": self.published_hours(table, cell),
            "seeds": len(runs),
            "device_hours_left": sum(planned.device_hours * planned.left for planned in runs),
            "state": next(name for name in FURTHEST if states[name]),
            "states": {name: states[name] for name in STATES if states[name]},
            "why": sorted({planned.state.why for planned in runs if planned.state.why}),
            "runs": [planned.run.id for planned in runs],
        }

    def published_hours(self, table: Table, cell: Cell) -> float | None:
        """The paper's hours of a cell, None where it prints none."""
        printed = self.study.layout.published(table.name, cell.coordinates, "training_hours")
        return float(printed["value"]) if printed and printed["value"] else None


def tally(name: str, runs: Collection[Planned]) -> Tally:
    """What these runs come to."""
    return Tally(
        name=name,
        runs=len(runs),
        states=Counter(planned.state.name for planned in runs),
        why=Counter(planned.state.why for planned in runs if planned.state.why),
        steps=sum(planned.steps for planned in runs),
        device_hours=sum(planned.device_hours for planned in runs),
        left=sum(planned.device_hours * planned.left for planned in runs),
        hours=sum(planned.hours * planned.left for planned in runs),
    )


def chosen(files: Sequence[Path], tables: Sequence[str], root: Path = Path()) -> dict[str, Any]:
    """config.yaml with the files laid over it, as by Snakemake's --configfile; only `tables`, where given."""
    content = read_yaml(root / "config/config.yaml")
    for file in files:
        content |= read_yaml(file)
    if tables:
        known = sorted(path.stem for path in (root / "config/tables").glob("*.yaml"))
        content["tables"] = [one_of(name, "table", known, "--table") for name in dict.fromkeys(tables)]
    return content
