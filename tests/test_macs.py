"""Counts without torch, against torch's own counter and the networks themselves."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from study_files import ROOT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from looksam.config import read_yaml
from looksam.macs import forward, parameters
from looksam.models import build

MODELS: dict[str, Any] = read_yaml(ROOT / "config/models.yaml")
DATASETS: dict[str, Any] = read_yaml(ROOT / "config/datasets.yaml")
FITTING = [
    (model, dataset)
    for model, row in MODELS.items()
    for dataset, data in DATASETS.items()
    if not (data["height"] % row.get("patch_size", 1) or data["width"] % row.get("patch_size", 1))
]


def network(model: str, dataset: str) -> nn.Module:
    with torch.device("meta"):
        return build({"name": model} | MODELS[model], DATASETS[dataset])


@pytest.mark.parametrize(("model", "dataset"), FITTING)
def test_the_count_is_torchs_own(model: str, dataset: str) -> None:
    data = DATASETS[dataset]
    images = torch.empty(1, data["channels"], data["height"], data["width"], device="meta")
    with FlopCounterMode(display=False) as counter:
        network(model, dataset).eval()(images)
    # torch counts a multiply-accumulate as two operations
    assert 2 * forward(MODELS[model], data) == counter.get_total_flops()


@pytest.mark.parametrize(("model", "dataset"), FITTING)
def test_the_parameters_are_the_networks(model: str, dataset: str) -> None:
    counted = sum(p.numel() for p in network(model, dataset).parameters())
    assert parameters(MODELS[model], DATASETS[dataset]) == counted


def test_every_network_is_counted_for_some_data() -> None:
    assert {model for model, _ in FITTING} == set(MODELS)


def test_odd_images_halve_upwards() -> None:
    odd = DATASETS["cifar10"] | {"height": 31, "width": 33}
    with torch.device("meta"):
        model = build({"name": "odd"} | MODELS["resnet-18"], odd)
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty(1, 3, 31, 33, device="meta"))
    assert 2 * forward(MODELS["resnet-18"], odd) == counter.get_total_flops()


def test_a_training_image_of_vit_b_16_costs_105_gigaflops() -> None:
    assert round(6 * forward(MODELS["vit-b-16"], DATASETS["imagenet-1k"]) / 1e9) == 105


def test_counting_starts_no_torch() -> None:
    code = "import sys, looksam.macs; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
