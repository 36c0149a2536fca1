"""What a base optimizer must be, to take the steps of a model's sharpness-aware gradient."""

import inspect
from collections.abc import Mapping

from torch import nn
from torch.optim import Optimizer


def check_kind(base: object) -> None:
    """Raises ValueError if `base` is no torch optimizer, or one that runs the closure by itself."""
    if not isinstance(base, Optimizer):
        raise ValueError(f"base must be a torch.optim.Optimizer, got {type(base).__name__}")
    closure = inspect.signature(base.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"{type(base).__name__} calls the closure itself, at weights of its own; take a base optimizer "
            "whose step() needs none"
        )


def check_parameters(base: Optimizer, names: Mapping[nn.Parameter, str]) -> None:
    """Raises ValueError unless `base` holds the trainable parameters of the model, `names`, and no others."""
    held = {p for group in base.param_groups for p in group["params"]}
    strange = [str(tuple(p.shape)) for p in held if p not in names]
    if strange:
        raise ValueError(
            f"{len(strange)} parameters of the base optimizer are not the model's, of shapes "
            f"{', '.join(strange[:5])}; build it of model.parameters(), once the model is complete"
        )
    left_out = [name for p, name in names.items() if p.requires_grad and p not in held]
    if left_out:
        raise ValueError(
            f"the base optimizer does not hold {', '.join(left_out[:5])} ({len(left_out)} trainable "
            "parameters of the model); add them, or freeze them: requires_grad_(False)"
        )
