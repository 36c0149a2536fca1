"""The premise of reuse: how near a new g_v is to the one before, by what the ascent steps record."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import pyarrow as pa

from looksam.metrics import Metric

# an ascent step, as `looksam.diagnostics` finds it; null where there is no g_v before
REFRESH = pa.struct(
    [
        ("step", pa.int32()),
        ("g_v_over_g", pa.float64()),
        ("cos_g_v_old", pa.float64()),
        ("reuse_gain", pa.float64()),
    ]
)

COSINE = Metric("cos_g_v_old", "cosine of successive g_v", decimals=2)
GAIN = Metric("reuse_gain", "what reusing g_v gains over g, as a cosine with g_s", decimals=3)


def over_training(refreshes: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    """The mean of a diagnostic over a run's refreshes; None where none has it."""
    known = [row[name] for row in refreshes]
    values = [x for x in known if x is not None and math.isfinite(x)]
    return fmean(values) if values else None
