"""A sharpness-aware gradient for any torch optimizer: the method, and what lives from step to step."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS
from looksam.replay import kept_buffers, perturbed, random_states, replayed
from looksam.vector import norm

Loss = TypeVar("Loss")


@dataclass(frozen=True)
class Method:
    """Where to look, which way to go and how often; `Method()` never looks and is the base optimizer alone.

    k: period of ascent steps, 1 always, 0 never. ascent, descent: names in ASCENTS and DESCENTS.
    rho: length of the perturbation. alpha: length of the reused g_v relative to ||g||.
    """

    k: int = 0
    ascent: str = "global"
    descent: str = "g_s"
    rho: float = 0.05
    alpha: float = 0.7

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 0:
            raise ValueError(f"k must be an integer >= 0 (0 never looks, 1 at every step), got {self.k!r}")
        for field, table in (("ascent", ASCENTS), ("descent", DESCENTS)):
            if getattr(self, field) not in table:
                raise ValueError(f"unknown {field} {getattr(self, field)!r}; known: {', '.join(table)}")
        for field in ("rho", "alpha"):
            value = getattr(self, field)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value < math.inf:
                raise ValueError(f"{field} must be a finite number >= 0, got {value!r}")


class SharpnessAware:
    """Leaves a method's gradient in `p.grad`, for an optimizer that need not know.

    step: calls of `backward` so far. memory: g_v by parameter name, empty while nothing is remembered.
    """

    def __init__(self, model: nn.Module, method: Method) -> None:
        self.model = model
        self.method = method
        self.step = 0
        self.memory: dict[str, Tensor] = {}
        self._memory_norm = torch.zeros(())  # ||g_v||, kept because every step between divides by it
        self._parameters = dict(model.named_parameters())  # kept because walking the modules is slow

    @property
    def is_ascent(self) -> bool:
        """The next `backward` takes a second gradient."""
        return self.method.k > 0 and self.step % self.method.k == 0

    def backward(self, closure: Callable[[], Loss]) -> Loss:
        """Leave the method's gradient in `p.grad` and return the loss of the first pass.

        closure: zeroes the gradients, runs forward and backward on one batch, returns the loss. It is called
        twice on ascent steps, on the same batch. If it raises, weights, memory and step are what they were.
        """
        if self.is_ascent:
            loss = self._look(closure)
        else:
            loss = closure()
            if self.memory:
                self._reuse()
        self.step += 1
        return loss

    def _look(self, closure: Callable[[], Loss]) -> Loss:
        before = random_states({p.device for p in self._parameters.values()})
        loss = closure()
        g = [x.clone() for x in self._gradients().values()]  # because the second pass writes over p.grad
        w = [p.detach() for p in self._trainable().values()]
        ascent = ASCENTS[self.method.ascent]
        with replayed(before), kept_buffers(self.model), perturbed(w, ascent(w, g, self.method.rho)):
            closure()
        gradients = self._gradients()
        g_s = list(gradients.values())
        handed_over, g_v = DESCENTS[self.method.descent].fresh(g, g_s)
        if handed_over is not g_s:
            torch._foreach_copy_(g_s, handed_over)  # in place, because DDP's buckets are views of p.grad
        if g_v:
            self._remember(dict(zip(gradients, g_v, strict=True)))
        return loss

    def _remember(self, g_v: dict[str, Tensor]) -> None:
        # A gradient that overflowed must not live on for k steps: the old g_v stays, chosen on the device.
        is_finite = torch.isfinite(norm(list(g_v.values())))
        old = [self.memory[name] if name in self.memory else torch.zeros_like(x) for name, x in g_v.items()]
        self.memory = {name: torch.where(is_finite, g_v[name], x) for name, x in zip(g_v, old, strict=True)}
        self._memory_norm = norm(list(self.memory.values()))

    def _reuse(self) -> None:
        between = DESCENTS[self.method.descent].between
        gradients = self._gradients()
        # Once a layer was frozen or thawed, g_v is a vector of another space: plain g until the next refresh.
        if between is not None and list(gradients) == list(self.memory):
            g_v = list(self.memory.values())
            between(list(gradients.values()), g_v, self._memory_norm, self.method.alpha)

    def _trainable(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self._parameters.items() if p.requires_grad}

    def _gradients(self) -> dict[str, Tensor]:
        trainable = self._trainable()
        if not trainable:
            raise ValueError("the model has no trainable parameter, so there is no gradient to look along")
        gradients = {name: p.grad.detach() for name, p in trainable.items() if p.grad is not None}
        if len(gradients) < len(trainable):
            missing = ", ".join(name for name in trainable if name not in gradients)
            raise ValueError(
                f"no gradient for {missing}; freeze what the loss leaves out: requires_grad_(False)"
            )
        odd = ", ".join(name for name, x in gradients.items() if x.layout != torch.strided or x.is_complex())
        if odd:
            raise ValueError(f"sparse or complex gradient for {odd}; only dense real ones can be added up")
        return gradients

    def state_dict(self) -> dict[str, Any]:
        """What must survive a restart: `step`, an int, and `memory`, tensors by parameter name."""
        return {"step": self.step, "memory": dict(self.memory)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, in the middle of a period too; the tensors are copied.

        Raises ValueError if the method reuses nothing or the names or shapes are not those of the model.
        """
        memory: dict[str, Tensor] = state["memory"]
        if memory and (self.method.k == 0 or DESCENTS[self.method.descent].between is None):
            raise ValueError(f"the state holds a g_v and {self.method} uses none; take the method it is from")
        shapes = {name: tuple(p.shape) for name, p in self._trainable().items()} if memory else {}
        saved = {name: tuple(x.shape) for name, x in memory.items()}
        wrong = [name for name in {**shapes, **saved} if shapes.get(name) != saved.get(name)]
        if wrong:
            found = [
                f"{name} is {saved.get(name, 'absent')}, not {shapes.get(name, 'there')}" for name in wrong
            ]
            raise ValueError(f"the state is not of this model's trainable parameters: {'; '.join(found)}")
        self.step = state["step"]
        self.memory = {name: memory[name].to(self._parameters[name], copy=True) for name in shapes}
        self._memory_norm = norm(list(self.memory.values())) if memory else torch.zeros(())
