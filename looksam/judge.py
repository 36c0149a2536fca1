"""The judge: reads tables and evaluations, and writes what they decide of the paper's claims."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from looksam.answer import answer
from looksam.claims import METHOD, judged
from looksam.contrasts import Evidence
from looksam.premise import DIAGNOSTICS
from looksam.tables import read
from looksam.verdicts import Verdicts, headline, write


def judge(request: Path, tables: Sequence[Path], evaluations: Sequence[Path], verdicts: Path) -> None:
    """Write `verdicts` of the claims in `request`, from these tables and the evaluations of their runs.

    request: what config/claims.yaml says: {"claims": {id: claim, ...}, "answer": {...}}.
    """
    asked = json.loads(request.read_text(encoding="utf-8"))
    evidence = evidence_of(tables, evaluations)
    claims = [judged(key, claim, evidence) for key, claim in asked["claims"].items()]
    write(Verdicts(headline(claims), METHOD, claims, answer(asked["answer"], evidence)), verdicts)


def evidence_of(tables: Sequence[Path], evaluations: Sequence[Path]) -> Evidence:
    """What the files hold that claims rest on."""
    read_tables = [read(path) for path in tables]
    evaluated = {}
    for path in evaluations:
        names = {"run", "images", "test_images", "correct", *DIAGNOSTICS}
        columns = [name for name in pq.read_schema(path).names if name in names]
        for row in pq.read_table(path, columns=columns).to_pylist():
            evaluated[row["run"]] = row
    return Evidence({table.name: table for table in read_tables}, evaluated)
