import pytest
import torch

from looksam.descent import DESCENTS, reuse
from looksam.vector import Vector, dot, norm


@pytest.fixture
def g() -> Vector:
    torch.manual_seed(0)
    return [torch.randn(s, dtype=torch.float64) for s in [(4, 3), (4,)]]


@pytest.fixture
def g_s() -> Vector:
    torch.manual_seed(1)
    return [torch.randn(s, dtype=torch.float64) for s in [(4, 3), (4,)]]


@pytest.mark.parametrize("descent", DESCENTS)
def test_an_ascent_step_hands_over_g_s(descent, g, g_s):
    handed_over, _ = DESCENTS[descent].fresh(g, g_s)
    assert handed_over is g_s


def test_g_s_remembers_nothing(g, g_s):
    assert DESCENTS["g_s"].fresh(g, g_s)[1] == []


def test_g_v_remembers_the_part_of_g_s_orthogonal_to_g(g, g_s):
    g_v = DESCENTS["g_v"].fresh(g, g_s)[1]
    # the rounding of one float64 product a coordinate, relative to the lengths
    assert abs(dot(g_v, g)) < 1e-14 * norm(g_s) * norm(g)
    rest = [x - y for x, y in zip(g_s, g_v, strict=True)]
    torch.testing.assert_close(dot(rest, g).abs(), norm(rest) * norm(g), rtol=1e-13, atol=0)


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_the_reuse_push_has_length_alpha_times_g_whatever_the_length_of_g_v(length, g, g_s):
    g_v = [length * x for x in g_s]
    before = [x.clone() for x in g]
    reuse(g, g_v, norm(g_v), alpha=0.7)
    push = [x - y for x, y in zip(g, before, strict=True)]
    # the push is a difference of two float64 numbers of its own size
    torch.testing.assert_close(norm(push), 0.7 * norm(before), rtol=1e-14, atol=0)
    torch.testing.assert_close(dot(push, g_v), norm(push) * norm(g_v), rtol=1e-14, atol=0)


def test_without_a_g_v_reuse_leaves_g_as_it_is(g):
    before = [x.clone() for x in g]
    nothing = [torch.zeros_like(x) for x in g]
    reuse(g, nothing, norm(nothing), alpha=0.7)
    assert all(torch.equal(x, y) for x, y in zip(g, before, strict=True))


def test_without_a_gradient_reuse_pushes_nowhere(g, g_s):
    nothing = [torch.zeros_like(x) for x in g]
    reuse(nothing, g_s, norm(g_s), alpha=0.7)
    assert all((x == 0).all() for x in nothing)
