"""A choice: the best trial of one row of a search, and the runs that take their values from it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.files import replace_with

# settings of a run that stand in its method
OF_METHOD = ("rho", "alpha")


def run_text(request: Path) -> str:
    """The text of a run.json, with the values that a search chose in place of a reference to them."""
    return with_choice(request.read_text(), request)


def chosen_path(request: Path) -> Path:
    """Where the text with chosen values that a finished run was trained with is kept: `run.chosen.json`."""
    return request.with_suffix(".chosen" + request.suffix)


def with_choice(text: str, request: Path) -> str:
    """The request's text with chosen values in place of a reference to them; without one, the text itself.

    The reference's path is relative to the working directory, as all paths in a request are.
    """
    run = json.loads(text)
    reference = run["settings"].pop("chosen", None)
    if reference is None:
        return text
    values = chosen_values(reference, request)
    return json.dumps(run | {"settings": with_values(run["settings"], values)}, indent=1)


def chosen_values(reference: Mapping[str, Any], request: Path) -> dict[str, float]:
    """The values that {"from": path, "settings": names} refers to. UserError where they are not there."""
    path, names = reference["from"], reference["settings"]
    try:
        known = json.loads(Path(path).read_text())["settings"]
    except FileNotFoundError:
        raise UserError(
            f"{request} takes {', '.join(names)} from {path}, which is not there: the search has not ended; "
            f"`snakemake --cores all {path}` runs it"
        ) from None
    if missing := [name for name in names if name not in known]:
        raise UserError(
            f"{path} has no {', '.join(missing)}, which {request} takes from it; delete it and run snakemake "
            "again"
        )
    return {name: known[name] for name in names}


def with_values(settings: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """The settings with these values, wherever each of them stands."""
    of_method = {key: value for key, value in values.items() if key in OF_METHOD}
    own = {key: value for key, value in values.items() if key not in OF_METHOD}
    return {**settings, "method": {**settings["method"], **of_method}, **own}


def best(top1s: Sequence[float | None]) -> int | None:
    """Position of the highest top-1, the first of equals; None is a trial that diverged, and loses."""
    kept = {position: top1 for position, top1 in enumerate(top1s) if top1 is not None}
    return max(kept, key=lambda position: kept[position], default=None)


def choose(request: Path, runs: Path, chosen: Path, workers: int | None = None) -> None:
    """Write to `chosen` the values of the best of the trials that `request` lists, by its validation top-1.

    request: {"search", "table", "row", "trials": [{"run": id, "settings": its values}, ...]}. runs: the
    folder of all runs. workers: as of `Care`.
    """
    # here, because training reads choices too, and needs nothing of evaluation
    from looksam.evaluate import run_metrics
    from looksam.fingerprint import Code
    from looksam.identity import words

    asked, code = json.loads(request.read_text()), Code()
    top1s = []
    for trial in asked["trials"]:
        settings = json.loads((runs / trial["run"] / "run.json").read_text())["settings"]
        fingerprint = code.fingerprint("evaluate", "evaluate", words(settings))
        top1s.append(run_metrics(runs / trial["run"], fingerprint, workers=workers)["top1"])
    position = best(top1s)
    if position is None:
        raise UserError(
            f"every trial of {asked['row']} diverged; narrow the space in config/tables/{asked['table']}.yaml"
        )
    winner = {"trial": position + 1, "of_trials": len(top1s), **asked["trials"][position]}
    about = {key: asked[key] for key in ("search", "table", "row")}
    replace_with(chosen, json.dumps(about | winner, indent=1) + "\n")


def chosen_runs(
    asked: Mapping[str, Any], evaluated: Mapping[str, Mapping[str, Any]], files: Sequence[Path]
) -> set[str]:
    """The runs of a search's table that were chosen. UserError where by its evaluation others would be.

    asked: the table's request. evaluated: by run, its evaluation. files: the choices, one a row.
    """
    winners = set()
    for row, path in enumerate(files):
        choice = json.loads(path.read_text())
        runs = [run for cell in asked["cells"] if cell["row"] == row for run in cell["runs"]]
        position = best([evaluated[run]["top1"] for run in runs])
        run = None if position is None else runs[position]
        if run != choice["run"]:
            raise UserError(
                f"{asked['table']}: by today's evaluation {run} is the best trial of {choice['row']}, but "
                f"{path} chose {choice['run']}; delete it and run snakemake again, which trains anew what "
                "takes its values"
            )
        winners.add(choice["run"])
    return winners
