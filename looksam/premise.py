"""The premise of reuse: how near a new g_v is to the one before, by what the ascent steps record."""

from looksam.metrics import Metric

COSINE = Metric("cos_g_v_old", "cosine of successive g_v", decimals=2)
GAIN = Metric("reuse_gain", "what reusing g_v gains over g, as a cosine with g_s", decimals=3)
SIZE = Metric("g_v_over_g", "‖g_v‖ / ‖g‖", decimals=2)

# columns of a history on ascent steps, and of an evaluation their means over a training
DIAGNOSTICS = {metric.column: metric for metric in (SIZE, COSINE, GAIN)}
