"""The `looksam` command: one subcommand for each rule of the workflow, and two that look at it."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from looksam.arguments import count
from looksam.errors import Preempted, UserError
from looksam.evidence_commands import add_evidence, add_gather, evidence, gather
from looksam.report_commands import add_report, report
from looksam.requests import consumed
from looksam.shard_commands import add_shard, add_sources, add_verify, shard, sources, verify
from looksam.tpu import add_tpu
from looksam.training_commands import add_choose, add_evaluate, add_train, choose, end, evaluate, train

# what a subcommand does, and what gives it its options
Command = tuple[Callable[[argparse.Namespace], None], Callable[[argparse.ArgumentParser], None]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand; a user's mistake is one line on stderr and exit code 1, a preemption one and 75."""
    # a small training would spend a tenth of its time collecting among torch's modules, which stay
    gc.set_threshold(100_000)
    # or, with torch_tpu installed and no TPU, the first backward pass hangs for minutes; on a slice it is 1
    os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
    parsed = parser().parse_args(arguments)
    try:
        parsed.command(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever reads has had enough, as `| head` does; nothing may be flushed to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        sys.exit(f"looksam {parsed.name}: error: {error}")
    except KeyboardInterrupt:
        print(f"looksam {parsed.name}: interrupted", file=sys.stderr)
        # as shells say of a command that Ctrl-C ended
        end(128 + signal.SIGINT)
    except Preempted as left:
        print(f"looksam {parsed.name}: {left}", file=sys.stderr)
        end(os.EX_TEMPFAIL)
    except ModuleNotFoundError as error:
        needs = "it needs the pipeline: pip install 'looksam[pipeline]'"
        sys.exit(f"looksam {parsed.name}: error: no module {error.name!r}; {needs}")


def parser() -> argparse.ArgumentParser:
    """The subcommands and their options."""
    top = argparse.ArgumentParser(prog="looksam", description=__doc__)
    commands = top.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for name, (run, options) in COMMANDS.items():
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(command=run)
        options(sub)
    about = "Train on TPU slices; list them, and delete those left behind."
    add_tpu(commands.add_parser("tpu", help=about, description=about))
    return top


def add_plan(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam plan`."""
    over = "laid over config/config.yaml, as snakemake --configfile does"
    sub.add_argument("--config", type=Path, nargs="+", action="extend", default=[], metavar="FILE", help=over)
    sub.add_argument("--table", nargs="+", action="extend", default=[], help="only these, cell by cell")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="a row of config/devices.yaml; cpu")
    sub.add_argument("--devices", type=count, metavar="N", help="of these for every run; else by the row")
    sub.add_argument("--json", action="store_true", help="a list of objects, one a cell")
    sub.add_argument("--probe", action="store_true", help="measure this machine with short trainings first")


def add_status(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam status`."""
    sub.add_argument("results", type=Path, nargs="?", default=Path("results"), help="folder; results")
    sub.add_argument("--json", action="store_true", help="an object instead of a table")
    sub.add_argument("--watch", action="store_true", help="again every few seconds, until Ctrl-C")


# each subcommand imports what it needs: a process that tabulates need not start torch


def add_tabulate(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam tabulate`."""
    sub.add_argument("request", type=Path, help="results/tables/<table>.json")
    evaluated = "the runs' evaluations, for a table that has runs"
    sub.add_argument("--evaluations", type=Path, nargs="?", help=evaluated)
    sub.add_argument("--chosen", type=Path, nargs="*", default=[], help="the choices of a search, row by row")
    sub.add_argument("--table", type=Path, required=True, help="Parquet file to write")


def tabulate(parsed: argparse.Namespace) -> None:
    """Gather a table's cells from the evaluations of its runs."""
    from looksam.tables import tabulate

    with consumed(parsed.request):
        tabulate(parsed.request, parsed.evaluations, parsed.table, parsed.chosen)


def add_judge(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam judge`."""
    sub.add_argument("request", type=Path, help="results/claims.json")
    sub.add_argument("--tables", type=Path, nargs="*", default=[], help="Parquet tables")
    sub.add_argument("--evaluations", type=Path, nargs="*", default=[], help="of these tables' runs")
    sub.add_argument("--verdicts", type=Path, required=True, help="JSON file to write")


def judge(parsed: argparse.Namespace) -> None:
    """Say what the tables decide of the paper's claims."""
    from looksam.judge import judge

    with consumed(parsed.request):
        judge(parsed.request, parsed.tables, parsed.evaluations, parsed.verdicts)


def plan(parsed: argparse.Namespace) -> None:
    """Say what the study would cost and what of it is done, before anything runs."""
    from looksam.overview import planned

    print(planned(parsed.config, parsed.table, parsed.device, parsed.devices, parsed.json, parsed.probe))


def status(parsed: argparse.Namespace) -> None:
    """Say what is training now, from the files that trainings leave on disk."""
    from looksam.status import show

    show(parsed.results, parsed.json, parsed.watch)


# the help of each is what its function says of itself
COMMANDS: dict[str, Command] = {
    "shard": (shard, add_shard),
    "sources": (sources, add_sources),
    "verify": (verify, add_verify),
    "train": (train, add_train),
    "choose": (choose, add_choose),
    "evaluate": (evaluate, add_evaluate),
    "tabulate": (tabulate, add_tabulate),
    "judge": (judge, add_judge),
    "gather": (gather, add_gather),
    "evidence": (evidence, add_evidence),
    "report": (report, add_report),
    "plan": (plan, add_plan),
    "status": (status, add_status),
}


if __name__ == "__main__":
    main()
