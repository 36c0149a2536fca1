"""Facts: what Tables 10 and 11 print of a run's settings."""

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
