"""SharpnessAware at its borders: a restart, a thawed layer, and what is refused."""

import copy
from typing import Any

import pytest
import torch
from nets import BASES, Closure, batches, built, mlp
from reference import flat
from torch import nn

from looksam import Method, SharpnessAware
from looksam.descent import DESCENTS

LOOKSAM = Method(k=4, ascent="layerwise", descent="g_v", rho=0.1, alpha=0.6)
REMEMBERING = [name for name, descent in DESCENTS.items() if descent.between is not None]


def after(steps: int, method: Method = LOOKSAM) -> SharpnessAware:
    model = built(mlp)
    sharpness = SharpnessAware(model, method)
    for batch in batches(steps):
        sharpness.backward(Closure(model, batch))
    return sharpness


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos", "ls"])
@pytest.mark.parametrize("descent", REMEMBERING)
@pytest.mark.parametrize("stop", [1, 2, 6])
def test_resuming_mid_period_changes_nothing(stop, descent, alpha, tmp_path):
    method = Method(k=3, ascent="layerwise", descent=descent, rho=0.1, alpha=alpha, start=1)

    def start() -> tuple[nn.Module, torch.optim.Optimizer, SharpnessAware]:
        model = built(mlp)
        return model, BASES["adamw"](list(model.parameters())), SharpnessAware(model, method)

    def go(model: nn.Module, optimizer: torch.optim.Optimizer, sharpness: SharpnessAware, data: list) -> None:
        for batch in data:
            sharpness.backward(Closure(model, batch))
            optimizer.step()

    data, path = batches(10), tmp_path / "checkpoint.pt"
    uninterrupted, first, second = start(), start(), start()
    go(*uninterrupted, data)
    go(*first, data[:stop])
    torch.save([part.state_dict() for part in first], path)
    for part, state in zip(second, torch.load(path, weights_only=True), strict=True):
        part.load_state_dict(state)
    go(*second, data[stop:])
    assert torch.equal(flat(second[0]), flat(uninterrupted[0]))


def test_a_state_that_was_taken_does_not_change_with_the_training():
    sharpness = after(1)
    state = sharpness.state_dict()
    taken = copy.deepcopy(state)
    for batch in batches(4):
        sharpness.backward(Closure(sharpness.model, batch))
    assert state["step"] == taken["step"] == 1
    (g_v,) = [refresh["g_v"] for refresh in state["refreshes"]]
    assert all(torch.equal(x, taken["refreshes"][0]["g_v"][name]) for name, x in g_v.items())


def test_a_state_that_was_loaded_belongs_to_the_caller_still():
    sharpness, state = after(0), after(1).state_dict()
    sharpness.load_state_dict(state)
    for x in state["refreshes"][0]["g_v"].values():
        x.zero_()
    assert all(x.any() for x in sharpness.memory.values())


def test_a_state_without_memory_loads_into_any_method():
    sharpness = after(0)
    sharpness.load_state_dict(after(2, Method()).state_dict())
    assert sharpness.step == 2
    assert sharpness.memory == {}


def test_a_state_of_another_models_names_is_refused_by_name():
    state = after(1).state_dict()
    g_v = state["refreshes"][0]["g_v"]
    g_v["head.weight"] = g_v.pop("3.weight")
    with pytest.raises(
        ValueError, match=r"3\.weight is absent, not \(3, 8\); head\.weight is \(3, 8\), not there"
    ):
        after(0).load_state_dict(state)


def test_a_state_of_other_shapes_is_refused_by_name():
    state = after(1).state_dict()
    state["refreshes"][0]["g_v"]["3.bias"] = torch.zeros(5)
    with pytest.raises(ValueError, match=r"3\.bias is \(5,\), not \(3,\)"):
        after(0).load_state_dict(state)


def without_fitted(state: dict[str, Any]) -> dict[str, Any]:
    """The state as it was before refreshes fitted an alpha."""
    refreshes = [{k: v for k, v in refresh.items() if k != "fitted"} for refresh in state["refreshes"]]
    return {**state, "refreshes": refreshes}


@pytest.mark.parametrize("descent", REMEMBERING)
def test_a_state_of_before_alpha_was_fitted_loads_and_pushes_nothing_until_the_next_refresh(descent):
    method = Method(k=4, descent=descent, rho=0.1, alpha="ls")
    sharpness = after(0, method)
    sharpness.load_state_dict(without_fitted(after(6, method).state_dict()))
    assert [x["fitted"].any() for x in sharpness.state_dict()["refreshes"]] == [False] * (
        1 + DESCENTS[descent].age
    )


@pytest.mark.parametrize(("theirs", "ours"), [("g_v", "g_v_per_tensor"), ("g_v_per_tensor", "g_v")])
def test_a_state_of_a_descent_that_counts_otherwise_is_refused(theirs, ours):
    state = after(1, Method(k=4, descent=theirs)).state_dict()
    with pytest.raises(ValueError, match="one descent counts by tensor, the other over the model"):
        after(0, Method(k=4, descent=ours)).load_state_dict(state)


@pytest.mark.parametrize("method", [Method(), Method(k=4), Method(k=4, descent="gsam")])
def test_a_g_v_is_refused_by_a_method_that_uses_none(method):
    with pytest.raises(ValueError, match="holds a g_v and Method"):
        after(0, method).load_state_dict(after(1).state_dict())


def test_frozen_parameters_are_neither_moved_nor_remembered():
    model, (batch,) = built(), batches(1)
    model[1].requires_grad_(False)
    seen = []
    model.register_forward_pre_hook(lambda *_: seen.append(model[1].weight.clone()))
    sharpness = SharpnessAware(model, LOOKSAM)
    sharpness.backward(Closure(model, batch))
    assert torch.equal(seen[0], seen[1])
    assert list(sharpness.memory) == ["3.weight", "3.bias"]


def test_a_layer_thawed_between_refreshes_makes_the_next_steps_plain():
    model, (batch,) = built(), batches(1)
    model[1].requires_grad_(False)
    sharpness = SharpnessAware(model, LOOKSAM)
    sharpness.backward(Closure(model, batch))
    model[1].requires_grad_(True)
    Closure(model, batch)()
    g = [p.grad.clone() for p in model.parameters()]
    sharpness.backward(Closure(model, batch))
    assert all(torch.equal(p.grad, x) for p, x in zip(model.parameters(), g, strict=True))


def test_a_parameter_without_gradient_is_named_with_the_remedy():
    model = built(lambda: nn.Sequential(*mlp()))
    model.register_parameter("unused", nn.Parameter(torch.zeros(3)))
    with pytest.raises(ValueError, match=r"no gradient for unused; freeze .*requires_grad_\(False\)"):
        SharpnessAware(model, LOOKSAM).backward(Closure(model, batches(1)[0]))


def test_a_model_without_trainable_parameters_is_refused():
    model = built(mlp).requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        SharpnessAware(model, LOOKSAM).backward(lambda: None)


def test_a_sparse_gradient_is_refused_by_name():
    model = nn.Embedding(10, 3, sparse=True)
    with pytest.raises(ValueError, match="sparse or complex gradient for weight"):
        SharpnessAware(model, LOOKSAM).backward(lambda: model(torch.tensor([1])).sum().backward())


def test_a_complex_gradient_is_refused_by_name():
    model = nn.Linear(2, 2, bias=False, dtype=torch.complex64)
    ones = torch.ones(1, 2, dtype=torch.complex64)
    with pytest.raises(ValueError, match="sparse or complex gradient for weight"):
        SharpnessAware(model, LOOKSAM).backward(lambda: model(ones).abs().sum().backward())
