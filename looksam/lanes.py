"""The order in which shards are streamed: lanes, each read from its start to its end and shuffled on the way.

The shards of an epoch, one after the other in an order that (seed, epoch) decides, are one long tape of
images. It is cut into lanes of equal length, LANES for each rank, at any image. A lane is read forward, and
its images trade places with others at most WINDOW away, as (seed, epoch, image) decides; all of this is known
from the index before a byte is read. Micro-batch n of a rank comes from its lane n % LANES, so that workers,
each with some of the lanes, read different ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksam.draws import mix, order
from looksam.errors import UserError
from looksam.images import Photographs
from looksam.loader import check_batch_size
from looksam.remote import Remote
from looksam.shares import Part, Share

# its divisors are the numbers of workers that share the lanes
LANES = 12
# images; a lane holds fewer of them
WINDOW = 1000

Positions = NDArray[np.int64]


class Held:
    """The images of one micro-batch, in memory, as `rows` of photographs."""

    def __init__(self, remote: Remote, contents: Mapping[int, bytearray]) -> None:
        self.labels, self.undecodable = remote.labels, remote.undecodable
        self._contents = contents

    def contents(self, positions: Iterable[int]) -> Iterator[bytearray]:
        """Their bytes."""
        return (self._contents[position] for position in positions)


class Lane:
    """A lane of the tape, from one of its micro-batches on.

    What is read before it is wanted is held, fewer than WINDOW images; what was wanted before `first` is
    not read. places: on this piece of the tape, in the order of training.
    """

    def __init__(self, remote: Remote, tape: Positions, places: Positions, first: int, size: int) -> None:
        self.next, self.size, self._places = first, size, places
        self._held: dict[int, bytearray] = {}
        self._left = np.sort(places[first * size :])
        self._tape, self._read = tape, 0
        self._contents = remote.contents(tape[self._left].tolist())

    def take(self) -> tuple[list[int], dict[int, bytearray]]:
        """The positions of the next micro-batch and their images' bytes."""
        wanted = self._places[self.next * self.size :][: self.size]
        last = wanted.max()
        while self._read < len(self._left) and self._left[self._read] <= last:
            self._held[int(self._left[self._read])] = next(self._contents)
            self._read += 1
        self.next += 1
        positions = self._tape[wanted].tolist()
        contents = (self._held.pop(place) for place in wanted.tolist())
        return positions, dict(zip(positions, contents, strict=True))


class Lanes:
    """A rank's lanes of one epoch after the other."""

    def __init__(self, data: Photographs, settings: Mapping[str, Any], share: Share) -> None:
        check_batch_size(settings["batch_size"], len(data.labels))
        if not isinstance(data.rows, Remote):
            raise UserError("only shards at a URL are streamed; load a data set that has `shards`")
        self.data, self.remote, self.seed, self.share = data, data.rows, settings["seed"], share
        self._epoch, self._tape = -1, np.empty(0, np.int64)
        self._lanes: dict[int, Lane] = {}

    def part(self, epoch: int, number: int) -> Part:
        """What the rank's micro-batch of this number in the epoch is made of: a batch of its own."""
        if self._epoch != epoch:
            self._lanes.clear()
            self._epoch, self._tape = epoch, tape(self.remote.rows.samples["shard"], self.seed, epoch)
        number, lane = divmod(number, LANES)
        if lane not in self._lanes or self._lanes[lane].next != number:
            self._lanes[lane] = self.lane(lane, number)
        try:
            positions, contents = self._lanes[lane].take()
        except UserError:
            # its stream has ended
            del self._lanes[lane]
            raise
        data = copy(self.data)
        data.rows = Held(self.remote, contents)
        return data, torch.tensor(positions), slice(0, self.share.size)

    def lane(self, lane: int, first: int) -> Lane:
        """A lane of the current epoch, from one of its micro-batches on."""
        own = self._tape[piece(self.share, lane)]
        places = shuffled(torch.from_numpy(own), self.seed, self._epoch).numpy()
        return Lane(self.remote, own, places, first, self.share.size)

    def workers(self, most: int) -> int:
        """The most workers, of so many, that have equally many lanes each."""
        return next((count for count in range(min(most, LANES), 0, -1) if LANES % count == 0), 0)

    def __getstate__(self) -> dict[str, Any]:
        # a worker opens connections of its own
        return self.__dict__ | {"_lanes": {}}


def tape(shards: NDArray[np.int32], seed: int, epoch: int) -> Positions:
    """Positions of all samples, shard after shard. shards: the number of each sample's."""
    names, of = np.unique(shards, return_inverse=True)
    turns = order(seed, epoch, len(names)).argsort().numpy()
    return np.argsort(turns[of], kind="stable")


def piece(share: Share, lane: int) -> slice:
    """Where on the tape a rank's lane lies; the lanes of all ranks together are the epoch's batches."""
    each = share.steps * share.micro_batches
    before = share.rank * each + sum(len(range(other, each, LANES)) for other in range(lane))
    length = len(range(lane, each, LANES))
    return slice(before * share.size, (before + length) * share.size)


def shuffled(positions: Tensor, seed: int, epoch: int) -> Tensor:
    """Places in a lane in the order of training: sorted by the place, plus 0 to WINDOW - 1 for each image."""
    keys = mix(mix(mix(torch.tensor(seed)) + epoch) + positions)
    return (torch.arange(len(positions)) + mix(keys + 8) % WINDOW).argsort(stable=True)
