"""The index of a shard folder by columns, and any sample's bytes, in any order, verified by their SHA-256."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from looksam.errors import UserError
from looksam.splits import FROM, of_split
from looksam.ustar import BLOCK, NAME_BYTES

# a sample of Rows, 68 bytes: shard: position in its `shards`. row: position among its split's in the file
SAMPLE = np.dtype(
    [
        ("shard", np.int32),
        ("offset", np.int64),
        ("size", np.int64),
        ("label", np.int64),
        ("row", np.int64),
        ("sha256", np.uint8, 32),
    ]
)
COLUMNS = ["shard", "offset", "size", "label", "sha256"]
# ImageNet has some 250 of them, and a process may often open 1,024 files
OPEN_SHARDS = 400


@dataclass
class Rows:
    """The samples of a split, in order. path: of index.parquet. samples [N] of SAMPLE, 90 MB for ImageNet."""

    path: Path
    split: str
    shards: list[str]
    samples: NDArray[np.void]
    _files: dict[int, int] = field(default_factory=dict)
    _shared: Any = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def folder(self) -> Path:
        """The folder of the shards."""
        return self.path.parent

    @property
    def of(self) -> str:
        """The split of the index that the samples are of; "validation" is held out of "train"."""
        return FROM[self.split]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers [N]."""
        return self.samples["label"].copy()

    def keys(self, positions: Iterable[int] | None = None) -> list[str]:
        """The keys of some samples, or of all, read from the file each time: few need them."""
        rows = self.samples["row"] if positions is None else self.samples["row"][list(positions)]
        table = index_table(self.path, self.of, ["key"])
        keys: list[str] = table["key"].take(rows).to_pylist()
        return keys

    def content(self, position: int) -> bytearray:
        """The bytes of a sample's image, once their SHA-256 has been compared with the index."""
        found, sample = self.unverified(position), self.samples[position]
        if hashlib.sha256(found).digest() != sample["sha256"].tobytes():
            what = "changed" if len(found) == sample["size"] else "cut short"
            raise UserError(
                f"{self.shard(position)} was {what} after it was written: sample {self.key(position)} is not "
                f"what the index says; delete {self.folder} and run snakemake again"
            )
        return found

    def contents(self, positions: Iterable[int]) -> Iterator[bytearray]:
        """The bytes of these images, verified, one after the other."""
        return map(self.content, positions)

    def unverified(self, position: int) -> bytearray:
        """The bytes where a sample's image should be.

        By pread, because a mapped file that is cut short ends the process instead of raising an error.
        """
        sample = self.samples[position]
        found = bytearray(sample["size"].item())
        read = os.preadv(self._opened(sample["shard"].item()), [found], sample["offset"].item())
        if read < len(found):
            del found[read:]
        return found

    def shard(self, position: int) -> Path:
        """The sample's shard."""
        number = int(self.samples["shard"][position])
        return self.folder / self.shards[number]

    def key(self, position: int) -> str:
        """The sample's key, by the header before its image.

        Not by the file of the index: a worker is a fork, in which pyarrow may wait for threads that it lost.
        """
        sample = self.samples[position]
        at = max(0, sample["offset"].item() - BLOCK)
        name = os.pread(self._opened(sample["shard"].item()), NAME_BYTES, at).rstrip(b"\0")
        return name.decode("ascii", "replace").rpartition(".")[0] or f"number {position}"

    def _opened(self, shard: int) -> int:
        """Descriptor of a shard; those opened first are closed where too many are."""
        if shard not in self._files:
            if len(self._files) == OPEN_SHARDS:
                os.close(self._files.pop(next(iter(self._files))))
            path = self.folder / self.shards[shard]
            try:
                self._files[shard] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise UserError(f"{path} is missing; delete {self.folder} and run snakemake again") from None
        return self._files[shard]

    def __del__(self) -> None:
        # what could not be unpickled has none
        for file in self.__dict__.get("_files", {}).values():
            os.close(file)

    def undecodable(self, position: int, error: Exception) -> UserError:
        """What to say of an image that cannot be decoded."""
        return UserError(
            f"{self.shard(position)}: sample {self.key(position)} cannot be decoded ({error}); replace this "
            f"image in the data set's folder, delete {self.folder} and run snakemake again"
        )

    def __getstate__(self) -> dict[str, Any]:
        """The samples as a tensor, which torch hands to other processes as memory that all share."""
        import torch

        if self._shared is None:
            # kept, because the memory goes with the tensor, and the other process may yet have to open it
            self._shared = torch.from_numpy(self.samples.view(np.uint8)).share_memory_()
            self.samples = self._shared.numpy().view(SAMPLE)
        return self.__dict__ | {"samples": self._shared, "_shared": None, "_files": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"samples": state["samples"].numpy().view(SAMPLE)}


def read_index(shards: Path, split: str, validation_images: int = 0) -> Rows:
    """The samples of a split. validation_images: how many training images "validation" has, "train" lacks."""
    return rows_of(shards / "index.parquet", split, validation_images)


def rows_of(path: Path, split: str, validation_images: int = 0) -> Rows:
    """The same, of an index.parquet under any name."""
    columns = [*COLUMNS, "key"] if validation_images else COLUMNS
    table = index_table(path, FROM[split], columns)
    rows = of_split(table, split, validation_images)
    if not len(rows):
        raise UserError(f"{path} lists no {split} images")
    names = table["shard"].unify_dictionaries().combine_chunks()
    samples = np.empty(table.num_rows, SAMPLE)
    samples["shard"] = names.indices.to_numpy()
    samples["row"] = np.arange(table.num_rows)
    for name in ("offset", "size", "label"):
        samples[name] = table[name].to_numpy()
    try:
        digests = bytes.fromhex("".join(table["sha256"].to_pylist()))
        samples["sha256"] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error}); delete {path.parent} and run snakemake again"
        ) from error
    kept = samples if len(rows) == len(samples) else samples[rows]
    return Rows(path, split, names.dictionary.to_pylist(), kept)


def index_table(path: Path, split: str, columns: list[str]) -> pa.Table:
    """Columns of the rows of a split of an index.parquet: a million rows as dicts would take a gigabyte."""
    shards = path.parent
    if not path.exists():
        raise UserError(
            f"{path} does not exist, so there are no finished shards; make them: run snakemake, or "
            f"looksam shard {shards / 'source.json'}"
        )
    try:
        with pq.ParquetFile(path, read_dictionary=["shard", "split"]) as file:
            table = file.read(["split", *columns], use_threads=False)
        rows = table.filter(pc.equal(table["split"], split)).drop_columns("split")
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); delete {shards} and run snakemake again") from error
    if not rows.num_rows:
        raise UserError(f"{path} lists no {split} images; delete {shards} and run snakemake again")
    return rows


def splits_in(path: Path) -> list[str]:
    """The splits that an index.parquet has samples of."""
    splits: list[str] = pq.read_table(path, columns=["split"])["split"].unique().to_pylist()
    return splits
