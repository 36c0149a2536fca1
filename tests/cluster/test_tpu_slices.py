"""Slices that are refused, left over, listed and swept, by a stand-in for gcloud; nothing is trained."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tpu_gcloud
from tpu_site import RUN, Site, ended, until

from looksam.held_slice import HeldSlice
from looksam.stops import Stops
from looksam.tpu_settings import read_settings


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.request(tmp_path / "shards")
    yield site
    for pid in site.processes():
        os.kill(pid, signal.SIGKILL)


def given(site: Site, name: str, **content: object) -> None:
    """A slice that was there before."""
    tpu_gcloud.STATE = site.state
    slice = {"state": "ACTIVE", "type": "v5p-16", "labels": {"looksam": "tables"}, "dead": [], "why": ""}
    tpu_gcloud.write(name, slice | {"looks": 0, "startup": ""} | content)


def refused(site: Site) -> str:
    """The last words of a launcher that fails and leaves nothing."""
    launcher = site.launch()
    said = ended(launcher)
    assert launcher.returncode == 1, said
    assert site.slices() == []
    return said.splitlines()[-1]


def test_a_quota_that_is_used_up_is_said_in_googles_words(site: Site) -> None:
    (site.state / "limit").write_text("0")
    assert (
        "error: gcloud queued-resources create: ERROR: (gcloud.compute.tpus) RESOURCE_EXHAUSTED: Quota"
        in refused(site)
    )


def test_a_request_that_fails_for_its_quota_later_is_not_made_again(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"state": "FAILED", "why": "Quota exceeded for TPUs"}]))
    assert refused(site).endswith("is FAILED: Quota exceeded for TPUs")
    assert site.created() == 1


def test_expired_credentials_end_the_launcher_at_once(site: Site) -> None:
    (site.state / "credentials.expired").touch()
    began = time.monotonic()
    assert "problem refreshing your current auth tokens" in refused(site)
    assert time.monotonic() - began < 10


def test_a_loss_of_every_slice_ends_the_launcher_after_as_many_as_it_may_use(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"state": "SUSPENDED"}] * 4))
    assert f"{RUN}: 4 slices were lost one after another; its checkpoints stay" in refused(site)
    assert site.created() == 4


def test_a_wait_for_slices_has_an_end(site: Site) -> None:
    site.set(wait_hours=1 / 3600)
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}]))
    assert "no v5p-16 was to be had in 0.000277778 hours (wait_hours)" in refused(site)


def test_spent_chip_hours_end_the_launcher_before_it_creates(site: Site) -> None:
    site.spend(chips=8, hours=2)
    assert "16.00 are spent, 10 allowed" in refused(site)
    assert site.created() == 0


def test_a_budget_that_is_spent_leaves_no_slice_of_a_launcher_that_was_killed(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}]))
    first = site.launch()
    until(site.slices)
    first.kill()
    site.set(max_device_hours=1e-12)
    assert site.slices()
    said = ended(site.launch())
    assert "1e-12 allowed" in said
    assert site.slices() == []


def test_a_full_disk_leaves_no_slice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.checkout)
    monkeypatch.setattr("looksam.tpu_budget.LEDGER", Path("/dev/full"))
    given(site, "ours")
    settings = read_settings()
    held = HeldSlice("ours", settings.shape_for(16), settings, Stops())
    held.leave_nothing()
    assert site.slices() == []


def test_hosts_with_other_packages_are_refused_by_name(site: Site) -> None:
    other = site.folder / "other/jinja2-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 0.1\n")
    hosts = json.dumps({"1": {"PYTHONPATH": f"{site.checkout}:{other.parent}"}})
    launcher = site.launch(TPU_STAND_IN_HOSTS=hosts)
    assert "the hosts do not run the same packages: ours: none on 0, 0.1 on 1" in ended(launcher)
    assert (launcher.returncode, site.slices()) == (1, [])


def test_a_setup_that_fails_is_said_in_its_own_words(site: Site) -> None:
    (site.folder / "setup.sh").write_text("echo no such bucket >&2; exit 3\n")
    said = refused(site)
    assert "setup.sh failed on a host of" in said
    assert "no such bucket" in said


def test_a_slice_that_waits_is_found_by_the_next_launcher_and_ctrl_c_deletes_it(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}]))
    first = site.launch()
    until(site.slices)
    first.kill()
    assert len(site.slices()) == 1
    second = site.launch()
    lock = site.checkout / ".tpu/slices" / site.slices()[0] / "pid"
    until(lambda: lock.read_text() == f"{second.pid}\n")
    time.sleep(1)
    os.killpg(second.pid, signal.SIGINT)
    said = ended(second)
    assert "is there, WAITING_FOR_RESOURCES; goes on with it" in said
    assert (second.returncode, site.created(), site.slices()) == (130, 1, [])


def test_a_suspended_slice_of_the_runs_name_is_deleted_before_another_is_made(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}]))
    first = site.launch()
    until(site.slices)
    first.kill()
    site.change(state="SUSPENDED")
    (site.state / "limit").write_text("1")
    second = site.launch()
    until(lambda: site.created() == 2)
    os.killpg(second.pid, signal.SIGTERM)
    assert "a v5p-16, SUSPENDED; it is deleted first" in ended(second)
    assert site.slices() == []


def test_two_launchers_of_one_run_have_one_slice(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}] * 2))
    first = site.launch()
    until(site.slices)
    second = site.launch()
    assert "stopped by SIGTERM" in ended(first)
    until(lambda: site.created() == 2)
    assert len(site.slices()) == 1
    os.killpg(second.pid, signal.SIGTERM)
    ended(second)
    assert site.slices() == []


def test_a_slice_deletes_itself_at_its_deadline(site: Site) -> None:
    (site.state / "boots").touch()
    site.set(deadline_hours=2 / 3600)
    (site.folder / "setup.sh").write_text("sleep 60\n")
    launcher = site.launch()
    until(site.slices)
    (name,) = site.slices()
    tpu_gcloud.STATE = site.state
    until(lambda: tpu_gcloud.read(name)["state"] == "ACTIVE")
    launcher.kill()
    began = time.monotonic()
    until(lambda: listed(site) == "no slices\n")
    assert time.monotonic() - began > 1


def listed(site: Site) -> str:
    return ended(site.looksam("tpu", "list"))


def test_the_list_shows_what_carries_the_label_and_nothing_else(site: Site) -> None:
    given(site, "ours")
    given(site, "theirs", labels={"team": "other"})
    assert listed(site).split() == [
        *("slice", "type", "state", "created", "bucket", "launcher"),
        *("ours", "v5p-16", "ACTIVE", "2026-01-01T00:00:00Z", "tables", "none", "here"),
    ]


def test_a_sweep_deletes_the_buckets_slices_in_any_state_and_no_others(site: Site) -> None:
    given(site, "live")
    given(site, "taken", state="SUSPENDED")
    given(site, "theirs", labels={"team": "other"})
    given(site, "elsewhere", labels={"looksam": "another-bucket"})
    without_force = ["gcloud", "compute", "tpus", "queued-resources", "delete", "live", "--quiet"]
    assert "with --force alone" in ended(site.run([*without_force, "--project=ours", "--zone=z"]))
    said = ended(site.looksam("tpu", "sweep"))
    assert "live: being deleted, was ACTIVE" in said
    assert "elsewhere: left alone, it is of bucket another-bucket" in said
    listed(site)
    listed(site)
    assert sorted(site.slices()) == ["elsewhere", "theirs"]


def test_a_sweep_leaves_a_slice_to_its_living_launcher(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}]))
    launcher = site.launch()
    until(site.slices)
    assert f"left alone, process {launcher.pid} looks after it" in ended(site.looksam("tpu", "sweep"))
    os.killpg(launcher.pid, signal.SIGTERM)
    ended(launcher)
    assert site.slices() == []


def test_a_slice_is_asked_for_with_label_deadline_and_an_end_of_the_wait(site: Site) -> None:
    (site.state / "next.json").write_text(json.dumps([{"looks": -1000}]))
    launcher = site.launch()
    until(site.slices)
    options = tpu_gcloud.read(site.change())["options"]
    os.killpg(launcher.pid, signal.SIGTERM)
    ended(launcher)
    assert {"--labels=looksam=tables", "--spot", "--async", "--valid-until-duration=86400s"} <= set(options)
