"""What rests on which tables: the paper's claims, the evidence study, and what the report says of both."""

from collections.abc import Collection, Mapping
from typing import Any

from looksam.cells import Table
from looksam.config import Row, claimed


def resting_on(names: Collection[str], tables: Mapping[str, Table]) -> Row:
    """The tabulated and evaluated files of these tables that the study has, in its order."""
    kept = [table for name, table in tables.items() if name in names]
    return {
        "tables": [f"results/tables/{table.name}.parquet" for table in kept],
        "evaluations": [f"results/evaluations/{table.name}.parquet" for table in kept if table.runs],
    }


def judging(claims: Row, tables: Mapping[str, Table]) -> Row:
    """The request that judges the paper's claims, less its code. claims: what config/claims.yaml says."""
    asked = {key: claims[key] for key in ("claims", "answer")}
    return asked | resting_on(claimed(asked), tables)


def gathering(asked: Row, tables: Mapping[str, Table], serving: Mapping[str, Any]) -> Row | None:
    """The request that gathers the evidence study, less its code; None where this study has none of it.

    asked: the config's `evidence`. serving: by table, the search that serves it.
    """
    if not any(name in tables for name in asked["tables"]):
        return None
    searches = [serving[name].name for name in asked["tables"] if name in serving]
    of_runs = resting_on([*asked["tables"], *searches], tables)
    on_the_side = resting_on(asked["map"], tables)["evaluations"]
    return {"tables": of_runs["tables"], "evaluations": of_runs["evaluations"] + on_the_side}


def reporting(claims: Row, judged: Row, gathered: Row | None) -> Row:
    """What the report's request says of claims and evidence.

    judged, gathered: their requests. is_of_claims: some claim rests on the study's tables. evidence: what is
    asked of the evidence study, and where its runs are; None where it is no part of this study.
    """
    known = {"asked": claims["evidence"], "runs": "results/evidence/runs.csv"}
    return {"is_of_claims": bool(judged["tables"]), "evidence": None if gathered is None else known}
