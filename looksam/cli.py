"""The `looksam` command: one subcommand for each rule of the workflow, and two that look at it."""

import argparse
import gc
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from looksam.arguments import count, natural
from looksam.errors import Preempted, UserError
from looksam.evidence_commands import add_evidence, add_gather
from looksam.report_commands import add_report
from looksam.requests import consumed
from looksam.shard_commands import add_shard, add_sources, add_verify
from looksam.tpu import add_tpu


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

    def command(
        name: str, run: Callable[[argparse.Namespace], None], request: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        sub.add_argument("request", type=Path, help=request)
        sub.set_defaults(command=run)
        return sub

    about = "Write a data set's WebDataset shards and their index: beside a request, or to a folder."
    add_shard(commands.add_parser("shard", help=about, description=about))
    about = "Say what a source holds: its kind, images and classes."
    add_sources(commands.add_parser("sources", help=about, description=about))
    about = "Say whether shards are as they were written: every hash, label and count."
    add_verify(commands.add_parser("verify", help=about, description=about))
    sub = command("train", train, "results/runs/<run>/run.json")
    sub.add_argument(
        "--seconds-between-checkpoints",
        type=float,
        default=600.0,
        metavar="S",
        help="what a killed training loses at most (default: %(default)s)",
    )
    add_workers(sub)
    sub.add_argument("--wait", action="store_true", help="wait where another process trains the run")
    sub = command("choose", choose, "results/searches/<search>/trials.json")
    sub.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    sub.add_argument("--chosen", type=Path, required=True, help="JSON file to write")
    add_workers(sub)
    sub = command("evaluate", evaluate, "results/evaluations/<table>.json")
    sub.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    sub.add_argument("--evaluations", type=Path, required=True, help="Parquet file to write")
    add_workers(sub)
    sub = command("tabulate", tabulate, "results/tables/<table>.json")
    sub.add_argument(
        "--evaluations", type=Path, nargs="?", help="the runs' evaluations, for a table that has runs"
    )
    sub.add_argument("--chosen", type=Path, nargs="*", default=[], help="the choices of a search, row by row")
    sub.add_argument("--table", type=Path, required=True, help="Parquet file to write")
    sub = command("judge", judge, "results/claims.json")
    sub.add_argument("--tables", type=Path, nargs="*", default=[], help="Parquet tables")
    sub.add_argument("--evaluations", type=Path, nargs="*", default=[], help="of these tables' runs")
    sub.add_argument("--verdicts", type=Path, required=True, help="JSON file to write")
    about = "Gather the evidence study's runs and its premise map as CSV."
    add_gather(commands.add_parser("gather", help=about, description=about))
    about = "Render the evidence study's page and its pictures from its CSV files."
    add_evidence(commands.add_parser("evidence", help=about, description=about))
    about = "Render the tables as one page, and each as CSV, Markdown and LaTeX."
    add_report(commands.add_parser("report", help=about, description=about))
    add_plan(commands.add_parser("plan", help=plan.__doc__, description=plan.__doc__))
    add_status(commands.add_parser("status", help=status.__doc__, description=status.__doc__))
    about = "Train on TPU slices; list them, and delete those left behind."
    add_tpu(commands.add_parser("tpu", help=about, description=about))
    return top


def add_workers(sub: argparse.ArgumentParser) -> None:
    """The option of commands that read images."""
    about = "processes a rank that read large images; as many as the rank has cores. No number depends on it"
    sub.add_argument("--workers", type=natural, metavar="N", help=about)


def add_plan(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam plan`."""
    sub.set_defaults(command=plan)
    over = "laid over config/config.yaml, as snakemake --configfile does"
    sub.add_argument("--config", type=Path, nargs="+", action="extend", default=[], metavar="FILE", help=over)
    sub.add_argument("--table", nargs="+", action="extend", default=[], help="only these, cell by cell")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="a row of config/devices.yaml; cpu")
    sub.add_argument("--devices", type=count, metavar="N", help="of these for every run; else by the row")
    sub.add_argument("--json", action="store_true", help="a list of objects, one a cell")
    sub.add_argument("--probe", action="store_true", help="measure this machine with short trainings first")


def add_status(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam status`."""
    sub.set_defaults(command=status)
    sub.add_argument("results", type=Path, nargs="?", default=Path("results"), help="folder; results")
    sub.add_argument("--json", action="store_true", help="an object instead of a table")
    sub.add_argument("--watch", action="store_true", help="again every few seconds, until Ctrl-C")


# each subcommand imports what it needs: a process that tabulates need not start torch


def train(parsed: argparse.Namespace) -> None:
    """Train one run, or go on with it; its weights, history and timing appear beside run.json."""
    from looksam.allocator import keep_freed_memory
    from looksam.progress import shown
    from looksam.train import train
    from looksam.watch import Care

    keep_freed_memory()
    with shown(parsed.request.parent.name) as show:
        wait = math.inf if parsed.wait else 0.0
        train(parsed.request, Care(show, parsed.seconds_between_checkpoints, wait, parsed.workers))
    end(os.EX_OK)


def end(code: int) -> None:
    """End this process, if it failed or is one of many ranks.

    Ranks end at once: while Python takes itself down, a thread of gloo that wants it once more aborts the
    process, and torchrun takes a finished training for a failed one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def choose(parsed: argparse.Namespace) -> None:
    """Choose the best of a search's trials by the training images held out of them."""
    from looksam.allocator import keep_freed_memory
    from looksam.choice import choose

    keep_freed_memory()
    with consumed(parsed.request):
        choose(parsed.request, parsed.runs, parsed.chosen, parsed.workers)


def evaluate(parsed: argparse.Namespace) -> None:
    """Evaluate a table's runs on their test images."""
    from looksam.allocator import keep_freed_memory
    from looksam.evaluate import evaluate

    keep_freed_memory()
    with consumed(parsed.request):
        evaluate(parsed.request, parsed.runs, parsed.evaluations, parsed.workers)
    end(os.EX_OK)


def tabulate(parsed: argparse.Namespace) -> None:
    """Gather a table's cells from the evaluations of its runs."""
    from looksam.tables import tabulate

    with consumed(parsed.request):
        tabulate(parsed.request, parsed.evaluations, parsed.table, parsed.chosen)


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


if __name__ == "__main__":
    main()
