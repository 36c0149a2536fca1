"""What may end a job on a Slurm with accounting, and that each run still ends as if nothing had happened."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import command_line, send, wait_until
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


def trained(site: Site, happens: Callable[[str, Path], object], epochs: int = EPOCHS) -> tuple[str, str]:
    """The id of a run to whose job, in its folder, something happens at its start; what Snakemake said.

    It has ended as it does on this machine, where nothing happens.
    """
    run = site.run_of(METHOD, epochs)
    process, job = site.started(run)
    happens(job, site.folder_of(run))
    said = site.finished(process)
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))
    return run, said


def wait_until_saved(folder: Path) -> None:
    """Return once a run was told to leave, and has saved."""
    wait_until((folder / "preempted.json").exists, 90)


def assert_went_on_as_one_job(site: Site, run: str) -> None:
    assert "goes on after step" in site.log_of(run)
    assert len(site.slurm_logs_of(run)) == 1


def test_a_job_that_reaches_its_time_limit_goes_on(site: Site) -> None:
    signal = site.asked["set-resources"]["train"]["slurm_extra"].replace("USR1@300", "USR1@10")
    site.ask({"longest": 1, "slurm_extra": signal})

    def reaches_it(job: str, folder: Path) -> None:
        wait_until_saved(folder)
        wait_until(lambda: site.cluster.run("squeue", "-h", "-j", job, "-o", "%T") == "PENDING")
        # or it would come back again and again
        site.cluster.run("scontrol", "update", f"jobid={job}", "TimeLimit=20")

    run, _ = trained(site, reaches_it, epochs=1500)

    assert_went_on_as_one_job(site, run)


def test_a_job_that_its_time_limit_ends_unheard_is_submitted_again_and_goes_on(site: Site) -> None:
    often = site.launcher('"$@" --seconds-between-checkpoints 0.5')
    site.ask({"longest": 1, "slurm_extra": "'--ntasks-per-node=1'", "launcher": often})

    def stands_still_to_the_end(job: str, folder: Path) -> None:
        wait_until(lambda: bool(list(folder.glob("checkpoint.*"))))
        ranks = {pid for pid in site.cluster.pids() if "--seconds-between" in command_line(pid)}
        for pid in ranks:
            send(pid, signal.SIGSTOP)
        wait_until(lambda: site.cluster.jobs() not in ([job], []), 180)
        (again,) = site.cluster.jobs()
        site.cluster.run("scontrol", "update", f"jobid={again}", "TimeLimit=20")
        assert "TIMEOUT" in site.cluster.run("sacct", "-X", "-n", "-j", job, "-o", "state")

    run, _ = trained(site, stands_still_to_the_end)

    assert "goes on after step" in site.log_of(run)
    assert len(site.slurm_logs_of(run)) == 2


def test_a_job_that_needed_too_much_memory_is_tried_again_with_more(site: Site) -> None:
    site.ask({"mem_mb": "500 if attempt == 1 else 4000"})

    run, said = trained(site, lambda job, folder: None)

    assert "Trying to restart job" in said
    assert "exceeded memory limit" in "".join(site.slurm_logs_of(run))


def test_a_job_whose_node_fails_is_done_on_another(site: Site) -> None:
    site.ask({})
    failed: list[str] = []

    def fails(job: str, folder: Path) -> None:
        failed.append(site.cluster.run("squeue", "-h", "-j", job, "-o", "%N"))
        site.cluster.fail_node(failed[0])

    run, _ = trained(site, fails)
    site.cluster.start_node(failed[0])
    site.cluster.run("scontrol", "update", f"nodename={failed[0]}", "state=resume")

    assert len(site.slurm_logs_of(run)) == 1


def test_a_job_that_makes_room_for_another_goes_on_after_it(site: Site) -> None:
    site.ask({})

    def makes_room(job: str, folder: Path) -> None:
        everything = ["--partition=urgent", "--nodes=3", "--exclusive", "--time=1"]
        site.cluster.run("sbatch", *everything, "--output=/dev/null", "--wrap=sleep 5")
        wait_until_saved(folder)

    run, _ = trained(site, makes_room)

    assert_went_on_as_one_job(site, run)


def test_a_run_that_was_submitted_twice_is_trained_once(site: Site) -> None:
    site.ask({})
    second: list[str] = []

    def is_submitted_again(job: str, folder: Path) -> None:
        request = folder.relative_to(site.folder) / "run.json"
        command = f"workflow/profiles/slurm/launch looksam train {request}"
        options = ["--parsable", f"--chdir={site.folder}", "--gres=gpu:1", f"--wrap={command}"]
        second.append(site.cluster.run("sbatch", *options, f"--output={site.folder}/second.log"))

    trained(site, is_submitted_again)
    wait_until(lambda: second[0] not in site.cluster.jobs())

    assert "COMPLETED" in site.cluster.run("sacct", "-X", "-n", "-j", second[0], "-o", "state")


def test_snakemake_that_was_killed_and_is_started_again_waits_for_the_job_that_goes_on(site: Site) -> None:
    site.ask({})
    run = site.run_of(METHOD, EPOCHS)

    killed, job = site.started(run)
    killed.kill()
    killed.communicate()
    site.finished(site.snakemake("--unlock"))
    site.finished(site.snakemake(f"results/runs/{run}/model.safetensors"))

    assert "COMPLETED" in site.cluster.run("sacct", "-X", "-n", "-j", job, "-o", "state")
    assert_same_result(site.folder_of(run), site.trained_here(run, ranks=1))
