"""A run as a job for a slice: the slice's name and shape, and what must be right before it is created."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.requests import checked
from looksam.results import text_of
from looksam.tpu_settings import FILE, Settings, Shape

# where epsilon is made of a rank's or a micro-batch's gradient, the number of ranks is part of the method
BY_RANK = ("rank", "micro-batch")


@dataclass(frozen=True)
class Job:
    """One training on a slice. command: what every device runs, `looksam train <request>`."""

    command: list[str]
    request: Path
    run: str
    settings: dict[str, Any]
    shape: Shape
    slice: str

    @property
    def folder(self) -> Path:
        """The run's, on the mounted bucket."""
        return self.request.parent


def job(command: Sequence[str], settings: Settings) -> Job:
    """The job of a command; UserError where no slice could run it, or the run not go on there."""
    named = [Path(word) for word in command if Path(word).name == "run.json"]
    if len(named) != 1 or named[0].is_absolute():
        raise UserError(
            "after -- a command is wanted that names the request of one run, below the checkout: "
            f"looksam train results/runs/<run>/run.json; got: {' '.join(command) or 'nothing'}"
        )
    request = checked(named[0])
    content = json.loads(request.read_text())
    shape = settings.shape_for(content["settings"]["batch_size"])
    made = Job(
        list(command), request, content["id"], content["settings"], shape, slice_name(content["id"], settings)
    )
    check_mount(settings)
    check_ranks(made)
    return made


def slice_name(run: str, settings: Settings) -> str:
    """The name of the slice that trains a run, the same at every start; two buckets have two.

    At most 63 letters, digits and hyphens, as Google wants it; the run's own digest is in it.
    """
    digest = hashlib.sha256(f"{settings.bucket}/{run}".encode()).hexdigest()[:6]
    readable = re.sub("[^a-z0-9]+", "-", run.lower())[-46:].strip("-")
    return f"looksam-{readable}-{digest}"


def check_mount(settings: Settings) -> None:
    """UserError unless results is on the bucket, where the hosts find it as well."""
    wanted, found = settings.mount / "results", Path("results")
    if found.resolve() != wanted.resolve():
        raise UserError(
            f"results is {found.resolve()}, which no host sees. Mount the bucket at {settings.mount} "
            f"({FILE}), then: mkdir -p {wanted}; cp -r results/. {wanted}; rm -r results; "
            f"ln -s {wanted} results"
        )


def check_ranks(made: Job) -> None:
    """UserError where a training that has begun would be another one on this slice."""
    ranks = json.loads(text_of(made.folder / "progress.json") or "{}").get("ranks")
    perturbation = made.settings["method"].get("perturbation")
    if perturbation in BY_RANK and ranks not in (None, made.shape.chips):
        raise UserError(
            f"{made.run} began on {ranks} devices; its method's perturbation, {perturbation}, depends on how "
            f"many there are, and {made.shape.type} has {made.shape.chips}. Give batches of "
            f"{made.settings['batch_size']} a type of {ranks} chips in {FILE}, or begin anew: "
            f"rm {made.folder}/checkpoint.* {made.folder}/progress.json"
        )
