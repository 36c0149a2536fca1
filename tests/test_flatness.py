import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import DIGITS, digit_shards
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from looksam.ascent import whole_model
from looksam.augment import evaluation_batch
from looksam.flatness import RHO, flatness, training_images, value_at
from looksam.hessian import flat
from looksam.images import Images
from looksam.loader import load
from looksam.models import build

CPU = torch.device("cpu")
DATASET = {"height": 8, "width": 8, "channels": 1, "classes": 10}
RESNET = {"name": "tiny", "architecture": "resnet", "bottleneck": False, "width": 2, "blocks": [1, 1]}
VIT = {"name": "tiny", "architecture": "vit", "patch_size": 4, "dim": 4, "depth": 1, "heads": 2}
LAYERWISE = {"k": 5, "ascent": "layerwise", "descent": "g_v", "rho": 0.3, "alpha": 0.1}


def images(count: int, size: int = 8) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, size, size), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.randint(0, 10, (count,), generator=generator))


def network(model: dict[str, Any] = RESNET) -> nn.Module:
    """A network whose BatchNorm has seen images, in eval mode."""
    torch.manual_seed(0)
    found = build(model, DATASET)
    found(evaluation_batch(images(64).images))
    return found.eval()


def loss_at(model: nn.Module, data: Images) -> Tensor:
    return cross_entropy(model(evaluation_batch(data.images)), data.labels)


def rise_by_hand(model: nn.Module, data: Images, epsilon: list[Tensor]) -> float:
    """L(w + epsilon) - L(w), the weights changed for good."""
    with torch.no_grad():
        before = float(loss_at(model, data))
        for p, e in zip(model.parameters(), epsilon, strict=True):
            p += e
        return float(loss_at(model, data)) - before


def gradient_by_hand(model: nn.Module, data: Images) -> list[Tensor]:
    return list(torch.autograd.grad(loss_at(model, data), list(model.parameters())))


def test_the_rise_of_a_quadratic_loss_is_known() -> None:
    A = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    w = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    g = A @ w
    rise = value_at([w], whole_model([w], [g], 0.1), [lambda: w @ A @ w / 2]) - 3.5
    assert rise == pytest.approx(0.1 * float(g.norm()) + 0.1**2 / 2 * float(g @ A @ g / (g @ g)), abs=1e-12)


def test_sharpness_is_the_rise_at_the_common_radius_along_the_gradient() -> None:
    model, data = network(), images(40)
    found = flatness(model, data, LAYERWISE, CPU)["sharpness"]
    g = gradient_by_hand(model, data)
    length = flat(g).norm()
    assert found == pytest.approx(rise_by_hand(model, data, [RHO * x / length for x in g]), rel=1e-4)


def test_a_methods_own_sharpness_is_the_rise_along_its_ascent() -> None:
    model, data = network(), images(40)
    found = flatness(model, data, LAYERWISE, CPU)["method_sharpness"]
    w, g = [p.detach() for p in model.parameters()], gradient_by_hand(model, data)
    scaled = [y * x.norm() / y.norm() if x.norm() > 0 else 0 * y for x, y in zip(w, g, strict=True)]
    epsilon = [0.3 * x / flat(scaled).norm() for x in scaled]
    assert found == pytest.approx(rise_by_hand(model, data, epsilon), rel=1e-4)


def test_the_base_optimizer_has_no_ascent_of_its_own() -> None:
    found = flatness(network(), images(40), {"k": 0}, CPU)
    assert found["method_sharpness"] is None
    assert found["sharpness"] > 0


def test_an_ascent_of_normalisation_layers_moves_these_alone() -> None:
    model, data = network(), images(40)
    found = flatness(model, data, {"k": 1, "ascent": "norm_layers", "rho": 0.3}, CPU)["method_sharpness"]
    of_norms = {p for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    g = [
        x if p in of_norms else 0 * x
        for p, x in zip(model.parameters(), gradient_by_hand(model, data), strict=True)
    ]
    assert found == pytest.approx(rise_by_hand(model, data, [0.3 * x / flat(g).norm() for x in g]), rel=1e-4)


@pytest.mark.parametrize("model", [RESNET, VIT], ids=["resnet", "vit"])
def test_the_eigenvalue_is_that_of_the_hessian_by_differences(model: dict[str, Any]) -> None:
    found_model, data = network(model).double(), images(20)
    found = flatness(network(model), data, {"k": 0}, CPU)
    parameters = list(found_model.parameters())
    w = [p.detach().clone() for p in parameters]

    def gradient_at(v: Tensor) -> Tensor:
        with torch.no_grad():
            parts = v.split([p.numel() for p in parameters])
            for p, x, moved in zip(parameters, w, parts, strict=True):
                p.copy_(x + moved.view_as(x))
        logits = found_model(evaluation_batch(data.images).double())
        return flat(torch.autograd.grad(cross_entropy(logits, data.labels), parameters))

    steps = 1e-5 * torch.eye(sum(p.numel() for p in parameters), dtype=torch.float64)
    dense = torch.stack([(gradient_at(v) - gradient_at(-v)) / 2e-5 for v in steps])
    largest = float(torch.linalg.eigvalsh((dense + dense.T) / 2)[-1])
    assert found["hessian_converged"]
    assert found["hessian_eigenvalue"] == pytest.approx(largest, rel=0.01)


def test_images_in_micro_batches_have_the_flatness_of_one_batch() -> None:
    small, many = network(), images(40, size=64)  # 16 of which are a micro-batch
    found = flatness(small, many, {"k": 0}, CPU)["sharpness"]
    g = gradient_by_hand(small, many)
    assert found == pytest.approx(rise_by_hand(small, many, [RHO * x / flat(g).norm() for x in g]), rel=1e-4)


def test_looking_leaves_the_model_as_it_was() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flatness(model, images(40), LAYERWISE, CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_flatness_is_the_same_twice() -> None:
    first, second = (flatness(network(), images(40), LAYERWISE, CPU) for _ in range(2))
    assert first == second


def test_a_rise_that_overflows_is_no_number() -> None:
    found = flatness(network(), images(40), {"k": 1, "ascent": "global", "rho": 1e30}, CPU)
    assert found["method_sharpness"] is None
    assert found["sharpness"] is not None


def test_it_is_taken_on_training_images_in_random_order(tmp_path: Path) -> None:
    shards = digit_shards(tmp_path / "shards")
    all_of_them = load(shards, "train", DIGITS)
    found = training_images(str(shards), json.dumps(DIGITS))
    known = [(image.numpy().tobytes(), int(label)) for image, label in zip(*all_of_them, strict=True)]
    drawn = [(image.numpy().tobytes(), int(label)) for image, label in zip(*found, strict=True)]
    assert sorted(drawn) == sorted(known)
    assert drawn != known


def test_of_many_training_images_it_takes_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = digit_shards(tmp_path / "shards")
    whole = training_images(str(shards), json.dumps(DIGITS))
    monkeypatch.setattr("looksam.flatness.IMAGES", 10)
    training_images.cache_clear()
    part = training_images(str(shards), json.dumps(DIGITS))
    assert torch.equal(part.images, whole.images[:10])
    assert torch.equal(part.labels, whole.labels[:10])
