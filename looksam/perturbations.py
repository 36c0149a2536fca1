"""Whose gradient makes epsilon, where a step has many micro-batches or many ranks."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from looksam.ranks import is_sharded

Loss = TypeVar("Loss")
Closures = list[Callable[[], Loss]]


class Perturbation(NamedTuple):
    """How the passes of an ascent step are taken, and what of their gradients ranks have yet to average.

    looks(model, closures): for each epsilon of this rank, the closures of its first and of its second pass.
    averages_g, averages_g_s: each rank is left with its own g, or g_s, although the model is DDP.
    """

    looks: Callable[[nn.Module, Closures[Loss]], list[tuple[Closures[Loss], Closures[Loss]]]]
    averages_g: bool = False
    averages_g_s: bool = False


def together(model: nn.Module, closures: Closures[Loss]) -> list[tuple[Closures[Loss], Closures[Loss]]]:
    """One epsilon, from the gradient of all micro-batches of all ranks."""
    return [(closures, closures)]


def by_rank(model: nn.Module, closures: Closures[Loss]) -> list[tuple[Closures[Loss], Closures[Loss]]]:
    """One epsilon, from the gradient of all micro-batches of this rank."""
    return [([not_averaged(model, run) for run in closures], closures)]


def by_closure(model: nn.Module, closures: Closures[Loss]) -> list[tuple[Closures[Loss], Closures[Loss]]]:
    """An epsilon for each micro-batch, from its gradient; under FSDP2 that of its parts on all ranks."""
    alone = [not_averaged(model, starting_from_zero(model, run)) for run in closures]
    return [([run], [run]) for run in alone]


def not_averaged(model: nn.Module, run: Callable[[], Loss]) -> Callable[[], Loss]:
    """The closure, its gradients left as they are on each rank where the model is DDP."""
    if not isinstance(model, DistributedDataParallel):
        return run

    def inner() -> Loss:
        with model.no_sync():  # the forward pass too: it is there that DDP prepares the averaging
            return run()

    return inner


def starting_from_zero(model: nn.Module, run: Callable[[], Loss]) -> Callable[[], Loss]:
    """The closure, its gradients not added to those of the closure before."""

    def inner() -> Loss:
        model.zero_grad(set_to_none=False)  # in place, because DDP's buckets are views of p.grad
        return run()

    return inner


PERTURBATIONS: dict[str, Perturbation] = {
    "synchronised": Perturbation(together),
    "rank": Perturbation(by_rank, averages_g=True),
    "micro-batch": Perturbation(by_closure, averages_g=True, averages_g_s=True),
}


def check_ranks(model: nn.Module, perturbation: str) -> None:
    """ValueError where the model cannot be perturbed so, or its norms would be those of a part of it."""
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        raise ValueError(
            "FullyShardedDataParallel hides which part of a tensor a rank holds, so norms would be those of "
            "that part; shard the model with torch.distributed.fsdp.fully_shard instead"
        )
    kinds = {is_sharded(p) for p in model.parameters() if p.requires_grad}
    if len(kinds) > 1:
        names = [name for name, p in model.named_parameters() if p.requires_grad and not is_sharded(p)]
        raise ValueError(
            f"some parameters are sharded and {', '.join(names)} are not; shard all that are trained: call "
            "fully_shard on the whole model too, without ignored_params"
        )
    if perturbation != "synchronised":
        check_perturbation(model, perturbation, are_sharded=True in kinds)


def check_perturbation(model: nn.Module, perturbation: str, are_sharded: bool) -> None:
    """ValueError where ranks of the model cannot have an epsilon of their own, or not be averaged after."""
    if isinstance(model, DistributedDataParallel):
        if model.static_graph:
            raise ValueError(
                f"perturbation {perturbation!r} begins with a pass that is not averaged, which "
                "DistributedDataParallel with static_graph cannot; take static_graph=False, or synchronised"
            )
        return
    if perturbation == "rank":
        why = (
            "is impossible with sharded parameters (FSDP2): ranks hold parts of one set of weights, so they "
            "share one epsilon; take synchronised or micro-batch, or DistributedDataParallel"
            if are_sharded
            else f"needs DistributedDataParallel, got {type(model).__name__}; give the wrapped model itself, "
            "and compile inside of it; without ranks, take synchronised"
        )
        raise ValueError(f"perturbation 'rank' {why}")
    if not are_sharded and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise ValueError(
            f"perturbation 'micro-batch' in a group of {dist.get_world_size()} processes needs "
            f"DistributedDataParallel or fully_shard, got {type(model).__name__}; give the wrapped model"
        )


def average_(model: nn.Module, gradients: list[Tensor]) -> None:
    """Change the gradients, in place, into their mean over the ranks of a DDP model; nothing for others."""
    if not isinstance(model, DistributedDataParallel):
        return
    torch._foreach_div_(gradients, dist.get_world_size(model.process_group))
    works = [dist.all_reduce(x, group=model.process_group, async_op=True) for x in gradients]
    for work in works:
        work.wait()


def added(total: dict[str, Tensor], gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """The total with the gradients added in place; copies of them where there is none yet."""
    if not total:
        return {name: x.clone() for name, x in gradients.items()}
    torch._foreach_add_(list(total.values()), list(gradients.values()))
    return total
