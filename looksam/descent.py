"""Which way to go: what the base optimizer is handed on ascent steps, and what on the steps between."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from looksam.vector import Vector, add_scaled_, norm, ratio, reject


class Descent(NamedTuple):
    """The two halves of a descent, one for each kind of step.

    fresh(g, g_s): on ascent steps; the gradient to hand over and the direction to remember, [] for none.
    between(g, g_v, g_v_norm, alpha): on the steps between, once a direction g_v of length g_v_norm (0-dim) is
    remembered; changes g in place into the gradient to hand over. None where that is g itself.
    """

    fresh: Callable[[Vector, Vector], tuple[Vector, Vector]]
    between: Callable[[Vector, Vector, Tensor, float], None] | None


def follow(g: Vector, g_s: Vector) -> tuple[Vector, Vector]:
    """Hand over g_s and remember nothing. Foret et al. 2021, Algorithm 1."""
    return g_s, []


def follow_and_remember(g: Vector, g_s: Vector) -> tuple[Vector, Vector]:
    """Hand over g_s and remember g_v = g_s - (<g, g_s> / ||g||^2) g, the whole model one vector.

    Liu et al. 2022, Algorithm 1.
    """
    return g_s, reject(g_s, g)


def reuse(g: Vector, g_v: Vector, g_v_norm: Tensor, alpha: float) -> None:
    """Change g to g + alpha * (||g|| / ||g_v||) * g_v, the whole model one vector; g where g_v = 0.

    In place, because g are the gradients of the model and DDP's buckets are views of them. Liu et al. 2022,
    Algorithm 1.
    """
    add_scaled_(g, g_v, alpha * ratio(norm(g), g_v_norm))


DESCENTS: dict[str, Descent] = {
    "g_s": Descent(fresh=follow, between=None),
    "g_v": Descent(fresh=follow_and_remember, between=reuse),
}
