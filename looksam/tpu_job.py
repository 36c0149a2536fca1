"""A command as a job for a slice: the slice's name and shape, and what must be right before it is created."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.requests import checked
from looksam.results import text_of
from looksam.tpu_settings import FILE, Settings, Shape, shape_of

# below results: what a slice trains, and what it measures
TRAINED, MEASURED = "runs", ("evaluations", "searches")
# where epsilon is made of a rank's or a micro-batch's gradient, the number of ranks is part of the method
BY_RANK = ("rank", "micro-batch")


@dataclass(frozen=True)
class Job:
    """What a slice is for. command: what every device runs, which names its request below results.

    run: the one that is trained; None where trained runs are measured. name: the run's, or that of what is
    measured. signs: files that change as it goes on.
    """

    command: list[str]
    request: Path
    name: str
    run: str | None
    shape: Shape
    slice: str
    signs: list[Path]

    @property
    def folder(self) -> Path:
        """The request's, on the mounted bucket."""
        return self.request.parent


def job(command: Sequence[str], settings: Settings) -> Job:
    """The job of a command; UserError where no slice could run it, or the run not go on there."""
    request = request_of(command)
    content = json.loads(checked(request).read_text())
    check_mount(settings)
    run, signs = None, [request.with_name("progress.json")]
    if request.parts[1] == TRAINED:
        run = name = content["id"]
        shape = settings.shape_for(content["settings"]["batch_size"])
        check_ranks(request, content["settings"], shape)
    else:
        name, shape = f"{request.parent.name}.{request.stem}", shape_of(settings.measuring_type)
        measured = content.get("runs") or content["trials"]
        signs = [Path("results/runs", each["run"], "metrics.json") for each in measured]
    return Job(list(command), request, name, run, shape, slice_name(name, settings), signs)


def request_of(command: Sequence[str]) -> Path:
    """The request that a command names first; UserError where it is none that a slice could serve."""
    request = next((Path(word) for word in command if word.endswith(".json")), Path())
    if request.parts[:1] != ("results",) or request.parts[1] not in (TRAINED, *MEASURED):
        raise UserError(
            "after -- a command is wanted that names a request below the checkout's results: looksam train "
            "results/runs/<run>/run.json, or one that evaluates or chooses; "
            f"got: {' '.join(command) or 'nothing'}"
        )
    return request


def slice_name(job: str, settings: Settings) -> str:
    """The name of a job's slice, the same at every start; two buckets have two.

    At most 63 letters, digits and hyphens, as Google wants it; a run's own digest is in it.
    """
    digest = hashlib.sha256(f"{settings.bucket}/{job}".encode()).hexdigest()[:6]
    readable = re.sub("[^a-z0-9]+", "-", job.lower())[-46:].strip("-")
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


def check_ranks(request: Path, of_run: Mapping[str, Any], shape: Shape) -> None:
    """UserError where a training that has begun would be another one on a slice of this shape."""
    folder = request.parent
    ranks = json.loads(text_of(folder / "progress.json") or "{}").get("ranks")
    perturbation = of_run["method"].get("perturbation")
    if perturbation in BY_RANK and ranks not in (None, shape.chips):
        raise UserError(
            f"{folder.name} began on {ranks} devices; its method's perturbation, {perturbation}, depends on "
            f"how many there are, and {shape.type} has {shape.chips}. Give batches of "
            f"{of_run['batch_size']} a type of {ranks} chips in {FILE}, or begin anew: "
            f"rm {folder}/checkpoint.* {folder}/progress.json"
        )
