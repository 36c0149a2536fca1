import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from nets import BASES, Closure, Transformer, batches, built, convnet, mlp
from reference import ROWS, flat, state_of, train
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from looksam import Method, SharpnessAware
from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS
from looksam.vector import dot, norm

K = 4
STEPS = 3 * K + 2
SETTINGS = {"rho": 0.1, "alpha": 0.6}
METHODS = {
    "vanilla": Method(),
    "sam": Method(k=1, **SETTINGS),
    "sam-k": Method(k=K, **SETTINGS),
    "looksam-k": Method(k=K, descent="g_v", **SETTINGS),
    "layersam": Method(k=1, ascent="layerwise", **SETTINGS),
    "look-layersam-k": Method(k=K, ascent="layerwise", descent="g_v", **SETTINGS),
    "per-tensor-k": Method(k=K, descent="g_v_per_tensor", **SETTINGS),
    "auto-k": Method(k=K, descent="g_v", rho=0.1, alpha="auto"),
    "cos-k": Method(k=K, descent="g_v", rho=0.1, alpha="cos"),
    "per-tensor-cos-k": Method(k=K, descent="g_v_per_tensor", rho=0.1, alpha="cos"),
    "ls-k": Method(k=K, descent="g_v", rho=0.1, alpha="ls"),
    "per-tensor-ls-k": Method(k=K, descent="g_v_per_tensor", rho=0.1, alpha="ls"),
    "before-k": Method(k=K, descent="g_v_before", **SETTINGS),
    "random-k": Method(k=K, descent="random", **SETTINGS),
    "layersam-plain": Method(k=1, ascent="layerwise_plain", **SETTINGS),
    "layersam-matrices": Method(k=1, ascent="layerwise_matrices", **SETTINGS),
    "asam": Method(k=1, ascent="elementwise", **SETTINGS),
    "sam-on": Method(k=1, ascent="norm_layers", **SETTINGS),
    "gsam": Method(k=1, descent="gsam", **SETTINGS),
}
LOOKSAM = METHODS["looksam-k"]


def trained(method: Method, make: Callable[[], nn.Module] = mlp, base: str = "adamw") -> nn.Module:
    model = built(make)
    optimizer, sharpness = BASES[base](list(model.parameters())), SharpnessAware(model, method)
    for batch in batches(STEPS):
        sharpness.backward(Closure(model, batch))
        optimizer.step()
    return model


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("row", "make"),
    [(row, make) for row in ROWS for make in (mlp, convnet, Transformer) if (row, make) != ("sam-on", mlp)],
)
def test_every_method_equals_its_equations_on_flat_vectors(row, make, base):
    model, expected = trained(METHODS[row], make, base), built(make)
    state = state_of(expected, k=K, **SETTINGS)
    train(row, expected, BASES[base](list(expected.parameters())), batches(STEPS), state)
    # Both sides round differently, by 1e-16 a step; training for 14 steps amplifies that by less than 1e4.
    assert (flat(model) - flat(expected)).norm() < 1e-12 * flat(expected).norm()
    for found, buffer in zip(model.buffers(), expected.buffers(), strict=True):
        torch.testing.assert_close(found, buffer, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("base", BASES)
def test_k_0_is_the_base_optimizer_bit_for_bit(base):
    model = built()
    optimizer = BASES[base](list(model.parameters()))
    for batch in batches(STEPS):
        Closure(model, batch)()
        optimizer.step()
    assert torch.equal(flat(trained(Method(k=0, descent="g_v"), base=base)), flat(model))


@pytest.mark.parametrize("ascent", ["global", "layerwise"])
def test_looksam_with_k_1_is_sam_bit_for_bit(ascent):
    looking = trained(Method(k=1, ascent=ascent, descent="g_v", **SETTINGS))
    assert torch.equal(flat(looking), flat(trained(Method(k=1, ascent=ascent, **SETTINGS))))


def test_looksam_with_alpha_0_is_sam_k_bit_for_bit():
    without_push = trained(Method(k=K, descent="g_v", rho=0.1, alpha=0.0))
    assert torch.equal(flat(without_push), flat(trained(METHODS["sam-k"])))


@pytest.mark.parametrize("descent", DESCENTS)
@pytest.mark.parametrize("ascent", ASCENTS)
def test_rho_0_is_the_base_optimizer_bit_for_bit(ascent, descent):
    still = trained(Method(k=K, ascent=ascent, descent=descent, rho=0.0), convnet)
    assert torch.equal(flat(still), flat(trained(Method(), convnet)))


@pytest.mark.parametrize("k", [0, 1, 2, 5, 100])
def test_t_steps_take_t_passes_and_one_more_for_every_period_begun(k):
    model = built()
    sharpness, closure = SharpnessAware(model, Method(k=k, descent="g_v")), Closure(model, batches(1)[0])
    for _ in range(STEPS):
        sharpness.backward(closure)
    assert sharpness.step == STEPS
    assert closure.calls == STEPS + (-(-STEPS // k) if k else 0)


def test_g_v_is_orthogonal_to_the_gradient_of_its_own_step_only():
    model = built()
    sharpness, g = SharpnessAware(model, LOOKSAM), []
    for batch in batches(2):
        Closure(model, batch)()
        g.append([p.grad.clone() for p in model.parameters()])
        sharpness.backward(Closure(model, batch))
    g_v = list(sharpness.memory.values())
    cosines = [dot(x, g_v) / (norm(x) * norm(g_v)) for x in g]
    # rounding of g_s, which is some ten times as long as g_v
    assert abs(cosines[0]) < 1e-13
    assert abs(cosines[1]) > 1e-3


@pytest.mark.parametrize("alpha", ["auto", "cos", "ls"])
def test_rho_0_with_a_measured_alpha_is_the_base_optimizer_bit_for_bit(alpha):
    still = trained(Method(k=K, descent="g_v", rho=0.0, alpha=alpha), convnet)
    assert torch.equal(flat(still), flat(trained(Method(), convnet)))


@pytest.mark.parametrize("start", [1, K, STEPS])
def test_before_its_start_a_method_is_the_base_optimizer_and_its_phase_counts_from_there(start):
    model = built()
    sharpness, closure = SharpnessAware(model, Method(k=K, start=start)), Closure(model, batches(1)[0])
    ascents = []
    for _ in range(STEPS):
        ascents.append(sharpness.is_ascent)
        sharpness.backward(closure)
    assert [t for t, is_ascent in enumerate(ascents) if is_ascent] == list(range(start, STEPS, K))
    assert closure.calls == STEPS + sum(ascents)


@pytest.mark.parametrize("rho", [0.001, 1.0])
def test_the_push_between_has_length_alpha_times_g_whatever_rho(rho):
    model, (first, second) = built(), batches(2)
    sharpness = SharpnessAware(model, Method(k=K, descent="g_v", rho=rho, alpha=0.6))
    sharpness.backward(Closure(model, first))
    Closure(model, second)()
    g = [p.grad.clone() for p in model.parameters()]
    sharpness.backward(Closure(model, second))
    push = [p.grad - x for p, x in zip(model.parameters(), g, strict=True)]
    # the push is a difference of float64 numbers of its own size
    torch.testing.assert_close(norm(push), 0.6 * norm(g), rtol=1e-13, atol=0)


def test_the_loss_is_that_of_the_first_pass():
    model, (batch,) = built(), batches(1)
    expected = Closure(model, batch)()
    assert torch.equal(SharpnessAware(model, Method(k=1, rho=1.0)).backward(Closure(model, batch)), expected)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_looking_leaves_the_weights_bit_for_bit(method):
    model = built(convnet)
    before, sharpness = flat(model), SharpnessAware(model, method)
    for batch in batches(STEPS):
        sharpness.backward(Closure(model, batch))
    assert torch.equal(flat(model), before)


def test_the_gradient_is_written_where_the_optimizer_and_ddp_look_for_it():
    model = built()
    bucket = torch.zeros(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    views = bucket.split([p.numel() for p in model.parameters()])
    for p, view in zip(model.parameters(), views, strict=True):
        p.grad = view.view_as(p)

    def closure() -> None:
        bucket.zero_()
        images, labels = batches(1)[0]
        nn.functional.cross_entropy(model(images), labels).backward()

    sharpness = SharpnessAware(model, LOOKSAM)
    for _ in range(2):
        sharpness.backward(closure)
        assert torch.equal(bucket, torch.cat([p.grad.flatten() for p in model.parameters()]))
    closure()
    g = bucket.clone()
    sharpness.backward(closure)
    torch.testing.assert_close((bucket - g).norm(), 0.6 * g.norm(), rtol=1e-13, atol=0)


class Operations(TorchDispatchMode):
    """Names of the torch operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("row", METHODS)
def test_no_step_waits_for_the_device(row):
    model, (batch,) = built(convnet), batches(1)
    sharpness = SharpnessAware(model, METHODS[row])
    with Operations() as operations:
        for _ in range(K + 2):  # past a second refresh, and a step that reuses it
            sharpness.backward(Closure(model, batch))
            assert sharpness.is_finite.ndim == 0
    assert not {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal"} & set(operations.names)


@pytest.mark.parametrize("row", ["vanilla", "sam-k"])
def test_where_g_is_handed_over_nothing_runs_but_the_closure(row):
    model, (batch,) = built(), batches(1)
    sharpness = SharpnessAware(model, METHODS[row])
    sharpness.backward(Closure(model, batch))
    with Operations() as operations:
        sharpness.backward(lambda: None)
    assert operations.names == []


def test_methods_without_reuse_remember_nothing():
    model, (batch,) = built(), batches(1)
    sharpness = SharpnessAware(model, METHODS["sam-k"])
    sharpness.backward(Closure(model, batch))
    assert sharpness.memory == {}


def test_importing_the_core_imports_torch_and_nothing_else():
    code = (
        "import sys, torch; before = set(sys.modules); from looksam import Method, SharpnessAware\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert set(found.split()) <= {"looksam", "torch"}
