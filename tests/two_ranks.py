"""What two processes do for tests of distribution: trainings, and what they leave in a file for each rank."""

import datetime
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from nets import Batch, Transformer, convnet, mlp
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from looksam import Method, SharpnessAware

STEPS, K = 8, 3
SETTINGS = {"k": K, "rho": 0.1, "alpha": 0.6}
LOOKS = {
    "looksam": Method(descent="g_v", **SETTINGS),
    "look-layersam": Method(ascent="layerwise", descent="g_v", **SETTINGS),
}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "convnet": convnet,
    "transformer": Transformer,
    # of its second layer, one number, the second rank holds nothing
    "prelu": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(16, 5), nn.PReLU(), nn.LayerNorm(5), nn.Linear(5, 3)
    ),
}
Results = dict[str, Any]


def built(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return MODELS[name]().to(dtype)


def batches(dtype: torch.dtype = torch.float64) -> list[Batch]:
    """Images [8, 1, 4, 4] and labels of three classes, the same at every call."""
    torch.manual_seed(1)
    return [(torch.randn(8, 1, 4, 4, dtype=dtype), torch.randint(0, 3, (8,))) for _ in range(STEPS)]


def part(batch: Batch, i: int, n: int) -> Batch:
    """The i-th of n equal parts of a batch."""
    return batch[0].chunk(n)[i], batch[1].chunk(n)[i]


def closures(model: nn.Module, parts: list[Batch]) -> list[Callable[[], Tensor]]:
    """Of micro-batches whose mean is the loss; a DDP model averages in the last alone."""

    def of(i: int, images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            if i == 0:
                model.zero_grad()
            is_last = i == len(parts) - 1
            with (
                nullcontext()
                if is_last or not isinstance(model, DistributedDataParallel)
                else model.no_sync()
            ):
                loss = nn.functional.cross_entropy(model(images), labels) / len(parts)
                loss.backward()
            return loss

        return closure

    return [of(i, *batch) for i, batch in enumerate(parts)]


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)


def train(
    model: nn.Module,
    method: Method,
    parts: int,
    rank: int = 0,
    ranks: int = 1,
    dtype: torch.dtype = torch.float64,
) -> nn.Module:
    """Train on this rank's share of every batch, in so many micro-batches."""
    optimizer, sharpness = adamw(model), SharpnessAware(model, method)
    for batch in batches(dtype):
        share = part(batch, rank, ranks)
        sharpness.backward(closures(model, [part(share, i, parts) for i in range(parts)]))
        optimizer.step()
    return model


def weights(model: nn.Module) -> Tensor:
    """All weights as one vector, whole also where they are sharded."""
    whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
    return torch.cat([p.detach().flatten() for p in whole])


def ddp_runs() -> Iterator[tuple[str, str, str, bool, torch.dtype, int]]:
    """Model, look, perturbation, gradient_as_bucket_view, dtype, micro-batches of each rank."""
    for look in LOOKS:
        for perturbation in ("synchronised", "rank", "micro-batch"):
            for view in (False, True):
                for dtype in (torch.float32, torch.float64):
                    yield "transformer", look, perturbation, view, dtype, 1
            yield "mlp", look, perturbation, True, torch.float64, 2
            yield "convnet", look, perturbation, False, torch.float32, 2


def as_ddp(rank: int) -> Results:
    """Weights after each of `ddp_runs`, calls of a closure, and the errors of wrong models."""
    found: Results = {}
    for run in ddp_runs():
        name, look, perturbation, view, dtype, parts = run
        model = DistributedDataParallel(built(name, dtype), gradient_as_bucket_view=view)
        method = with_perturbation(LOOKS[look], perturbation)
        found[str(run)] = weights(train(model, method, parts, rank, 2, dtype))
    for perturbation in ("rank", "micro-batch"):
        with refused(found, perturbation):
            SharpnessAware(built("mlp"), Method(k=1, perturbation=perturbation))
        with refused(found, f"{perturbation} of a static graph"):
            static = DistributedDataParallel(built("mlp"), static_graph=True)
            SharpnessAware(static, Method(k=1, perturbation=perturbation))
    return found


def with_perturbation(method: Method, perturbation: str) -> Method:
    return Method(**{**vars(method), "perturbation": perturbation})


@contextmanager
def refused(found: Results, name: str) -> Iterator[None]:
    """Keep the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        found[f"refused {name}"] = str(error)


def sharded(model: nn.Module, **options: Any) -> nn.Module:
    """The model under FSDP2, each of its layers gathered by itself."""
    mesh = init_device_mesh("cpu", (2,))
    for child in model.children():
        if list(child.parameters()):
            fully_shard(child, mesh=mesh, **options)
    fully_shard(model, mesh=mesh, **options)
    return model


def work(rank: int, tasks: list[Callable[[int], Results]], folder: Path) -> None:
    """Run tasks as one of two ranks and leave their results, by name, or the error in a file."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    timeout = datetime.timedelta(seconds=30)
    dist.init_process_group("gloo", f"file://{folder}/store", timeout, world_size=2, rank=rank)
    try:
        torch.save({task.__name__: task(rank) for task in tasks}, folder / f"{rank}.pt")
    except BaseException:
        (folder / f"{rank}.error").write_text(traceback.format_exc())
        os._exit(1)  # or the other rank would wait for this one
    dist.destroy_process_group()


def on_two_ranks(tasks: list[Callable[[int], Results]], folder: Path, seconds: float = 60) -> list[Results]:
    """The results of tasks on each of two ranks; an error if they are not there in time."""
    deadline = time.monotonic() + seconds
    context = torch.multiprocessing.start_processes(
        work, (tasks, folder), 2, join=False, start_method="spawn"
    )
    for process in context.processes:
        process.join(max(0, deadline - time.monotonic()))
        process.kill()
        process.join()
    errors = [path.read_text() for path in sorted(folder.glob("*.error"))]
    files = [folder / f"{rank}.pt" for rank in range(2)]
    if errors or not all(file.exists() for file in files):
        raise RuntimeError("\n".join(errors) or f"two ranks did not end within {seconds} s")
    return [torch.load(file, weights_only=True) for file in files]
