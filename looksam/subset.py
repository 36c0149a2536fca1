"""Subset: some images of a source, every class as often, for studies that want little of much data."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError
from looksam.listing import Listing
from looksam.sample import Split

Indices = NDArray[np.int64]
SEED = 0


def in_turns(labels: Indices) -> Indices:
    """Positions of all labels [N], in which the classes take turns, in random order within each class."""
    # RandomState, because numpy has frozen its stream; default_rng's may change between versions
    random = np.random.RandomState(SEED)
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        rank[members] = np.arange(len(members))
    return np.argsort(rank, kind="stable")


def fewer(listing: Listing, counts: Mapping[Split, int]) -> Listing:
    """The listing with so many images of each split, in their order.

    All classes equally often within one, as long as the classes last. A larger subset has all images of a
    smaller one. UserError where there are not as many.
    """
    kept = {}
    for split, count in counts.items():
        items = listing.items.get(split, [])
        if count > len(items):
            raise UserError(
                f"a subset of {count} {split} images was asked for, but the {listing.kind} have "
                f"{len(items)}; ask for fewer in config/datasets.yaml, or complete the data"
            )
        labels = np.array([item.label for item in items], np.int64)
        kept[split] = [items[i] for i in np.sort(in_turns(labels)[:count])]
    return Listing(listing.kind, listing.classes, kept, listing.linked)
