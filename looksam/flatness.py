"""How sharp a minimum is: how far the loss rises beside it, and the largest eigenvalue of its Hessian.

The loss is the mean cross-entropy, without label smoothing, of the model in eval mode (BatchNorm by its
running statistics) over a fixed choice of training images without augmentation, all in float32.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from looksam.ascent import ASCENTS, whole_model
from looksam.augment import evaluation_batch
from looksam.draws import order
from looksam.hessian import Losses, hessian, largest_eigenvalue, start
from looksam.images import Images
from looksam.label_noise import LabelNoise
from looksam.loader import load
from looksam.replay import perturbed
from looksam.vector import Vector

# one radius for every method of a study, so that a table's rows compare: SAM's own, Foret et al. 2021
RHO = 0.05
SEED = 0
# the mean over 512 images is known to a twentieth of the spread among images; more would cost a tiny network
# more than its test images do. A product with the Hessian costs as much as several gradients, and there are
# up to 20 of them, hence fewer images.
IMAGES, HESSIAN_IMAGES = 512, 128
PRODUCTS, TOLERANCE = 20, 0.02
# of a micro-batch: all of the digits, 64 of CIFAR's images, 8 of ImageNet's: their second derivatives fit on
# a GPU
PIXELS, LEAST_IMAGES = 2**16, 8


FIGURES = ("sharpness", "method_sharpness", "hessian_eigenvalue")


def flatness(
    model: nn.Module, data: Images, method: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """Sharpness at RHO along the gradient, and by the method's own ascent and rho; the Hessian's eigenvalue.

    model: in eval mode, on `device`; its weights are given back bit for bit. method: as in a run's settings;
    the base optimizer has no ascent, and so no sharpness of its own. A figure that overflows is None.
    """
    # the fused kernels of attention have no second derivative
    with sdpa_kernel(SDPBackend.MATH):
        parameters = [p for p in model.parameters() if p.requires_grad]
        losses = losses_of(model, data, device)
        loss, g = gradient(parameters, losses)
        w = [p.detach() for p in parameters]
        found = {"sharpness": value_at(w, whole_model(w, g, RHO), losses) - loss}
        if method["k"] > 0:
            epsilon = ascent_of(model, method, parameters, g)
            found["method_sharpness"] = value_at(w, epsilon, losses) - loss
        few = Images(data.images[:HESSIAN_IMAGES], data.labels[:HESSIAN_IMAGES])
        product = hessian(parameters, losses_of(model, few, device))
        top = largest_eigenvalue(product, start(g), PRODUCTS, TOLERANCE)
    found["hessian_eigenvalue"] = top.value
    finite = {name: x for name, x in found.items() if math.isfinite(x)}
    return {**dict.fromkeys(FIGURES), **finite, "hessian_converged": top.converged}


# runs with noise have labels of their own, seed by seed
@lru_cache(maxsize=8)
def training_images(shards: str, dataset: str, noise: LabelNoise | None = None) -> Images:
    """IMAGES of the training split in random order, or all of fewer, labelled as the training saw them.

    dataset: its settings, as JSON text.
    """
    data = load(Path(shards), "train", json.loads(dataset), noise=noise)
    drawn = order(SEED, 0, len(data.labels))[:IMAGES]
    return Images(data.at(drawn), data.labels[drawn])


def losses_of(model: nn.Module, data: Images, device: torch.device) -> Losses:
    """Closures of the mean cross-entropy over the images, each of a micro-batch's share of it."""
    height, width = data.images.shape[-2:]
    size = max(LEAST_IMAGES, PIXELS // (height * width))

    def share(images: Tensor, labels: Tensor) -> Tensor:
        logits = model(evaluation_batch(images.to(device)))
        losses = cross_entropy(logits, labels.to(device), reduction="none")
        return losses.sum() / len(data.labels)

    batches = zip(data.images.split(size), data.labels.split(size), strict=True)
    return [partial(share, *batch) for batch in batches]


def gradient(parameters: Sequence[Tensor], losses: Losses) -> tuple[float, Vector]:
    """The loss and its gradient."""
    total, g = 0.0, [torch.zeros_like(p) for p in parameters]
    for closure in losses:
        loss = closure()
        torch._foreach_add_(g, torch.autograd.grad(loss, parameters))
        total += float(loss.detach())
    return total, g


def ascent_of(
    model: nn.Module, method: Mapping[str, Any], parameters: Sequence[nn.Parameter], g: Vector
) -> Vector:
    """The method's own epsilon at gradient g, 0 for parameters that it does not move."""
    ascent = ASCENTS[method["ascent"]]
    own = {p for module in model.modules() if ascent.moves(module) for p in module.parameters(recurse=False)}
    moved = {p: x for p, x in zip(parameters, g, strict=True) if p in own}
    epsilon = ascent.epsilon([p.detach() for p in moved], list(moved.values()), method["rho"])
    by_parameter = dict(zip(moved, epsilon, strict=True))
    return [by_parameter.get(p, torch.zeros_like(x)) for p, x in zip(parameters, g, strict=True)]


@torch.no_grad()
def value_at(w: Vector, epsilon: Vector, losses: Losses) -> float:
    """The loss at weights w + epsilon, which are w again afterwards."""
    with perturbed(w, epsilon):
        return sum(float(closure()) for closure in losses)
