"""What rests on which tables: requests that judge the claims and gather the evidence study, torch-free."""

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
