"""A search as a user meets it: trials on digits, and the runs that take the best one's values."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from test_workflow import SMOKE, Study, checkout

from looksam.choice import best

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

SEARCH = "config/tables/search-tiny.yaml"
TRIALS, VALIDATION_IMAGES, TEST_IMAGES = 2, 100, 1497

FILES: dict[str, dict[str, Any]] = {
    "config/tables/tiny.yaml": {
        "title": "A table whose values are searched",
        "runs": {"recipe": "cifar10-adamw", "model": "resnet-18"},
        "rows": {"model": ["resnet-18"]},
        "columns": {"method": ["vanilla", "looksam-5", "looksam-10"]},
        "cell": ["top1"],
    },
    SEARCH: {
        "title": "Their search",
        "runs": {"recipe": "cifar10-adamw"},
        "rows": {"model": ["resnet-18"], "method": ["vanilla", "looksam-5"]},
        "search": {
            "trials": TRIALS,
            "validation_images": VALIDATION_IMAGES,
            "space": {
                "peak_lr": {"low": 0.001, "high": 0.03, "scale": "log"},
                "alpha": {"low": 0.1, "high": 0.9, "scale": "linear"},
            },
        },
    },
    SMOKE: {"scale": "smoke", "tables": ["tiny"]},
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which a table and its search have run, in one go."""
    folder = checkout(tmp_path_factory.mktemp("searched"))
    for path, content in FILES.items():
        (folder / path).write_text(yaml.safe_dump(content, sort_keys=False))
    study = Study(folder)
    study.edit("config/scales/smoke.yaml", "settings:\n", "searches: {tiny: search-tiny}\n\nsettings:\n")
    study.run()
    return folder


@pytest.fixture
def study(ended: Path, tmp_path: Path) -> Iterator[Study]:
    """The searched study, to be edited."""
    folder = tmp_path / "study"
    shutil.copytree(ended, folder, symlinks=True)
    yield Study(folder)
    shutil.rmtree(folder)


def choices(folder: Path) -> dict[str, dict[str, Any]]:
    """By method, what the search chose."""
    paths = (folder / "results/searches").glob("*/chosen.json")
    return {path.parent.name.split(".")[3]: json.loads(path.read_text()) for path in paths}


def runs(folder: Path) -> dict[str, dict[str, Any]]:
    """By run, its request."""
    paths = (folder / "results/runs").glob("*/run.json")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def metrics(folder: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results/runs" / run / "metrics.json").read_text())
    return found


def test_the_trial_that_is_best_on_the_images_held_out_is_chosen(ended: Path) -> None:
    found = choices(ended)
    assert found.keys() == {"vanilla", "looksam-5"}
    for choice in found.values():
        request = ended / "results/searches" / choice["search"] / "trials.json"
        trials = json.loads(request.read_text())["trials"]
        assert len(trials) == TRIALS
        winner = best([metrics(ended, trial["run"])["top1"] for trial in trials])
        assert winner is not None
        assert choice["run"] == trials[winner]["run"]


def test_the_runs_of_the_table_train_with_the_values_that_were_chosen(ended: Path) -> None:
    for run, request in runs(ended).items():
        if "chosen" in request["settings"]:
            choice = choices(ended)[run.split(".")[3].replace("-10", "-5")]
            history = pq.read_table(ended / "results/runs" / run / "history.parquet")
            assert max(history["lr"].to_pylist()) == choice["settings"]["peak_lr"]


def test_test_images_judge_the_runs_of_the_table_and_no_trial(ended: Path) -> None:
    judged = {run: metrics(ended, run)["images"] for run in runs(ended)}
    finals = {run for run, request in runs(ended).items() if "chosen" in request["settings"]}
    assert judged == {run: TEST_IMAGES if run in finals else VALIDATION_IMAGES for run in judged}
    assert (len(finals), len(judged)) == (3, 3 + 2 * TRIALS)


def test_the_report_marks_the_choice_and_says_how_it_was_made(ended: Path) -> None:
    search, table = ((ended / f"reports/tables/{name}.md").read_text() for name in ("search-tiny", "tiny"))
    assert search.count("chosen)") == 2
    assert "chosen by search-tiny, for each network and method the best of 2 trials" in table
    assert "LookSAM-10 takes LookSAM-5's" in table


def test_a_searched_study_that_has_run_plans_nothing(study: Study) -> None:
    assert study.planned() == []


def test_another_space_plans_the_trials_that_it_concerns_and_the_runs_that_take_their_values(
    study: Study,
) -> None:
    study.edit(SEARCH, "high: 0.9", "high: 0.8")
    assert study.rules() == {"train": 4, "choose": 1, "evaluate": 2, "tabulate": 2, "report": 1}
    assert sorted(study.trained()) == ["looksam-10", *["looksam-5"] * 3]
    study.edit(SEARCH, "high: 0.8", "high: 0.9")
    assert study.planned() == []


def test_an_edit_of_the_evaluation_trains_nothing_where_the_choice_stays(study: Study) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (study.folder / "results").rglob("*.safetensors")}
    study.edit("looksam/outcomes.py", "IMAGES_PER_BATCH = 500", "IMAGES_PER_BATCH = 400")
    study.run()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert study.planned() == []


def test_an_evaluation_that_would_choose_otherwise_is_said_and_its_remedy_trains_anew(study: Study) -> None:
    study.edit("looksam/outcomes.py", '"correct": predicted == label', '"correct": predicted != label')
    done = study.snakemake("--cores", "2", "--configfile", SMOKE)
    assert done.returncode == 1
    assert "is the best trial of" in done.stderr
    for path in (study.folder / "results/searches").glob("*/chosen.json"):
        path.unlink()
    assert sorted(study.trained()) == ["looksam-10", "looksam-5", "vanilla"]


def test_another_choice_trains_the_runs_that_take_its_values(study: Study) -> None:
    path, choice = choice_of(study, "looksam-5")
    path.write_text(json.dumps(choice | {"settings": choice["settings"] | {"alpha": 0.2}}))
    assert sorted(study.trained()) == ["looksam-10", "looksam-5"]


def test_the_same_choice_written_again_trains_nothing(study: Study) -> None:
    path, _ = choice_of(study, "looksam-5")
    path.write_text(path.read_text())
    assert study.planned() == []


def choice_of(study: Study, method: str) -> tuple[Path, dict[str, Any]]:
    """The file of a method's choice, and what it says."""
    choice = choices(study.folder)[method]
    return study.folder / f"results/searches/{choice['search']}/chosen.json", choice
