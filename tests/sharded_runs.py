"""What two processes do with a model sharded over them by FSDP2, for tests of distribution."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from sharded_state import resumed
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from two_ranks import (
    LOOKS,
    SETTINGS,
    Results,
    adamw,
    batches,
    built,
    closures,
    part,
    refused,
    sharded,
    train,
    weights,
    with_perturbation,
)

from looksam import Method, SharpnessAware
from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS


def fsdp_methods() -> dict[str, Method]:
    """Every ascent and every descent, and the alpha that is fitted by both kinds of norm; by name."""
    ascents = {f"ascent {name}": Method(ascent=name, descent="g_v", **SETTINGS) for name in ASCENTS}
    descents = {f"descent {name}": Method(descent=name, **SETTINGS) for name in DESCENTS}
    fitted = SETTINGS | {"alpha": "ls"}
    alphas = {f"ls of {name}": Method(descent=name, **fitted) for name in ("g_v", "g_v_per_tensor")}
    return ascents | descents | alphas


def model_for(method: Method) -> str:
    """A model that a method can train: of a tensor of one number g_v is rounding, rescaled to ||g||."""
    return "mlp" if method.descent == "g_v_per_tensor" else "prelu"


def as_fsdp(rank: int) -> Results:
    """Weights after each of `fsdp_methods`, and what else is particular to shards."""
    found: Results = {}
    for name, method in fsdp_methods().items():
        found[name] = weights(train(sharded(built(model_for(method))), method, 1, rank, 2))
    found["transformer"] = weights(train(sharded(built("transformer")), LOOKS["look-layersam"], 1, rank, 2))
    method = with_perturbation(LOOKS["looksam"], "micro-batch")
    found["micro-batch"] = weights(train(sharded(built("mlp")), method, 2, rank, 2))
    kept = sharded(built("prelu"), reshard_after_forward=False)
    kept.set_reshard_after_backward(False)
    found["kept whole"] = weights(train_resharding(kept, rank))
    found["after an error"] = weights(
        train(after_an_error(sharded(built("prelu")), rank), LOOKS["looksam"], 1, rank, 2)
    )
    found["reduced once"] = weights(reducing_once(sharded(built("prelu")), rank))
    found |= resumed(rank) | operations(rank)
    with refused(found, "rank"):
        SharpnessAware(sharded(built("mlp")), Method(k=1, perturbation="rank"))
    partly = built("mlp")
    sharded(partly[1])
    with refused(found, "partly sharded"):
        SharpnessAware(partly, Method(k=1))
    with refused(found, "flat parameters"):
        SharpnessAware(FullyShardedDataParallel(built("mlp"), device_id=torch.device("cpu")), Method(k=1))
    return found


def train_resharding(model: nn.Module, rank: int) -> nn.Module:
    """As `train`, of a model that keeps its weights whole until the optimizer has changed its shards."""
    optimizer, sharpness = adamw(model), SharpnessAware(model, LOOKS["looksam"])
    for batch in batches():
        sharpness.backward(closures(model, [part(batch, rank, 2)]))
        optimizer.step()
        for module in model.modules():
            if hasattr(module, "reshard"):
                module.reshard()
    return model


def reducing_once(model: nn.Module, rank: int) -> nn.Module:
    """As `train` in two micro-batches, of which the last alone reduces the gradients of both."""
    optimizer, sharpness = adamw(model), SharpnessAware(model, LOOKS["looksam"])
    for batch in batches():
        share = part(batch, rank, 2)
        first, last = closures(model, [part(share, i, 2) for i in range(2)])

        def local(first: Callable[[], Tensor] = first) -> Tensor:
            model.set_requires_gradient_sync(False)
            loss = first()
            model.set_requires_gradient_sync(True)
            return loss

        sharpness.backward([local, last])
        optimizer.step()
    return model


def after_an_error(model: nn.Module, rank: int) -> nn.Module:
    """The model after a second pass that failed between its forward and its backward."""
    images, labels = part(batches()[0], rank, 2)
    losses: list[Tensor] = []

    def closure() -> None:
        model.zero_grad()
        losses.append(nn.functional.cross_entropy(model(images), labels))
        if len(losses) == 2:
            raise ZeroDivisionError
        losses[-1].backward()

    with suppress(ZeroDivisionError):
        SharpnessAware(model, LOOKS["looksam"]).backward(closure)
    return model


class Operations(TorchDispatchMode):
    """Names of the torch operations that run on this rank's tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # what it does to its part comes here too
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def operations(rank: int) -> Results:
    """What runs on an ascent step, and what on a step between beside its pass."""
    model = sharded(built("prelu"))
    sharpness = SharpnessAware(model, LOOKS["looksam"])
    runs = closures(model, [part(batches()[0], rank, 2)])
    sharpness.backward(runs)
    with Operations() as between:
        sharpness.backward(lambda: None)
    sharpness.backward(runs)
    with Operations() as ascent:
        sharpness.backward(runs)
    return {"operations between": between.names, "operations of an ascent": ascent.names}
