"""A sharpness-aware method as plain values, checked when they are put together."""

import math
from dataclasses import dataclass

from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS
from looksam.perturbations import PERTURBATIONS
from looksam.refresh import ALPHAS


@dataclass(frozen=True)
class Method:
    """Where to look, which way to go and how often; `Method()` never looks and is the base optimizer alone.

    k: period of ascent steps, 1 always, 0 never. ascent, descent: names in ASCENTS and DESCENTS.
    rho: length of the perturbation. alpha: length of the reused g_v relative to ||g||, or a name in ALPHAS of
    how it is measured. start: the first ascent step; the steps before are the base optimizer's. replay: both
    passes draw the same random numbers, and so the same dropout masks. perturbation: whose gradient makes
    epsilon, where a step has many micro-batches or ranks; a name in PERTURBATIONS.
    """

    k: int = 0
    ascent: str = "global"
    descent: str = "g_s"
    rho: float = 0.05
    alpha: float | str = 0.7
    start: int = 0
    replay: bool = True
    perturbation: str = "synchronised"

    def __post_init__(self) -> None:
        for field, meaning in (("k", " (0 never looks, 1 at every step)"), ("start", "")):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{field} must be an integer >= 0{meaning}, got {value!r}")
        tables = (("ascent", ASCENTS), ("descent", DESCENTS), ("perturbation", PERTURBATIONS))
        for field, table in tables:
            if getattr(self, field) not in table:
                raise ValueError(f"unknown {field} {getattr(self, field)!r}; known: {', '.join(table)}")
        names = f", or one of {', '.join(ALPHAS)}"
        for field, also in (("rho", ""), ("alpha", names)):
            value = getattr(self, field)
            is_number = (
                isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
            )
            if not is_number and not (field == "alpha" and isinstance(value, str) and value in ALPHAS):
                raise ValueError(f"{field} must be a finite number >= 0{also}, got {value!r}")
        if isinstance(self.alpha, str) and DESCENTS[self.descent].between is None:
            reusing = ", ".join(name for name, descent in DESCENTS.items() if descent.between is not None)
            raise ValueError(
                f"alpha {self.alpha!r} is measured for a g_v, and descent {self.descent!r} reuses none; give "
                f"a number, or a descent that does: {reusing}"
            )
        if not isinstance(self.replay, bool):
            raise ValueError(
                f"replay must be True (the same random numbers in both passes) or False, got {self.replay!r}"
            )
