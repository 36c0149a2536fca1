"""Which runs are done, and why others are not. That Snakemake agrees is proven in test_workflow.py."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import TRAINED, finished, say
from study_files import ROOT, alter, copied, edit, study

from looksam.requests import write_request
from looksam.results import OUTPUTS, SHARD_OUTPUTS, stamp_of
from looksam.states import NOW, State, States, request_stamp
from looksam.study import Study

SMOKE = {"scale": "smoke", "tables": ["table7", "table9"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose smoke study of three runs is finished."""
    root = copied(tmp_path)
    finished(root, **SMOKE)
    return root


def states(root: Path) -> dict[str, State]:
    """The state of each run by its method, of the config and code as they stand."""
    found = study(root, **SMOKE)
    judged = States(found, found.requests(), time.time())
    return {run.id.split(".")[3]: judged.state(run) for run in found.runs.values()}


def folder(root: Path, method: str) -> Path:
    (found,) = (root / "results/runs").glob(f"*.{method}.*")
    return found


def lose(root: Path, pattern: str) -> None:
    for path in (root / "results").glob(pattern):
        path.unlink()


def touch(root: Path, pattern: str, seconds: float | None = None) -> None:
    for path in (root / "results").glob(pattern):
        os.utime(path, None if seconds is None else (seconds, seconds))


def new_method(root: Path) -> None:
    row = {"k": 7, "ascent": "global", "descent": "g_v"}
    edit(root / "config/methods.yaml", lambda methods: methods.update({"looksam-7": row}))
    edit(root / "config/tables/table7.yaml", lambda table: table["columns"]["method"].append("looksam-7"))


def test_a_finished_study_is_done(root: Path) -> None:
    assert set(states(root).values()) == {State("done")}


def test_nothing_is_done_before_anything_runs(tmp_path: Path) -> None:
    assert set(states(copied(tmp_path)).values()) == {State("missing")}


def test_a_new_method_is_missing_and_the_others_are_done(root: Path) -> None:
    new_method(root)
    assert states(root) == {
        "vanilla": State("done"),
        "sam-5": State("done"),
        "looksam-5": State("done"),
        "looksam-7": State("missing"),
    }


def test_edited_code_makes_the_runs_stale_that_use_it(root: Path) -> None:
    alter(root / "looksam/ascent.py", "whole_model")
    assert states(root) == {
        "vanilla": State("done"),
        "sam-5": State("stale", "code changed"),
        "looksam-5": State("stale", "code changed"),
    }


def test_code_taken_back_makes_them_done_again(root: Path) -> None:
    before = (root / "looksam/ascent.py").read_text()
    alter(root / "looksam/ascent.py", "whole_model")
    study(root, **SMOKE).write_requests()
    (root / "looksam/ascent.py").write_text(before)
    assert set(states(root).values()) == {State("done")}


def test_newer_shards_make_their_runs_stale(root: Path) -> None:
    touch(root, "shards/*/index.parquet")
    assert set(states(root).values()) == {State("stale", "data newer")}


def test_shards_that_are_to_be_made_anew_make_their_runs_stale(root: Path) -> None:
    alter(root / "looksam/shards.py", "requested")
    assert set(states(root).values()) == {State("stale", "data changed")}


def test_a_request_newer_than_the_result_makes_it_stale(root: Path) -> None:
    lose(root, "runs/*/run.made.json")
    touch(root, "runs/*.vanilla.*/run.json")
    assert states(root)["vanilla"] == State("stale", "request newer")


def test_weights_that_are_gone_are_missing_only_where_their_table_is_to_be_evaluated(root: Path) -> None:
    lose(root, "runs/*.vanilla.*/model.safetensors")
    assert states(root)["vanilla"] == State("done")
    new_method(root)
    assert states(root)["vanilla"] == State("missing")


def test_weights_that_are_gone_are_missing_where_nothing_was_evaluated(root: Path) -> None:
    lose(root, "runs/*.vanilla.*/model.safetensors")
    lose(root, "evaluations/*.parquet")
    assert states(root)["vanilla"] == State("missing")


def test_shards_that_are_gone_matter_only_to_what_is_to_be_trained(root: Path) -> None:
    lose(root, "shards/*/index.parquet")
    assert set(states(root).values()) == {State("done")}
    new_method(root)
    assert states(root) == {
        "vanilla": State("stale", "data missing"),
        "sam-5": State("stale", "data missing"),
        "looksam-5": State("stale", "data missing"),
        "looksam-7": State("missing"),
    }


def test_a_training_that_said_a_word_lately_is_running(root: Path) -> None:
    new_method(root)
    found = study(root, **SMOKE)
    (run,) = (run for run in found.runs if ".looksam-7." in run)
    say(root / "results/runs" / run, step=25, steps=100)
    assert states(root)["looksam-7"] == State("running", part=0.25)


def test_a_training_that_said_nothing_for_long_is_not_running(root: Path) -> None:
    alter(root / "looksam/ascent.py", "whole_model")
    say(folder(root, "sam-5"), updated=time.time() - 3600)
    assert states(root)["sam-5"] == State("stale", "code changed")


def test_a_preempted_training_is_preempted_however_long_ago(root: Path) -> None:
    alter(root / "looksam/ascent.py", "whole_model")
    say(folder(root, "sam-5"), step=50, updated=time.time() - 9000)
    say(folder(root, "sam-5"), "preempted.json", step=50, updated=time.time() - 9000)
    assert states(root)["sam-5"] == State("preempted", part=0.5)


def test_the_last_word_of_a_finished_training_leaves_it_done(root: Path) -> None:
    say(folder(root, "sam-5"), step=100, steps=100)
    assert states(root)["sam-5"] == State("done")


def test_judging_writes_nothing(root: Path) -> None:
    new_method(root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    states(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def changes() -> dict[str, Callable[[Path], object]]:
    return {
        "unchanged": lambda path: None,
        "another text": lambda path: path.write_text("{}"),
        "touched": os.utime,
        "gone": Path.unlink,
        "no copy": lambda path: path.with_suffix(".made.json").unlink(),
        "another copy": lambda path: path.with_suffix(".made.json").write_text("{}"),
    }


@pytest.mark.parametrize("change", changes())
def test_a_requests_stamp_is_foretold_as_it_is_then_written(root: Path, change: str) -> None:
    path = folder(root, "vanilla") / "run.json"
    found: Study = study(root, **SMOKE)
    content = found.requests()[str(path.relative_to(root))]
    changes()[change](path)
    foretold = request_stamp(path, content)
    found.write_requests()
    # to be written or touched: newer than every result, whenever that is
    assert stamp_of(path) > TRAINED * 10**9 if foretold == NOW else stamp_of(path) == foretold


def outputs_of(rule: str, text: str) -> set[str]:
    block = text.split(f"rule {rule}:")[1].split("output:")[1].split("log:")[0]
    return {Path(path).name for path in re.findall(r'"(results/[^"]+)"', block)}


def test_the_outputs_are_those_of_the_rules() -> None:
    rules = ROOT / "workflow/rules"
    assert outputs_of("train", (rules / "train.smk").read_text()) == set(OUTPUTS)
    assert outputs_of("shard", (rules / "data.smk").read_text()) == set(SHARD_OUTPUTS)


def test_a_request_written_as_text_is_read_as_its_content(tmp_path: Path) -> None:
    write_request(tmp_path / "run.json", '{\n "id": "a"\n}\n')
    assert request_stamp(tmp_path / "run.json", {"id": "a"}) == stamp_of(tmp_path / "run.json")
