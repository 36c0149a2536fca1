import math
from typing import Any

import pytest
import torch
from timm.optim.lamb import Lamb
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from looksam.optimizers import OPTIMIZERS, SCHEDULES, base_optimizer, decay_groups, schedule

PEAK, WARMUP, STEPS = 0.5, 4, 24
SETTINGS = {"optimizer": "sgd", "peak_lr": PEAK, "weight_decay": 0.3}


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def made(**settings: Any) -> Optimizer:
    return base_optimizer(SETTINGS | settings, model())


def rates(name: str, warmup_steps: int = WARMUP) -> list[float]:
    """The learning rate of each step, and after the last."""
    optimizer = made()
    scheduler = schedule({"schedule": name, "warmup_steps": warmup_steps}, optimizer, STEPS)
    found = []
    for _ in range(STEPS):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return [*found, scheduler.get_last_lr()[0]]


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("sgd", SGD), ("lamb", Lamb)])
def test_a_base_optimizer_is_the_library_s_own_class(name: str, kind: type[Optimizer]) -> None:
    assert type(made(optimizer=name)) is kind


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_base_optimizer_has_its_peak_learning_rate_in_every_group(name: str) -> None:
    assert {group["lr"] for group in made(optimizer=name).param_groups} == {PEAK}


def test_sgd_has_nesterov_momentum() -> None:
    assert {(group["momentum"], group["nesterov"]) for group in made().param_groups} == {(0.9, True)}


def test_matrices_and_kernels_decay_and_vectors_do_not() -> None:
    decaying, others = decay_groups(model().parameters(), 0.3)
    assert [p.ndim for p in decaying["params"]] == [4, 2]
    assert [p.ndim for p in others["params"]] == [1, 1, 1, 1]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)


def test_a_frozen_parameter_is_in_no_group() -> None:
    network = model()
    next(network.parameters()).requires_grad_(False)
    assert sum(len(group["params"]) for group in decay_groups(network.parameters(), 0.3)) == 5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_a_gradient_s_pull_a_matrix_shrinks_and_a_vector_stays(name: str) -> None:
    network = model()
    before = [p.detach().clone() for p in network.parameters()]
    optimizer = base_optimizer(SETTINGS | {"optimizer": name, "peak_lr": 0.01}, network)
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p, old in zip(network.parameters(), before, strict=True):
        assert p.norm() < old.norm() if p.ndim > 1 else torch.equal(p, old)


def stepped(name: str, scale: float, settings: dict[str, Any]) -> torch.Tensor:
    """The weights after two steps along gradients, the first `scale` times the second."""
    w = nn.Parameter(torch.ones(4, 4))
    optimizer = base_optimizer(SETTINGS | {"optimizer": name} | settings, nn.ParameterList([w]))
    for factor in (scale, 1.0):
        w.grad = torch.arange(16.0).view(4, 4) * factor
        optimizer.step()
    return w.detach()


def test_lamb_does_not_clip_the_gradient() -> None:
    # the norm is far above 1, where timm's default would clip both of the first gradients to the same
    settings = {"weight_decay": 0.0, "peak_lr": 0.1}
    assert not torch.allclose(stepped("lamb", 10, settings), stepped("lamb", 100, settings))
    assert made(optimizer="lamb").param_groups[0]["max_grad_norm"] is None


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_warm_up_rises_by_equal_steps_from_the_first_to_the_peak(name: str) -> None:
    assert rates(name)[: WARMUP + 1] == pytest.approx(
        [PEAK * (i + 1) / (WARMUP + 1) for i in range(WARMUP + 1)]
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_after_the_last_step_is_zero(name: str) -> None:
    assert rates(name)[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_step_is_taken_at_a_rate_of_zero(name: str) -> None:
    assert min(rates(name)[:-1]) > 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_halfway_through_the_decay_the_rate_is_half_the_peak(name: str) -> None:
    assert rates(name)[(WARMUP + STEPS) // 2] == pytest.approx(PEAK / 2)


def test_a_linear_decay_falls_by_equal_steps() -> None:
    decay = STEPS - WARMUP
    assert rates("linear")[WARMUP:] == pytest.approx([PEAK * (1 - i / decay) for i in range(decay + 1)])


def test_a_cosine_decay_follows_half_a_cosine() -> None:
    decay = STEPS - WARMUP
    expected = [PEAK * (1 + math.cos(math.pi * i / decay)) / 2 for i in range(decay + 1)]
    assert rates("cosine")[WARMUP:] == pytest.approx(expected)


@pytest.mark.parametrize("name", SCHEDULES)
def test_without_a_warm_up_the_first_step_is_at_the_peak(name: str) -> None:
    assert rates(name, warmup_steps=0)[0] == PEAK


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warm_up_that_leaves_one_step_takes_it_at_the_peak(name: str) -> None:
    assert rates(name, warmup_steps=STEPS - 1)[-2:] == pytest.approx([PEAK, 0], abs=1e-12)
