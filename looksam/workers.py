"""How many threads pay to shard a data set. Without imports, for the Snakefile asks."""

from collections.abc import Mapping
from typing import Any

# one process writes as many in some ten seconds; for fewer it is not worth to start another
IMAGES_EACH = 100_000


def paying_workers(dataset: Mapping[str, Any]) -> int:
    """The most threads that make the sharding of a data set shorter: one for a small one."""
    images: int = dataset["train_images"] + dataset["test_images"]
    return 1 + images // IMAGES_EACH
