"""What an ascent step tells of its gradients, at the cost of a few sums and without a pass of its own."""

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from looksam.refresh import Over, Products, Refresh, push
from looksam.vector import norm, ratio

# At twice the least-squares push, g + push misses g_s by as much as g alone; the rest is for a noisy cosine.
TOO_HARD = 3.0
# A push that turns g by less than 6 degrees, which no cosine of two refreshes says much against.
HARMLESS = 0.1


def diagnose(
    seen: Products, new: Refresh | None, old: Refresh | None, alpha: float | str, over: Over
) -> dict[str, Tensor]:
    """0-dim tensors on the device, by name; norms and products are those of the whole model.

    norm_g, norm_g_s: ||g||, ||g_s||. cos_g_g_s: cosine between them. g_v_over_g: ||g_v|| / ||g||.
    From the second refresh on, of methods that remember: cos_g_v_old, the cosine between g_v and the g_v of
    the refresh before, and reuse_gain, cos(d, g_s) - cos(g, g_s), d what reusing the old g_v would have
    handed over here: above 0, it points nearer to g_s than g does.
    """
    g_g, g_g_s, g_s_g_s = seen.g_g.sum(), seen.g_g_s.sum(), seen.g_s_g_s.sum()
    cosine = ratio(g_g_s, (g_g * g_s_g_s).sqrt())
    # without a g_v, by Pythagoras; rounding may take that below 0
    g_v_norm = norm([new.g_v_norm]) if new else (g_s_g_s * (1 - cosine.square())).clamp(min=0).sqrt()
    found = {
        "norm_g": g_g.sqrt(),
        "norm_g_s": g_s_g_s.sqrt(),
        "cos_g_g_s": cosine,
        "g_v_over_g": ratio(g_v_norm, g_g.sqrt()),
    }
    if new is None or old is None or seen.old_g is None or seen.old_g_s is None:
        return found
    old_g_v = (new.cosine * new.g_v_norm * old.g_v_norm).sum()
    c = over(seen.g_g).sqrt() * push(old, alpha)  # d = g + c * old
    d_g_s = g_g_s + (c * over(seen.old_g_s)).sum()
    d_d = g_g + (2 * c * over(seen.old_g) + (c * old.g_v_norm).square()).sum()
    gain = ratio(d_g_s, (d_d * g_s_g_s).clamp(min=0).sqrt()) - cosine
    return found | {"cos_g_v_old": ratio(old_g_v, g_v_norm * norm([old.g_v_norm])), "reuse_gain": gain}


def fetched(found: Mapping[str, Tensor]) -> dict[str, float]:
    """The diagnostics as numbers, in one transfer, which waits for the device."""
    if not found:
        return {}
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True))


def warn_of_push(found: Mapping[str, float], alpha: float | str, k: int) -> bool:
    """Warn, and return True, if alpha is over TOO_HARD times what the last two refreshes support.

    That is ||g_v|| / ||g_h|| * max(0, cosine of the two g_v), the least-squares push of the old g_v to g_s.
    False where nothing is pushed (k of 0 or 1), alpha is measured or at most HARMLESS, or one is missing.
    """
    if isinstance(alpha, str) or alpha <= HARMLESS or k <= 1 or "cos_g_v_old" not in found:
        return False
    g_v, cosine = found["g_v_over_g"] * found["norm_g"], found["cos_g_v_old"]
    # by Pythagoras, which holds over the model and over each tensor
    g_h = math.sqrt(max(0.0, (found["norm_g_s"] - g_v) * (found["norm_g_s"] + g_v)))
    # a cosine of exactly 0: there is no g_v before, because its pass overflowed
    is_measured = math.isfinite(g_v * g_h) and g_v > 0 and g_h > 0 and cosine != 0
    supported = g_v / g_h * max(0.0, cosine) if is_measured else math.inf
    if not alpha > TOO_HARD * supported:
        return False
    warnings.warn(
        f"alpha {alpha} pushes over {TOO_HARD:g} times harder than the last two refreshes support, "
        f"{supported:.2g}: where they were taken, plain g was nearer to g_s. "
        'Take a smaller alpha, or "auto", "cos" or "ls", which measure it',
        stacklevel=3,
    )
    return True
