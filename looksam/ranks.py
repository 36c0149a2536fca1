"""Tensors of which every rank holds a part (DTensor, as FSDP2 leaves them), as if they were whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(x: Tensor) -> bool:
    """x is a DTensor; told by a method of theirs, because importing the class takes half a second."""
    return hasattr(x, "to_local")


def local(a: list[Tensor]) -> list[Tensor]:
    """The part of each tensor that this rank holds, in the same memory; `a` itself where that is all."""
    return [cast("DTensor", x).to_local() for x in a] if is_sharded(a[0]) else a


def over_ranks(sums: Tensor, a: list[Tensor]) -> Tensor:
    """Sums [len(a)] over this rank's part of each tensor, added up to those of the whole tensors.

    One all-reduce for all tensors that are sharded alike, without waiting for the device; on all ranks.
    """
    if not is_sharded(a[0]):
        return sums
    from torch.distributed.tensor import DTensor, Partial

    layouts: dict[object, list[int]] = {}
    for i, x in enumerate(a):
        layouts.setdefault((x.device_mesh, x.placements), []).append(i)  # type: ignore[attr-defined]
    parts, whole = sums.unbind(), list(sums.unbind())
    for places in layouts.values():
        x = cast("DTensor", a[places[0]])
        missing = [p if p.is_replicate() else Partial() for p in x.placements]
        together = torch.stack([parts[i] for i in places])
        added = DTensor.from_local(together, x.device_mesh, missing, run_check=False).full_tensor()
        for i, total in zip(places, added.unbind(), strict=True):
            whole[i] = total
    return torch.stack(whole)


def blank(x: Tensor) -> Tensor:
    """A new tensor of the shape that x has over all ranks, not filled."""
    return torch.empty(x.shape, dtype=x.dtype, device=x.device) if is_sharded(x) else torch.empty_like(x)


def laid_out(a: Tensor, x: Tensor) -> Tensor:
    """`a`, of the shape of x, spread over the ranks as x is; what is not spread is whole on every rank."""
    if not is_sharded(x):
        return cast("DTensor", a).full_tensor() if is_sharded(a) else a
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = cast("DTensor", x).device_mesh, cast("DTensor", x).placements
    if is_sharded(a):
        return cast("DTensor", a).redistribute(mesh, placements)
    return distribute_tensor(a, mesh, placements, src_data_rank=None)


@contextmanager
def gathered_anew(model: nn.Module, w: list[Tensor]) -> Iterator[None]:
    """FSDP2 gathers the weights anew inside, and again outside; w: weights of the model.

    Or else a pass could run on whole weights that FSDP2 kept from the pass before, not on those it is given.
    Does nothing where w is not sharded.
    """
    reshard(model, w)
    try:
        yield
    finally:
        reshard(model, w)


def reshard(model: nn.Module, w: list[Tensor]) -> None:
    """Drop the whole weights that FSDP2 kept, by `set_reshard_after_backward(False)` or after an error."""
    if is_sharded(w[0]):
        from torch.distributed.fsdp import FSDPModule

        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
