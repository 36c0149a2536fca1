"""A sharpness-aware gradient for any torch optimizer: what a method does at each step, and what lives on."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn

from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS
from looksam.diagnostics import diagnose, fetched, warn_of_push
from looksam.method import Method
from looksam.perturbations import PERTURBATIONS, added, average_, check_ranks
from looksam.ranks import gathered_anew, local
from looksam.refresh import Refresh, as_state, from_state, products, refresh, remembered
from looksam.replay import free_gradients, kept_buffers, perturbed, random_states, replayed
from looksam.vector import norm, ratio

Loss = TypeVar("Loss")


class SharpnessAware:
    """Leaves a method's gradient in `p.grad`, for an optimizer that need not know.

    step: calls of `backward` so far. diagnostics: 0-dim tensors on the device, of the last ascent step; their
    names and meanings are in `diagnose`.
    """

    def __init__(self, model: nn.Module, method: Method) -> None:
        check_ranks(model, method.perturbation)
        self.model = model
        self.method = method
        self.step = 0
        self.diagnostics: dict[str, Tensor] = {}
        self._has_warned = False
        self._refreshes: list[Refresh] = []  # the last one first, as many as the descent goes back
        self._parameters = dict(model.named_parameters())  # kept because walking the modules is slow
        moves = ASCENTS[method.ascent].moves
        # by name, so that a deep copy finds its own
        self._moved = {
            f"{prefix}.{name}" if prefix else name
            for prefix, module in model.named_modules()
            if moves(module)
            for name, _ in module.named_parameters(recurse=False)
        }

    @property
    def is_ascent(self) -> bool:
        """The next `backward` takes a second gradient."""
        method = self.method
        return method.k > 0 and self.step >= method.start and (self.step - method.start) % method.k == 0

    @property
    def is_finite(self) -> Tensor:
        """The passes of the last `backward` were finite; 0-dim, on the device. Read before `p.grad` changes.

        Taken from `p.grad` when asked for, which is not finite if any of the passes was not.
        """
        return torch.isfinite(norm(list(self._gradients().values())))

    @property
    def memory(self) -> dict[str, Tensor]:
        """The g_v of the last refresh by parameter name; empty while nothing is remembered."""
        return self._refreshes[0].g_v if self._refreshes else {}

    def read_diagnostics(self) -> dict[str, float]:
        """`diagnostics` as numbers: one transfer, which waits. Warns, once, of an alpha far too large."""
        found = fetched(self.diagnostics)
        self._has_warned = self._has_warned or warn_of_push(found, self.method.alpha, self.method.k)
        return found

    @overload
    def backward(self, closure: Callable[[], Loss]) -> Loss: ...
    @overload
    def backward(self, closure: Sequence[Callable[[], Loss]]) -> list[Loss]: ...
    def backward(self, closure: Callable[[], Loss] | Sequence[Callable[[], Loss]]) -> Loss | list[Loss]:
        """Leave the method's gradient in `p.grad` and return the loss of the first pass.

        closure: zeroes the gradients, runs forward and backward on one batch, returns the loss. It is called
        twice on ascent steps, on the same batch. If it raises, weights, memory and step are what they were.
        Or a list of them, one for each micro-batch, called in order, of which the first alone zeroes the
        gradients; the list of their losses is returned.
        """
        closures = [closure] if callable(closure) else list(closure)
        if not closures:
            raise ValueError("no closure to run; give one, or a list with one for each micro-batch")
        if self.is_ascent:
            losses = self._look(closures)
        else:
            losses = [run() for run in closures]
            self._reuse()
        self.step += 1
        return losses[0] if callable(closure) else losses

    def _look(self, closures: list[Callable[[], Loss]]) -> list[Loss]:
        perturbation = PERTURBATIONS[self.method.perturbation]
        losses: list[Loss] = []
        g: dict[str, Tensor] = {}
        g_s: dict[str, Tensor] = {}  # of all looks but the last, which is in p.grad
        looks = perturbation.looks(self.model, closures)
        for i, (first, second) in enumerate(looks):
            before = random_states({p.device for p in self._parameters.values()})
            losses += [run() for run in first]
            own = self._gradients()
            g = added(g, own)  # copies, because the second pass writes over p.grad
            if i == 0:
                own = g  # the same; the closure may free p.grad before the second pass
            free_gradients(self._parameters[name] for name in own)
            with replayed(before) if self.method.replay else nullcontext(), kept_buffers(self.model):
                self._run_perturbed(own, second)
            if i < len(looks) - 1:
                g_s = added(g_s, self._gradients())
        gradients = self._gradients()
        if g_s:
            torch._foreach_add_(list(gradients.values()), list(g_s.values()))
            del g_s
        if perturbation.averages_g:
            average_(self.model, list(g.values()))
        if perturbation.averages_g_s:
            average_(self.model, list(gradients.values()))
        self._descend(g, gradients)
        return losses

    def _run_perturbed(self, g: dict[str, Tensor], closures: list[Callable[[], Loss]]) -> None:
        w = {name: self._parameters[name].detach() for name in g if name in self._moved}
        if not w:
            raise ValueError(
                f"ascent {self.method.ascent!r} moves no trainable parameter of this model; take another of "
                f"{', '.join(ASCENTS)}"
            )
        epsilon = ASCENTS[self.method.ascent].epsilon
        moved = list(w.values())
        rho = self.method.rho
        with gathered_anew(self.model, moved), perturbed(moved, epsilon(moved, [g[name] for name in w], rho)):
            for run in closures:
                run()

    def _descend(self, g_by_name: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
        descent, old = DESCENTS[self.method.descent], self._refreshes[0] if self._refreshes else None
        if old is not None and list(old.g_v) != list(gradients):
            old = None
        g, g_s = list(g_by_name.values()), list(gradients.values())
        seen = products(g, g_s, list(old.g_v.values()) if old is not None else [])
        along = ratio(descent.over(seen.g_g_s), descent.over(seen.g_g))
        handed_over, g_v = descent.fresh(g, g_s, along, self.method.alpha)
        if handed_over is not g_s:
            # in place, because DDP's buckets are views of p.grad
            torch._foreach_copy_(local(g_s), local(handed_over))
        new = refresh(dict(zip(gradients, g_v, strict=True)), seen, along, descent.over, old) if g_v else None
        if new is not None:
            is_finite = torch.isfinite(seen.g_g.sum() + seen.g_s_g_s.sum())
            kept = self._refreshes if old is not None else []
            self._refreshes = remembered(new, kept, is_finite, descent.age)
        self.diagnostics = diagnose(seen, new, old, self.method.alpha, descent.over)
        # times 1, or NaN where g overflowed and g_s did not: a GradScaler must skip the step
        torch._foreach_mul_(local(g_s), 1 + 0 * seen.g_g.sum())

    def _reuse(self) -> None:
        descent, method = DESCENTS[self.method.descent], self.method
        if descent.between is None or len(self._refreshes) <= descent.age:
            return
        gradients, last = self._gradients(), self._refreshes[descent.age]
        # Once a layer was frozen or thawed, g_v is a vector of another space: plain g until the next refresh.
        if list(gradients) == list(last.g_v):
            seed = self.step - (self.step - method.start) % method.k
            descent.between(list(gradients.values()), last, method.alpha, seed)

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
        """What must survive a restart: `step`, an int, and `refreshes`, dicts of tensors, the last first."""
        return {"step": self.step, "refreshes": [as_state(x) for x in self._refreshes]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, in the middle of a period too; the tensors are copied.

        Raises ValueError if the method reuses nothing or the names or shapes are not those of the model.
        """
        refreshes = state["refreshes"]
        if refreshes and (self.method.k == 0 or DESCENTS[self.method.descent].between is None):
            raise ValueError(f"the state holds a g_v and {self.method} uses none; take the method it is from")
        over = DESCENTS[self.method.descent].over
        self._refreshes = [from_state(x, self._trainable(), over) for x in refreshes]
        self.step = state["step"]
