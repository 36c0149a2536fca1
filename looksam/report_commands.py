"""`looksam report`: the page and exports of finished tables, of some of them, or of a study as it stands."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.requests import consumed, read_request

TABLES = Path("results/tables")
VERDICTS = Path("results/verdicts.json")
REPORTS = Path("reports")


def add_report(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam report`."""
    request = Path("results/report.json")
    sub.add_argument("request", type=Path, nargs="?", default=request, help="results/report.json")
    sub.add_argument("--tables", type=Path, nargs="+", help="Parquet tables, in order; of the request")
    sub.add_argument("--evaluations", type=Path, nargs="*", help="of their runs; of the request")
    sub.add_argument("--verdicts", type=Path, default=VERDICTS, help="of `looksam judge`; %(default)s")
    sub.add_argument("--evidence", type=Path, nargs="?", help="runs of `looksam gather`; of the request")
    sub.add_argument("--templates", type=Path, default=REPORTS / "templates", help="of Jinja2; %(default)s")
    sub.add_argument("--html", type=Path, help="page to write")
    sub.add_argument("--exports", type=Path, help="folder for <table>.csv, .md and .tex, and all_runs.*")
    only = "these tables alone, into reports/only-<tables>.html and reports/only/ if not told otherwise"
    sub.add_argument("--only", nargs="+", action="extend", default=[], metavar="TABLE", help=only)
    so_far = "a page of the study as it stands, into reports/so_far.html where --html does not say otherwise"
    sub.add_argument("--so-far", action="store_true", help=so_far)
    over = "with --so-far, laid over config/config.yaml, as snakemake --configfile does"
    sub.add_argument("--config", type=Path, nargs="+", action="extend", default=[], metavar="FILE", help=over)


def report(parsed: argparse.Namespace) -> None:
    """Render the tables as one page, and each as CSV, Markdown and LaTeX."""
    if parsed.so_far:
        unfinished(parsed)
        return
    if parsed.only:
        # no result that Snakemake asks for, so no request is consumed
        selected(parsed)
        return
    with consumed(parsed.request):
        asked = read_request(parsed.request)
        tables = parsed.tables or [TABLES / f"{name}.parquet" for name in asked["tables"]]
        write(parsed, tables, REPORTS / "all_tables.html", REPORTS / "tables")


def unfinished(parsed: argparse.Namespace) -> None:
    """The page of the study that the config asks for, as it stands now; nothing else is written."""
    from looksam.plan import chosen
    from looksam.so_far import so_far
    from looksam.study import Study

    study = Study(chosen(parsed.config, parsed.only))
    so_far(study, time.time(), parsed.templates, parsed.html or REPORTS / "so_far.html")


def selected(parsed: argparse.Namespace) -> None:
    """Page and exports of the tables that are named."""
    # here, because it brings the schema's checks, which no other command line waits for
    from looksam.config import one_of

    asked = read_request(parsed.request)
    known = {path.stem: path for path in parsed.tables or [TABLES / f"{n}.parquet" for n in asked["tables"]]}
    names = list(dict.fromkeys(one_of(name, "table", list(known), "--only") for name in parsed.only))
    write(parsed, [known[name] for name in names], REPORTS / f"only-{'-'.join(names)}.html", REPORTS / "only")


def write(parsed: argparse.Namespace, tables: list[Path], html: Path, exports: Path) -> None:
    """Write page and exports where the command line says, or else there."""
    from looksam.all_runs import export_runs
    from looksam.evidence_section import evidence_section
    from looksam.provenance import provenances, read
    from looksam.report import report

    asked, names = read_request(parsed.request), {path.stem for path in tables}
    gathered = gathered_runs(parsed, asked, names)
    for path in filter(None, (*tables, parsed.verdicts, gathered)):
        if not path.is_file():
            raise UserError(f"no file at {path}; `snakemake {path}` makes it, --so-far shows what there is")
    evaluations = parsed.evaluations
    if evaluations is None:
        evaluations = [Path(path) for path in asked["evaluations"]]
    rows = read([path for path in evaluations if path.stem in names])
    provenance, folder = provenances(rows.values(), asked), parsed.exports or exports
    evidence = evidence_section(asked["evidence"]["asked"], gathered) if gathered else None
    page, is_of_claims = parsed.html or html, asked["is_of_claims"]
    report(tables, parsed.verdicts, parsed.templates, page, folder, provenance, evidence, is_of_claims)
    export_runs(rows, provenance, folder)


def gathered_runs(parsed: argparse.Namespace, asked: Mapping[str, Any], names: set[str]) -> Path | None:
    """The evidence study's runs; None where it is no part of these tables."""
    evidence = asked["evidence"]
    if evidence is None or names.isdisjoint(evidence["asked"]["tables"]):
        return None
    return parsed.evidence or Path(evidence["runs"])
