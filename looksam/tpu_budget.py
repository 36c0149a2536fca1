"""What a study may still cost on TPUs: the plan's chip-hours, those already spent, and the limit."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from looksam.config import read_yaml
from looksam.costs import Device, device_hours
from looksam.errors import UserError
from looksam.hardware import FILE as DEVICES
from looksam.requests import read_request
from looksam.results import OUTPUTS
from looksam.tpu_settings import FILE, Settings

# what slices began and ended when, one JSON object a line, written by every launcher
LEDGER = Path(".tpu/slices.jsonl")


def chip_hours(settings: dict[str, Any], generation: str) -> float:
    """Chip-hours of a run's whole training, as `looksam plan --device tpu-<generation>` reckons."""
    name = f"tpu-{generation}"
    rows = read_yaml(Path(DEVICES))
    if name not in rows:
        raise UserError(f"{DEVICES}: no row {name}, so that no cost can be told; write one, as for tpu-v6e")
    row = rows[name]
    device = Device(
        name, row["peak_tflops"] * 1e12, row["utilisation"], row["f_sam"], row["reuse"], "assumed"
    )
    return device_hours(settings, device)


def runs_to_go(run: str | None) -> list[str]:
    """`run`, where there is one, and those of the study whose report is asked for, that have no results."""
    found = {run} if run else set()
    if Path("results/report.json").is_file():
        found |= set(_runs_of_report())
    return sorted(each for each in found if not Path("results/runs", each, OUTPUTS[0]).exists())


def _runs_of_report() -> Iterator[str]:
    for table in read_request("results/report.json")["tables"]:
        path = Path(f"results/evaluations/{table}.json")
        if not path.is_file():
            continue
        for each in read_request(path)["runs"]:
            yield each["run"]
            settings = read_request(f"results/runs/{each['run']}/run.json")["settings"]
            if "chosen" in settings:
                trials = Path(settings["chosen"]["from"]).with_name("trials.json")
                yield from (trial["run"] for trial in read_request(trials)["trials"])


def checked_budget(settings: Settings, run: str | None) -> str:
    """What the rest of the study costs, in a line; UserError where the settings do not allow it.

    Also where one of its runs has a batch size without a slice: better now than in days.
    """
    hours = 0.0
    for each in runs_to_go(run):
        of_run = read_request(f"results/runs/{each}/run.json")["settings"]
        hours += chip_hours(of_run, settings.shape_for(of_run["batch_size"]).generation)
    used = spent(settings, time.time())
    cost = settings.cost_per_chip_hour
    money = "" if cost is None else f", {hours * cost:,.2f} at {cost:g} an hour"
    line = (
        f"by the plan the study needs {hours:,.2f} more chip-hours{money}; {used:,.2f} are spent, "
        f"{settings.max_device_hours:,.10g} allowed"
    )
    if hours + used > settings.max_device_hours:
        raise UserError(
            f"{line} ({FILE}: max_device_hours); allow more, or choose fewer tables or seeds. The plan: "
            f"looksam plan --config config/paper.yaml --device tpu-{settings.generation}"
        )
    return line


class Spent(UserError):
    """Slices have taken what they may."""


def check_spent(settings: Settings) -> None:
    """Spent where slices have taken all the chip-hours that are allowed, whatever the plan said."""
    used = spent(settings, time.time())
    if used >= settings.max_device_hours:
        raise Spent(
            f"slices took {used:,.2f} chip-hours, as {LEDGER} counts, of {settings.max_device_hours:,.10g} "
            f"({FILE}: max_device_hours); allow more, and run again"
        )


def note(event: str, name: str, chips: int) -> None:
    """Add to the ledger that a slice "began" or "ended"."""
    line = json.dumps({"time": time.time(), "event": event, "slice": name, "chips": chips}) + "\n"
    LEDGER.parent.mkdir(parents=True, exist_ok=True)
    # one write of a short line, which launchers side by side do not tear apart
    with LEDGER.open("a") as file:
        file.write(line)


def spent(settings: Settings, now: float) -> float:
    """Chip-hours of this checkout's slices until `now`, in Unix time; one of no known end to its deadline."""
    began: dict[str, tuple[float, int]] = {}
    seconds = 0.0
    for line in LEDGER.read_text().splitlines() if LEDGER.exists() else []:
        said = json.loads(line)
        if said["event"] == "began":
            began.setdefault(said["slice"], (said["time"], said["chips"]))
        elif said["slice"] in began:
            since, chips = began.pop(said["slice"])
            seconds += (said["time"] - since) * chips
    longest = settings.deadline_hours * 3600
    seconds += sum(min(now - since, longest) * chips for since, chips in began.values())
    return seconds / 3600
