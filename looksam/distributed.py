"""The ranks of a training: one process a device under torchrun, one process alone without it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

# the backend that averages gradients on a device; numbers on the CPU always go by gloo
BACKENDS = {"cuda": "nccl", "xpu": "xccl", "tpu": "tpu_dist"}
# devices of which a process chooses one; torch_tpu gives each process its own
CHOSEN_BY_INDEX = ("cuda", "xpu")


class Ranks:
    """This process among those that train together. rank: 0 .. size - 1; the first writes the files."""

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device
        self._pending: tuple[Tensor, dist.Work] | None = None

    @property
    def is_first(self) -> bool:
        """This rank shows progress and writes files."""
        return self.rank == 0

    def averaged(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the ranks; BatchNorm's statistics are the first rank's."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the ranks of values on the CPU; all ranks call it."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def told(self, value: Any) -> Any:
        """The first rank's value, on every rank; all ranks call it. value: what pickle takes."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def gathered(self, value: T) -> list[T]:
        """Every rank's value, on every rank; all ranks call it. value: what pickle takes."""
        if self.size == 1:
            return [value]
        found = []
        for source in range(self.size):
            values = [value]
            dist.broadcast_object_list(values, src=source, device=torch.device("cpu"))
            found.append(values[0])
        return found

    def agreed(self, wishes: list[bool]) -> list[bool]:
        """What any rank wished, the same on every rank at the same call.

        Among many ranks the answer is to the wishes of the call before, so that no step waits for another
        rank's.
        """
        if self.size == 1:
            return wishes
        flags = torch.tensor(wishes, dtype=torch.int32)
        pending = self._pending
        work = dist.all_reduce(flags, dist.ReduceOp.MAX, async_op=True)
        if work is None:
            raise RuntimeError("a process is no member of its own group")
        self._pending = (flags, work)
        if pending is None:
            return [False] * len(wishes)
        pending[1].wait()
        return [bool(flag) for flag in pending[0].tolist()]

    def settle(self) -> None:
        """Wait for the other ranks; before they part, or gloo ends a process that it still serves."""
        if self._pending is not None:
            self._pending[1].wait()
            self._pending = None
        self.told(None)


@contextmanager
def joined() -> Iterator[Ranks]:
    """This process as one of the ranks that torchrun started (RANK, WORLD_SIZE, LOCAL_RANK), or alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(0, 1, training_device())
        return
    device = training_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend_for(device))
    ranks = Ranks(dist.get_rank(), size, device)
    try:
        yield ranks
        ranks.settle()
    finally:
        dist.destroy_process_group()


def backend_for(device: torch.device) -> str:
    """The backend of a process group for tensors on the device and on the CPU."""
    if device.type == "cpu":
        return "cpu:gloo"
    return f"cpu:gloo,{device.type}:{BACKENDS[device.type]}"


def training_device(local_rank: int = 0) -> torch.device:
    """The machine's accelerator, or its CPU. local_rank: which of its accelerators, where it has many."""
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    device = torch.device(torch.accelerator.current_accelerator() or "cpu")
    if device.type in CHOSEN_BY_INDEX and torch.accelerator.device_count() > 1:
        torch.accelerator.set_device_index(local_rank)
    return device
