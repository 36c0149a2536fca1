"""What may be asked of shadow steps, and when they are taken. Torch-free."""

from collections.abc import Mapping
from typing import Any

from looksam.errors import UserError


def check_shadow(settings: Mapping[str, Any], images: int, where: str) -> None:
    """UserError where a run's shadow steps cannot be taken; images: how many it trains on."""
    if "shadow" not in settings:
        return
    if not settings["method"]["k"]:
        raise UserError(
            f"{where}: shadow steps look where the method looks, and one with k 0 never does; take a method "
            "of k >= 1, such as sam-5, or leave shadow out"
        )
    if 2 * settings["batch_size"] > images:
        raise UserError(
            f"{where}: shadow steps need two batches that share no image, and batch_size "
            f"{settings['batch_size']} is more than half of the {images} training images; take at most "
            f"{images // 2}, or more images"
        )


def step_of(phase: float, steps: int) -> int:
    """The number, from 0, of the step of a training of so many before which a phase is measured."""
    return min(round(phase * steps), steps - 1)
