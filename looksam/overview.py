"""The plan of a study as a person reads it, on a terminal of 100 columns."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from looksam.columns import aligned, short, size
from looksam.costs import Device, passes_per_step, time_factor
from looksam.disk import Disk, disk
from looksam.hardware import device
from looksam.plan import Plan, Tally, chosen
from looksam.states import STATES
from looksam.study import Study


def planned(
    files: Sequence[Path], tables: Sequence[str], name: str, devices: int | None, as_json: bool, probe: bool
) -> str:
    """What `looksam plan` prints. name, devices: which and how many; probe: measure this machine first."""
    study = Study(chosen(files, tables))
    named = device(name, study)
    device_of = lambda settings: named  # noqa: E731
    if probe:
        # here, because it brings torch
        from looksam.probe import probed

        device_of = probed(study.runs.values(), named, lambda line: print(line, file=sys.stderr))
    plan = Plan(study, device_of, devices, time.time())
    if as_json:
        return json.dumps(plan.cells(), indent=1)
    to_go = [planned.run for planned in plan.runs.values() if planned.left]
    return overview(plan, disk(study, to_go), bool(tables))


def overview(plan: Plan, disk: Disk, named: bool) -> str:
    """The whole plan; with every cell of its tables, where the tables were `named` by the user."""
    parts = [head(plan), tallies(plan), cells(plan) if named else [], factors(plan), disk_use(disk)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def head(plan: Plan) -> list[str]:
    """The scale, and the devices with what their speed rests on."""
    total, study = plan.total, plan.study
    devices = dict.fromkeys(planned.device for planned in plan.runs.values())
    return [
        f"scale {study.scale_name}: {study.scale['title']}",
        f"{total.runs} runs; those that tables share count once in the total",
        *(described(device) for device in devices),
    ]


def described(device: Device) -> str:
    """A device's speed and where it is known from."""
    basis = f"{device.basis}, not measured; --probe measures this machine"
    if device.measured_on:
        basis = f"{device.basis} on {device.measured_on}"
    if device.basis == "calibrated":
        basis += "\n  other networks and data are taken to be alike"
    return (
        f"device {device.name}: {device.utilisation:.1%} of {device.peak / 1e9:,.0f} GFLOP/s, "
        f"a SAM step takes {device.f_sam:.2f} base steps\n  {basis}"
    )


# a page of 100 columns has room for the other states only where they are needed
ALWAYS_SHOWN = ("done", "missing")


def tallies(plan: Plan) -> list[str]:
    """Runs, states and costs by table and in total, then why runs are stale."""
    total = plan.total
    unit, per_hour = unit_of(plan)
    states = [state for state in STATES if state in ALWAYS_SHOWN or total.states[state]]
    head = ("table", "runs", *states, "steps", f"device-{unit}", "to go", unit)
    stale = [f"{count} {why}" for why, count in sorted(total.why.items())]
    rows = [head, *(numbers(tally, states, per_hour) for tally in (*plan.tallies, total))]
    explained = f"{unit}: wall-clock of what is to go, one training after another on the devices of each"
    return [*aligned(rows), *([f"stale: {', '.join(stale)}"] if stale else []), explained]


def unit_of(plan: Plan) -> tuple[str, float]:
    """The unit that suits the study's costs, and how many of it an hour has."""
    return ("hours", 1.0) if plan.total.device_hours >= 1 else ("seconds", 3600.0)


def numbers(tally: Tally, states: Sequence[str], per_hour: float) -> tuple[str, ...]:
    """A tally's line."""
    counts = (str(tally.states[state] or "-") for state in states)
    costs = (short(cost * per_hour) for cost in (tally.device_hours, tally.left, tally.hours))
    return (tally.name, str(tally.runs), *counts, f"{tally.steps:,}", *costs)


def cells(plan: Plan) -> list[str]:
    """Each cell with the hours of one of its trainings, and the paper's where it prints them."""
    unit, per_hour = unit_of(plan)
    costs = (f"device-{unit}", unit, "paper (h)")
    head = ("table", "row", "column", "seeds", "steps", "devices", *costs, "state")
    rows = []
    for cell in plan.cells():
        names = (cell["table"], cell["row"], cell["column"], str(cell["seeds"]), f"{cell['steps']:,}")
        hours = (short(cell[key] * per_hour) for key in ("device_hours", "hours"))
        paper = str(cell["published_hours"] or "-")
        rows.append((*names, str(cell["devices"]), *hours, paper, cell["state"]))
    return [*aligned([head, *rows], left=3), f"device-{unit}, {unit}: of one training, so of one seed"]


def factors(plan: Plan) -> list[str]:
    """What sharpness-awareness costs, by method: gradient passes of a step, and the time over the base's."""
    costs: dict[str, list[tuple[float, float]]] = {}
    labels = plan.study.config.methods
    for table in plan.study.tables.values():
        for cell in table.cells:
            for run in cell.runs[:1]:
                settings = run.settings
                factor = time_factor(settings, plan.runs[run.id].device)
                costs.setdefault(cell.coordinates["method"], []).append((passes_per_step(settings), factor))
    by_method = sorted(costs.items(), key=lambda item: list(labels).index(item[0]))
    rows = [
        (
            method,
            str(labels[method]["k"]),
            spread(pair[0] for pair in pairs),
            spread(pair[1] for pair in pairs),
        )
        for method, pairs in by_method
    ]
    return aligned([("method", "k", "passes a step", "time factor"), *rows])


def spread(values: Iterator[float]) -> str:
    """The values' one number, or the least and the greatest."""
    found = sorted({f"{value:.2f}" for value in values}, key=float)
    return found[0] if len(found) == 1 else f"{found[0]}-{found[-1]}"


def disk_use(disk: Disk) -> list[str]:
    """What is on disk, what will be, and whether it fits."""
    rows = [
        ("disk", "now", "when all is made"),
        ("shards", size(disk.shards.now), f"about {size(disk.shards.planned)}"),
        ("weights", size(disk.weights.now), f"about {size(disk.weights.planned)}"),
        ("checkpoints, histories", size(disk.other), f"{size(disk.checkpoint)} for the largest run at work"),
        ("free", size(disk.free), f"about {size(disk.to_come)} to come"),
    ]
    warning = "this does not fit: free some space, or make results a link to a larger disk"
    return [*aligned(rows), *([warning] if disk.to_come > disk.free else [])]
