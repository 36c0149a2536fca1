"""Which way to go: what the base optimizer is handed on ascent steps, and what on the steps between."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from looksam.ranks import blank, laid_out
from looksam.refresh import Over, Refresh, each, push, whole
from looksam.vector import Vector, add_scaled_, norm, norms, ratio, reject, without

Alpha = float | str


class Descent(NamedTuple):
    """The two halves of a descent, one for each kind of step.

    fresh(g, g_s, along, alpha): on ascent steps; the gradient to hand over and the g_v to remember, [] for
    none. along: <g, g_s> / ||g||^2, taken over what `over` says.
    between(g, last, alpha, seed): on the steps between, once a refresh is remembered; changes g in place into
    the gradient to hand over. None where that is g itself. seed: the step of the last ascent.
    over: products and norms of the whole model, or of each tensor.
    age: how many refreshes before the last the one is that `between` gets.
    """

    fresh: Callable[[Vector, Vector, Tensor, Alpha], tuple[Vector, Vector]]
    between: Callable[[Vector, Refresh, Alpha, int], None] | None
    over: Over = whole
    age: int = 0


def follow(g: Vector, g_s: Vector, along: Tensor, alpha: Alpha) -> tuple[Vector, Vector]:
    """Hand over g_s and remember nothing. Foret et al. 2021, Algorithm 1."""
    return g_s, []


def follow_and_remember(g: Vector, g_s: Vector, along: Tensor, alpha: Alpha) -> tuple[Vector, Vector]:
    """Hand over g_s and remember g_v = g_s - along * g, along = <g, g_s> / ||g||^2.

    Liu et al. 2022, Algorithm 1.
    """
    return g_s, without(g_s, g, along)


def reuse(g: Vector, last: Refresh, alpha: Alpha, seed: int) -> None:
    """Change g to g + alpha * (||g|| / ||g_v||) * g_v, the whole model one vector; g where g_v = 0.

    In place, because g are the gradients of the model and DDP's buckets are views of them. Liu et al. 2022,
    Algorithm 1.
    """
    add_scaled_(g, list(last.g_v.values()), norm(g) * push(last, alpha))


def reuse_per_tensor(g: Vector, last: Refresh, alpha: Alpha, seed: int) -> None:
    """Change each g_l to g_l + alpha * (||g_l|| / ||g_v,l||) * g_v,l; g_l where g_v,l = 0.

    Algorithm 1 read layer by layer, as several public ports do.
    """
    add_scaled_(g, list(last.g_v.values()), norms(g) * push(last, alpha))


def flatten(g: Vector, g_s: Vector, along: Tensor, alpha: Alpha) -> tuple[Vector, Vector]:
    """Hand over g_s - alpha * (the part of g orthogonal to g_s) and remember nothing.

    Going against that part leaves the perturbed loss as it is, to first order, and narrows its gap to the
    plain one. Zhuang et al. 2022, Algorithm 1.
    """
    return list(torch._foreach_sub(g_s, reject(g, g_s), alpha=float(alpha))), []


def push_anywhere(g: Vector, last: Refresh, alpha: Alpha, seed: int) -> None:
    """As `reuse`, with a random direction of g_v's length in the place of g_v, the same for the whole period.

    A control: what a push of that length does that knows nothing of the loss. Its random numbers are its own.
    """
    # far from the seeds of trainings, whose initial weights would be drawn from the same numbers
    generators = {x.device: torch.Generator(x.device).manual_seed(2**40 + seed) for x in g}
    r = [laid_out(blank(x).normal_(generator=generators[x.device]), x) for x in g]
    add_scaled_(g, r, norm(g) * push(last, alpha) * ratio(last.g_v_norm, norm(r)))


DESCENTS: dict[str, Descent] = {
    "g_s": Descent(fresh=follow, between=None),
    "g_v": Descent(fresh=follow_and_remember, between=reuse),
    "g_v_per_tensor": Descent(fresh=follow_and_remember, between=reuse_per_tensor, over=each),
    "gsam": Descent(fresh=flatten, between=None),
    "random": Descent(fresh=follow_and_remember, between=push_anywhere),
    "g_v_before": Descent(fresh=follow_and_remember, between=reuse, age=1),
}
