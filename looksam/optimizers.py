"""The base optimizers, untouched by sharpness-awareness, and their learning-rate schedules."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

Groups = list[dict[str, Any]]


def base_optimizer(settings: Mapping[str, Any], model: nn.Module) -> Optimizer:
    """The run's base optimizer over the trainable parameters of the model, at its peak learning rate."""
    groups = decay_groups(model.parameters(), settings["weight_decay"])
    return OPTIMIZERS[settings["optimizer"]](groups, settings["peak_lr"])


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> Groups:
    """Two groups: matrices and kernels decay, biases and normalisation (1-D) do not. The paper is silent."""
    trainable = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def adamw(groups: Groups, lr: float) -> Optimizer:
    """torch's AdamW with its default betas (0.9, 0.999)."""
    return AdamW(groups, lr=lr, fused=has_fused(groups))


def sgd(groups: Groups, lr: float) -> Optimizer:
    """torch's SGD with Nesterov momentum 0.9."""
    return SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=has_fused(groups))


def lamb(groups: Groups, lr: float) -> Optimizer:
    """timm's LAMB, without its own gradient clipping: the run clips once, before any base optimizer."""
    from timm.optim.lamb import Lamb

    optimizer: Optimizer = Lamb(groups, lr=lr, max_grad_norm=None)
    return optimizer


def has_fused(groups: Groups) -> bool:
    """Whether torch has one kernel for a whole step on this device: many small tensors gain most."""
    return all(p.device.type in ("cpu", "cuda") for group in groups for p in group["params"])


OPTIMIZERS: dict[str, Callable[[Groups, float], Optimizer]] = {"adamw": adamw, "sgd": sgd, "lamb": lamb}


def schedule(settings: Mapping[str, Any], optimizer: Optimizer, steps: int) -> LRScheduler:
    """Linear warm-up over `warmup_steps`, then decay to zero at `steps`; step it once a training step."""
    warmup_steps = settings["warmup_steps"]
    decay = SCHEDULES[settings["schedule"]](optimizer, steps - warmup_steps)
    if warmup_steps == 0:
        return decay
    warmup = LinearLR(optimizer, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps)
    return SequentialLR(optimizer, [warmup, decay], milestones=[warmup_steps])


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Half a cosine from the peak to zero."""
    return CosineAnnealingLR(optimizer, T_max=steps)


def linear(optimizer: Optimizer, steps: int) -> LRScheduler:
    """A straight line from the peak to zero."""
    return LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps)


SCHEDULES: dict[str, Callable[[Optimizer, int], LRScheduler]] = {"cosine": cosine, "linear": linear}
