import pytest
import torch

from looksam.descent import DESCENTS, reuse
from looksam.refresh import Refresh
from looksam.vector import Vector, dot, dots, norm, ratio


@pytest.fixture
def g() -> Vector:
    torch.manual_seed(0)
    return [torch.randn(s, dtype=torch.float64) for s in [(4, 3), (4,)]]


@pytest.fixture
def g_s() -> Vector:
    torch.manual_seed(1)
    return [torch.randn(s, dtype=torch.float64) for s in [(4, 3), (4,)]]


def fresh(descent: str, g: Vector, g_s: Vector, alpha: float = 0.7) -> tuple[Vector, Vector]:
    row = DESCENTS[descent]
    return row.fresh(g, g_s, ratio(row.over(dots(g_s, g)), row.over(dots(g, g))), alpha)


def refreshed(g_v: Vector) -> Refresh:
    none = torch.zeros(())
    return Refresh({str(i): x for i, x in enumerate(g_v)}, norm(g_v), torch.ones(()), none, none)


@pytest.mark.parametrize("descent", [name for name in DESCENTS if name != "gsam"])
def test_an_ascent_step_hands_over_g_s(descent, g, g_s):
    handed_over, _ = fresh(descent, g, g_s)
    assert handed_over is g_s


@pytest.mark.parametrize("descent", ["g_s", "gsam"])
def test_where_nothing_is_reused_nothing_is_remembered(descent, g, g_s):
    assert fresh(descent, g, g_s)[1] == []


def test_gsam_changes_g_s_only_across_it_and_against_g(g, g_s):
    change = [x - y for x, y in zip(fresh("gsam", g, g_s)[0], g_s, strict=True)]
    # the rounding of one float64 product a coordinate, relative to the lengths
    assert abs(dot(change, g_s)) < 1e-14 * norm(g) * norm(g_s)
    assert dot(change, g) < 0


def test_per_tensor_g_v_is_orthogonal_to_g_in_every_tensor(g, g_s):
    g_v = fresh("g_v_per_tensor", g, g_s)[1]
    assert (dots(g_v, g).abs() < 1e-14 * norm(g_s) * norm(g)).all()


def test_g_v_remembers_the_part_of_g_s_orthogonal_to_g(g, g_s):
    g_v = fresh("g_v", g, g_s)[1]
    # the rounding of one float64 product a coordinate, relative to the lengths
    assert abs(dot(g_v, g)) < 1e-14 * norm(g_s) * norm(g)
    rest = [x - y for x, y in zip(g_s, g_v, strict=True)]
    torch.testing.assert_close(dot(rest, g).abs(), norm(rest) * norm(g), rtol=1e-13, atol=0)


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_the_reuse_push_has_length_alpha_times_g_whatever_the_length_of_g_v(length, g, g_s):
    g_v = [length * x for x in g_s]
    before = [x.clone() for x in g]
    reuse(g, refreshed(g_v), 0.7, 0)
    push = [x - y for x, y in zip(g, before, strict=True)]
    # the push is a difference of two float64 numbers of its own size
    torch.testing.assert_close(norm(push), 0.7 * norm(before), rtol=1e-14, atol=0)
    torch.testing.assert_close(dot(push, g_v), norm(push) * norm(g_v), rtol=1e-14, atol=0)


def test_without_a_g_v_reuse_leaves_g_as_it_is(g):
    before = [x.clone() for x in g]
    nothing = [torch.zeros_like(x) for x in g]
    reuse(g, refreshed(nothing), 0.7, 0)
    assert all(torch.equal(x, y) for x, y in zip(g, before, strict=True))


def test_without_a_gradient_reuse_pushes_nowhere(g, g_s):
    nothing = [torch.zeros_like(x) for x in g]
    reuse(nothing, refreshed(g_s), 0.7, 0)
    assert all((x == 0).all() for x in nothing)


def test_the_random_control_pushes_as_far_as_g_v_and_another_way_after_each_refresh(g, g_s):
    pushes = []
    for seed in (0, 0, 5):
        pushed = [x.clone() for x in g]
        DESCENTS["random"].between(pushed, refreshed(g_s), 0.7, seed)
        pushes.append([x - y for x, y in zip(pushed, g, strict=True)])
    # the push is a difference of two float64 numbers of its own size
    torch.testing.assert_close(norm(pushes[0]), 0.7 * norm(g), rtol=1e-14, atol=0)
    assert all(torch.equal(x, y) for x, y in zip(pushes[0], pushes[1], strict=True))
    assert abs(dot(pushes[0], pushes[2])) < 0.9 * norm(pushes[0]) * norm(pushes[2])


def test_the_random_control_leaves_the_runs_random_numbers_alone(g, g_s):
    before = torch.get_rng_state()
    DESCENTS["random"].between(g, refreshed(g_s), 0.7, 0)
    assert torch.equal(torch.get_rng_state(), before)
