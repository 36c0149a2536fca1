"""What trains now, from folders as a cluster leaves them at any moment."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_runs import finish, say
from study_files import ROOT
from tiny_runs import SETTINGS

from looksam.cli import main
from looksam.costs import base_operations, passes_per_step
from looksam.errors import UserError
from looksam.results import OUTPUTS
from looksam.status import Status, as_object, page, status
from looksam.words import last_word

NOW = time.time()


def run(results: Path, name: str, **settings: Any) -> Path:
    """The folder of a run that was asked for."""
    folder = results / "runs" / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"id": name, "settings": SETTINGS | settings}))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One run of each kind."""
    say(run(tmp_path, "running"), updated=NOW - 8)
    say(run(tmp_path, "silent"), updated=NOW - 720)
    say(run(tmp_path, "preempted"), "preempted.json", step=25, updated=NOW - 60, signal="SIGTERM")
    say(tmp_path / "runs/preempted", step=25, updated=NOW - 61)
    finish(run(tmp_path, "finished") / "run.json", OUTPUTS, NOW)
    finish(run(tmp_path, "of-old") / "run.json", OUTPUTS, 1e9)
    run(tmp_path, "waiting")
    return tmp_path


def names(found: Status) -> dict[str, list[str]]:
    lists = {"running": found.running, "silent": found.silent, "preempted": found.preempted}
    return {state: [word.run for word in words] for state, words in lists.items()}


def test_each_run_is_told_by_its_files(results: Path) -> None:
    found = status(results, NOW)
    assert names(found) == {"running": ["running"], "silent": ["silent"], "preempted": ["preempted"]}
    assert (found.finished, found.finished_today, found.waiting) == (2, 1, 1)


def test_the_page_shows_where_a_training_stands(results: Path) -> None:
    line = next(line for line in page(status(results, NOW)).splitlines() if line.startswith("running"))
    shown = [
        "running",
        "1/4",
        "25/100",
        "25%",
        "0.5000",
        "75.0%",
        "1,000",
        "2",
        "min",
        "node7",
        "8",
        "s",
        "ago",
    ]
    assert line.split() == shown


def test_a_training_without_a_recent_word_may_be_dead(results: Path) -> None:
    assert "no word for 12 min: dead?" in page(status(results, NOW))


def test_a_preempted_training_that_took_up_again_is_running(results: Path) -> None:
    say(results / "runs/preempted", step=26, updated=NOW)
    assert names(status(results, NOW))["running"] == ["preempted", "running"]


def test_a_finished_training_keeps_its_last_word_and_is_finished(results: Path) -> None:
    say(results / "runs/finished", step=100, steps=100, updated=NOW + 1)
    assert status(results, NOW).finished == 2


def test_a_training_made_anew_over_old_results_is_running(results: Path) -> None:
    say(results / "runs/of-old", updated=NOW)
    assert names(status(results, NOW))["running"] == ["of-old", "running"]


def test_what_is_to_go_is_the_work_left_at_the_rates_of_those_that_run(results: Path) -> None:
    whole = base_operations(SETTINGS) * passes_per_step(SETTINGS)
    images = SETTINGS["dataset"]["train_images"] * SETTINGS["epochs"]
    # three runs with three quarters to go, and one that waits
    left = (3 * 0.75 + 1) * whole / (1000 * whole / images)
    assert status(results, NOW).eta_seconds == pytest.approx(left)


def test_where_nothing_runs_nobody_knows_what_is_to_go(tmp_path: Path) -> None:
    run(tmp_path, "waiting")
    assert status(tmp_path, NOW).eta_seconds is None


HALF_THERE = [
    b"",
    b'{"step": 12, "ste',
    b"null",
    b"[1]",
    b"\xff\xfe",
    b'{"step": "many", "steps": null, "updated": "now"}',
    b'{"step": NaN, "steps": 0, "loss": NaN, "updated": Infinity}',
    b'{"step": true}',
    b"{}",
]


@pytest.mark.parametrize("content", HALF_THERE)
@pytest.mark.parametrize("name", ["progress.json", "preempted.json", "run.json"])
def test_a_file_that_is_half_there_stops_nothing(results: Path, name: str, content: bytes) -> None:
    (results / "runs/running" / name).write_bytes(content)
    found = status(results, NOW)
    assert page(found)
    assert json.loads(json.dumps(as_object(found), allow_nan=False))["silent"]


def test_a_file_that_is_not_there_yet_is_no_word(tmp_path: Path) -> None:
    assert last_word(tmp_path / "nowhere") is None


def test_files_that_come_and_go_stop_nothing(results: Path) -> None:
    flicker = (
        "import pathlib, sys; folder = pathlib.Path(sys.argv[1])\n"
        "while True:\n"
        "    for name in ('progress.json', 'preempted.json', 'model.safetensors', 'run.json'):\n"
        "        (folder / name).write_text('{\"step\": 1, '); (folder / name).unlink()\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", flicker, str(results / "runs/running")])
    try:
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            assert page(status(results, NOW))
    finally:
        writer.kill()
        writer.wait()


def test_what_is_unknown_is_null_in_json(results: Path) -> None:
    (results / "runs/running/progress.json").write_text(f'{{"step": 1, "steps": 9, "updated": {NOW}}}')
    (found,) = as_object(status(results, NOW))["running"]
    assert (found["step"], found["loss"], found["host"]) == (1, None, "")


def test_a_folder_without_runs_is_an_error_that_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no runs in .*`snakemake -n`"):
        status(tmp_path, NOW)


def test_a_clock_that_is_ahead_makes_no_negative_age(results: Path) -> None:
    say(results / "runs/running", updated=NOW + 3600)
    assert "0 s ago" in page(status(results, NOW))


def test_the_command_prints_an_object(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", str(results), "--json"])
    assert json.loads(capsys.readouterr().out)["waiting"] == 1


def test_watching_prints_again_until_it_is_interrupted(results: Path) -> None:
    command = [sys.executable, "-u", "-m", "looksam.cli", "status", str(results), "--watch"]
    watching = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("run ")
    time.sleep(0.2)
    watching.send_signal(2)
    assert watching.wait(timeout=10) == 0
    watching.stdout.close()


def test_looking_starts_no_torch(results: Path) -> None:
    code = (
        "import sys; from looksam.cli import main; main(['status', sys.argv[1]]);"
        "sys.exit(bool({'torch', 'numpy', 'pyarrow'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code, str(results)], cwd=ROOT, check=True, capture_output=True)
