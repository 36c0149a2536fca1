"""Sharpness-aware minimization that reuses its second gradient (LookSAM), and a pipeline for its tables.

`from looksam import Method, SharpnessAware` needs torch alone. The names are imported on first use, so that
the planning modules (`looksam.study` and others, which the Snakefile imports) start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from looksam.facade import SharpnessAwareOptimizer
    from looksam.method import Method
    from looksam.sharpness import SharpnessAware

__all__ = ["Method", "SharpnessAware", "SharpnessAwareOptimizer"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module 'looksam' has no attribute {name!r}; public names: {', '.join(__all__)}"
        )
    module = "looksam.facade" if name == "SharpnessAwareOptimizer" else "looksam.sharpness"
    return getattr(import_module(module), name)
