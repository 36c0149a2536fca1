"""What an ascent step measures, and what is remembered where a gradient is zero or overflows."""

import pytest
import torch
from nets import BASES, Batch, Closure, batches, built, convnet, mlp
from reference import flat
from torch import Tensor, nn

from looksam import Method, SharpnessAware
from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS
from looksam.refresh import ALPHAS, Over, Refresh, each, products, refresh, whole
from looksam.vector import reject

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


def random_vectors(seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """g, g_s and an old g_v, of 60 numbers; g_s has some of both in it."""
    generator = torch.Generator().manual_seed(seed)
    g, noise, old = torch.randn(3, 60, dtype=dtype, generator=generator)
    return [g, g + 0.3 * noise + 0.2 * old, old]


def second_refresh(g: Tensor, g_s: Tensor, old: Tensor, over: Over = whole) -> Refresh:
    """The refresh of g and g_s where the g_v before is `old`; one tensor."""
    seen = products([g], [g_s], [old])
    along = over(seen.g_g_s) / over(seen.g_g)
    zero = torch.zeros_like(along)
    before = Refresh({"w": old}, over(old.norm()[None]), zero, zero, zero)
    return refresh({"w": reject([g_s], [g])[0]}, seen, along, over, before)


@pytest.mark.parametrize("seed", range(5))
def test_the_fitted_push_is_that_of_the_least_squares_fit(seed):
    g, g_s, old = random_vectors(seed)
    a, b = torch.linalg.lstsq(torch.stack([g, old], dim=1), g_s[:, None]).solution.flatten()
    assert a > 0
    assert b > 0
    # of vectors of 60 numbers that are far from parallel, each side rounds by some 1e-15
    torch.testing.assert_close(
        second_refresh(g, g_s, old).fitted, b / a * old.norm() / g.norm(), rtol=1e-13, atol=0
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_push_along_the_old_g_v_points_nearer_to_g_s_than_the_fitted(seed):
    g, g_s, old = random_vectors(seed)
    fitted = second_refresh(g, g_s, old).fitted
    pushes = fitted * torch.tensor([0, 0.5, 0.99, 1.01, 2, 10], dtype=torch.float64)
    best, *others = [
        torch.cosine_similarity(g + push * g.norm() / old.norm() * old, g_s, dim=0)
        for push in (fitted, *pushes)
    ]
    assert all(other < best for other in others)


@pytest.mark.parametrize("seed", range(5))
def test_where_the_old_g_v_is_orthogonal_to_g_the_fitted_alpha_is_cos(seed):
    g, g_s, old = random_vectors(seed)
    old = reject([old], [g])[0]
    last = second_refresh(g, g_s, old)
    assert last.fitted > 0
    # the same quotient of the same products, rounded in another order; <old, g> is 0 up to 1e-16 of its parts
    torch.testing.assert_close(ALPHAS["ls"](last), ALPHAS["cos"](last), rtol=1e-13, atol=0)


def test_where_the_old_g_v_lies_partly_along_g_the_fitted_alpha_is_not_cos():
    g, g_s, old = random_vectors(0)
    last = second_refresh(g, g_s, old + 0.5 * g)
    assert abs(ALPHAS["ls"](last) / ALPHAS["cos"](last) - 1) > 0.1


@pytest.mark.parametrize("over", [whole, each])
@pytest.mark.parametrize(
    "vectors",
    {
        "against old": lambda g, g_s, old: (g, g - 0.2 * old, reject([old], [g])[0]),
        "against g": lambda g, g_s, old: (g, 0.2 * old - g, reject([old], [g])[0]),
        "old along g": lambda g, g_s, old: (g, g_s, 3 * g),
        "old along -g": lambda g, g_s, old: (g, g_s, -3 * g),
        "one number": lambda g, g_s, old: (g[:1], g_s[:1], old[:1]),
        "no old": lambda g, g_s, old: (g, g_s, 0 * old),
        "no g": lambda g, g_s, old: (0 * g, g_s, old),
        "no g_s": lambda g, g_s, old: (g, 0 * g, old),
    }.items(),
    ids=lambda vectors: vectors[0],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_no_push_along_the_old_g_v_helps_the_fitted_is_0(dtype, vectors, over):
    for seed in range(20):
        assert (second_refresh(*vectors[1](*random_vectors(seed, dtype)), over=over).fitted == 0).all()


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_the_fitted_alpha_is_the_same_whatever_the_gradients_are_scaled_with(scale):
    g, g_s, old = random_vectors(0, torch.float32)
    found = second_refresh(scale * g, scale * g_s, old).fitted
    # rounded in float32
    torch.testing.assert_close(found, second_refresh(g, g_s, old).fitted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos", "ls"])
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


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos", "ls"])
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


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos", "ls"])
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
