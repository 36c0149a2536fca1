"""Facts: what Tables 10 and 11 print of a run's settings, and Table 9 of a network."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from looksam.config import Row

OPTIMIZER_LABELS = {"adamw": "AdamW", "sgd": "SGD", "lamb": "LAMB"}


def setting_facts(settings: Row) -> dict[str, str]:
    """What Tables 10 and 11 print of a run's settings; as there, "/" for what a method does not use."""
    method = settings["method"]
    return {
        "input_resolution": str(settings["dataset"]["height"]),
        "batch_size": str(settings["batch_size"]),
        "epochs": str(settings["epochs"]),
        "warmup_steps": str(settings["warmup_steps"]),
        "peak_lr": f"{settings['peak_lr']:g}",
        "lr_decay": settings["schedule"],
        "optimizer": OPTIMIZER_LABELS[settings["optimizer"]],
        "rho": str(method.get("rho", "/")),
        "alpha": str(method.get("alpha", "/")),
        "weight_decay": str(settings["weight_decay"]),
        "gradient_clipping": str(settings.get("clip", "/")),
    }


def model_key(model: Mapping[str, Any]) -> str:
    """Text that equal model settings share."""
    return json.dumps(model, sort_keys=True)


def facts_of_models(models: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Facts of each distinct model by `model_key`; each model is built once."""
    if not models:
        return {}
    # here, because it brings torch, which tables of runs do without
    from looksam.models import facts

    return {key: facts(model) for key, model in {model_key(model): model for model in models}.items()}
