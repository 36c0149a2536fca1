"""`looksam tpu`: trainings on TPU slices, and the slices themselves."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from looksam.errors import UserError


def add_tpu(parser: argparse.ArgumentParser) -> None:
    """The commands of `looksam tpu` and their options."""
    commands = parser.add_subparsers(dest="tpu", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(command=run)
        return sub

    sub = command("launch", launch)
    sub.add_argument(
        "program", nargs="+", metavar="-- PROGRAM", help="looksam train results/runs/<run>/run.json"
    )
    command("list", list_slices)
    command("sweep", sweep)
    command("submit", submit).add_argument("script", type=Path, help="a job's script, which Snakemake wrote")
    command("supervise", supervise).add_argument("folder", type=Path, help=".tpu/jobs/<job>")


# as in cli.py, each command imports what it needs


def launch(parsed: argparse.Namespace) -> None:
    """Train one run on a slice of its own, which is created for it and deleted after it."""
    from looksam.launcher import launch

    sys.exit(launch(parsed.program))


def list_slices(parsed: argparse.Namespace) -> None:
    """List the slices in the settings' project and zone that carry looksam's label."""
    from looksam.sweep import listed

    print(listed())


def sweep(parsed: argparse.Namespace) -> None:
    """Delete this bucket's slices that no launcher of this checkout looks after."""
    from looksam.sweep import swept

    for line in swept():
        print(line, flush=True)


def submit(parsed: argparse.Namespace) -> None:
    """Take a job from Snakemake and print its name; the tpu profile's submit command."""
    from looksam.submission import submitted

    try:
        print(submitted(parsed.script))
    except UserError as error:
        # Snakemake tells of a submission that failed what it said on stdout
        print(f"looksam tpu: error: {error}")
        sys.exit(1)


def supervise(parsed: argparse.Namespace) -> None:
    """Run a submitted job to its end; started by `looksam tpu submit`."""
    from looksam.supervisor import supervise

    supervise(parsed.folder)
