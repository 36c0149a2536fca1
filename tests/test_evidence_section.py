"""The report of a study with the evidence's tables, of invented runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_ledgers import study as made_ledger
from page_studies import verdicts
from study_files import ROOT, copied
from study_files import study as study_of
from test_provenance import REQUEST
from test_report_commands import RECORDED, report
from test_tables import evaluation, tabulated

from looksam.config import read_yaml
from looksam.ledger import write

ASKED = read_yaml(ROOT / "config/claims.yaml")["evidence"]
TABLE = ASKED["tables"][0]
RUNS = "results/evidence/runs.csv"


def page(folder: Path, is_of_claims: bool = False, *options: str) -> str:
    """The report of one of the evidence's tables and of table 7."""
    for name in ("results/tables", "results/evaluations", "results/evidence"):
        (folder / name).mkdir(parents=True)
    verdicts(folder / "results/verdicts.json")
    for name in (TABLE, "table7"):
        rows = [evaluation("good", 0.97) | RECORDED]
        tabulated(folder / "results/tables", [{"runs": ["good"]}], rows, table=name)
        made = folder / f"results/tables/{name}.evaluations.parquet"
        made.rename(folder / f"results/evaluations/{name}.parquet")
    write(made_ledger(3), folder / RUNS)
    request: dict[str, Any] = REQUEST | {
        "tables": [TABLE, "table7"],
        "evaluations": [f"results/evaluations/{name}.parquet" for name in (TABLE, "table7")],
        "evidence": {"asked": ASKED, "runs": RUNS},
        "is_of_claims": is_of_claims,
    }
    (folder / "results/report.json").write_text(json.dumps(request))
    report(*options)
    return next((folder / "reports").glob("*.html")).read_text()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_answer_comes_before_all_tables(tmp_path: Path) -> None:
    text = page(tmp_path)
    headline = re.search(r'class="headline">.*LookSAM-5.*SAM-5.*</p>', text)
    assert headline
    assert headline.start() < text.index("<nav") < text.index('<section class="table"')


def test_the_primary_question_has_its_table_and_its_picture(tmp_path: Path) -> None:
    text = page(tmp_path).split('id="evidence-tables"')[1].split('<section class="table"')[0]
    assert text.count('<th scope="row">wrn-tiny, AdamW, 40 % noise</th>') == 1
    assert text.count("<svg") == 1


def test_without_a_table_of_theirs_the_papers_claims_and_answer_are_left_out(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert 'id="claims"' not in text
    assert 'id="answer"' not in text


def test_with_a_table_of_theirs_they_follow_the_evidence(tmp_path: Path) -> None:
    text = page(tmp_path, True)
    assert text.index('id="evidence"') < text.index('id="answer"') < text.index('id="claims"')


def test_a_page_of_other_tables_alone_has_no_evidence(tmp_path: Path) -> None:
    assert 'id="evidence"' not in page(tmp_path, False, "--only", "table7")


def test_a_page_of_its_table_alone_has_it(tmp_path: Path) -> None:
    assert 'id="evidence"' in page(tmp_path, False, "--only", TABLE)


def test_runs_that_are_not_gathered_are_asked_for(tmp_path: Path) -> None:
    page(tmp_path)
    (tmp_path / RUNS).unlink()
    with pytest.raises(SystemExit, match=f"no file at {RUNS}; `snakemake {RUNS}` makes it"):
        report()


def test_a_study_of_the_evidence_says_so_in_the_reports_request(tmp_path: Path) -> None:
    root = copied(tmp_path / "root")
    request = study_of(root, scale="evidence-first", tables=ASKED["tables"]).requests()["results/report.json"]
    assert request["evidence"] == {"asked": ASKED, "runs": RUNS}
    assert request["is_of_claims"] is False


def test_a_study_of_the_papers_tables_has_no_evidence() -> None:
    request = study_of(tables=["table7"]).requests()["results/report.json"]
    assert (request["evidence"], request["is_of_claims"]) == (None, True)
