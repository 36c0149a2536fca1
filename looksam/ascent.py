"""Where to look: the perturbation of the weights at which the second gradient is taken."""

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from looksam.vector import Vector, norm, norms, ratio, scaled


def every_layer(module: nn.Module) -> bool:
    """True: no layer is left out."""
    return True


class Ascent(NamedTuple):
    """A perturbation, and whose parameters it moves.

    epsilon(w, g, rho): the perturbation of the tensors w with gradient g. moves: whether it moves the
    parameters that are a module's own; the others are in neither w nor g, and stay.
    """

    epsilon: Callable[[Vector, Vector, float], Vector]
    moves: Callable[[nn.Module], bool] = every_layer


def whole_model(w: Vector, g: Vector, rho: float) -> Vector:
    """Perturbation of SAM, epsilon = rho * g / ||g||, the norm over all tensors; 0 where g = 0.

    w, g: same shapes. rho: length of epsilon over all tensors. Foret et al. 2021, equation 2.
    """
    length = norm(g)
    return list(torch._foreach_mul(g, ratio(torch.full_like(length, rho), length)))


def layerwise(w: Vector, g: Vector, rho: float) -> Vector:
    """Perturbation of LayerSAM, epsilon = rho * Lambda g / ||Lambda g||, Lambda_l = ||w_l|| / ||g_l||.

    w, g: same shapes; a layer l is one tensor. rho: length of epsilon over all tensors. A tensor of norm 0,
    in weights or in gradient, stays where it is and counts for nothing in ||Lambda g||.
    Liu et al. 2022, Algorithm 2; dividing by ||Lambda g|| is our reading.
    """
    g_norms = norms(g)
    Lambda = ratio(norms(w), g_norms)
    scales = ratio(rho * Lambda, norm([Lambda * g_norms]))
    return scaled(g, scales)


def layerwise_plain(w: Vector, g: Vector, rho: float) -> Vector:
    """Perturbation of LayerSAM read without a normaliser, epsilon_l = rho * ||w_l|| g_l / ||g_l||.

    w, g: same shapes. rho: length of epsilon in each tensor, relative to its weights; over all, rho * ||w||.
    Along `layerwise`, of another length. Liu et al. 2022, Algorithm 2.
    """
    return scaled(g, ratio(rho * norms(w), norms(g)))


def layerwise_matrices(w: Vector, g: Vector, rho: float) -> Vector:
    """Perturbation of LayerSAM in which all tensors of less than two dimensions are one layer.

    epsilon = rho * Lambda g / ||Lambda g||, Lambda_l = ||w_l|| / ||g_l|| for a matrix or kernel l, and for
    biases and normalisation layers ||w_b|| / ||g_b|| with both norms over all of them: among them epsilon
    goes along g, as in SAM, so that a bias of 0 moves too. w, g: same shapes. rho: length of epsilon over all
    tensors.
    """
    g_norms = norms(g)
    Lambda = ratio(_with_vectors_as_one(norms(w), w), _with_vectors_as_one(g_norms, w))
    return scaled(g, ratio(rho * Lambda, norm([Lambda * g_norms])))


def _with_vectors_as_one(sizes: Tensor, w: Vector) -> Tensor:
    """Norms of tensors, those of less than two dimensions replaced by the norm of them all."""
    vectors = [size for size, x in zip(sizes.unbind(), w, strict=True) if x.ndim < 2]
    if not vectors:
        return sizes
    together = norm([torch.stack(vectors)])
    return torch.stack([together if x.ndim < 2 else size for size, x in zip(sizes.unbind(), w, strict=True)])


def elementwise(w: Vector, g: Vector, rho: float) -> Vector:
    """Perturbation of ASAM, epsilon = rho * T^2 g / ||T g||, T = |w| for each weight; 0 where T g = 0.

    w, g: same shapes. rho: length of epsilon / |w| over all weights. Kwon et al. 2021, without the small
    number that their code adds to T.
    """
    Tg = torch._foreach_mul(w, g)  # |w| g but for the sign, which neither the norm nor T^2 g sees
    return scaled(list(torch._foreach_mul(Tg, w)), ratio(rho, norm(list(Tg))))


def is_normalisation(module: nn.Module) -> bool:
    """The module is a normalisation layer, told by its class's name: BatchNorm2d, LayerNorm, LlamaRMSNorm."""
    return re.search("Norm(?![a-z])", type(module).__name__) is not None


ASCENTS: dict[str, Ascent] = {
    "global": Ascent(whole_model),
    "layerwise": Ascent(layerwise),
    "layerwise_plain": Ascent(layerwise_plain),
    "layerwise_matrices": Ascent(layerwise_matrices),
    "elementwise": Ascent(elementwise),
    "norm_layers": Ascent(whole_model, moves=is_normalisation),
}
