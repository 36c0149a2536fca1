"""What may end a job on a Slurm with accounting, and that each run still ends as if nothing had happened."""

from collections.abc import Iterator

import pytest
from processes import wait_until
from slurm_cluster import cluster
from slurm_configuration import ACCOUNTING, NEEDED, missing
from slurm_site import Site, assert_same_result

PROGRAMS = NEEDED + ACCOUNTING
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing(PROGRAMS)), reason=f"no {', '.join(missing(PROGRAMS))} here"),
]
METHOD, EPOCHS = "looksam-5", 150


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A checkout on a running cluster, shared by all tests of this module."""
    with cluster(tmp_path_factory.mktemp("slurm"), accounting=True) as running:
        yield Site(tmp_path_factory.mktemp("site") / "checkout", running)


def test_the_smoke_study_runs_through_the_profile(site: Site) -> None:
    site.run_of("vanilla", epochs=2)

    site.finished(site.snakemake("reports/all_tables.html"))

    assert "Table 7" in (site.folder / "reports/all_tables.html").read_text()


def test_a_job_that_reaches_its_time_limit_goes_on(site: Site) -> None:
    signal = site.asked["set-resources"]["train"]["slurm_extra"].replace("USR1@300", "USR1@10")
    site.ask({"longest": 1, "slurm_extra": signal})
    run = site.run_of(METHOD, epochs=1500)

    process, job = site.started(run)
    wait_until(lambda: (site.folder_of(run) / "preempted.json").exists(), 90)
    wait_until(lambda: site.cluster.run("squeue", "-h", "-j", job, "-o", "%T") == "PENDING")
    # or it would come back again and again
    site.cluster.run("scontrol", "update", f"jobid={job}", "TimeLimit=20")
    site.finished(process)

    assert "goes on after step" in site.log_of(run)
    assert len(site.slurm_logs_of(run)) == 1
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))


def test_a_job_that_needed_too_much_memory_is_tried_again_with_more(site: Site) -> None:
    site.ask({"mem_mb": "500 if attempt == 1 else 4000"})
    run = site.run_of(METHOD, EPOCHS)

    process, _ = site.started(run)
    said = site.finished(process)

    assert "Trying to restart job" in said
    assert "exceeded memory limit" in "".join(site.slurm_logs_of(run))
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))


def test_a_job_whose_node_fails_is_done_on_another(site: Site) -> None:
    site.ask({})
    run = site.run_of(METHOD, EPOCHS)

    process, job = site.started(run)
    node = site.cluster.run("squeue", "-h", "-j", job, "-o", "%N")
    site.cluster.fail_node(node)
    site.finished(process)
    site.cluster.start_node(node)
    site.cluster.run("scontrol", "update", f"nodename={node}", "state=resume")

    assert len(site.slurm_logs_of(run)) == 1
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))


def test_a_job_that_makes_room_for_another_goes_on_after_it(site: Site) -> None:
    site.ask({})
    run = site.run_of(METHOD, EPOCHS)

    process, _ = site.started(run)
    everything = ["--partition=urgent", "--nodes=3", "--exclusive", "--time=1"]
    site.cluster.run("sbatch", *everything, "--output=/dev/null", "--wrap=sleep 5")
    wait_until(lambda: (site.folder_of(run) / "preempted.json").exists())
    site.finished(process)

    assert "goes on after step" in site.log_of(run)
    assert len(site.slurm_logs_of(run)) == 1
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))


def test_a_run_that_was_submitted_twice_is_trained_once(site: Site) -> None:
    site.ask({})
    run = site.run_of(METHOD, EPOCHS)

    process, _ = site.started(run)
    command = f"workflow/profiles/slurm/launch looksam train results/runs/{run}/run.json"
    second = ["--parsable", f"--chdir={site.folder}", "--gres=gpu:1", f"--wrap={command}"]
    job = site.cluster.run("sbatch", *second, f"--output={site.folder}/second.log")
    site.finished(process)
    wait_until(lambda: job not in site.cluster.jobs())

    assert "COMPLETED" in site.cluster.run("sacct", "-X", "-n", "-j", job, "-o", "state")
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))
