"""What is remembered where a gradient is zero or overflows."""

import pytest
import torch
from nets import BASES, Batch, Closure, batches, built, convnet, mlp
from reference import flat
from torch import Tensor, nn

from looksam import Method, SharpnessAware
from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS

K = 3
REMEMBERING = [name for name, descent in DESCENTS.items() if descent.between is not None]


def sharpened(descent: str, alpha: float | str = 0.6) -> SharpnessAware:
    return SharpnessAware(built(convnet), Method(k=K, descent=descent, rho=0.1, alpha=alpha))


def overflowing(model: nn.Module, batch: Batch, call: int, parameter: int | None = None) -> Closure:
    """The closure, all its gradients, or that of one parameter, infinite after one of its calls."""
    closure = Closure(model, batch)

    class Overflowing(Closure):
        def __call__(self) -> Tensor:
            loss = closure()
            parameters = list(self.model.parameters())
            if closure.calls == call:
                for p in parameters if parameter is None else [parameters[parameter]]:
                    p.grad.fill_(torch.inf)
            return loss

    return Overflowing(model, batch)


def gradient(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def tensors(sharpness: SharpnessAware) -> list[Tensor]:
    refreshes = sharpness.state_dict()["refreshes"]
    return [x for r in refreshes for v in r.values() for x in (v.values() if isinstance(v, dict) else [v])]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos"])
@pytest.mark.parametrize("descent", DESCENTS)
@pytest.mark.parametrize("ascent", ASCENTS)
def test_a_zero_gradient_stays_zero_without_nan(ascent, descent, alpha):
    model = built(convnet)
    alpha = alpha if descent in REMEMBERING else 0.6
    sharpness = SharpnessAware(model, Method(k=2, ascent=ascent, descent=descent, alpha=alpha))

    def closure() -> None:
        model.zero_grad()
        sum(p.sum() * 0 for p in model.parameters()).backward()

    for _ in range(4):
        sharpness.backward(closure)
        assert (gradient(model) == 0).all()
    assert all(x.isfinite() for x in sharpness.diagnostics.values())


@pytest.mark.parametrize("descent", DESCENTS)
@pytest.mark.parametrize("ascent", ASCENTS)
def test_tensors_of_norm_zero_give_no_nan(ascent, descent):
    model = built(convnet)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    sharpness = SharpnessAware(model, Method(k=2, ascent=ascent, descent=descent, rho=0.5))
    optimizer = BASES["sgd"](list(model.parameters()))
    for batch in batches(6):
        sharpness.backward(Closure(model, batch))
        optimizer.step()
    assert flat(model).isfinite().all()


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos"])
@pytest.mark.parametrize("descent", REMEMBERING)
@pytest.mark.parametrize("call", [1, 2])
def test_an_overflow_in_either_pass_is_handed_over_and_not_remembered(call, descent, alpha):
    sharpness, data = sharpened(descent, alpha), batches(3 * K)
    model = sharpness.model
    for batch in data[: 2 * K]:
        sharpness.backward(Closure(model, batch))
        assert sharpness.is_finite
    before, weights = tensors(sharpness), flat(model)
    sharpness.backward(overflowing(model, data[2 * K], call))
    assert not gradient(model).isfinite().all()
    assert not sharpness.is_finite
    assert equal(tensors(sharpness), before)
    assert torch.equal(flat(model), weights)
    assert sharpness.step == 2 * K + 1


def test_an_overflow_of_g_alone_is_handed_over_too():
    model, (batch,) = built(convnet), batches(1)
    # of the last layer's bias, which this ascent does not move, so that the second pass is finite
    sharpness = SharpnessAware(model, Method(k=1, ascent="norm_layers"))
    sharpness.backward(overflowing(model, batch, call=1, parameter=-1))
    assert not sharpness.is_finite
    assert not gradient(model).isfinite().any()


@pytest.mark.parametrize("descent", REMEMBERING)
def test_an_overflow_between_is_handed_over(descent):
    sharpness, data = sharpened(descent), batches(K + 2)
    for batch in data[:-1]:
        sharpness.backward(Closure(sharpness.model, batch))
    before = tensors(sharpness)
    sharpness.backward(overflowing(sharpness.model, data[-1], call=1, parameter=0))
    assert not sharpness.is_finite
    assert equal(tensors(sharpness), before)


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos"])
@pytest.mark.parametrize("descent", REMEMBERING)
@pytest.mark.parametrize("call", [1, 2])
def test_after_an_overflow_at_the_first_refresh_the_steps_between_are_plain(call, descent, alpha):
    sharpness, (batch,) = sharpened(descent, alpha), batches(1)
    model = sharpness.model
    sharpness.backward(overflowing(model, batch, call))
    Closure(model, batch)()
    g = gradient(model)
    sharpness.backward(Closure(model, batch))
    assert torch.equal(gradient(model), g)


@pytest.mark.parametrize("descent", REMEMBERING)
def test_the_refresh_after_an_overflow_is_as_if_there_had_been_none_before(descent):
    overflown, fresh = sharpened(descent), sharpened(descent)
    first, second = batches(2)
    overflown.backward(overflowing(overflown.model, first, call=2))
    overflown.step = K
    for sharpness in (overflown, fresh):
        sharpness.backward(Closure(sharpness.model, second))
    assert equal(list(overflown.memory.values()), list(fresh.memory.values()))


def test_an_ascent_that_moves_nothing_of_the_model_is_refused():
    model = built(mlp)
    with pytest.raises(ValueError, match="ascent 'norm_layers' moves no trainable parameter of this model"):
        SharpnessAware(model, Method(k=1, ascent="norm_layers")).backward(Closure(model, batches(1)[0]))
