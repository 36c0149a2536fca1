"""The index of a shard folder: its columns, and what timm wants to know of the shards."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

# offset, size: the image's bytes in its tar; sha256: of these bytes, in hexadecimal; mode: as PIL names it;
# source: the image's name where it came from
INDEX = pa.schema(
    {
        "split": pa.string(),
        "shard": pa.string(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "key": pa.string(),
        "label": pa.int64(),
        "sha256": pa.string(),
        "extension": pa.string(),
        "width": pa.int64(),
        "height": pa.int64(),
        "format": pa.string(),
        "mode": pa.string(),
        "source": pa.string(),
    }
)


def timm_splits(lengths: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """What timm's reader of WebDatasets wants to know of each split. lengths: samples by split and shard."""
    return {
        split: {
            "name": split,
            "num_samples": sum(shards.values()),
            "filenames": list(shards),
            "shard_lengths": list(shards.values()),
        }
        for split, shards in lengths.items()
    }
