"""A copy of a training's state in the CPU's memory, which stays as it is while the training goes on."""

from collections.abc import Callable, Mapping
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

# besides tensors and what holds them, what `torch.load` reads with weights_only=True
PLAIN = (bool, int, float, str, bytes, type(None))


def snapshot(state: Mapping[str, Any], before: Any = None) -> dict[str, Any]:
    """Copy of `state`: tensors, numbers, strings and None in dicts, lists and tuples, of any depth.

    before: an earlier snapshot that nobody reads any more, whose memory is used again where shapes agree, as
    new memory costs more than the copy. TypeError names what else is in `state`.
    """
    copy: dict[str, Any] = _each(_copied, state, before, "state")
    if torch.accelerator.is_available():
        # copies from an accelerator to pinned memory go on behind the calls
        torch.accelerator.synchronize()
    return copy


def room(state: Mapping[str, Any]) -> dict[str, Any]:
    """Memory for snapshots of `state`, all of it touched, so that the first finds it at hand."""
    memory: dict[str, Any] = _each(_zeros, state, None, "state")
    return memory


def _each(make: Callable[[Tensor, Any], Tensor], value: Any, before: Any, name: str) -> Any:
    """What `make` makes of each tensor and of what `before` has in its place, held as `value` holds them."""
    if isinstance(value, Tensor):
        return make(value, before)
    if isinstance(value, Mapping):
        by_key = before if isinstance(before, dict) else {}
        return {key: _each(make, inner, by_key.get(key), f"{name}[{key!r}]") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        earlier = chain(before if isinstance(before, list | tuple) else (), repeat(None))
        made = [_each(make, inner, next(earlier), f"{name}[{i}]") for i, inner in enumerate(value)]
        return tuple(made) if isinstance(value, tuple) else made
    # the exact type: numpy's float64 is a float too, and is not read back
    if type(value) not in PLAIN:
        raise TypeError(
            f"a checkpoint holds tensors, numbers, text, dicts and lists; {name} is {type(value)}"
        )
    return value


def _copied(value: Tensor, before: Any) -> Tensor:
    fits = (
        isinstance(before, Tensor)
        and (before.shape, before.dtype) == (value.shape, value.dtype)
        and before.stride() == value.stride()
    )
    memory: Tensor = (
        before
        if fits
        else torch.empty_like(value, device="cpu", pin_memory=value.is_cuda, requires_grad=False)
    )
    return memory.copy_(value.detach(), non_blocking=value.is_cuda)


def _zeros(value: Tensor, _: Any) -> Tensor:
    return torch.zeros_like(value, device="cpu", pin_memory=value.is_cuda, requires_grad=False)
