"""How long a training took, and how fast it was once warm."""

from collections.abc import Collection, Sequence
from typing import Any


def timing(seconds: Sequence[float], images: int, cold: Collection[int] = (0,)) -> dict[str, Any]:
    """Seconds in all; seconds per epoch and images/s of the epochs that began warm, None where none did.

    seconds: of each epoch. images: that an epoch trains on. cold: epochs, from 0, in which a process started,
    and so compiled, filled caches and waited for the disk. Of the others the mean, not the median, because
    with k above the steps of an epoch some have no ascent step.
    """
    warm = [x for epoch, x in enumerate(seconds) if epoch not in cold]
    seconds_per_epoch = sum(warm) / len(warm) if warm else None
    return {
        "seconds": sum(seconds),
        "seconds_per_epoch": seconds_per_epoch,
        "images_per_second": images / seconds_per_epoch if seconds_per_epoch else None,
    }
