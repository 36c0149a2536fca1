"""The closure that `optimizer.step` is given: taken apart where a framework wrapped it, and checked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.autograd.graph import register_multi_grad_hook


class Parts(NamedTuple):
    """The two halves of a step's closure.

    run: zeroes the gradients, runs forward and backward; None where there is nothing to run. afterwards: what
    its framework does to the finished gradient, hooks and clipping.
    """

    run: Any
    afterwards: Callable[[], object]


def parted(closure: Any) -> Parts:
    """The pass alone, and what happens once a step.

    Lightning hands over `partial(plugin._wrap_closure, module, optimizer, run)`, which clips at the end of
    `run`: g and g_s would each be clipped, and what is made of them would not. Raises ValueError if Lightning
    wrapped it in another way, which could clip in every pass unseen.
    """
    plugin = getattr(closure.func, "__self__", None) if isinstance(closure, partial) else None
    if plugin is None or not _is_of_lightning(plugin):
        return Parts(closure, _nothing)
    if closure.func.__name__ == "_wrap_closure" and len(closure.args) == 3 and not closure.keywords:
        module, optimizer, run = closure.args
        is_empty = getattr(run, "__name__", None) == "do_nothing_closure"
        return Parts(None if is_empty else run, partial(plugin._after_closure, module, optimizer))
    raise ValueError(
        f"Lightning wrapped the closure in {type(plugin).__name__}.{closure.func.__name__}, known is "
        "_wrap_closure; what it does after a pass cannot be told from the pass. Override optimizer_step in "
        "your LightningModule: optimizer.optimizer.step(optimizer_closure)"
    )


def _is_of_lightning(plugin: object) -> bool:
    # a plugin of the user's own derives from one of Lightning's
    packages = {kind.__module__.partition(".")[0] for kind in type(plugin).__mro__}
    return not packages.isdisjoint({"lightning", "pytorch_lightning"})


def _nothing() -> None:
    """What happens afterwards where no framework asks for more."""


@contextmanager
def zeroed_inside(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Raises ValueError if what runs inside leaves the gradients that were there, or adds to them.

    Told by whether the first of them was touched until the first new gradient came, never by values, which
    would wait for the device. parameters: the trainable ones.
    """
    before = parameters[0].grad if parameters else None
    if before is None:
        yield
        return
    version, is_left = before._version, []

    def look(_: Tensor) -> None:
        is_left.append(parameters[0].grad is before and before._version == version)

    handle = register_multi_grad_hook(parameters, look, mode="any")
    try:
        yield
    finally:
        handle.remove()
    # Sharded parameters are given their gradient without a hook: there, zeroing must set it to None.
    if is_left[0] if is_left else parameters[0].grad is before:
        raise ValueError(
            "the closure did not zero the gradients that were there before: what was accumulated outside of "
            "it would be missing from the second pass. Begin it with optimizer.zero_grad(); to accumulate, "
            "run all micro-batches inside one closure (in Lightning: accumulate_grad_batches=1 and manual "
            "optimization, docs/trainers.md)"
        )
