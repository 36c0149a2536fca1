"""The samples of shards at a URL: their bytes, streamed in the order that is asked for, and verified."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksam.errors import UserError
from looksam.images import Photographs
from looksam.remote_file import RemoteFile, joined, shown
from looksam.rows import Rows
from looksam.ustar import BLOCK, NAME_BYTES


class Remote:
    """The samples that `rows` lists, in the shards of the folder at a URL."""

    def __init__(self, rows: Rows, url: str) -> None:
        self.rows, self.url = rows, url

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers [N]."""
        return self.rows.labels

    def contents(self, positions: Iterable[int]) -> Iterator[bytearray]:
        """The bytes of these images, one after the other, each verified by its SHA-256.

        Those that follow each other in a shard come by one request. So memory holds one image at a time, and
        what the system buffers of a connection.
        """
        samples = self.rows.samples[np.fromiter(positions, np.int64)]
        ends = np.flatnonzero(np.diff(samples["shard"])) + 1
        for some in np.split(samples, ends):
            if len(some):
                yield from self._of_one_shard(some)

    def _of_one_shard(self, samples: NDArray[np.void]) -> Iterator[bytearray]:
        url = self.shard(samples[0])
        with closing(RemoteFile(url, int((samples["offset"] + samples["size"]).max()))) as file:
            for sample in samples:
                offset, size = sample["offset"].item(), sample["size"].item()
                # with the header before it, which has its key
                found = file.read(offset - BLOCK, BLOCK + size)
                content = found[BLOCK:]
                if hashlib.sha256(content).digest() != sample["sha256"].tobytes():
                    raise changed(url, offset, bytes(found[:NAME_BYTES]))
                yield content

    def first_of_shards(self) -> list[int]:
        """The positions of the first sample of each shard."""
        shards = self.rows.samples["shard"]
        positions: list[int] = np.unique(shards, return_index=True)[1].tolist()
        return positions

    def shard(self, sample: np.void) -> str:
        """The URL of a sample's shard."""
        return joined(self.url, self.rows.shards[sample["shard"].item()])

    def undecodable(self, position: int, error: Exception) -> UserError:
        """What to say of an image that cannot be decoded."""
        sample = self.rows.samples[position]
        first, size = sample["offset"].item(), sample["size"].item()
        return UserError(
            f"{shown(self.shard(sample))}: the image at bytes {first} to {first + size - 1} cannot be "
            f"decoded ({error}); replace it in the data set, run looksam shard on it, and copy the shards "
            "there again"
        )


def changed(url: str, offset: int, name: bytes) -> UserError:
    """What to say of bytes that are not what the index says."""
    key = name.rstrip(b"\0").decode("ascii", "replace").rpartition(".")[0]
    return UserError(
        f"{shown(url)} is not what the index says: sample {key} at byte {offset} has another SHA-256. If it "
        "was damaged, copy it there again; if the shards were made anew, delete this data set's folder in "
        "results/shards and run snakemake again"
    )


def streamed(rows: Rows, dataset: Mapping[str, Any]) -> Photographs:
    """Photographs in the shards at the URL `shards` of the data set, read in the order of `lanes`."""
    return Photographs(Remote(rows, dataset["shards"]), dataset)
