"""What a run costs, against what the core really does."""

from typing import Any

import pytest
import torch
from study_files import ROOT
from tiny_runs import DIGITS, SETTINGS

from looksam.config import read_yaml
from looksam.costs import (
    Device,
    ascents_of,
    base_operations,
    cost,
    device_hours,
    passes_per_step,
    steps_of,
    time_factor,
)
from looksam.macs import forward
from looksam.method import Method
from looksam.sharpness import SharpnessAware

DEVICE = Device("test", peak=1e12, utilisation=0.5, f_sam=1.8, reuse=0.03, basis="assumed")
METHODS: list[dict[str, Any]] = [
    {"k": 0},
    {"k": 1, "ascent": "global", "descent": "g_s", "rho": 0.1},
    {"k": 5, "ascent": "global", "descent": "g_s", "rho": 0.1},
    {"k": 5, "ascent": "global", "descent": "g_v", "rho": 0.1, "alpha": 0.1, "start": 3},
    {"k": 4, "ascent": "global", "descent": "g_v", "rho": 0.1, "alpha": 0.1, "start": 100},
]


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_passes_are_those_that_the_core_takes(method: dict[str, Any]) -> None:
    settings = SETTINGS | {"method": method}
    model = torch.nn.Linear(2, 2)
    sharpness = SharpnessAware(model, Method(**method))
    calls = 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        model.zero_grad()
        loss = model(torch.ones(1, 2)).square().sum()
        loss.backward()
        return loss

    for _ in range(steps_of(settings)):
        sharpness.backward(closure)
    assert calls == steps_of(settings) + ascents_of(settings)


def test_steps_drop_the_last_smaller_batch_of_an_epoch() -> None:
    assert steps_of(SETTINGS) == 64 // 15 * 3


def test_the_base_optimizer_costs_six_times_the_forward_pass_of_each_image() -> None:
    images = steps_of(SETTINGS) * SETTINGS["batch_size"]
    assert base_operations(SETTINGS) == images * 6 * forward(SETTINGS["model"], SETTINGS["dataset"])


@pytest.mark.parametrize(
    ("method", "factor"),
    [
        ({"k": 0}, 1.0),
        ({"k": 1}, 1.8),
        ({"k": 4}, 1 + 0.8 / 4),
        ({"k": 4, "alpha": 0.1}, 1 + 0.8 / 4 + 0.03),
    ],
)
def test_the_time_factor_is_the_cost_models(method: dict[str, Any], factor: float) -> None:
    # 12 steps, which 4 divides
    assert time_factor(SETTINGS | {"method": method}, DEVICE) == pytest.approx(factor)


def test_activation_checkpointing_costs_one_more_forward_pass() -> None:
    again = SETTINGS | {"activation_checkpointing": True}
    assert base_operations(again) == base_operations(SETTINGS) * 8 // 6


def test_device_hours_are_operations_over_the_rate_that_is_reached() -> None:
    settings = SETTINGS | {"method": {"k": 0}}
    assert device_hours(settings, DEVICE) * 3600 * 0.5e12 == pytest.approx(base_operations(settings))


def test_sam_takes_two_gradient_passes_in_a_step() -> None:
    assert passes_per_step(SETTINGS | {"method": {"k": 1}}) == 2


def test_devices_grow_with_the_batch_up_to_the_most() -> None:
    device = Device("test", 1.0, 1.0, 2.0, 0.0, "assumed", images_per_device=32, most_devices=1024)
    sizes = (32, 33, 4096, 32768, 65536)
    assert [device.count({"batch_size": size}) for size in sizes] == [1, 2, 128, 1024, 1024]


def test_a_run_takes_a_cpu_core_for_each_thread() -> None:
    assert Device("cpu", 1.0, 1.0, 2.0, 0.0, "assumed", is_core=True).count({"threads": 8}) == 8


def test_a_time_is_made_of_what_it_counts() -> None:
    whole, epoch = (cost(SETTINGS, metric) for metric in ("training_hours", "seconds_per_epoch"))
    assert whole
    assert epoch
    assert whole["operations"] == base_operations(SETTINGS) == epoch["operations"] * SETTINGS["epochs"]
    assert (whole["extra_passes"], whole["reuses"]) == (passes_per_step(SETTINGS) - 1, True)


@pytest.mark.parametrize("metric", ["top1", "images_per_second"])
def test_a_metric_that_is_no_time_has_no_cost(metric: str) -> None:
    assert cost(SETTINGS, metric) is None


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({"method": {"k": 0}, "seed": 3, "peak_lr": 1.0}, True),
        ({"batch_size": 8}, True),
        ({"threads": 2}, False),
        ({"precision": "bf16"}, False),
        ({"dataset": DIGITS | {"height": 16}}, False),
    ],
)
def test_runs_are_alike_whose_operations_take_as_long(change: dict[str, Any], alike: bool) -> None:
    ours, other = cost(SETTINGS, "training_hours"), cost(SETTINGS | change, "training_hours")
    assert ours
    assert other
    assert (ours["alike"] == other["alike"]) is alike


def test_every_alpha_in_a_runs_method_says_that_it_reuses() -> None:
    for method in read_yaml(ROOT / "config/methods.yaml").values():
        assert "alpha" not in method or method["descent"] != "g_s"
