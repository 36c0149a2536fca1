"""The paper's equations on flat vectors, written without the package: what every method must equal.

A model is the vector of all its trainable weights. `look(w)` is the gradient there, of the batch of the step,
and leaves nothing behind.
"""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
Look = Callable[[Tensor], Tensor]


@dataclass
class State:
    """What a row may use: the settings, the layers and their sizes, the step, and what refreshes left.

    vectors, norm_layers: of each weight, whether it is in a tensor of one dimension, in a norm layer.
    refreshed: g_s and g at every refresh so far.
    """

    k: int
    rho: float
    alpha: float
    sizes: list[int]
    vectors: Tensor
    norm_layers: Tensor
    t: int = 0
    refreshed: list[tuple[Tensor, Tensor]] = field(default_factory=list)


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
        state.refreshed.append((ascend(w, g, look, state), g))
        return state.refreshed[-1][0]
    g_v = orthogonal(*state.refreshed[-1])
    return g + state.alpha * (g.norm() / g_v.norm()) * g_v


def orthogonal(g_s: Tensor, g: Tensor) -> Tensor:
    """The part of g_s orthogonal to g, by the angle between them."""
    cosine = torch.dot(g, g_s) / (g.norm() * g_s.norm())
    return g_s - g_s.norm() * cosine * g / g.norm()


def refresh_or(
    reuse: Callable[[Tensor, State], Tensor],
) -> Callable[[Tensor, Tensor, Look, State], Tensor]:
    """A row that is SAM when t is a multiple of k, else what `reuse` makes of g and the refreshes."""

    def row(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
        if state.t % state.k:
            return reuse(g, state)
        state.refreshed.append((sam(w, g, look, state), g))
        return state.refreshed[-1][0]

    return row


def per_tensor(reuse: Callable[[Tensor, State], Tensor]) -> Callable[[Tensor, State], Tensor]:
    """`reuse`, of each layer as if it were the whole model."""

    def each(g: Tensor, state: State) -> Tensor:
        seen = [(g_s.split(state.sizes), at.split(state.sizes)) for g_s, at in state.refreshed]
        parts = []
        for i, g_l in enumerate(g.split(state.sizes)):
            refreshed = [(g_s[i], at[i]) for g_s, at in seen]
            parts.append(reuse(g_l, dataclasses.replace(state, refreshed=refreshed)))
        return torch.cat(parts)

    return each


def at_alpha(g: Tensor, state: State) -> Tensor:
    """Liu et al. 2022, Algorithm 1, a step between."""
    g_v = orthogonal(*state.refreshed[-1])
    return g + state.alpha * g.norm() * g_v / g_v.norm()


def as_measured(g: Tensor, state: State) -> Tensor:
    """The push is to g what g_v was to the part of g_s along g."""
    g_s, at = state.refreshed[-1]
    g_v = orthogonal(g_s, at)
    return g + g.norm() / (g_s - g_v).norm() * g_v


def as_confirmed(g: Tensor, state: State) -> Tensor:
    """As measured, times the cosine of the last two g_v, from 0 up; plain before there are two."""
    if len(state.refreshed) < 2:
        return g
    old, new = (orthogonal(*seen) for seen in state.refreshed[-2:])
    cosine = torch.dot(old, new) / (old.norm() * new.norm())
    return g + max(0.0, cosine.item()) * (as_measured(g, state) - g)


def as_fitted(g: Tensor, state: State) -> Tensor:
    """As long, relative to g, as the push along the g_v before that fits the last g_s; plain before that."""
    if len(state.refreshed) < 2:
        return g
    old, g_v = (orthogonal(*seen) for seen in state.refreshed[-2:])
    g_s, at = state.refreshed[-1]
    a, b = torch.linalg.lstsq(torch.stack([at, old], dim=1), g_s[:, None]).solution.flatten()
    if a <= 0:
        return g
    return g + max(0.0, (b / a * old.norm() / at.norm()).item()) * (g.norm() / g_v.norm()) * g_v


def with_the_g_v_before(g: Tensor, state: State) -> Tensor:
    """Algorithm 1 with the g_v of the refresh before the last; plain before there are two."""
    if len(state.refreshed) < 2:
        return g
    return at_alpha(g, dataclasses.replace(state, refreshed=state.refreshed[:-1]))


def with_a_random_direction(g: Tensor, state: State) -> Tensor:
    """Algorithm 1 with normal numbers in the place of g_v, drawn anew for every period."""
    generator = torch.Generator().manual_seed(2**40 + state.t - state.t % state.k)
    r = torch.cat([torch.empty(n, dtype=g.dtype).normal_(generator=generator) for n in state.sizes])
    return g + state.alpha * g.norm() * r / r.norm()


def layersam_plain(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """The gradient at w + epsilon, each layer moved by rho of its own length along its gradient."""
    layers = zip(w.split(state.sizes), g.split(state.sizes), strict=True)
    return look(w + state.rho * torch.cat([g_l * (w_l.norm() / g_l.norm()) for w_l, g_l in layers]))


def layersam_matrices(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """LayerSAM with all tensors of one dimension as one layer."""
    direction = torch.cat(
        [
            w_l.norm() * g_l / g_l.norm()
            for w_l, g_l in zip(w.split(state.sizes), g.split(state.sizes), strict=True)
        ]
    )
    one = state.vectors
    direction[one] = w[one].norm() * g[one] / g[one].norm()
    return look(w + state.rho * direction / direction.norm())


def asam(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """Kwon et al. 2021: the gradient at w + rho T^2 g / ||T g||, T the diagonal matrix of |w|."""
    T = w.abs()
    return look(w + state.rho * T * T * g / (T * g).norm())


def sam_on(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """Mueller et al. 2023: SAM that moves normalisation layers only."""
    return sam_at(w, torch.where(state.norm_layers, g, 0), look, state)


def sam_at(w: Tensor, direction: Tensor, look: Look, state: State) -> Tensor:
    """The gradient at rho from w along a direction."""
    return look(w + state.rho * direction / direction.norm())


def gsam(w: Tensor, g: Tensor, look: Look, state: State) -> Tensor:
    """Zhuang et al. 2022: g_s less alpha times the part of g orthogonal to it."""
    g_s = sam(w, g, look, state)
    return g_s - state.alpha * orthogonal(g, g_s)


ROWS: dict[str, Callable[[Tensor, Tensor, Look, State], Tensor]] = {
    "vanilla": vanilla,
    "sam": sam,
    "sam-k": sam_k,
    "looksam-k": looksam_k,
    "layersam": layersam,
    "look-layersam-k": look_layersam_k,
    "per-tensor-k": refresh_or(per_tensor(at_alpha)),
    "auto-k": refresh_or(as_measured),
    "cos-k": refresh_or(as_confirmed),
    "per-tensor-cos-k": refresh_or(per_tensor(as_confirmed)),
    "ls-k": refresh_or(as_fitted),
    "per-tensor-ls-k": refresh_or(per_tensor(as_fitted)),
    "before-k": refresh_or(with_the_g_v_before),
    "random-k": refresh_or(with_a_random_direction),
    "layersam-plain": layersam_plain,
    "layersam-matrices": layersam_matrices,
    "asam": asam,
    "sam-on": sam_on,
    "gsam": gsam,
}


def flat(model: nn.Module) -> Tensor:
    """All weights as one vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def state_of(model: nn.Module, k: int, rho: float, alpha: float) -> State:
    """The state before the first step."""
    norms = (nn.LayerNorm, nn.BatchNorm2d)
    owners = [m for m in model.modules() for _ in m.parameters(recurse=False)]
    parameters = list(model.parameters())
    return State(
        k,
        rho,
        alpha,
        sizes=[p.numel() for p in parameters],
        vectors=torch.cat([torch.full((p.numel(),), p.ndim == 1) for p in parameters]),
        norm_layers=torch.cat(
            [torch.full((p.numel(),), isinstance(m, norms)) for p, m in zip(parameters, owners, strict=True)]
        ),
    )


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
