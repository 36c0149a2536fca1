"""`looksam report` on tables made by hand: all of them, and some."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from study_files import ROOT
from test_provenance import REQUEST
from test_report import verdicts
from test_tables import evaluation, tabulated

from looksam.all_runs import ALL_RUNS
from looksam.cli import main
from looksam.requests import made_path

TEMPLATES = ROOT / "reports/templates"
RECORDED: dict[str, Any] = {
    "settings": json.dumps({"model": {"name": '<script>,"a"'}, "seed": 3}),
    "trained_code": "0",
    "shards": "results/shards/digits",
    "index_sha256": "d",
    "index_newer": False,
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tables of one run, and the request of their report."""
    monkeypatch.chdir(tmp_path)
    for name in ("results/tables", "results/evaluations"):
        (tmp_path / name).mkdir(parents=True)
    verdicts(tmp_path / "results")
    names = ("table2", "table7")
    for name in names:
        rows = [evaluation("good", 0.97) | RECORDED]
        tabulated(tmp_path / "results/tables", [{"runs": ["good"]}], rows, table=name)
        (tmp_path / f"results/tables/{name}.evaluations.parquet").rename(
            f"results/evaluations/{name}.parquet"
        )
    evaluations = [f"results/evaluations/{name}.parquet" for name in names]
    request = REQUEST | {"tables": list(names), "evaluations": evaluations}
    (tmp_path / "results/report.json").write_text(json.dumps(request))
    return tmp_path


def report(*options: str) -> None:
    main(["report", "--templates", str(TEMPLATES), *options])


def test_without_options_every_table_is_reported(study: Path) -> None:
    report()
    assert {path.name for path in (study / "reports/tables").glob("*.tex")} == {"table2.tex", "table7.tex"}


def test_a_run_that_two_tables_share_has_one_row(study: Path) -> None:
    report()
    table = pq.read_table(study / "reports/tables/all_runs.parquet")
    assert table.schema.equals(ALL_RUNS)
    assert table.select(["run", "tables", "seed"]).to_pylist() == [
        {"run": "good", "tables": "table2 table7", "seed": 3}
    ]


def test_the_csv_of_runs_says_what_the_parquet_says(study: Path) -> None:
    import pyarrow.csv as pc

    report()
    read = pc.read_csv(study / "reports/tables/all_runs.csv").select(["model", "top1", "seconds"])
    assert read.to_pylist() == [{"model": '<script>,"a"', "top1": 0.97, "seconds": 36.0}]


def test_the_same_results_are_the_same_bytes(study: Path) -> None:
    report()
    before = {path: path.read_bytes() for path in (study / "reports").rglob("*.*")}
    report()
    assert {path: path.read_bytes() for path in (study / "reports").rglob("*.*")} == before


def test_only_one_table_has_page_and_exports_of_its_own(study: Path) -> None:
    report("--only", "table7")
    written = {str(path.relative_to(study / "reports")) for path in (study / "reports").rglob("*.*")}
    files = ("table7.csv", "table7.md", "table7.tex", "all_runs.csv", "all_runs.parquet")
    # the page beside the finished one, so that links to results are the same
    assert written == {"only-table7.html", *(f"only/{name}" for name in files)}


def test_only_one_table_leaves_the_finished_report_unmade(study: Path) -> None:
    report("--only", "table7")
    assert not made_path(study / "results/report.json").exists()


def test_an_unknown_table_names_the_known_ones(study: Path) -> None:
    with pytest.raises(SystemExit, match="unknown table 'table3'; known: table2, table7"):
        report("--only", "table3")


def test_the_report_starts_no_torch(study: Path) -> None:
    code = (
        f"import sys; from looksam.cli import main; main(['report', '--templates', {str(TEMPLATES)!r}]); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=study, check=True
    )


def test_a_table_that_is_not_made_is_an_error_that_says_how_to_make_it(study: Path) -> None:
    (study / "results/tables/table7.parquet").unlink()
    with pytest.raises(SystemExit, match=r"no file at results/tables/table7.parquet; `snakemake results"):
        report("--only", "table7")
