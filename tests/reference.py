"""The paper's equations on flat vectors, written without the package: what every method must equal.

A model is the vector of all its trainable weights. `look(w)` is the gradient there, of the batch of the step,
and leaves nothing behind.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
Look = Callable[[Tensor], Tensor]


@dataclass
class State:
    """What a row may use: the settings, the sizes of the layers, the step, and g_v from the last refresh."""

    k: int
    rho: float
    alpha: float
    sizes: list[int]
    t: int = 0
    g_v: Tensor = field(default_factory=lambda: torch.zeros(()))


def vanilla(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """The gradient handed to the base optimizer when nothing is looked at."""
    return g


def sam(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """Foret et al. 2021: the gradient at w + rho g / ||g||."""
    return look(w + state.rho * g / g.norm())


def sam_k(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """SAM when t is a multiple of k, and the plain gradient otherwise."""
    return sam(w, g, look, state) if state.t % state.k == 0 else g


def looksam_k(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """Liu et al. 2022, Algorithm 1."""
    return decompose_or_reuse(w, g, look, state, sam)


def layersam(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """The gradient at w + epsilon, epsilon of length rho and each layer's share proportional to ||w_l||."""
    direction = torch.cat(
        [
            w_l.norm() * g_l / g_l.norm()
            for w_l, g_l in zip(w.split(state.sizes), g.split(state.sizes), strict=True)
        ]
    )
    return look(w + state.rho * direction / direction.norm())


def look_layersam_k(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """Liu et al. 2022, Algorithm 2."""
    return decompose_or_reuse(w, g, look, state, layersam)


def decompose_or_reuse(
    w: Tensor, g: Tensor, look: Look, state: State, ascend: Callable[..., Tensor]
) -> Tensor:
    """On a refresh g_s, its part orthogonal to g kept, found by the angle; then g plus that part rescaled."""
    if state.t % state.k == 0:
        g_s = ascend(w, g, look, state)
        cosine = torch.dot(g, g_s) / (g.norm() * g_s.norm())
        state.g_v = g_s - g_s.norm() * cosine * g / g.norm()
        return g_s
    return g + state.alpha * (g.norm() / state.g_v.norm()) * state.g_v


ROWS: dict[str, Callable[[Tensor, Tensor, Look, State], Tensor]] = {
    "vanilla": vanilla,
    "sam": sam,
    "sam-k": sam_k,
    "looksam-k": looksam_k,
    "layersam": layersam,
    "look-layersam-k": look_layersam_k,
}


def flat(model: nn.Module) -> Tensor:
    """All weights as one vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def flat_gradient(model: nn.Module, batch: Batch) -> Tensor:
    """Gradient of the cross-entropy of a batch, as one vector; moves the model's buffers as training does."""
    model.zero_grad()
    images, labels = batch
    nn.functional.cross_entropy(model(images), labels).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])  # type: ignore[union-attr]


def train(
    row: str, model: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Batch], state: State
) -> None:
    """Train with a row, its gradient handed to the optimizer; looks are taken on a copy that is dropped."""
    for t, batch in enumerate(batches):
        state.t = t
        w = flat(model)
        copied = copy.deepcopy(model)

        def look(at: Tensor, copied: nn.Module = copied, batch: Batch = batch) -> Tensor:
            nn.utils.vector_to_parameters(at, copied.parameters())
            return flat_gradient(copied, batch)

        handed_over = ROWS[row](w, flat_gradient(model, batch), look, state)
        for p, x in zip(model.parameters(), handed_over.split(state.sizes), strict=True):
            p.grad = x.view_as(p).clone()
        optimizer.step()
