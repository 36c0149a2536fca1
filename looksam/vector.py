"""Algebra on a whole model: a vector is the list of its tensors, and nothing here waits for the device.

Norms and products are summed in float32, or float64 where a tensor is, and stay 0-dim tensors on the device.
"""

import torch
from torch import Tensor

Vector = list[Tensor]


def precision(a: Vector) -> torch.dtype:
    """The dtype in which sums over `a` are taken; bfloat16 would keep three digits of them."""
    return torch.float64 if any(x.dtype == torch.float64 for x in a) else torch.float32


def norms(a: Vector) -> Tensor:
    """||a_l|| of each tensor, [len(a)]."""
    return torch.stack(torch._foreach_norm(a, 2, dtype=precision(a)))


def norm(a: Vector) -> Tensor:
    """||a|| over all tensors, 0-dim."""
    return norms(a).square().sum().sqrt()


def dot(a: Vector, b: Vector) -> Tensor:
    """<a, b> over all tensors, 0-dim.

    Product and pairwise sum, not BLAS: equal values give equal bits wherever they lie in memory, so dot(a, b)
    is exactly dot(b, b) where a equals b, and `reject` leaves exactly nothing there.
    """
    dtype = precision(a)
    return torch.stack([(x.to(dtype) * y.to(dtype)).sum() for x, y in zip(a, b, strict=True)]).sum()


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, and 0 where that is not finite: a norm of 0, or so near it that it overflows.

    Instead of a small number in the denominator, which would leave a part along `g` in what `reject` returns.
    """
    return torch.nan_to_num(numerator / denominator, nan=0.0, posinf=0.0, neginf=0.0)


def reject(a: Vector, b: Vector) -> Vector:
    """The part of `a` orthogonal to `b`, a - (<a, b> / ||b||^2) b; all of `a` where b = 0."""
    along = torch._foreach_mul(b, ratio(dot(a, b), dot(b, b)))
    return list(torch._foreach_sub(a, along))


def add_scaled_(a: Vector, b: Vector, scale: Tensor) -> None:
    """Change `a` in place to a + scale * b; scale: 0-dim, on the device.

    One pass over memory; with a scale on the device, foreach calls take two and a temporary as large as `b`.
    """
    for x, y in zip(a, b, strict=True):
        x.addcmul_(y, scale)
