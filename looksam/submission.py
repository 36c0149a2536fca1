"""A job as Snakemake submits it to the tpu profile: checked, then left to a supervisor."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.supervisor import supervised
from looksam.tpu_budget import checked_budget
from looksam.tpu_job import check_mount, job
from looksam.tpu_settings import read_settings

PROPERTIES = "# properties = "


def submitted(script: Path) -> str:
    """The job's name, once somebody runs it. UserError where the settings or the budget do not allow it."""
    settings = read_settings()
    # at the first job, or hours of sharding would end where no host sees them
    check_mount(settings)
    properties = properties_of(script)
    if properties["resources"].get("launcher"):
        # the request is what each of our rules names first
        made = job(["looksam", properties["rule"], properties["input"][0]], settings)
        # Snakemake reads the name from stdout
        print(f"looksam tpu: {checked_budget(settings, made.run)}", file=sys.stderr)
    name = job_name(properties)
    supervised(script, name)
    return name


def properties_of(script: Path) -> dict[str, Any]:
    """What Snakemake says of a job in its script."""
    for line in script.read_text().splitlines():
        if line.startswith(PROPERTIES):
            found: dict[str, Any] = json.loads(line.removeprefix(PROPERTIES))
            return found
    raise UserError(f"{script} is no script of a Snakemake job; the tpu profile submits those")


def job_name(properties: dict[str, Any]) -> str:
    """The name of a job, the same at every submission: its rule and wildcards."""
    words = [properties["rule"], *properties["wildcards"].values()]
    return re.sub("[^A-Za-z0-9_.-]", "-", ".".join(words))
