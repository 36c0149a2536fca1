"""A network as a device runs it: where it lies, how, compiled or not. Names and values of weights stay."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from looksam.replay import kept_buffers


def prepared(network: nn.Module, settings: Mapping[str, Any], device: torch.device) -> nn.Module:
    """The same network on the device, with what the settings ask for.

    memory_format, "channels_last": kernels of convolutions are laid out as accelerators, and bf16 on CPUs,
    are fastest. activation_checkpointing: blocks keep their input alone and run twice, for less memory.
    compile: "always", or "accelerator" for no compiling on a CPU, where it gains little.
    """
    network.to(device)
    if settings.get("memory_format") == "channels_last":
        network.to(memory_format=torch.channels_last)
    if settings.get("activation_checkpointing"):
        checkpoint_activations(network)
    if is_compiled(settings, device):
        network.compile()
    return network


def is_compiled(settings: Mapping[str, Any], device: torch.device) -> bool:
    """Whether the settings ask for torch.compile on this device."""
    wanted = settings.get("compile", "never")
    return wanted == "always" or (wanted == "accelerator" and device.type != "cpu")


def checkpoint_activations(network: nn.Module) -> None:
    """Let the network's blocks forget what is between them, and run anew in the backward pass.

    timm's transformers have a switch for it; of the others, every direct child with children of its own is a
    block.
    """
    switch = getattr(network, "set_grad_checkpointing", None)
    if switch is not None:
        switch()
        return
    for block in network.children():
        if list(block.children()):
            block.forward = _run_twice(block, block.forward)


def _run_twice(block: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def contexts() -> tuple[Any, Any]:
        # BatchNorm counts a batch once
        return nullcontext(), kept_buffers(block)

    def run(x: Tensor) -> Tensor:
        y: Tensor = checkpoint(forward, x, use_reentrant=False, context_fn=contexts)
        return y

    return run
