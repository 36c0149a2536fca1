"""The slurm profile on a real Slurm, which tells of jobs by `squeue`: no accounting is set up."""

import signal
from collections.abc import Iterator

import pytest
from processes import wait_until
from slurm_cluster import cluster
from slurm_configuration import NEEDED, missing
from slurm_site import Site, assert_same_result

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing(NEEDED)), reason=f"no {', '.join(missing(NEEDED))} here"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A checkout on a running cluster, shared by all tests of this module."""
    with cluster(tmp_path_factory.mktemp("slurm"), accounting=False) as running:
        yield Site(tmp_path_factory.mktemp("site") / "checkout", running)


@pytest.fixture(scope="module")
def preempted(site: Site) -> str:
    """A run trained on two nodes, and told once to leave."""
    run = site.run_of("looksam-5", epochs=150)
    site.ask({"nodes": 2})
    process, job = site.started(run)
    site.cluster.run("scancel", "--signal=USR1", job)
    wait_until(lambda: (site.folder_of(run) / "preempted.json").exists())
    site.finished(process)
    return run


def test_the_smoke_study_runs_through_the_profile(site: Site) -> None:
    site.run_of("vanilla", epochs=2)

    site.finished(site.snakemake("reports/all_tables.html"))

    assert "Table 7" in (site.folder / "reports/all_tables.html").read_text()


def test_two_nodes_train_what_two_ranks_of_one_machine_do_through_a_preemption(
    site: Site, preempted: str
) -> None:
    assert_same_result(site.folder_of(preempted), site.trained_here(preempted, ranks=2))


def test_a_job_told_to_leave_goes_on_under_the_same_id(site: Site, preempted: str) -> None:
    assert "goes on after step" in site.log_of(preempted)
    assert len(site.slurm_logs_of(preempted)) == 1


def test_ctrl_c_cancels_every_job(site: Site) -> None:
    site.ask({})
    process, _ = site.started(site.run_of("vanilla", epochs=2000))

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=180)

    wait_until(lambda: not site.cluster.jobs())


def test_a_failing_jobs_own_error_is_what_the_user_sees_last(site: Site) -> None:
    wrong = site.launcher('"$1" "$2" results/runs/none/run.json')
    site.ask({"nodes": 2, "gres": "gpu:1", "launcher": wrong}, retries=1)
    run = site.run_of("vanilla", epochs=3)

    said, _ = site.snakemake(f"results/runs/{run}/model.safetensors").communicate(timeout=300)

    *_, error, where = said.splitlines()
    assert error.strip().startswith("looksam train: error: no request at results/runs/none/run.json")
    assert where == f"its log: results/logs/train/{run}.log"
    assert len(site.slurm_logs_of(run)) == 2
