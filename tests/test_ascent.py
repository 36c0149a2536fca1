import pytest
import torch
from torch import nn

from looksam import Method, SharpnessAware
from looksam.ascent import (
    ASCENTS,
    is_normalisation,
    layerwise,
    layerwise_matrices,
    layerwise_plain,
    whole_model,
)
from looksam.vector import norm, norms

RHO = 0.3


@pytest.fixture
def w() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(s, dtype=torch.float64) for s in [(4, 3), (4,), (2, 4)]]


@pytest.fixture
def g() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(s, dtype=torch.float64) for s in [(4, 3), (4,), (2, 4)]]


@pytest.mark.parametrize("ascent", ["global", "layerwise", "layerwise_matrices"])
def test_the_perturbation_has_length_rho(ascent, w, g):
    # one rounding a tensor: a few units in the last place of float64
    torch.testing.assert_close(norm(ASCENTS[ascent].epsilon(w, g, RHO)).item(), RHO, rtol=1e-14, atol=0)


@pytest.mark.parametrize("ascent", ASCENTS)
def test_no_gradient_means_no_perturbation(ascent, w, g):
    epsilon = ASCENTS[ascent].epsilon(w, [torch.zeros_like(x) for x in g], RHO)
    assert all((x == 0).all() for x in epsilon)


@pytest.mark.parametrize("ascent", ASCENTS)
def test_a_gradient_near_underflow_gives_no_nan(ascent):
    w, g = [torch.ones(()), torch.ones(3)], [torch.tensor(1e-42), torch.full((3,), 1e-42)]
    assert all(x.isfinite().all() for x in ASCENTS[ascent].epsilon(w, g, RHO))


def test_the_global_ascent_goes_along_the_gradient(w, g):
    epsilon = whole_model(w, g, RHO)
    for e, x in zip(epsilon, g, strict=True):
        torch.testing.assert_close(e, RHO * x / norm(g), rtol=1e-14, atol=0)


def test_the_layerwise_ascent_moves_each_tensor_in_proportion_to_its_weights(w, g):
    share = norms(layerwise(w, g, RHO)) / norms(w)
    torch.testing.assert_close(share, torch.full_like(share, RHO / norm(w).item()), rtol=1e-14, atol=0)


def test_the_layerwise_ascent_does_not_see_the_scale_of_a_tensors_gradient(w, g):
    scaled = [g[0] * 1000, g[1], g[2] * 0.001]
    for e, expected in zip(layerwise(w, scaled, RHO), layerwise(w, g, RHO), strict=True):
        torch.testing.assert_close(e, expected, rtol=1e-13, atol=0)


def test_with_one_tensor_the_layerwise_ascent_is_the_global_one(w, g):
    torch.testing.assert_close(layerwise(w[:1], g[:1], RHO)[0], whole_model(w[:1], g[:1], RHO)[0])


@pytest.mark.parametrize("zero", ["weights", "gradient"])
def test_a_tensor_of_norm_zero_stays_and_the_others_share_rho(zero, w, g):
    (w if zero == "weights" else g)[1].zero_()
    epsilon = layerwise(w, g, RHO)
    assert (epsilon[1] == 0).all()
    expected = layerwise([w[0], w[2]], [g[0], g[2]], RHO)
    assert torch.equal(epsilon[0], expected[0])
    assert torch.equal(epsilon[2], expected[1])


def test_plain_layerwise_goes_where_layerwise_goes_as_far_as_the_weights_are_long(w, g):
    for e, expected in zip(layerwise_plain(w, g, RHO), layerwise(w, g, RHO), strict=True):
        torch.testing.assert_close(e, expected * norm(w), rtol=1e-14, atol=0)


def test_a_vector_of_zeros_moves_with_the_other_vectors_where_only_matrices_are_layers(w, g):
    w, g = [*w, torch.zeros(5, dtype=torch.float64)], [*g, torch.ones(5, dtype=torch.float64)]
    epsilon = layerwise_matrices(w, g, RHO)
    torch.testing.assert_close(epsilon[3] / g[3], (epsilon[1] / g[1])[0].expand(5), rtol=1e-14, atol=0)
    assert (layerwise(w, g, RHO)[3] == 0).all()


def test_without_vectors_only_matrices_are_layers_anyway(w, g):
    matrices = [0, 2]
    w, g = [w[i] for i in matrices], [g[i] for i in matrices]
    assert all(
        torch.equal(x, y) for x, y in zip(layerwise_matrices(w, g, RHO), layerwise(w, g, RHO), strict=True)
    )


class LlamaRMSNorm(nn.Module):
    pass


class NormalDistribution(nn.Module):
    pass


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.BatchNorm2d(2), True),
        (nn.LayerNorm(2), True),
        (nn.GroupNorm(1, 2), True),
        (LlamaRMSNorm(), True),
        (NormalDistribution(), False),
        (nn.Linear(2, 2), False),
    ],
)
def test_normalisation_layers_are_told_by_their_class(module, expected):
    assert is_normalisation(module) == expected


def test_only_what_an_ascent_moves_is_moved_and_given_back():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    seen = []
    model.register_forward_pre_hook(lambda *_: seen.append([p.detach().clone() for p in model.parameters()]))
    x = torch.randn(3, 4)
    SharpnessAware(model, Method(k=1, ascent="norm_layers")).backward(lambda: model(x)[0, 0].backward())
    assert [torch.equal(a, b) for a, b in zip(*seen, strict=True)] == [True, True, False, False]
    assert all(torch.equal(p, x) for p, x in zip(model.parameters(), seen[0], strict=True))
