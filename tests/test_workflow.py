"""The workflow as a user meets it: run once at the smoke scale, then edited and planned again."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from browsing import heard
from image_trees import tree
from shard_servers import served
from study_files import checkout, edit

from looksam.config import read_yaml
from looksam.digits import digits
from looksam.sharding import Options, shard_to

REPOSITORY = Path(__file__).parent.parent
SMOKE = "config/smoke.yaml"

pytestmark = pytest.mark.workflow


class Study:
    """A checkout in a folder of its own, and Snakemake run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        command = ["snakemake", *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def run(self, *arguments: str) -> str:
        """What Snakemake said while it ran the study."""
        done = self.snakemake("--cores", "2", *arguments, "--configfile", SMOKE)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def planned(self) -> list[tuple[str, str]]:
        """The jobs that a dry run lists, as (rule, wildcards)."""
        done = self.snakemake("--cores", "2", "-n", "--configfile", SMOKE)
        assert done.returncode == 0, done.stderr + done.stdout
        jobs = re.findall(
            r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", done.stdout + done.stderr, flags=re.MULTILINE
        )
        return sorted(
            (rule, "".join(re.findall(r"wildcards: (.*)", text))) for rule, text in jobs if rule != "all"
        )

    def rules(self) -> dict[str, int]:
        """How many jobs of each rule a dry run lists."""
        return dict(Counter(rule for rule, _ in self.planned()))

    def to_train(self) -> set[str]:
        """The runs that a dry run would train."""
        return {wildcards.removeprefix("run=") for rule, wildcards in self.planned() if rule == "train"}

    def to_train_by_plan(self) -> set[str]:
        """The runs that `looksam plan` would train."""
        command = [sys.executable, "-m", "looksam.cli", "plan", "--config", SMOKE, "--json"]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, check=True)
        cells = [cell for cell in json.loads(done.stdout) if cell["state"] != "done"]
        return {run for cell in cells for run in cell["runs"]}

    def trained(self) -> list[str]:
        """The methods whose runs a dry run would train."""
        runs = [wildcards for rule, wildcards in self.planned() if rule == "train"]
        return [run.split(".")[3] for run in runs]

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose smoke study has run."""
    folder = checkout(tmp_path_factory.mktemp("finished"))
    Study(folder).run()
    return folder


@pytest.fixture(params=["with metadata", pytest.param("metadata lost", marks=pytest.mark.slow)])
def study(request: pytest.FixtureRequest, finished: Path, tmp_path: Path) -> Iterator[Study]:
    """The finished study, to be edited, with Snakemake's own records and without them."""
    folder = tmp_path / "study"
    shutil.copytree(finished, folder, symlinks=True)
    if request.param == "metadata lost":
        shutil.rmtree(folder / ".snakemake" / "metadata")
    yield Study(folder)
    shutil.rmtree(folder)


@pytest.fixture
def fresh(tmp_path: Path) -> Study:
    """A checkout in which nothing has run."""
    return Study(checkout(tmp_path / "fresh"))


@pytest.mark.parametrize(("asked", "workers"), [((), 1), (("--set-threads", "evaluate=2"), 2)])
def test_an_evaluation_reads_by_as_many_processes_as_the_rule_has_threads(
    finished: Path, asked: tuple[str, ...], workers: int
) -> None:
    again = ("--cores", "2", "-n", "-p", "--forcerun", "evaluate", *asked, "--configfile", SMOKE)
    said = Study(finished).snakemake(*again).stdout
    assert re.findall(r"looksam evaluate [^$]*?--workers (\d+)", said) == [str(workers)]


def test_the_chain_ends_in_the_report(finished: Path) -> None:
    assert "Table 7" in (finished / "reports/all_tables.html").read_text()
    assert {path.suffix for path in (finished / "reports/tables").glob("table7.*")} == {".csv", ".md", ".tex"}


def test_snakemakes_own_report_has_the_page_the_tables_and_the_runs(finished: Path) -> None:
    done = Study(finished).snakemake(
        "reports/all_tables.html", "--report", "snakemake.html", "--configfile", SMOKE
    )
    added = set(re.findall(r"^Adding (\S+) ", done.stdout + done.stderr, flags=re.MULTILINE))
    assert added == {"all_tables.html", "table7.csv", "table9.csv", "all_runs.csv"}
    assert "at scale <strong>smoke</strong>" in (finished / "snakemake.html").read_text()


def test_a_browser_shows_the_report_and_finds_nothing_to_refuse(finished: Path, browser: Any) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        said, asked = heard(page)
        page.goto((finished / "reports/all_tables.html").as_uri())
        assert "LookSAM-5" in page.locator("body").inner_text()
        assert (said, len(asked)) == ([], 1)


def test_every_run_leaves_its_files(finished: Path) -> None:
    wanted = {
        "run.json",
        "history.parquet",
        "timing.json",
        "model.safetensors",
        "metrics.json",
        "outcomes.parquet",
    }
    runs = list((finished / "results/runs").iterdir())
    assert runs
    assert all(wanted <= {file.name for file in run.iterdir()} for run in runs)


def test_every_cell_of_a_smoke_table_comes_from_its_runs(finished: Path) -> None:
    cells = pq.read_table(finished / "results/tables/table7.parquet").to_pylist()
    assert [cell["status"] for cell in cells] == ["done"] * len(cells)
    assert all(
        (finished / "results/runs" / run / "metrics.json").is_file() for cell in cells for run in cell["runs"]
    )


def test_a_finished_study_plans_nothing(study: Study) -> None:
    assert study.planned() == []


NEW_METHOD = (
    "config/methods.yaml",
    "vanilla: {k: 0",
    "looksam-7: {k: 7, ascent: global, descent: g_v}\nvanilla: {k: 0",
)
NEW_CELL = ("config/tables/table7.yaml", "looksam-5, ", "looksam-5, looksam-7, ")


def test_a_new_method_in_one_table_plans_its_trainings_and_what_follows(study: Study) -> None:
    study.edit(*NEW_METHOD)
    study.edit(*NEW_CELL)
    assert study.rules() == {"train": 1, "evaluate": 1, "tabulate": 1, "judge": 1, "report": 1}
    assert study.trained() == ["looksam-7"]


def test_a_new_method_that_no_table_names_plans_nothing(study: Study) -> None:
    study.edit(*NEW_METHOD)
    assert study.planned() == []


def test_a_config_change_taken_back_finds_the_old_results(study: Study) -> None:
    study.edit(*NEW_METHOD)
    study.edit(*NEW_CELL)
    study.planned()
    path, old, new = NEW_CELL
    study.edit(path, new, old)
    assert study.planned() == []


def test_a_changed_recipe_value_plans_the_runs_that_use_it(study: Study) -> None:
    study.edit(
        "config/recipes/cifar10-adamw.yaml",
        "when: {descent: g_v}, set: {alpha: 0.7}",
        "when: {descent: g_v}, set: {alpha: 0.6}",
    )
    assert study.rules() == {"train": 1, "evaluate": 1, "tabulate": 1, "judge": 1, "report": 1}
    assert study.trained() == ["looksam-5"]


def test_a_changed_title_plans_its_table_and_the_report(study: Study) -> None:
    study.edit("config/tables/table7.yaml", "title: ", "title: Again, ")
    assert study.rules() == {"tabulate": 1, "judge": 1, "report": 1}


def test_a_changed_template_plans_the_report_alone(study: Study) -> None:
    study.edit("reports/templates/style.css", ":root {", ":root { ")
    assert study.rules() == {"report": 1}


EQUATION = (
    "looksam/ascent.py",
    "return list(torch._foreach_mul(g, ratio(torch.full_like(length, rho), length)))",
)


def test_an_edited_equation_plans_the_sharpness_aware_runs_and_not_the_base(study: Study) -> None:
    path, line = EQUATION
    study.edit(path, line, line.replace("rho)", "2 * rho)"))
    assert study.trained() == ["looksam-5", "sam-5"]


def lose(study: Study, pattern: str) -> None:
    for path in (study.folder / "results").glob(pattern):
        path.unlink()


def new_method(study: Study) -> None:
    study.edit(*NEW_METHOD)
    study.edit(*NEW_CELL)


CHANGES: dict[str, Callable[[Study], object]] = {
    "nothing": lambda study: None,
    "a new method": new_method,
    "an equation": lambda study: study.edit(*EQUATION, EQUATION[1].replace("rho)", "2 * rho)")),
    "the code of shards": lambda study: study.edit("looksam/shards.py", "    return ", "    1\n    return "),
    "a model gone": lambda study: lose(study, "runs/*vanilla*/model.safetensors"),
    "a model gone, a new method": lambda study: (
        lose(study, "runs/*vanilla*/model.safetensors"),
        new_method(study),
    ),
    "the index gone": lambda study: lose(study, "shards/*/index.parquet"),
    "the index gone, a new method": lambda study: (lose(study, "shards/*/index.parquet"), new_method(study)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_looksam_plan_trains_what_snakemake_would(study: Study, change: str) -> None:
    CHANGES[change](study)
    by_plan = study.to_train_by_plan()
    assert by_plan == study.to_train()
    # and once the requests are written, too
    assert by_plan == study.to_train_by_plan()


def test_an_edit_of_another_methods_equation_plans_nothing(study: Study) -> None:
    study.edit("looksam/ascent.py", "scales = ratio(rho * Lambda", "scales = ratio(2 * rho * Lambda")
    assert study.planned() == []


def test_an_equation_taken_back_plans_nothing(study: Study) -> None:
    path, line = EQUATION
    study.edit(path, line, line + "  # edited")
    study.edit(path, line, line.replace("rho)", "2 * rho)"))
    study.planned()
    study.edit(path, line.replace("rho)", "2 * rho)"), line)
    assert study.planned() == []


def test_an_edited_comment_or_docstring_plans_nothing(study: Study) -> None:
    study.edit(
        "looksam/ascent.py", '"""Perturbation of SAM', '# looking ahead\n    """The perturbation of SAM'
    )
    study.edit("looksam/train.py", '"""Train the run of', '"""To train the run of')
    assert study.planned() == []


def test_an_edit_of_the_evaluation_plans_no_training(study: Study) -> None:
    study.edit("looksam/outcomes.py", "topk(min(5, ", "topk(min(4, ")
    assert study.rules() == {"evaluate": 1, "tabulate": 1, "judge": 1, "report": 1}


def test_a_new_training_replaces_nothing_and_keeps_the_others_metrics(study: Study) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (study.folder / "results/runs").glob("*/metrics.json")}
    study.edit(*NEW_METHOD)
    study.edit(*NEW_CELL)
    study.run()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert "LookSAM-5" in (study.folder / "reports/tables/table7.md").read_text()
    assert study.planned() == []


def test_a_diverged_run_is_shown_and_stops_nothing(study: Study) -> None:
    study.edit("config/scales/smoke.yaml", "settings:\n", "settings:\n  peak_lr: 1.0e+30\n")
    study.run()
    assert "diverged" in (study.folder / "reports/tables/table7.md").read_text()


def test_a_dry_run_beside_a_running_study_leaves_its_requests_alone(study: Study) -> None:
    study.edit(*NEW_METHOD)
    study.edit(*NEW_CELL)
    locks = study.folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").touch()  # what Snakemake holds while it runs
    assert study.planned() == []


def test_a_mistake_in_the_config_is_said_without_a_traceback(fresh: Study) -> None:
    fresh.edit("config/tables/table7.yaml", "vanilla, ", "vanila, ")
    done = fresh.snakemake("-n", "--configfile", SMOKE)
    assert done.returncode == 1
    wanted = "looksam: error: config/tables/table7.yaml: unknown method 'vanila'; known: vanilla, sam"
    assert done.stderr.splitlines()[-1].startswith(wanted)
    assert "File " not in done.stderr + done.stdout


@pytest.mark.parametrize("quiet", [[], ["--quiet", "host", "rules", "reason"]], ids=["all told", "quiet"])
def test_missing_data_is_said_last_with_the_path_of_the_log(fresh: Study, quiet: list[str]) -> None:
    paper = ["--configfile", "config/paper.yaml", "--", "results/tables/table7.parquet"]
    done = fresh.snakemake("--cores", "1", *quiet, *paper)
    *_, error, log = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert "data/cifar10 does not exist" in error
    assert re.fullmatch(r"its log: results/logs/shard/cifar10\.[0-9a-f]{8}\.log", log)


def test_a_failed_sharding_goes_on_with_the_tars_that_it_finished(fresh: Study) -> None:
    photos = tree(fresh.folder / "data/photos", train=40, val=6)
    counts = {"classes": 2, "train_images": 40, "test_images": 6, "per_shard": 6}
    out = fresh.folder / "results/shards/photos.00000000"
    out.mkdir(parents=True)
    dataset = {"name": "photos", "source": "files"} | counts
    (out / "source.json").write_text(json.dumps({"dataset": dataset, "code": "0"}))
    broken = photos / "train/n0001/train.3.JPEG"
    content = broken.read_bytes()
    broken.write_bytes(b"<html>")
    target = f"results/shards/{out.name}/index.parquet"
    failed = fresh.snakemake("--cores", "2", target, "--configfile", SMOKE)
    assert "1 of 40 train images are broken" in failed.stderr
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert len(kept) == 7
    broken.write_bytes(content)
    fresh.run(target)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(pq.read_table(out / "index.parquet")) == 46
    assert (out / "source.made.json").read_text() == (out / "source.json").read_text()


def test_a_truncated_array_of_images_is_named_and_the_other_results_stay(study: Study) -> None:
    images = next((study.folder / "results/shards").glob("digits.*/train.npy"))
    os.truncate(images, 10_000)
    study.edit(*NEW_METHOD)
    study.edit(*NEW_CELL)
    done = study.snakemake("--cores", "1", "--configfile", SMOKE)
    assert done.returncode == 1
    assert "train.npy" in done.stderr.strip().splitlines()[-2]
    assert len(list((study.folder / "results/runs").glob("*/model.safetensors"))) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--profile", "slurm", "-n", "reports/all_tables.html"],
        ["--profile", "tpu", "-n", "reports/all_tables.html"],
        ["-n", "reports/all_tables.html", "--configfile", "config/paper.yaml"],
    ],
    ids=["slurm", "tpu", "paper"],
)
def test_the_papers_scale_is_planned_on_a_fresh_clone(fresh: Study, arguments: list[str]) -> None:
    done = fresh.snakemake(*arguments)
    assert done.returncode == 0, done.stderr
    # 103 settings of Tables 1 to 8 and Figure 4, three seeds each, and 24 rows of 12 trials
    assert re.search(r"^train +597$", done.stdout + done.stderr, flags=re.MULTILINE)


def test_the_cifar_scale_is_planned_on_a_fresh_clone(fresh: Study) -> None:
    done = fresh.snakemake("-n", "reports/all_tables.html", "--configfile", "config/cifar.yaml")
    assert done.returncode == 0, done.stderr
    # 54 settings of Tables 7 and 8 and Figure 4, three seeds each, and the trials
    assert re.search(r"^train +450$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert re.search(r"^choose +24$", done.stdout + done.stderr, flags=re.MULTILINE)


@pytest.mark.slow
def test_a_table_is_made_of_shards_at_a_url(fresh: Study, tmp_path: Path) -> None:
    path = fresh.folder / "config/datasets.yaml"
    row = read_yaml(path)["digits"]
    shard_to(digits(row, tmp_path), tmp_path / "shards", Options(per_shard=100), lambda done: None)
    with served(tmp_path / "shards") as server:
        at_a_url = {"shards": server.url, "decode": "streamed", "resize": 8}
        edit(path, lambda datasets: datasets.update(digits=without(row, "source", "per_shard") | at_a_url))
        fresh.run("results/tables/table9.parquet")
    table = pq.read_table(fresh.folder / "results/tables/table9.parquet")
    assert table.num_rows > 0
    assert not list((fresh.folder / "results").rglob("*.tar"))


def without(row: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}
