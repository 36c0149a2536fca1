"""Trainings on slices of the stand-in: real ones, on two hosts of one device, over gloo.

The stand-in tests our logic, not Google's behaviour.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ranked_runs import trained_on_ranks
from tiny_runs import digit_shards, requested, sha256
from tpu_site import LONG, RUN, Site, ended, is_saved, until

pytestmark = pytest.mark.slow

RESULTS = ("model.safetensors", "history.parquet", "run.made.json")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def expected(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the run, trained on two ranks of this machine, without slices."""
    folder = requested(tmp_path_factory.mktemp("local") / RUN, shards, **LONG)
    trained_on_ranks(folder / "run.json", 2)
    return sha256(folder / "model.safetensors")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for pid in site.processes():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def disturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path, str]:
    """A site where four slices were lost, each otherwise, before a fifth did the rest; what was said."""
    site = Site(tmp_path_factory.mktemp("disturbed"), slices=6)
    (site.state / "next.json").write_text(json.dumps([{"dead": [1]}]))
    folder = site.request(shards)
    launcher = site.launch()
    for number, happens in ((2, site.suspend), (3, site.lose), (4, lambda: site.kill_host(1))):
        until(lambda number=number: site.created() == number)
        newest = max((p.name for p in folder.glob("checkpoint.*")), default="")
        until(lambda newest=newest: max((p.name for p in folder.glob("checkpoint.*")), default="") > newest)
        happens()
    return site, folder, ended(launcher)


def test_a_training_ends_bitwise_as_if_no_slice_had_been_lost(disturbed, expected: str) -> None:
    assert sha256(disturbed[1] / "model.safetensors") == expected


def test_a_lost_slice_is_followed_by_another_and_each_is_named_with_what_happened(disturbed) -> None:
    site, _, said = disturbed
    assert [line.partition("is lost: ")[2] for line in said.splitlines() if "is lost" in line] == [
        "a host does not answer",
        "it is SUSPENDED",
        "it is gone",
        "a host does not answer",
    ]
    assert site.created() == 5


def test_a_training_goes_on_from_its_last_checkpoint_on_the_next_slice(disturbed) -> None:
    assert disturbed[2].count(f"{RUN}: goes on after step") == 3


def test_after_a_training_there_is_no_slice_and_nothing_runs(disturbed) -> None:
    site = disturbed[0]
    assert (site.slices(), site.processes()) == ([], [])


def test_the_first_hosts_log_is_shown_and_the_others_are_kept(disturbed) -> None:
    site, _, said = disturbed
    assert "set up on tables" in said
    (folder,) = (site.checkout / ".tpu/slices").iterdir()
    assert "set up on tables" in (folder / "5/1.log").read_text()


def test_a_slice_that_is_active_and_stands_still_is_lost(site: Site, shards: Path, expected: str) -> None:
    # more than a start takes, and the ten seconds between two words of a training
    site.set(stall_minutes=0.5)
    folder = site.request(shards)
    launcher = site.launch()
    until(lambda: is_saved(folder))
    site.stall()
    said = ended(launcher, 150)
    assert "is lost: no progress for 0.5 minutes" in said
    assert (launcher.returncode, site.created(), site.slices()) == (0, 2, [])
    assert sha256(folder / "model.safetensors") == expected


def test_a_launcher_that_is_killed_and_started_again_goes_on_with_its_slice(
    site: Site, shards: Path, expected: str
) -> None:
    folder = site.request(shards)
    launcher = site.launch()
    until(lambda: is_saved(folder))
    launcher.kill()
    assert len(site.slices()) == 1
    again = site.launch()
    said = ended(again)
    assert "is there, ACTIVE; goes on with it" in said
    assert (again.returncode, site.created(), site.slices()) == (0, 1, [])
    assert sha256(folder / "model.safetensors") == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_training_and_deletes_the_slice(
    site: Site, shards: Path, number: signal.Signals
) -> None:
    folder = site.request(shards)
    launcher = site.launch()
    until(lambda: is_saved(folder))
    os.killpg(launcher.pid, number)
    said = ended(launcher)
    assert launcher.returncode == 128 + number, said
    assert (site.slices(), site.processes()) == ([], [])
    # "signal" is none where the other host was told first
    assert json.loads((folder / "preempted.json").read_text())["step"] > 0


def test_a_training_saves_and_its_slice_is_deleted_once_the_chip_hours_are_spent(
    site: Site, shards: Path
) -> None:
    folder = site.request(shards)
    launcher = site.launch()
    until(lambda: is_saved(folder))
    site.spend(chips=8, hours=2)
    said = ended(launcher)
    assert launcher.returncode == 1, said
    assert re.search(r"error: slices took 16.\d\d chip-hours, .* of 10 .*max_device_hours", said)
    # "signal" is none where the other host was told first
    assert json.loads((folder / "preempted.json").read_text())["step"] > 0
    assert (site.slices(), site.processes()) == ([], [])


def test_credentials_that_expire_for_a_while_end_nothing(site: Site, shards: Path, expected: str) -> None:
    folder = site.request(shards)
    launcher = site.launch()
    until(lambda: is_saved(folder))
    (site.state / "credentials.expired").touch()
    time.sleep(2)  # ten looks
    (site.state / "credentials.expired").unlink()
    said = ended(launcher)
    assert (launcher.returncode, site.created(), site.slices()) == (0, 1, []), said
    assert sha256(folder / "model.safetensors") == expected


def test_a_training_goes_on_with_another_number_of_hosts(site: Site, shards: Path) -> None:
    folder = site.request(shards)
    launcher = site.launch()
    until(lambda: is_saved(folder))
    os.killpg(launcher.pid, signal.SIGTERM)
    ended(launcher)
    site.set(accelerator_types={16: "v5p-32"})
    said = ended(site.launch())
    assert f"{RUN}: goes on after step" in said
    assert json.loads((folder / "timing.json").read_text())["environment"]["ranks"] == 4


def test_a_program_that_fails_on_a_whole_slice_ends_the_launcher_with_its_code(
    site: Site, shards: Path
) -> None:
    site.request(shards)
    program = ["bash", "-c", "exit 7", "bash", f"results/runs/{RUN}/run.json"]
    launcher = site.looksam("tpu", "launch", "--", *program)
    said = ended(launcher)
    assert launcher.returncode == 7, said
    assert (site.created(), site.slices()) == (1, [])


def test_a_training_that_is_done_counts_though_its_slice_cannot_be_deleted(site: Site, shards: Path) -> None:
    folder = site.request(shards, epochs=5)
    launcher = site.launch()
    until(lambda: (folder / "progress.json").exists() or is_saved(folder))
    (site.state / "credentials.expired").touch()
    said = ended(launcher)
    assert launcher.returncode == 0
    assert "MAY STILL BE THERE" in said
    assert "looksam tpu sweep" in said
    assert (folder / "model.safetensors").exists()
