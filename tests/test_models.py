import csv
import subprocess
import sys
from typing import Any

import pytest
import torch
from study_files import ROOT

from looksam.config import read_yaml
from looksam.errors import UserError
from looksam.models import ARCHITECTURES, build, facts

MODELS = read_yaml(ROOT / "config/models.yaml")
DATASETS = read_yaml(ROOT / "config/datasets.yaml")
SMALL = ("vit-d32", "vit-d48-p4", "wrn-10-1", "resnet-w8", "resnet-w4-bottleneck")


def table_9() -> list[tuple[str, str, str]]:
    """Model, fact and value as the paper prints them."""
    labels = {row["label"]: name for name, row in MODELS.items() if "label" in row}
    with (ROOT / "config/published.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == "table9"]
    return [(labels[row["model"]], row["metric"], row["value"]) for row in rows]


@pytest.mark.parametrize(
    ("name", "parameters"), [("wrn-28-10", 36_479_194), ("resnet-18", 11_173_962), ("resnet-50", 23_520_842)]
)
def test_a_network_for_cifar_10_has_the_parameters_that_it_is_known_for(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build(MODELS[name], DATASETS["cifar10"])
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_facts_of_table_9_are_those_that_the_paper_prints() -> None:
    found = {name: facts(MODELS[name]) for name, _, _ in table_9()}
    assert [(name, fact, found[name][fact]) for name, fact, _ in table_9()] == table_9()


def test_the_facts_are_those_that_table_9_asks_for() -> None:
    asked = read_yaml(ROOT / "config/tables/table9.yaml")["facts"]["columns"]
    assert list(facts(MODELS["vit-s-32"])) == asked


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dataset", ["digits", "digit-pairs", "cifar100"])
def test_images_become_one_logit_a_class(name: str, dataset: str) -> None:
    channels, height, width = (DATASETS[dataset][key] for key in ("channels", "height", "width"))
    network = build(MODELS[name], DATASETS[dataset])
    assert network(torch.zeros(3, channels, height, width)).shape == (3, DATASETS[dataset]["classes"])


@pytest.mark.parametrize("name", ["wrn-28-10", "resnet-18", "resnet-50"])
def test_the_last_features_of_a_cifar_network_are_an_eighth_or_a_quarter_of_the_image(name: str) -> None:
    with torch.device("meta"):
        network = build(MODELS[name], DATASETS["cifar10"])
        assert isinstance(network, torch.nn.Sequential)
        features = network[:-3](torch.zeros(1, 3, 32, 32))
    assert features.shape[2:] == {"wrn-28-10": (8, 8)}.get(name, (4, 4))


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_has_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network = build(MODELS[name], DATASETS["digits"])
    network(torch.randn(4, 1, 8, 8)).logsumexp(1).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_the_weights_are_a_function_of_torchs_seed(name: str) -> None:
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(build(MODELS[name], DATASETS["digits"]))
    first, again, other = (torch.cat([p.flatten() for p in n.parameters()]) for n in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("depth", [4, 11, 27])
def test_a_depth_that_no_wrn_has_is_an_error(depth: int) -> None:
    with pytest.raises(UserError, match=rf"6n \+ 4 .*got {depth}"):
        build({"architecture": "wrn", "depth": depth, "width": 1}, DATASETS["digits"])


def test_the_schema_knows_the_architectures_of_the_code() -> None:
    definitions: dict[str, Any] = read_yaml(ROOT / "workflow/schemas/config.schema.yaml")["$defs"]
    models = definitions["models"]["additionalProperties"]
    assert models["properties"]["architecture"]["enum"] == list(ARCHITECTURES)


def test_a_convolutional_network_starts_no_timm() -> None:
    code = (
        "import sys; from looksam.models import build\n"
        "build({'architecture': 'wrn', 'depth': 10, 'width': 1}, {'channels': 1, 'classes': 10})\n"
        "sys.exit('timm' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
