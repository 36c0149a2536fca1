"""The Hessian of a loss: its product with a vector, and its largest eigenvalue."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from looksam.vector import Vector

SEED = 0

# one closure a micro-batch; the loss is the sum of what they return, 0-dim
Losses = Sequence[Callable[[], Tensor]]


class Eigenvalue(NamedTuple):
    """An eigenvalue, whether its residual is within the tolerance, and the products with the matrix spent."""

    value: float
    converged: bool
    products: int


def hessian(parameters: Sequence[Tensor], losses: Losses) -> Callable[[Tensor], Tensor]:
    """The map v -> H v of the loss's Hessian, by a second backward pass; v: flat, as `flat` makes it.

    The graph of a sole micro-batch is kept; of several, each is made anew, so that one at a time is held.
    """

    def graph(closure: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(closure(), parameters, create_graph=True)

    kept = graph(losses[0]) if len(losses) == 1 else None

    def product(v: Tensor) -> Tensor:
        along = [
            x.view_as(p) for x, p in zip(v.split([p.numel() for p in parameters]), parameters, strict=True)
        ]
        total = torch.zeros_like(v)
        for closure in losses:
            g = kept or graph(closure)
            total += flat(torch.autograd.grad(g, parameters, along, retain_graph=kept is not None))
        return total

    return product


def flat(a: Sequence[Tensor]) -> Tensor:
    """All tensors in one, [elements]: a product with a basis of 20 is then one call, not one a tensor."""
    return torch.cat([x.reshape(-1) for x in a])


def start(g: Vector) -> Tensor:
    """Where the search for the eigenvector begins: the gradient's direction, and as much of a seeded one.

    Near a minimum the gradient leans to the largest eigenvalues, which saves a third of the products; the
    random part is there because the gradient may be 0, or orthogonal to the eigenvector.
    """
    direction = flat(g)
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.randn(direction.shape, generator=generator, dtype=direction.dtype).to(direction.device)
    return normalize(direction, dim=0) + normalize(drawn, dim=0)


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], v: Tensor, products: int, tolerance: float
) -> Eigenvalue:
    """The algebraically largest eigenvalue of a symmetric matrix, by power iteration that keeps its iterates.

    Of the span of v, Hv, H^2 v, ... the vector u of the largest <u, H u> is taken, instead of the last
    iterate (Lanczos 1950): so a negative eigenvalue of larger magnitude does no harm, a second one hardly
    smaller is not taken for the largest, and it takes a half to a fifth of the products. It stops where
    ||H u - value u|| <= tolerance * |value|, a bound on the distance to an eigenvalue, which is far smaller
    since it goes with the square; else after `products`, not converged. NaN where a product overflows.
    """
    products = min(products, len(v))
    basis = v.new_zeros(products, len(v))
    projected = torch.zeros(products, products, dtype=torch.float64)
    image, length, value = v, float(v.norm()), math.nan
    for n in range(1, products + 1):
        basis[n - 1] = image / length
        image = product(basis[n - 1])
        for _ in range(2):  # twice, because once leaves rounding errors that grow
            shares = basis[:n] @ image
            image = image - shares @ basis[:n]
            projected[:n, n - 1] += shares.cpu().double()
        length = float(image.norm())
        if not math.isfinite(length):
            return Eigenvalue(math.nan, False, n)
        values, vectors = torch.linalg.eigh(projected[:n, :n], UPLO="U")
        value = float(values[-1])
        if length * abs(float(vectors[-1, -1])) <= tolerance * abs(value):
            return Eigenvalue(value, True, n)
    return Eigenvalue(value, False, products)
