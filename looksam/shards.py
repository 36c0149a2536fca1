"""Shards of a data set of the config: what its request asks for, against what is there."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from looksam.decoded import bytes_decoded, write_decoded
from looksam.errors import UserError
from looksam.linked import shard_or_link
from looksam.listing import Listing
from looksam.parts import PARTS
from looksam.requests import read_request
from looksam.sharding import SPLITS, Options, Show
from looksam.sources import SOURCES
from looksam.workers import paying_workers


def shard(request: Path, workers: int, shown: Callable[[int], AbstractContextManager[Show]]) -> None:
    """Write the shards of the data set of `source.json` beside it, from what is in data/<name>.

    Where it is decoded once, with its images as arrays.

    workers: threads, fewer where so many do not pay. shown: given the number of images, what shows them.
    """
    listing, options = requested(request, workers)
    # the folder is the workflow's own: what lies there without parts is an earlier version's, and is replaced
    (request.parent / PARTS).mkdir(exist_ok=True)
    with shown(listing.images) as show:
        decoded = partial(write_decoded, request.parent, read_request(request)["dataset"])
        shard_or_link(listing, request.parent, options, show, decoded)


def requested(request: Path, workers: int) -> tuple[Listing, Options]:
    """The images that a request asks for, and how they are sharded. UserError where others are there."""
    dataset = read_request(request)["dataset"]
    if dataset["source"] not in SOURCES:
        raise UserError(f"unknown source {dataset['source']!r}; known: {', '.join(SOURCES)}")
    folder = Path("data") / dataset["name"]
    listing = SOURCES[dataset["source"]](dataset, folder)
    where = str(folder.absolute()) if dataset["source"] == "files" else dataset["name"]
    check_expected(listing.checked(where), dataset, f"{where} ({listing.kind})")
    # a broken image is none of those that the config counts, so that not one is left out
    return listing, Options(
        dataset["per_shard"],
        min(workers, paying_workers(dataset)),
        broken_share=0.0,
        bytes_beside=bytes_decoded(dataset),
    )


def check_expected(listing: Listing, dataset: Mapping[str, Any], where: str) -> None:
    """Refuses other classes, and another number of images of a split, than the config says."""
    found = {"classes": len(listing.classes)}
    found |= {f"{split}_images": len(listing.items.get(split, ())) for split in SPLITS}
    check_counts(found, dataset, where)


def check_counts(found: Mapping[str, int], dataset: Mapping[str, Any], where: str) -> None:
    """Refuses numbers of classes or images, by the config's keys, that are not the config's."""
    for key, number in found.items():
        if number != dataset[key]:
            raise UserError(
                f"{where} holds {number} {key.replace('_', ' ')}, but the data set {dataset['name']} is "
                f"configured with {key}: {dataset[key]}; complete the data or correct config/datasets.yaml"
            )
