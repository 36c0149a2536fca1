"""A shard folder of given samples, in their order and with their keys, for tests of what reads shards."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from looksam.decoded import write_decoded
from looksam.listing import of_samples
from looksam.parts import write_index, write_part
from looksam.sample import Sample
from looksam.write import Job, write_shard


def write_shards(
    samples: Sequence[Sample], out: Path, per_shard: int = 1000, dataset: Mapping[str, Any] | None = None
) -> Path:
    """The folder, with these samples in it; all of a split stand together.

    dataset: decoded once, if it says so.
    """
    listing = of_samples("given", 1 + max(sample.label for sample in samples), iter(samples))
    names = []
    for split, items in listing.items.items():
        keys = [sample.key for sample in samples if sample.split == split]
        rows = list(zip(range(len(keys)), keys, items, strict=True))
        for number, begin in enumerate(range(0, len(rows), per_shard)):
            path = out / f"{split}-{number:06d}.tar"
            job = Job(str(path), split, rows[begin : begin + per_shard], False, "")
            made = write_shard(job)
            assert not made.broken
            write_part(job, made)
            names.append(path.name)
    write_index(out, names, listing, {}, partial(write_decoded, out, dataset or {}))
    return out
