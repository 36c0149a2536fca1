"""A base optimizer and a method as one torch optimizer, for frameworks that want to hold an `Optimizer`."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from looksam.base import check_kind, check_parameters
from looksam.closures import parted, zeroed_inside
from looksam.method import Method
from looksam.sharpness import SharpnessAware


def _of_base(name: str) -> Any:
    """The base's own attribute, read and replaced there, so that nothing can fall out of step."""

    def read(self: "SharpnessAwareOptimizer") -> Any:
        return getattr(self.base, name)

    def replace(self: "SharpnessAwareOptimizer", value: Any) -> None:
        setattr(self.base, name, value)

    return property(read, replace)


class SharpnessAwareOptimizer(Optimizer):
    """A torch optimizer whose `step(closure)` leaves the method's gradient and takes the base's step.

    base: any torch optimizer of the model's trainable parameters; `param_groups` and `state` are its own.
    sharpness: the SharpnessAware inside. Raises ValueError if the base's parameters are not the model's.
    """

    defaults = _of_base("defaults")
    param_groups = _of_base("param_groups")
    state = _of_base("state")

    def __init__(self, base: Optimizer, model: nn.Module, method: Method) -> None:
        check_kind(base)
        if isinstance(base, SharpnessAwareOptimizer):
            raise ValueError("base is sharpness-aware already; take base.base, the optimizer inside")
        self.base = base
        self.sharpness = SharpnessAware(model, method)
        self._names = {p: name for name, p in model.named_parameters()}
        self._by_size = sorted(self._names, key=torch.numel)
        # In a dict, because Lightning's wrapper of an optimizer reads our attributes and sets its own.
        self._gradient = dict.fromkeys(("is_ready", "is_running", "is_second_pass"), False)
        check_parameters(base, self._names)
        # Hooks and profiling as in any optimizer; its __init__ would make parameter groups of its own.
        self.__setstate__({})

    @property
    def is_second_pass(self) -> bool:
        """The closure is running at other weights: its loss is not the one to log."""
        return self._gradient["is_second_pass"]

    def backward(self, closure: Any) -> Any:
        """Leave the method's gradient in `p.grad`, for clipping and then `step()`; return the loss.

        closure: as for `SharpnessAware.backward`; it must zero the gradients that it finds.
        """
        if self._gradient["is_running"]:
            raise ValueError(
                "the closure called backward itself; pass functools.partial(optimizer.backward, closure)"
            )
        self._gradient.update(is_ready=False, is_running=True)
        try:
            with torch.enable_grad():
                loss = self.sharpness.backward(self._checked(closure))
        finally:
            self._gradient.update(is_running=False, is_second_pass=False)
        self._gradient["is_ready"] = True
        return loss

    def _checked(self, closure: Any) -> Any:
        if self.sharpness.method.k == 0:
            return closure  # one pass and no second to fall short
        if not callable(closure):
            first, *others = closure
            return [self._checked(first), *others]
        is_first = True

        def run() -> Any:
            nonlocal is_first
            if is_first:
                is_first = False
                with zeroed_inside([p for p in self._by_size if p.requires_grad]):
                    return closure()
            self._gradient["is_second_pass"] = True
            self.base.zero_grad()  # so that a closure that relies on zeroed gradients has them twice
            return closure()

        return run

    def step(self, closure: Any = None) -> Any:
        """Take the base's step along the method's gradient, and return the closure's loss.

        closure: zeroes the gradients, runs forward and backward, returns the loss; called twice on ascent
        steps. Without one the gradient must be there, from `backward`. Raises ValueError where it is not.
        """
        run, afterwards = parted(closure)
        if isinstance(run, partial) and getattr(run.func, "__func__", None) is type(self).backward:
            (run,) = run.args
        if run is None:
            self._check_ready()
        elif self._gradient["is_ready"]:
            raise ValueError("backward has left this step's gradient already; call step() without a closure")
        loss = None if run is None else self.backward(run)
        afterwards()
        self._gradient["is_ready"] = False
        self.base.step()
        return loss

    def _check_ready(self) -> None:
        if self.sharpness.method.k > 0 and not self._gradient["is_ready"]:
            raise ValueError(
                f"a step of {self.sharpness.method} needs the closure, to run it again at other weights, and "
                "step() got none. Call step(closure), or where a framework or a GradScaler makes the call: "
                "optimizer.backward(closure) first (docs/trainers.md)"
            )

    @property
    def _step_supports_amp_scaling(self) -> bool:
        # A GradScaler asks before its step. With a closure it would unscale the gradients of the step before.
        self._check_ready()
        return False

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Zero the gradients as the base does; what `backward` left is gone."""
        self._gradient["is_ready"] = False
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Give the base another group of the model's parameters, as when a layer is thawed."""
        self.base.add_param_group(param_group)
        try:
            check_parameters(self.base, self._names)
        except ValueError:
            self.base.param_groups.pop()
            raise

    def state_dict(self) -> dict[str, Any]:
        """The base's state with one more entry, `sharpness`: the step and what is remembered."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state: dict[str, Any] = {**self.base.state_dict(), "sharpness": self.sharpness.state_dict()}
        for after in self._optimizer_state_dict_post_hooks.values():
            changed = after(self, state)
            state = state if changed is None else changed
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, in the middle of a period too; nothing changes if refused.

        Raises ValueError if it has no `sharpness`, or is of another model or method.
        """
        state = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            changed = before(self, state)
            state = state if changed is None else changed
        if "sharpness" not in state:
            raise ValueError(
                f"the state has no 'sharpness', only {', '.join(state)}, so it is a base optimizer's; to "
                "start from it, load it into optimizer.base"
            )
        old = self.sharpness.state_dict()
        self.sharpness.load_state_dict(state.pop("sharpness"))
        try:
            self.base.load_state_dict(state)
        except Exception:
            self.sharpness.load_state_dict(old)
            raise
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        own = ("base", "sharpness", "_names", "_by_size", "_gradient")
        return {name: self.__dict__[name] for name in own}
