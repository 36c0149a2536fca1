import math
import warnings

import pytest
import torch
from nets import Closure, batches, built
from torch import Tensor

from looksam import Method, SharpnessAware
from looksam.descent import DESCENTS
from looksam.diagnostics import HARMLESS, TOO_HARD, warn_of_push

K = 3
ALWAYS = ["norm_g", "norm_g_s", "cos_g_g_s", "g_v_over_g"]
REMEMBERING = [name for name, descent in DESCENTS.items() if descent.between is not None]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a, b) / (a.norm() * b.norm())


def across(a: Tensor, b: Tensor) -> Tensor:
    return a - torch.dot(a, b) / torch.dot(b, b) * b


def watched(method: Method, refreshes: int = 2) -> tuple[SharpnessAware, list[tuple[Tensor, Tensor]]]:
    """After the last of some refreshes; and g, g_s at each, as flat vectors."""
    model, seen = built(), []
    sharpness = SharpnessAware(model, method)
    for step, batch in enumerate(batches((refreshes - 1) * K + 1)):
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


def test_the_reuse_gain_of_a_fitted_alpha_is_that_of_what_it_handed_over_until_then():
    sharpness, [first, (before, before_s), (g, g_s)] = watched(Method(k=K, descent="g_v", alpha="ls"), 3)
    old, g_v = across(*first[::-1]), across(before_s, before)
    a, b = torch.linalg.lstsq(torch.stack([before, old], dim=1), before_s[:, None]).solution.flatten()
    assert a > 0
    assert b > 0  # else nothing is pushed, and there is no gain to test
    d = g + b / a * old.norm() / before.norm() * g.norm() / g_v.norm() * g_v
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
    sharpness = SharpnessAware(built(), Method(k=K))
    assert sharpness.diagnostics == sharpness.read_diagnostics() == {}


@pytest.mark.parametrize("descent", ["g_s", "g_v"])
def test_read_they_are_the_same_numbers(descent):
    sharpness, _ = watched(Method(k=K, descent=descent, rho=0.1, alpha=0.1))
    expected = {name: x.item() for name, x in sharpness.diagnostics.items()}
    assert sharpness.read_diagnostics() == expected


def test_reading_them_is_one_transfer(monkeypatch):
    sharpness, _ = watched(Method(k=K, descent="g_v", rho=0.1, alpha=0.1))
    read = []
    tolist = Tensor.tolist
    monkeypatch.setattr(Tensor, "tolist", lambda x: read.append(x.shape) or tolist(x))
    monkeypatch.setattr(Tensor, "item", lambda x: read.append("item"))
    sharpness.read_diagnostics()
    assert read == [(len(sharpness.diagnostics),)]


@pytest.mark.parametrize("descent", ["g_v", "g_v_per_tensor", "g_v_before"])
def test_an_alpha_far_above_what_two_refreshes_support_is_warned_of_once(descent):
    sharpness, _ = watched(Method(k=K, descent=descent, rho=0.1, alpha=0.7))
    remedies = r'alpha 0\.7 pushes .* support, [0-9.]+: .* smaller alpha, or "auto", "cos" or "ls"'
    with pytest.warns(UserWarning, match=remedies) as told:
        sharpness.read_diagnostics()
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sharpness.read_diagnostics()


@pytest.mark.parametrize(
    "setting",
    [
        {"alpha": "auto"},
        {"alpha": "cos"},
        {"alpha": "ls"},
        {"alpha": HARMLESS},
        {"alpha": 50.0, "k": 1},
        {"alpha": 50.0, "k": 0},
        {"alpha": 50.0, "k": K + 1},  # one refresh only
        {"alpha": 50.0, "rho": 0.0},  # no g_v to push along
        {"alpha": 50.0, "descent": "g_s"},
    ],
    ids=str,
)
def test_nothing_is_warned_of_where_no_measurement_speaks_against_alpha(setting):
    sharpness, _ = watched(Method(**{"k": K, "descent": "g_v", "rho": 0.1, **setting}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sharpness.read_diagnostics()


@pytest.mark.parametrize(("over", "warns"), [(0.99, False), (1.01, True)])
def test_the_supported_alpha_is_the_least_squares_push_of_the_old_g_v(over, warns):
    sharpness, [old, (g, g_s)] = watched(Method(k=K, descent="g_v", rho=0.1, alpha=0.1))
    u, g_v = across(*old[::-1]), across(g_s, g)
    push = torch.linalg.lstsq(u[:, None], g_v[:, None]).solution.item() * u.norm()
    supported = float(push / (g_s - g_v).norm())
    found = sharpness.read_diagnostics()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert warn_of_push(found, over * TOO_HARD * supported, K) is warns
    assert len(told) == warns


@pytest.mark.parametrize("name", ["norm_g", "norm_g_s", "g_v_over_g"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_pass_that_overflowed_is_no_reason_to_warn(name, value):
    found = dict.fromkeys([*ALWAYS, "cos_g_v_old", "reuse_gain"], 0.5) | {name: value}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_of_push(found, 50.0, K)
