"""What an ascent step tells of its gradients, at the cost of a few sums and without a pass of its own."""

from torch import Tensor

from looksam.refresh import Over, Products, Refresh, push
from looksam.vector import norm, ratio


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
