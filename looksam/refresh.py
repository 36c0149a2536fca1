"""What an ascent step measures, and what of it the steps between go on with."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from looksam.ranks import laid_out, local
from looksam.vector import Vector, dots, norms, ratio


class Products(NamedTuple):
    """Inner products on an ascent step, one for each tensor, [n]; old: with the g_v before, if any."""

    g_g: Tensor
    g_g_s: Tensor
    g_s_g_s: Tensor
    old_g: Tensor | None
    old_g_s: Tensor | None


class Refresh(NamedTuple):
    """g_v by parameter name, and its sizes: 0-dim, or [n] where each tensor counts for itself.

    g_v_norm: ||g_v||. g_h_norm: length of g_h, the part of g_s along g. cosine: between g_v and the g_v of
    the refresh before; 0 if there was none. fitted: the alpha that would have served the g_v before best
    here, by `least_squares`; 0 if there was none.
    """

    g_v: dict[str, Tensor]
    g_v_norm: Tensor
    g_h_norm: Tensor
    cosine: Tensor
    fitted: Tensor


Over = Callable[[Tensor], Tensor]


def whole(products: Tensor) -> Tensor:
    """Over the whole model: the tensors' products [n] added up, 0-dim."""
    return products.sum()


def each(products: Tensor) -> Tensor:
    """Over each tensor: their products [n] as they are."""
    return products


def products(g: Vector, g_s: Vector, old: Vector) -> Products:
    """The inner products that an ascent step needs; old: the g_v of the refresh before, [] for none."""
    return Products(
        g_g=dots(g, g),  # not the squared norm, so that g_s = g gives exactly <g, g_s>
        g_g_s=dots(g_s, g),
        g_s_g_s=norms(g_s).square(),
        old_g=dots(old, g) if old else None,
        old_g_s=dots(old, g_s) if old else None,
    )


def refresh(
    g_v: dict[str, Tensor], seen: Products, along: Tensor, over: Over, old: Refresh | None
) -> Refresh:
    """The refresh that remembers g_v = g_s - along * g."""
    g_v_norm = over(norms(list(g_v.values())).square()).sqrt()
    cosine, fitted = torch.zeros_like(g_v_norm), torch.zeros_like(g_v_norm)
    if old is not None and seen.old_g is not None and seen.old_g_s is not None:
        cosine = ratio(over(seen.old_g_s - along * seen.old_g), g_v_norm * old.g_v_norm)
        inner = (over(x) for x in (seen.g_g_s, seen.old_g, seen.old_g_s))
        fitted = least_squares(over(seen.g_g).sqrt(), old.g_v_norm, *inner)
    return Refresh(g_v, g_v_norm, along.abs() * over(seen.g_g).sqrt(), cosine, fitted)


def least_squares(g_norm: Tensor, old_norm: Tensor, g_g_s: Tensor, old_g: Tensor, old_g_s: Tensor) -> Tensor:
    """Length, relative to ||g||, of the push along the old g_v that turns g nearest to g_s; from 0 up.

    b ||old|| / (a ||g||), a g + b old being nearest to g_s. 0 where that goes against g or old, or where old
    lies along g and there is no such a and b. From norms and inner products, each 0-dim or [n].
    """
    # the normal equations over the lengths of g and old, so that no product of four gradients overflows
    between = ratio(old_g, g_norm * old_norm)
    along_g, along_old = ratio(g_g_s, g_norm), ratio(old_g_s, old_norm)
    a, b = along_g - between * along_old, along_old - between * along_g
    # 1 - cosine^2, of which rounding leaves no digit where old lies along g, as in a tensor of one number
    is_known = 1 - between.square() > torch.finfo(between.dtype).eps ** 0.5
    return torch.where((a > 0) & is_known, ratio(b, a), torch.zeros_like(a)).clamp(min=0)


def guarded(new: Refresh, old: Refresh | None, is_finite: Tensor) -> Refresh:
    """`new` where is_finite, else `old`, or 0 where that is None; chosen on the device, without waiting.

    Written into the tensors of `new`, to hold no other copy of g_v.
    """
    chosen = [*local(list(new.g_v.values())), *new[1:]]
    others = [*local(list(old.g_v.values())), *old[1:]] if old else [x.new_zeros(()) for x in chosen]
    for a, b in zip(chosen, others, strict=True):
        torch.where(is_finite, a, b, out=a)
    return new


def copied(last: Refresh) -> Refresh:
    """The same in tensors of its own."""
    return Refresh({name: x.clone() for name, x in last.g_v.items()}, *(x.clone() for x in last[1:]))


def remembered(new: Refresh, kept: list[Refresh], is_finite: Tensor, age: int) -> list[Refresh]:
    """`new` and up to `age` of those kept, the last first; on the device, those kept where not is_finite."""
    # A gradient that overflowed must not live on for k steps.
    # Those kept are copied, because a state that was taken of them earlier must stay what it was.
    shifted = [new, *(copied(last) for last in kept[:age])]
    befores = [*kept, *[None] * len(shifted)]
    return [guarded(a, b, is_finite) for a, b in zip(shifted, befores, strict=False)]


def as_state(last: Refresh) -> dict[str, Any]:
    """The refresh as dicts of tensors, which a file read with `weights_only` may hold."""
    return {**last._asdict(), "g_v": dict(last.g_v)}


def from_state(state: Mapping[str, Any], parameters: Mapping[str, Tensor], over: Over) -> Refresh:
    """The refresh of `as_state`, copied to where the trainable parameters are; ValueError if not theirs."""
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    saved = {name: tuple(x.shape) for name, x in state["g_v"].items()}
    wrong = [name for name in {**shapes, **saved} if shapes.get(name) != saved.get(name)]
    if wrong:
        found = [f"{name} is {saved.get(name, 'absent')}, not {shapes.get(name, 'there')}" for name in wrong]
        raise ValueError(f"the state is not of this model's trainable parameters: {'; '.join(found)}")
    device = next(iter(parameters.values())).device
    # states of before there was `fitted` go on as if there had been no refresh before
    known = {"fitted": torch.zeros_like(state["cosine"]), **state}
    sizes = [known[name].to(device, copy=True) for name in Refresh._fields[1:]]
    expected = over(torch.zeros(len(shapes))).shape
    if any(size.shape != expected for size in sizes):
        raise ValueError(
            f"the state's norms have shape {tuple(sizes[0].shape)}, not {tuple(expected)}: one "
            "descent counts by tensor, the other over the model; take the descent that the state is from"
        )
    g_v = {
        name: laid_out(state["g_v"][name].to(p.device, p.dtype, copy=True), p)
        for name, p in parameters.items()
    }
    return Refresh(g_v, *sizes)


def as_measured(last: Refresh) -> Tensor:
    """1 / ||g_h||: the push is to ||g|| what g_v was to g_h."""
    return ratio(1.0, last.g_h_norm)


def as_confirmed(last: Refresh) -> Tensor:
    """max(0, cosine) / ||g_h||: as measured, as far as the last two refreshes agree."""
    return last.cosine.clamp(min=0) * as_measured(last)


def as_fitted(last: Refresh) -> Tensor:
    """fitted / ||g_v||: the push that at the last refresh would have been best for the g_v before it."""
    return ratio(last.fitted, last.g_v_norm)


ALPHAS: dict[str, Callable[[Refresh], Tensor]] = {
    "auto": as_measured,
    "cos": as_confirmed,
    "ls": as_fitted,
}


def push(last: Refresh, alpha: float | str) -> Tensor:
    """What to multiply ||g|| g_v with on the steps between: alpha / ||g_v||, or what ALPHAS says."""
    return ALPHAS[alpha](last) if isinstance(alpha, str) else ratio(alpha, last.g_v_norm)
