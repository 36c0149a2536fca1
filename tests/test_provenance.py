"""Where each run comes from; the run is a training of a second, evaluated for real."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from shlex import split
from typing import Any

import pytest
from tiny_runs import digit_shards, sha256, trained

from looksam.evaluate import evaluate
from looksam.provenance import Provenance, command, flat, provenances, read, stale
from looksam.requests import made_path

REQUEST: dict[str, Any] = {
    "chosen": {"scale": "smoke", "tables": ["table7"]},
    "runs": {"good": "0"},
    "is_of_claims": True,
    "evidence": None,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    folder = trained(tmp_path_factory.mktemp("study") / "runs" / "good", shards)
    # as the command leaves it, once it has trained
    made_path(folder / "run.json").write_text((folder / "run.json").read_text())
    return folder


def rows(run: Path) -> dict[str, dict[str, Any]]:
    """What the evaluation of the run says."""
    request, out = run.parents[1] / "table7.json", run.parents[1] / "table7.parquet"
    request.write_text(json.dumps({"runs": [{"run": run.name, "code": "c"}]}))
    evaluate(request, run.parent, out)
    return read([out])


def known(run: Path) -> Provenance:
    return provenances(rows(run).values(), REQUEST)[run.name]


def test_a_run_says_its_settings_by_dotted_name(run: Path) -> None:
    settings = known(run).settings
    assert (settings["method.k"], settings["model.name"], settings["seed"]) == ("5", "tiny", "0")


def test_a_run_says_which_code_trained_it(run: Path) -> None:
    assert known(run).code == "0"


def test_a_run_says_the_digest_of_its_data(run: Path, shards: Path) -> None:
    assert known(run).data_sha256 == sha256(shards / "index.parquet")


def test_a_run_says_where_and_how_long_it_was_trained(run: Path) -> None:
    timing = json.loads((run / "timing.json").read_text())
    found = known(run)
    assert found.seconds == timing["seconds"]
    assert found.packages["torch"] == timing["environment"]["torch"]


def test_a_run_of_the_present_code_and_data_has_no_mark(run: Path) -> None:
    assert known(run).stale == ""


def test_a_run_of_other_code_is_marked(run: Path) -> None:
    (row,) = rows(run).values()
    assert stale(row, "other") == "trained by other code than the present"


def test_a_run_of_older_data_is_marked(run: Path, shards: Path) -> None:
    index = shards / "index.parquet"
    before = index.stat()
    os.utime(index, (before.st_atime + 1e6, before.st_mtime + 1e6))
    try:
        assert known(run).stale == "its data are newer than its weights"
    finally:
        os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_run_that_nobody_asks_for_is_marked(run: Path) -> None:
    (row,) = rows(run).values()
    assert stale(row, None) == "the config asks for no such run any more"


def test_the_command_survives_a_shell() -> None:
    words = split(command("a", {"scale": "x y", "tables": ["it's"]}))
    assert words[-2:] == ['scale="x y"', 'tables=["it\'s"]']


def test_provenance_is_plain_fields(run: Path) -> None:
    assert json.loads(json.dumps(asdict(known(run))))["run"] == "good"


def test_nested_settings_are_flat() -> None:
    assert flat({"model": {"depth": 2}, "name": "a"}) == {"model.depth": "2", "name": "a"}
