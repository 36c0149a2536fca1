"""Reports to open in a browser: of tables made by hand, with hostile names, and of SYNTHETIC results."""

from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

from large_study import checkout, finished
from made_ledgers import study as ledger
from made_tables import table
from study_files import ROOT
from test_tables import PLANNED, TIMED, evaluation, tabulated

from looksam.cli import main
from looksam.config import read_yaml
from looksam.evidence_section import evidence_section
from looksam.ledger import write as write_ledger
from looksam.plan import chosen
from looksam.provenance import Provenance
from looksam.report import report
from looksam.study import Study
from looksam.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Answer, Finding, Verdict, Verdicts, write

TEMPLATES = ROOT / "reports" / "templates"
SCRIPT = "<script>alert(1)</script>"
QUOTES = "\"q\" 'a' & `b` --> ]]> </style>"
HEBREW = "שיטה חדשה 5 (LookSAM)"
LONG = "Sharpness" * 12
ADDRESS = "javascript:alert(1)"
HOSTILE = [SCRIPT, QUOTES, HEBREW, LONG]
ROWS = [f"row {number:02} of the long table" for number in range(90)]
NOTE = {"value": "96.5", "status": "conflict", "note": f"{ADDRESS} {QUOTES}"}
# of the table that is sorted: in the order of its rows, the last was not run
HOURS = [9.0, 100.0, 0.5, 10.0]
HIGHEST, UNMEASURED = HOURS.index(max(HOURS)), len(HOURS)


def compared(folder: Path) -> Path:
    """A table in which three methods compete: one is the best, one too close to be told from it."""
    numbers = {"base": [0.80, 0.81, 0.80], "SAM": [0.90, 0.91, 0.92], "LookSAM-5": [0.89, 0.90, 0.92]}
    request, runs = table(numbers, compare=["method"])
    cells = [cell | {"published": NOTE} for cell in request.pop("cells")]
    return tabulated(folder, cells, runs, **request, compare=["method"])


def timed(folder: Path) -> Path:
    """A table of a column of hours, which text and numbers order differently, and a row that was not run."""
    runs = [evaluation(f"h{number}", 0.5, 3600.0 * hours) for number, hours in enumerate(HOURS)]
    cells = [{"row": row, "metric": "training_hours", "runs": [run["run"]]} for row, run in enumerate(runs)]
    cells.append({"row": UNMEASURED, "metric": "training_hours", "absent": "too long"})
    about = {"rows": [f"m{row}" for row in range(len(cells))], "columns": ["hours"], "table": "table4"}
    return tabulated(folder, cells, runs, **about, metrics=["training_hours"])


def of_all_kinds(folder: Path) -> Path:
    """A table with a hostile name everywhere, and cells that were done, lost, left out and planned."""
    runs = [evaluation(ADDRESS, 0.97), evaluation("lost", None), *TIMED]
    cells: list[dict[str, Any]] = [
        {"runs": [ADDRESS], "published": NOTE},
        {"column": 1, "runs": ["lost"]},
        {"column": 2, "absent": SCRIPT},
        {"column": 3, "runs": [ADDRESS, "lost"]},
        *(cell | {"row": 1, "column": column} for column, cell in enumerate(PLANNED)),
    ]
    words = {"title": SCRIPT, "caption": QUOTES, "row_header": QUOTES, "column_header": HEBREW}
    about = {"rows": [LONG, SCRIPT], "columns": HOSTILE, "metrics": ["top1", "seconds_per_epoch"]}
    return tabulated(folder, cells, runs, **words, **about)


def long(folder: Path) -> Path:
    """A table that is several pages long and wide."""
    cells = [
        {"row": row, "column": column, "runs": ["a"], "published": NOTE}
        for row in range(len(ROWS))
        for column in range(8)
    ]
    columns = [f"column {column} of the long table" for column in range(8)]
    about = {"table": "table3", "row_header": "long head", "rows": ROWS, "columns": columns}
    return tabulated(folder, cells, [evaluation("a", 0.5)], **about)


def drawn(folder: Path) -> Path:
    """A table with a plot."""
    cells = [{"column": k - 1, "runs": ["p"], "k": k, "descent": "g_v"} for k in (1, 2, 5)]
    columns = [str(k) for k in range(1, 6)]
    return tabulated(
        folder, cells, [evaluation("p", 0.5)], plot=["against-k"], table="figure4", columns=columns
    )


def provenance(run: str) -> Provenance:
    """Where a hostile run comes from."""
    return Provenance(
        run=run,
        seed=0,
        settings={"method.name": SCRIPT, "model": LONG, ADDRESS: QUOTES},
        code=LONG,
        commit=SCRIPT,
        packages={"torch": HEBREW},
        device=QUOTES,
        determinism=SCRIPT,
        shards=ADDRESS,
        data_sha256="0" * 64,
        log=ADDRESS,
        seconds=36.0,
        command=f"snakemake {SCRIPT} {QUOTES} {LONG}",
        stale="trained by other code than the present",
    )


def verdicts(path: Path) -> Path:
    """Verdicts in which each text is hostile."""
    finding = Finding("table7", HEBREW, "+0.1 pp", "−1.0 to +1.2 pp", 3, "not decided", QUOTES)
    verdict = Verdict(
        "c1", SCRIPT, LONG, "not decided", "supported", QUOTES, "−1.0 to +1.2 pp", 3, ADDRESS, [finding]
    )
    kinds = [replace(verdict, id=kind, verdict=kind) for kind in (UNDECIDED, SUPPORTED, CONTRADICTED)]
    write(Verdicts(SCRIPT, QUOTES, kinds, Answer(HEBREW, [SCRIPT, LONG], [ADDRESS])), path)
    return path


def evidence(path: Path) -> dict[str, Any]:
    """What the page says of invented runs of the evidence study."""
    write_ledger(ledger(3), path)
    return evidence_section(read_yaml(ROOT / "config/claims.yaml")["evidence"], path)


def by_hand(folder: Path) -> Path:
    """The page of known numbers, invented evidence and hostile names, one of whose tables is long."""
    makers: list[Callable[[Path], Path]] = [compared, timed, of_all_kinds, long, drawn]
    tables = [made(folder) for made in makers]
    runs = [ADDRESS, "lost", "a", "p", "table1.SAM.0", "table1.SAM.1"]
    html = folder / "reports" / "all_tables.html"
    origins = {run: provenance(run) for run in runs}
    said = verdicts(folder / "verdicts.json")
    report(tables, said, TEMPLATES, html, folder / "tables", origins, evidence(folder / "runs.csv"))
    return html


def of_the_paper(folder: Path) -> Path:
    """The page of the paper's tables at its own scale, three seeds a cell, of SYNTHETIC results."""
    checkout(folder)
    files = [folder / "config/paper.yaml"]
    study = Study(chosen(files, [], folder) | {"seeds": 3}, folder)
    study.write_requests()
    finished(folder)
    with chdir(folder):
        for name, made in study.tables.items():
            made_of = [f"--evaluations=results/evaluations/{name}.parquet"] if made.runs else []
            written = f"--table=results/tables/{name}.parquet"
            main(["tabulate", f"results/tables/{name}.json", *made_of, written])
        main(["judge", "results/claims.json", "--verdicts", "results/verdicts.json"])
        main(["report", "results/report.json"])
    return folder / "reports/all_tables.html"
