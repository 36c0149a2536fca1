"""The plan of a study: its runs, costs and states, as objects, as JSON and as a page."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_runs import finished
from study_files import ROOT, copied, edit, study

from looksam.cli import main
from looksam.costs import Device
from looksam.errors import UserError
from looksam.overview import planned
from looksam.plan import Plan, chosen

LOOKSAM = [sys.executable, "-m", "looksam.cli"]
PAPER = [ROOT / "config/paper.yaml"]
SMOKE = {"scale": "smoke", "tables": ["table7", "table9"]}
TABLE4 = ["plan", "--config", "config/paper.yaml", "--table", "table4", "--device", "tpu-v3", "--json"]
DEVICE = Device("test", peak=1e12, utilisation=0.5, f_sam=2.0, reuse=0.0, basis="assumed")


def plan_of(root: Path = ROOT, devices: int | None = None, **chosen: Any) -> Plan:
    return Plan(study(root, **chosen), lambda settings: DEVICE, devices, time.time())


@pytest.fixture(scope="module")
def paper() -> Plan:
    return plan_of(scale="paper")


@pytest.fixture(scope="module")
def table4() -> list[dict[str, Any]]:
    """What the command of the issue prints."""
    done = subprocess.run([*LOOKSAM, *TABLE4], cwd=ROOT, capture_output=True, text=True, check=True)
    objects: list[dict[str, Any]] = json.loads(done.stdout)
    return objects


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_cell_of_table_4_is_an_object_in_the_papers_terms(table4: list[dict[str, Any]]) -> None:
    cells = [(cell["method"], cell["batch_size"]) for cell in table4]
    methods, sizes = ("vanilla", "layersam", "look-layersam-5"), (4096, 8192, 16384, 32768)
    assert cells == [(method, size) for method in methods for size in sizes]
    wanted = {"table", "method", "batch_size", "devices", "device_hours", "hours", "state", "model", "seeds"}
    assert all(wanted <= cell.keys() for cell in table4)


def test_a_cells_hours_are_of_one_seed(table4: list[dict[str, Any]]) -> None:
    first = table4[0]
    assert (first["seeds"], len(first["runs"]), first["published_hours"]) == (3, 3, 4.8)
    assert first["hours"] == pytest.approx(4.8)
    assert first["device_hours_left"] == pytest.approx(3 * first["device_hours"])


def test_device_hours_are_devices_times_hours(table4: list[dict[str, Any]]) -> None:
    assert [cell["devices"] for cell in table4[:4]] == [128, 256, 512, 1024]
    assert all(cell["device_hours"] == pytest.approx(cell["devices"] * cell["hours"]) for cell in table4)


def test_the_total_counts_the_runs_that_tables_share_once(paper: Plan) -> None:
    assert paper.total.runs == len(paper.study.runs) == 597
    assert sum(tally.runs for tally in paper.tallies) > 597


def test_a_tally_is_the_sum_of_its_runs(paper: Plan) -> None:
    total, runs = paper.total, paper.runs.values()
    assert total.device_hours == pytest.approx(sum(planned.device_hours for planned in runs))
    assert total.steps == sum(planned.steps for planned in runs)


def test_what_is_done_is_not_to_go(tmp_path: Path) -> None:
    root = copied(tmp_path)
    finished(root, **SMOKE)
    total = plan_of(root, **SMOKE).total
    assert (dict(total.states), total.left, total.hours) == ({"done": 3}, 0, 0)


def test_a_cell_is_as_far_as_its_seed_that_is_furthest_from_done(tmp_path: Path) -> None:
    root = copied(tmp_path)
    finished(root, **SMOKE)
    (first, *_) = plan_of(root, **SMOKE, seeds=2).cells()
    assert (first["state"], first["states"]) == ("missing", {"done": 1, "missing": 1})


def test_why_runs_are_stale_is_counted(tmp_path: Path) -> None:
    root = copied(tmp_path)
    made = finished(root, **SMOKE)
    for run in made.runs:
        (root / f"results/runs/{run}/run.made.json").write_text('{"code": "0"}')
    assert plan_of(root, **SMOKE).total.why == {"id and shards and settings and code changed": 3}


def test_so_many_devices_divide_the_hours(paper: Plan) -> None:
    one, eight = plan_of(devices=1, scale="smoke"), plan_of(devices=8, scale="smoke")
    assert one.total.hours == pytest.approx(8 * eight.total.hours)
    assert one.total.device_hours == pytest.approx(eight.total.device_hours)


@pytest.mark.usefixtures("here")
def test_files_of_the_config_are_laid_over_it_in_order(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("seeds: 7\n")
    assert chosen([*PAPER, more], ["table4"]) == {"scale": "paper", "seeds": 7, "tables": ["table4"]}


@pytest.mark.usefixtures("here")
def test_the_page_fits_100_columns() -> None:
    page = planned(PAPER, [], "tpu-v3", None, as_json=False, probe=False)
    assert max(len(line) for line in page.splitlines()) <= 100


@pytest.mark.usefixtures("here")
def test_the_page_shows_runs_costs_by_k_and_disk() -> None:
    page = planned(PAPER, ["table4"], "tpu-v3", None, as_json=False, probe=False).splitlines()
    assert any(line.split()[:2] == ["total", "36"] for line in page)
    assert ["look-layersam-5", "5", "1.20", "1.17"] in [line.split() for line in page]
    assert any(line.startswith("weights") for line in page)
    assert any("calibrated on the paper's table4" in line for line in page)


@pytest.mark.usefixtures("here")
def test_a_speed_that_nobody_measured_is_marked_so() -> None:
    assert "assumed, not measured" in planned(PAPER, ["table4"], "h100", None, as_json=False, probe=False)


@pytest.mark.usefixtures("here")
def test_a_study_of_less_than_an_hour_is_told_in_seconds() -> None:
    page = planned([ROOT / "config/smoke.yaml"], [], "cpu", None, as_json=False, probe=False)
    assert "device-seconds" in page
    assert "<0.01" not in page


@pytest.mark.usefixtures("here")
def test_a_table_without_runs_costs_nothing() -> None:
    assert json.loads(planned([], ["table9"], "cpu", None, as_json=True, probe=False)) == []
    assert "0 runs" in planned([], ["table9"], "cpu", None, as_json=False, probe=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "tabel4"], r"--table: unknown table 'tabel4'; known: evidence-adamw, evidence-sgd"),
        (["--device", "tpu"], r"unknown device 'tpu'; known: tpu-v3"),
        (["--config", "nowhere.yaml"], r"nowhere.yaml: no such file"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_one_line_that_names_what_is_known(arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", *arguments])
    assert str(end.value.code).startswith("looksam plan: error: ")
    assert said in str(end.value.code)


def test_outside_a_checkout_the_config_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"config/config\.yaml: no such file"):
        planned([], [], "cpu", None, as_json=True, probe=False)


def test_planning_starts_no_torch() -> None:
    code = (
        "import sys; from looksam.cli import main; main(sys.argv[1:]);"
        "main(['plan', '--config', 'config/paper.yaml', '--device', 'tpu-v3']);"
        "sys.exit(bool({'torch', 'numpy', 'pyarrow', 'timm'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code, *TABLE4], cwd=ROOT, check=True, capture_output=True)


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    command = " ".join([*LOOKSAM, *TABLE4])
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 1"], cwd=ROOT, capture_output=True, text=True
    )
    assert (piped.stdout, piped.stderr) == ("[", "")


def test_a_row_that_a_table_varies_is_in_its_objects(tmp_path: Path) -> None:
    alphas = {cell["alpha"] for cell in plan_of(scale="paper", tables=["table5"]).cells()}
    assert alphas == {0.5, 0.7, 1.0}


def test_a_cell_that_the_paper_excludes_is_no_object(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/scales/paper.yaml", lambda scale: scale.update(seeds=1))
    cells = plan_of(root, scale="paper", tables=["table2"]).cells()
    assert ("sam", 65536) not in [(cell["method"], cell["batch_size"]) for cell in cells]


def commands() -> list[str]:
    """The lines of docs/plan.md that a test can run: those that end, and measure nothing."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/plan.md").read_text(), flags=re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if "--watch" not in line and "--probe" not in line]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_documentation_works(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(tmp_path)
    study(root, **SMOKE).write_requests()
    monkeypatch.chdir(root)
    name, *arguments = line.split()
    main(arguments)
    assert name == "looksam"
    assert capsys.readouterr().out
