"""The page of a study as it stands, of runs made by hand."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_runs import finished, say
from study_files import ROOT, alter, copied, study

from looksam.results import OUTPUTS
from looksam.so_far import so_far

SMOKE: dict[str, Any] = {"scale": "smoke", "tables": ["table7", "table9"], "seeds": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose smoke study, of two seeds a cell, is finished and evaluated."""
    root = copied(tmp_path)
    made = finished(root, **SMOKE)
    for run in made.requests()["results/evaluations/table7.json"]["runs"]:
        folder = root / "results/runs" / run["run"]
        (folder / "metrics.json").write_text(
            json.dumps({"code": run["code"], "top1": 0.9, "diverged_at_step": None})
        )
        (folder / "timing.json").write_text(json.dumps({"seconds": 3600.0}))
        os.utime(folder / "timing.json", (1_000_000_100, 1_000_000_100))
    return root


def folder(root: Path) -> Path:
    """The folder of one run of two: SAM-5, seed 1."""
    (found,) = (root / "results/runs").glob("*.sam-5.s1.*")
    return found


def lose(run: Path) -> None:
    for name in OUTPUTS:
        (run / name).unlink()
    # or nobody would ask for the run's weights
    (run.parents[1] / "evaluations/table7.parquet").unlink()


def log(root: Path, text: str, seconds_ago: float = 0.0) -> None:
    path = root / f"results/logs/train/{folder(root).name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - seconds_ago,) * 2)


def page(root: Path) -> str:
    """The page's source."""
    html = root / "so_far.html"
    so_far(study(root, **SMOKE), time.time(), ROOT / "reports/templates", html)
    return html.read_text(encoding="utf-8")


def said(root: Path) -> list[str]:
    """What the cells of SAM-5 and the others say, line by line."""
    return re.findall(r'<div class="(?:ours|paper)">(.*?)</div>', page(root))


def test_a_finished_cell_says_of_how_many_seeds_it_is(root: Path) -> None:
    assert said(root) == ["top-1 accuracy (%): 90, 2 of 2 seeds"] * 3


def test_a_cell_without_one_of_its_runs_says_so(root: Path) -> None:
    lose(folder(root))
    assert "top-1 accuracy (%): 90, 1 of 2 seeds" in said(root)
    assert "1 of 2 not run" in said(root)


def test_a_running_one_says_how_far_it_is(root: Path) -> None:
    lose(folder(root))
    say(folder(root))
    assert "1 of 2 running: 25% done" in said(root)


def test_a_preempted_one_says_so(root: Path) -> None:
    lose(folder(root))
    say(folder(root), "preempted.json")
    assert "1 of 2 preempted, goes on when run again: 25% done" in said(root)


def test_a_failed_one_says_its_error(root: Path) -> None:
    lose(folder(root))
    log(root, "epoch 1\n<b>RuntimeError</b>: out of memory\n\n", seconds_ago=9999)
    assert "1 of 2 failed: &lt;b&gt;RuntimeError&lt;/b&gt;: out of memory" in said(root)


def test_one_that_stopped_without_an_error_says_its_last_line(root: Path) -> None:
    lose(folder(root))
    log(root, "epoch 1 of 3\n", seconds_ago=9999)
    assert "1 of 2 stopped: its log ends in epoch 1 of 3" in said(root)


def test_other_code_makes_cells_stale(root: Path) -> None:
    alter(root / "looksam/training.py", first_function(root))
    assert "2 of 2 stale: code changed" in said(root)


def first_function(root: Path) -> str:
    """A function of training.py."""
    found = re.search(r"^def (\w+)", (root / "looksam/training.py").read_text(), re.M)
    assert found
    return found[1]


def test_a_diverged_one_says_at_which_step(root: Path) -> None:
    path = folder(root) / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top1": None, "diverged_at_step": 7}))
    assert "1 of 2 diverged: at step 7" in said(root)


def test_metrics_of_another_evaluation_are_not_shown(root: Path) -> None:
    path = folder(root) / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "older"}))
    assert "1 of 2 trained but not evaluated" in said(root)


def test_the_page_says_that_it_is_not_the_report(root: Path) -> None:
    html = page(root)
    assert "<title>UNFINISHED" in html
    assert "This is not the report." in html


def test_nothing_but_the_page_is_written(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    page(root)
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} == {"so_far.html"}


def test_it_starts_no_torch(root: Path) -> None:
    code = (
        "import sys; from looksam.cli import main; "
        f"main(['report', '--so-far', '--templates', {str(ROOT / 'reports/templates')!r}]); "
        "sys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True)
    assert (root / "reports/so_far.html").is_file()
