"""Whatever call of gcloud goes wrong, the run is trained and no slice is left; a stand-in for gcloud."""

import shlex
import sys
from pathlib import Path

import pytest
from tpu_site import RUN, Site, ended

pytestmark = pytest.mark.slow

# a host's python, which starts the program without torchrun: this is about slices, not ranks
PYTHON = """#!/bin/bash
case "$*" in
    "-m torch.tpu.distributed") echo WORLD_SIZE=1; echo NODE_RANK=0 ;;
    "-m looksam.elastic"*) while [ "$1" != --no-python ]; do shift; done; shift; exec "$@" ;;
    *) echo 'looksam-versions {}' ;;
esac
"""
# long enough for a look at its slice
TRAINS = "sleep 0.5; echo trained >>trained"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path, accelerator_types={16: "v5p-8"})
    site.request(tmp_path / "shards")
    (tmp_path / "bin/python").unlink()
    (tmp_path / "bin/python").write_text(PYTHON)
    (tmp_path / "bin/python").chmod(0o755)
    return site


PROGRAM = ["bash", "-c", TRAINS, "bash", f"results/runs/{RUN}/run.json"]


def launched(site: Site) -> tuple[int, str]:
    """How a launcher ends, and what it says."""
    launcher = site.looksam("tpu", "launch", "--", *PROGRAM)
    return (launcher.wait(180), ended(launcher))


def calls_of_a_launch(site: Site, verb: str, number: int, happens: str) -> int:
    """How many calls of the verb were made until a launch's end, where something happens at one of them."""
    for name in ("calls", "trouble"):
        (site.state / name).unlink(missing_ok=True)
    (site.mount / "trained").unlink(missing_ok=True)
    (site.state / "trouble").write_text(f"{verb} {number}: {happens}")
    code, said = launched(site)
    assert len(site.slices()) <= 1
    if happens == "killed" and code:
        code, said = launched(site)
    assert code == 0, f"{happens} at {verb} {number}: {said}"
    assert site.slices() == [], f"{happens} at {verb} {number}: {said}"
    assert (site.mount / "trained").exists()
    calls = (site.state / "calls").read_text().splitlines()
    return sum(call.split()[-1] == verb for call in calls)


@pytest.mark.parametrize("happens", ["unavailable", "cut off", "killed"])
def test_whatever_call_goes_wrong_the_run_is_trained_and_no_slice_is_left(site: Site, happens: str) -> None:
    # by verb, because the number of looks at a slice differs from launch to launch
    for verb in ("list", "create", "ssh", "delete"):
        number = 1
        while number <= calls_of_a_launch(site, verb, number, happens):
            number += 1
        assert number > 1, f"a launch makes no call of {verb}"


def test_a_launcher_whose_words_nobody_can_keep_trains_and_leaves_no_slice(site: Site) -> None:
    command = [sys.executable, "-m", "looksam.cli", "tpu", "launch", "--", *PROGRAM]
    launcher = site.run(["bash", "-c", f"{shlex.join(command)} >/dev/full 2>&1"])
    ended(launcher)
    assert (launcher.returncode, site.created(), site.slices()) == (0, 1, [])
    assert (site.mount / "trained").exists()
