"""`looksam gather`: the evidence study's results as files that stand by themselves."""

import argparse
from pathlib import Path

from looksam.requests import consumed


def add_gather(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam gather`."""
    sub.set_defaults(command=gather)
    sub.add_argument("request", type=Path, help="results/evidence/gather.json")
    sub.add_argument("--tables", type=Path, nargs="+", required=True, help="Parquet tables, searches too")
    sub.add_argument("--evaluations", type=Path, nargs="+", required=True, help="of these and of the map")
    sub.add_argument("--runs", type=Path, required=True, help="CSV file to write, a row a run")
    sub.add_argument("--premise", type=Path, required=True, help="CSV file to write, a row a measured step")


def gather(parsed: argparse.Namespace) -> None:
    """Gather the evidence study's runs and its premise map as CSV."""
    from looksam.gather import gather

    with consumed(parsed.request):
        gather(parsed.tables, parsed.evaluations, parsed.runs, parsed.premise)
