"""A device's speed as short trainings on this machine measure it."""

import time
from typing import Any

import pytest
from tiny_runs import SETTINGS

from looksam.cells import Run
from looksam.costs import Device, device_hours
from looksam.errors import UserError
from looksam.probe import Steps, measured, probed

CPU = Device("cpu", peak=1e11, utilisation=0.4, f_sam=1.5, reuse=0.5, basis="assumed", is_core=True)
VANILLA: dict[str, Any] = SETTINGS | {"method": {"k": 0}}


def run(**settings: Any) -> Run:
    return Run("run", SETTINGS | settings, "shards")


def test_a_sam_step_is_measured_to_take_about_two_base_steps() -> None:
    device = measured([SETTINGS], CPU)
    # two gradient passes and little else, on a machine with other work to do
    assert 1.3 < device.f_sam < 3
    assert (device.basis, device.name) == ("probed", "cpu")


def test_what_no_run_does_is_not_measured() -> None:
    device = measured([VANILLA], CPU)
    assert (device.f_sam, device.reuse) == (1.5, 0.5)


def test_the_planned_time_is_that_of_the_steps() -> None:
    steps, images = Steps(VANILLA), SETTINGS["batch_size"]
    device = measured([VANILLA], CPU)
    started = time.perf_counter()
    seconds = steps.seconds({"base": {"k": 0}}, images)["base"]
    planned = device_hours(VANILLA, device) * 3600 / (64 // 15 * 3)
    assert 0.3 < planned / seconds < 3
    assert time.perf_counter() - started < 10


def test_the_batch_of_the_probe_is_the_runs_where_that_is_short() -> None:
    assert Steps(SETTINGS).batch() == SETTINGS["batch_size"]


def test_the_batch_of_the_probe_is_no_more_than_a_micro_batch() -> None:
    assert Steps(SETTINGS | {"micro_batch_size": 4}).batch() == 4


def test_each_network_is_probed_once_and_said() -> None:
    other = SETTINGS["model"] | {"name": "other", "width": 8}
    said: list[str] = []
    device_of = probed([run(), run(seed=1), run(model=other)], CPU, said.append)
    assert [line.split()[1] for line in said] == ["tiny", "other"]
    assert device_of(SETTINGS | {"seed": 2}) == device_of(SETTINGS)
    assert device_of(SETTINGS | {"model": other}) != device_of(SETTINGS)


def test_another_device_than_this_machines_cannot_be_probed() -> None:
    tpu = Device("tpu-v3", 1e12, 0.3, 1.75, 0.02, "calibrated")
    with pytest.raises(UserError, match="trains on its cpu, and --device names tpu-v3"):
        probed([run()], tpu, lambda line: None)
