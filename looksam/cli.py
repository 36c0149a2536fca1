"""The `looksam` command: one subcommand for each rule of the workflow."""

import argparse
import gc
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from looksam.errors import Preempted, UserError
from looksam.requests import consumed


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand; a user's mistake is one line on stderr and exit code 1, a preemption one and 75."""
    # a small training would spend a tenth of its time collecting among torch's modules, which stay
    gc.set_threshold(100_000)
    parsed = parser().parse_args(arguments)
    try:
        parsed.command(parsed)
    except UserError as error:
        sys.exit(f"looksam {parsed.name}: error: {error}")
    except Preempted as left:
        print(f"looksam {parsed.name}: {left}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
    except ModuleNotFoundError as error:
        needs = "it needs the pipeline: pip install 'looksam[pipeline]'"
        sys.exit(f"looksam {parsed.name}: error: no module {error.name!r}; {needs}")


def parser() -> argparse.ArgumentParser:
    """The subcommands and their options."""
    top = argparse.ArgumentParser(prog="looksam", description=__doc__)
    commands = top.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], request: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        sub.add_argument("request", type=Path, help=request)
        sub.set_defaults(command=run)
        return sub

    command("shard", shard, "results/shards/<dataset>/source.json")
    sub = command("train", train, "results/runs/<run>/run.json")
    sub.add_argument(
        "--seconds-between-checkpoints",
        type=float,
        default=600.0,
        metavar="S",
        help="what a killed training loses at most (default: %(default)s)",
    )
    sub.add_argument("--wait", action="store_true", help="wait where another process trains the run")
    sub = command("evaluate", evaluate, "results/evaluations/<table>.json")
    sub.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    sub.add_argument("--evaluations", type=Path, required=True, help="Parquet file to write")
    sub = command("tabulate", tabulate, "results/tables/<table>.json")
    sub.add_argument(
        "--evaluations", type=Path, nargs="?", help="the runs' evaluations, for a table that has runs"
    )
    sub.add_argument("--table", type=Path, required=True, help="Parquet file to write")
    sub = command("report", report, "results/report.json")
    sub.add_argument("--tables", type=Path, nargs="+", required=True, help="Parquet tables, in order")
    sub.add_argument("--templates", type=Path, required=True, help="folder of the Jinja2 templates")
    sub.add_argument("--html", type=Path, required=True, help="page to write")
    sub.add_argument("--exports", type=Path, required=True, help="folder for <table>.csv, .md and .tex")
    return top


# each subcommand imports what it needs: a process that tabulates need not start torch


def shard(parsed: argparse.Namespace) -> None:
    """Write a data set's WebDataset shards and their index beside its request."""
    from looksam.shards import shard

    with consumed(parsed.request):
        shard(parsed.request)


def train(parsed: argparse.Namespace) -> None:
    """Train one run, or go on with it; its weights, history and timing appear beside run.json."""
    from looksam.progress import shown
    from looksam.train import train
    from looksam.watch import Care

    with shown(parsed.request.parent.name) as show:
        wait = math.inf if parsed.wait else 0.0
        train(parsed.request, Care(show, parsed.seconds_between_checkpoints, wait))


def evaluate(parsed: argparse.Namespace) -> None:
    """Evaluate a table's runs on their test images."""
    from looksam.evaluate import evaluate

    with consumed(parsed.request):
        evaluate(parsed.request, parsed.runs, parsed.evaluations)


def tabulate(parsed: argparse.Namespace) -> None:
    """Gather a table's cells from the evaluations of its runs."""
    from looksam.tables import tabulate

    with consumed(parsed.request):
        tabulate(parsed.request, parsed.evaluations, parsed.table)


def report(parsed: argparse.Namespace) -> None:
    """Render the tables as one page, and each as CSV, Markdown and LaTeX."""
    from looksam.report import report

    with consumed(parsed.request):
        report(parsed.tables, parsed.templates, parsed.html, parsed.exports)


if __name__ == "__main__":
    main()
