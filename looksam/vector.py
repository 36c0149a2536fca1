"""Algebra on a whole model: a vector is the list of its tensors, and nothing here waits for the device.

Norms and products are summed in float32, or float64 where a tensor is, and stay 0-dim tensors on the device.
"""

import torch
from torch import Tensor

from looksam.ranks import is_sharded, local, over_ranks

Vector = list[Tensor]


def precision(a: Vector) -> torch.dtype:
    """The dtype in which sums over `a` are taken; bfloat16 would keep three digits of them."""
    return torch.float64 if any(x.dtype == torch.float64 for x in a) else torch.float32


def norms(a: Vector) -> Tensor:
    """||a_l|| of each tensor, [len(a)]."""
    own = torch.stack(torch._foreach_norm(local(a), 2, dtype=precision(a)))
    return over_ranks(own.square(), a).sqrt() if is_sharded(a[0]) else own


def norm(a: Vector) -> Tensor:
    """||a|| over all tensors, 0-dim."""
    return norms(a).square().sum().sqrt()


def dots(a: Vector, b: Vector) -> Tensor:
    """<a_l, b_l> of each tensor, [len(a)].

    Product and pairwise sum, not BLAS: equal values give equal bits wherever they lie in memory, so
    dots(a, b) is exactly dots(b, b) where a equals b, and `reject` leaves exactly nothing there.
    """
    dtype = precision(a)
    # one at a time, and `to` only where it does something: on small tensors the call costs as much as the sum
    one, other = ((x if x.dtype == dtype else x.to(dtype) for x in local(vector)) for vector in (a, b))
    return over_ranks(torch.stack([(x * y).sum() for x, y in zip(one, other, strict=True)]), a)


def dot(a: Vector, b: Vector) -> Tensor:
    """<a, b> over all tensors, 0-dim."""
    return dots(a, b).sum()


def ratio(numerator: Tensor | float, denominator: Tensor) -> Tensor:
    """numerator / denominator, and 0 where that is not finite: a norm of 0, or so near it that it overflows.

    Instead of a small number in the denominator, which would leave a part along `g` in what `reject` returns.
    """
    return torch.nan_to_num(numerator / denominator, nan=0.0, posinf=0.0, neginf=0.0)


def cosine(a: Vector, b: Vector) -> Tensor:
    """<a, b> / (||a|| ||b||), 0-dim; 0 where one of them is 0."""
    return ratio(ratio(dot(a, b), norm(a)), norm(b))


def scaled(a: Vector, scale: Tensor) -> Vector:
    """scale * a; scale: 0-dim, or [len(a)] with one for each tensor."""
    return list(torch._foreach_mul(a, scale if scale.ndim == 0 else scale.unbind()))


def without(a: Vector, b: Vector, share: Tensor) -> Vector:
    """a - share * b; share: 0-dim, or [len(a)] with one for each tensor."""
    difference = scaled(b, -share)
    torch._foreach_add_(difference, a)  # in place, to hold no more than what is returned
    return difference


def reject(a: Vector, b: Vector) -> Vector:
    """The part of `a` orthogonal to `b`, a - (<a, b> / ||b||^2) b; all of `a` where b = 0."""
    return without(a, b, ratio(dot(a, b), dot(b, b)))


def add_scaled_(a: Vector, b: Vector, scale: Tensor) -> None:
    """Change `a` in place to a + scale * b; scale: on the device, 0-dim or [len(a)] with one for each tensor.

    One pass over memory; with a scale on the device, foreach calls take two and a temporary as large as `b`.
    """
    scales = scale.expand(len(a)).unbind()
    for x, y, s in zip(local(a), local(b), scales, strict=True):
        x.addcmul_(y, s)
