"""Where to look: the perturbation of the weights at which the second gradient is taken."""

from collections.abc import Callable

import torch

from looksam.vector import Vector, norm, norms, ratio


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
    return [x * scale for x, scale in zip(g, scales.unbind(), strict=True)]


ASCENTS: dict[str, Callable[[Vector, Vector, float], Vector]] = {
    "global": whole_model,
    "layerwise": layerwise,
}
