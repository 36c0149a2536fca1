"""`snakemake --profile tpu`, with a stand-in for gcloud that tests our logic, not Google's behaviour."""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from study_files import ROOT, edit
from tpu_site import Site, ended, is_saved, until

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

BATCH_SIZES = (50, 60, 70, 80, 100)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose study is one table of two runs, each on a slice of one host."""
    site = Site(tmp_path, accelerator_types=dict.fromkeys(BATCH_SIZES, "v6e-1"), measuring_type="v6e-1")
    edit(site.checkout / "config/smoke.yaml", lambda content: content.update(tables=["table7"]))

    def two_methods(scale: dict) -> None:
        scale["tables"]["table7"]["leave_out"]["method"].append("sam-5")

    edit(site.checkout / "config/scales/smoke.yaml", two_methods)
    yield site
    for pid in site.processes():
        os.kill(pid, signal.SIGKILL)


def longer(site: Site, epochs: int = 40) -> str:
    """Let the runs take some seconds, or as long as they are let; the id of one of them."""
    edit(site.checkout / "config/scales/smoke.yaml", lambda scale: scale["settings"].update(epochs=epochs))
    profile = "workflow/profiles/tpu/config.yaml"
    text = (site.checkout / profile).read_text()
    (site.checkout / profile).write_text(text.replace("launch --", f"launch -- {site.folder}/often", 1))
    often = site.folder / "often"
    often.write_text('#!/bin/sh\nexec "$@" --seconds-between-checkpoints 0.2\n')
    often.chmod(0o755)
    planned = ended(site.snakemake("-n"))
    return re.findall(r"wildcards: run=(\S*vanilla\S*)", planned)[0]


def of_checkout(site: Site) -> list[int]:
    """All processes of the coordinator that work in the checkout."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.readlink() == site.checkout and int(path.parent.name) not in site.processes():
                found.append(int(path.parent.name))
    return found


def supervisor_of(site: Site, run: str) -> str:
    return (site.checkout / ".tpu/jobs" / f"train.{run}" / "pid").read_text()


def test_a_placeholder_ends_the_submission_before_anything_is_created_and_a_plan_does_without(
    site: Site,
) -> None:
    settings = "workflow/profiles/tpu/settings.yaml"
    shutil.copy(ROOT / settings, site.checkout / settings)
    planning = site.snakemake("-n")
    assert "train" in ended(planning)
    assert planning.returncode == 0
    running = site.snakemake()
    said = ended(running)
    assert running.returncode == 1
    *_, error, _ = said.splitlines()
    assert f"looksam tpu: error: {settings}: project: YOUR-PROJECT stands for yours" in error
    assert site.created() == 0
    assert not (site.checkout / ".tpu").exists()


def test_results_that_no_host_would_see_end_the_first_job_with_the_way_there(site: Site) -> None:
    (site.checkout / "results").unlink()
    running = site.snakemake()
    assert f"ln -s {site.mount}/results results" in ended(running).splitlines()[-2]
    assert (running.returncode, site.created()) == (1, 0)


def test_a_study_through_the_profile_ends_in_its_tables_and_no_slice(site: Site) -> None:
    running = site.snakemake("--jobs", "2")
    said = ended(running, 200)
    assert running.returncode == 0, said
    assert "by the plan the study needs" in said
    assert (site.checkout / "reports/all_tables.html").exists()
    names = (site.state / "created").read_text().split()
    assert [name.startswith("looksam-evaluations-table7-") for name in names] == [False, False, True]
    assert (site.slices(), site.processes()) == ([], [])


def test_a_study_over_its_budget_is_refused_before_anything_is_created(site: Site) -> None:
    site.set(max_device_hours=1e-9, cost_per_chip_hour=2)
    said = ended(site.snakemake())
    assert re.search(r"needs \S+ more chip-hours, 0.00 at 2 an hour; 0.00 are spent, 1e-09 allowed", said)
    assert site.created() == 0


def test_no_kill_of_the_coordinator_leaves_or_makes_a_second_slice(site: Site) -> None:
    run = longer(site)
    target = f"results/runs/{run}/model.safetensors"
    first = site.snakemake(target)
    until(lambda: is_saved(site.checkout / "results/runs" / run))
    first.kill()
    # however long Snakemake takes to start twice, the training is not over before the slice is looked for
    site.stall()
    supervisor = supervisor_of(site, run)

    # the job's supervisor lives on, and the next Snakemake finds it
    ended(site.snakemake("--unlock"))
    second = site.snakemake(target)
    submitted = f"Submitted job 0 with external jobid 'train.{run}'"
    until(lambda: submitted in "".join(p.read_text() for p in logs(site)[-1:]))
    assert (supervisor_of(site, run), site.created()) == (supervisor, 1)

    # now all of it dies, as with its host
    second.kill()
    for pid in of_checkout(site):
        os.kill(pid, signal.SIGKILL)
    assert len(site.slices()) == 1
    ended(site.snakemake("--unlock"))
    site.go_on()
    third = site.snakemake(target)
    said = ended(third, 120)
    assert third.returncode == 0, said
    assert (site.created(), site.slices(), site.processes()) == (1, [], [])


def logs(site: Site) -> list[Path]:
    """Snakemake's logs, oldest first."""
    return sorted((site.checkout / ".snakemake/log").glob("*"), key=lambda path: path.stat().st_mtime)


def test_ctrl_c_of_snakemake_deletes_the_slice(site: Site) -> None:
    run = longer(site, epochs=4000)
    running = site.snakemake(f"results/runs/{run}/model.safetensors")
    until(lambda: is_saved(site.checkout / "results/runs" / run))
    os.killpg(running.pid, signal.SIGINT)
    ended(running)
    until(lambda: not site.slices())
    until(lambda: not of_checkout(site))
    assert json.loads((site.checkout / "results/runs" / run / "preempted.json").read_text())["step"] > 0
