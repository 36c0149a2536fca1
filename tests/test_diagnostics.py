import pytest
import torch
from nets import Closure, batches, built
from torch import Tensor

from looksam import Method, SharpnessAware
from looksam.descent import DESCENTS

K = 3
ALWAYS = ["norm_g", "norm_g_s", "cos_g_g_s", "g_v_over_g"]
REMEMBERING = [name for name, descent in DESCENTS.items() if descent.between is not None]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a, b) / (a.norm() * b.norm())


def across(a: Tensor, b: Tensor) -> Tensor:
    return a - torch.dot(a, b) / torch.dot(b, b) * b


def watched(method: Method) -> tuple[SharpnessAware, list[tuple[Tensor, Tensor]]]:
    """After the second refresh; and g, g_s at both, as flat vectors."""
    model, seen = built(), []
    sharpness = SharpnessAware(model, method)
    for step, batch in enumerate(batches(K + 1)):
        passes = []

        def closure(batch=batch, passes=passes) -> None:
            Closure(model, batch)()
            passes.append(torch.cat([p.grad.flatten() for p in model.parameters()]))

        sharpness.backward(closure)
        if step % K == 0:
            seen.append(tuple(passes))
        torch.optim.SGD(model.parameters(), lr=0.1).step()
    return sharpness, seen


@pytest.mark.parametrize("descent", DESCENTS)
def test_lengths_and_the_cosine_are_those_of_the_two_passes(descent):
    sharpness, [_, (g, g_s)] = watched(Method(k=K, descent=descent, rho=0.1))
    found = sharpness.diagnostics
    expected = [g.norm(), g_s.norm(), cosine(g, g_s)]
    # sums in another order
    torch.testing.assert_close([found[name] for name in ALWAYS[:3]], expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("descent", ["g_s", "g_v", "gsam", "random", "g_v_before"])
def test_the_share_of_g_v_is_told_of_methods_that_keep_none_too(descent):
    sharpness, [_, (g, g_s)] = watched(Method(k=K, descent=descent, rho=0.1))
    # by Pythagoras where there is no g_v, which at a share of 0.1 costs two digits
    expected = across(g_s, g).norm() / g.norm()
    torch.testing.assert_close(sharpness.diagnostics["g_v_over_g"], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("descent", ["g_v", "random", "g_v_before"])
def test_the_cosine_of_successive_g_v_is_told(descent):
    sharpness, [old, new] = watched(Method(k=K, descent=descent, rho=0.1))
    expected = cosine(across(*old[::-1]), across(*new[::-1]))
    # from <old, g_s> and <old, g>, which nearly cancel
    torch.testing.assert_close(sharpness.diagnostics["cos_g_v_old"], expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("alpha", [0.1, 0.7, "auto"])
def test_the_reuse_gain_is_what_reusing_the_old_g_v_would_have_gained(alpha):
    sharpness, [old, (g, g_s)] = watched(Method(k=K, descent="g_v", rho=0.1, alpha=alpha))
    g_v = across(*old[::-1])
    measured = old[0].norm() / (torch.dot(*old) / old[0].norm()) * g_v.norm() / old[0].norm()
    d = g + (measured if alpha == "auto" else alpha) * g.norm() / g_v.norm() * g_v
    # a difference of two cosines near 1
    torch.testing.assert_close(
        sharpness.diagnostics["reuse_gain"], cosine(d, g_s) - cosine(g, g_s), rtol=0, atol=1e-14
    )


def test_the_reuse_gain_per_tensor_is_that_of_what_it_would_have_handed_over():
    sharpness, [old, (g, g_s)] = watched(Method(k=K, descent="g_v_per_tensor", rho=0.1, alpha=0.7))
    sizes = [p.numel() for p in sharpness.model.parameters()]
    parts = [x.split(sizes) for x in (old[0], old[1], g)]
    d = []
    for old_g, old_g_s, g_l in zip(*parts, strict=True):
        g_v = across(old_g_s, old_g)
        d.append(g_l + 0.7 * g_l.norm() / g_v.norm() * g_v)
    torch.testing.assert_close(
        sharpness.diagnostics["reuse_gain"], cosine(torch.cat(d), g_s) - cosine(g, g_s), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("descent", DESCENTS)
def test_diagnostics_are_single_numbers_that_know_no_graph(descent):
    sharpness, _ = watched(Method(k=K, descent=descent, rho=0.1))
    names = [*ALWAYS, "cos_g_v_old", "reuse_gain"] if descent in REMEMBERING else ALWAYS
    assert list(sharpness.diagnostics) == names
    assert all(x.ndim == 0 and not x.requires_grad for x in sharpness.diagnostics.values())


def test_before_the_first_ascent_step_there_are_none():
    assert SharpnessAware(built(), Method(k=K)).diagnostics == {}
