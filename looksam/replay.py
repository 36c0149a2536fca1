"""A second pass that leaves no trace: other weights, the same random numbers, and all given back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from looksam.ranks import local
from looksam.vector import Vector

RandomStates = dict[torch.device, Tensor]


def free_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Drop the gradients, so that less is held until the second pass makes its own.

    Views stay: they are parts of a buffer that somebody else keeps, as DDP does its buckets.
    """
    for p in parameters:
        if p.grad is not None and not p.grad._is_view():
            p.grad = None


@contextmanager
def perturbed(w: Vector, epsilon: Vector) -> Iterator[None]:
    """Weights are w + epsilon inside, and bit for bit w again outside, also after an error.

    Given back by copying, since (w + epsilon) - epsilon is not always w. Where autocast is on around it all,
    the copies of the weights that it keeps in low precision are dropped with each change.
    """
    w, epsilon = local(w), local(epsilon)
    saved = [x.clone() for x in w]
    try:
        torch._foreach_add_(w, epsilon)
        torch.clear_autocast_cache()
        del epsilon  # freed before the second pass, where memory is scarcest
        yield
    finally:
        torch._foreach_copy_(w, saved)
        torch.clear_autocast_cache()


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Buffers are given back as they were: BatchNorm counts a batch once, in `num_batches_tracked` too."""
    # one walk over the modules: named_buffers, before and after, takes as long as the sums of a small model
    saved = [
        (module, name, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        for module, name, buffer in saved:
            # by name, because a module may have put a new tensor in its place
            getattr(module, name).copy_(buffer)


def random_states(devices: set[torch.device]) -> RandomStates:
    """State of torch's random generator on each of the devices, and on the CPU always."""
    others = {device for device in devices if device.type != "cpu"}
    states = {device: torch.get_device_module(device).get_rng_state(device) for device in others}
    return {torch.device("cpu"): torch.get_rng_state(), **states}


@contextmanager
def replayed(before: RandomStates) -> Iterator[None]:
    """Random numbers start again from `before` inside, so dropout masks are the same; outside they go on."""
    after = random_states(set(before))
    _set_random_states(before)
    try:
        yield
    finally:
        _set_random_states(after)


def _set_random_states(states: RandomStates) -> None:
    for device, state in states.items():
        if device.type == "cpu":
            torch.set_rng_state(state)
        else:
            torch.get_device_module(device).set_rng_state(state, device)
