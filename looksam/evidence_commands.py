"""`looksam gather` and `looksam evidence`: the evidence study's results as files, and the page of them."""

import argparse
from pathlib import Path

from looksam.requests import consumed


def add_gather(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam gather`."""
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


def add_evidence(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam evidence`."""
    sub.add_argument("request", type=Path, help="results/evidence/page.json")
    sub.add_argument("--runs", type=Path, required=True, help="CSV file of `looksam gather`")
    sub.add_argument("--premise", type=Path, required=True, help="CSV file of `looksam gather`")
    sub.add_argument("--claims", type=Path, required=True, help="config/claims.yaml")
    sub.add_argument("--templates", type=Path, required=True, help="of Jinja2")
    sub.add_argument(
        "--page", type=Path, required=True, help="to write, pictures into the folder of its name"
    )


def evidence(parsed: argparse.Namespace) -> None:
    """Render the evidence study's page and its pictures from its CSV files."""
    from looksam.evidence_page import evidence_page

    with consumed(parsed.request):
        evidence_page(parsed.runs, parsed.premise, parsed.claims, parsed.templates, parsed.page)
