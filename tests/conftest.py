"""Before torch is imported: torch_tpu, installed where there is no TPU, lets a backward pass hang."""

import os

os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
