"""Loading: images per second of a processor, from shards, against what a training would use instead.

All files are made here, in a folder that is deleted in the end. One thread of one process does the work, and
what counts is its processor time: the best of some interleaved rounds. That nothing waits for a disk is no
matter, since the page cache holds the files.
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from workflow import measured, python

ROOT = Path(__file__).parents[2]
ROUNDS = 5
PHOTOGRAPHS, PHOTOGRAPH_BYTES, PHOTOGRAPH_BATCH = 256, 95_000, 64
SMALL_IMAGES, SMALL_BATCHES = 4_096, (128, 512)
SHARDED_IMAGES, SHARDED_BYTES = 3_000, 57_000
INDEXED_IMAGES, PER_SHARD = 1_281_167, 5_000

IMAGENET: dict[str, Any] = {
    "name": "photographs",
    "channels": 3,
    "height": 224,
    "width": 224,
    "decode": "each-time",
    "resize": 256,
}
# what the recipes on photographs and on small images ask for
RECIPE: dict[str, Any] = {
    "seed": 0,
    "epochs": 1,
    "batch_size": PHOTOGRAPH_BATCH,
    "augment": "resized-crop+flip",
}
SMALL_AUGMENT = "crop+flip"


def best(rounds: Mapping[str, Callable[[], int]]) -> dict[str, float]:
    """Images per second of this process, by name; each function says how many images it made."""
    found = dict.fromkeys(rounds, 0.0)
    for _ in range(ROUNDS):
        for name, run in rounds.items():
            started = time.process_time()
            images = run()
            found[name] = max(found[name], images / (time.process_time() - started))
    return found


def tell(what: str, ours: float, theirs: float, reach: str = "") -> None:
    """Print a ratio, and what it is to reach."""
    print(f"{what}: {ours / theirs:.2f}" + (f" (reach: {reach})" if reach else ""))


def sharded(source: Path, out: Path, per_shard: int = 1000) -> Path:
    """The folder of a tree's shards."""
    from looksam.detect import list_source
    from looksam.sharding import Options, shard_to

    shard_to(list_source(str(source)), out, Options(per_shard), lambda images: None)
    return out


def batched(dataset: Any, batch: int) -> Callable[[], int]:
    """An epoch of torch's own loader, in this process."""
    from torch.utils.data import DataLoader

    loader = DataLoader(dataset, batch, shuffle=True, drop_last=True)
    return lambda: sum(len(images) for images, _ in loader)


def compare_photographs(folder: Path) -> None:
    """Print the rate of the training images of ImageNet's recipes over that of torchvision on PIL."""
    from photographs import photo_tree, photograph
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    from looksam.augment import evaluation_batch
    from looksam.feed import Feed
    from looksam.images import Photographs
    from looksam.rows import read_index

    contents = [photograph(i, 500, 375, PHOTOGRAPH_BYTES) for i in range(20)]
    source = photo_tree(folder / "photographs", PHOTOGRAPHS, contents)
    dataset = IMAGENET | {"classes": 10}
    rows = read_index(sharded(source, folder / "photograph-shards"), "train")
    feed = Feed(Photographs(rows, dataset), RECIPE | {"dataset": dataset}, micro_batches=1)

    def epoch() -> int:
        return sum(len(evaluation_batch(feed[number][0])) for number in range(len(feed)))

    steps = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    normal = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    theirs = ImageFolder(str(source / "train"), transforms.Compose([*steps, *normal]))
    rates = best({"looksam": epoch, "ImageFolder": batched(theirs, PHOTOGRAPH_BATCH)})
    size = sum(map(len, contents)) / len(contents) / 1000
    what = f"224-pixel training images of {size:.0f} kB JPEGs / torchvision's ImageFolder and PIL"
    tell(what, rates["looksam"], rates["ImageFolder"], "1.5")


def compare_small_images(folder: Path) -> None:
    """Print the rate of augmented images of 32 pixels from memory over that of PNG files and PIL.

    Both end in normalised float32 batches, or both before, in uint8. The images are parts of photographs:
    PNG files of noise are decoded faster than any of a data set.
    """
    import torch
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    from looksam.augment import evaluation_batch, training_batch
    from looksam.images import Images
    from looksam.loader import batches

    data = Images(torch.from_numpy(small_images(folder / "small/0")), torch.zeros(SMALL_IMAGES).long())

    def epoch(size: int, last: Callable[[torch.Tensor], torch.Tensor]) -> int:
        drawn = batches(SMALL_IMAGES, size, 0, 0)
        return sum(
            len(last(training_batch(SMALL_AUGMENT, data, batch, slice(0, size), 0, 0, 10)[0]))
            for batch in drawn
        )

    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    normal = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    rounds: dict[str, Callable[[], int]] = {}
    for kind, end in (("normalised", normal), ("uint8", [transforms.PILToTensor()])):
        theirs = ImageFolder(str(folder / "small"), transforms.Compose([*steps, *end]))
        rounds[kind] = batched(theirs, SMALL_BATCHES[0])
        last = evaluation_batch if kind == "normalised" else torch.Tensor.contiguous
        for size in SMALL_BATCHES:
            rounds[f"{kind} {size}"] = partial(epoch, size, last)
    rates = best(rounds)
    what = "32-pixel training images from memory / PNG files and PIL"
    for size in SMALL_BATCHES:
        tell(f"{what}, batches of {size}", rates[f"normalised {size}"], rates["normalised"], "50")
        tell("  before normalisation, both", rates[f"uint8 {size}"], rates["uint8"])


def small_images(folder: Path) -> Any:
    """Parts of photographs, uint8 [SMALL_IMAGES, 3, 32, 32], which are PNG files in the folder too."""
    import numpy as np
    from photographs import photograph
    from PIL import Image

    from looksam.sample import png

    folder.mkdir(parents=True)
    contents = (photograph(i, 512, 384, PHOTOGRAPH_BYTES) for i in range(SMALL_IMAGES // 192 + 1))
    opened = (np.asarray(Image.open(io.BytesIO(content))) for content in contents)
    cut = [p.reshape(12, 32, 16, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3) for p in opened]
    pixels = np.ascontiguousarray(np.concatenate(cut)[:SMALL_IMAGES])
    for number, image in enumerate(pixels):
        (folder / f"{number}.png").write_bytes(png(image))
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def compare_access(folder: Path) -> None:
    """Print the rate of samples' bytes in random order over that of webdataset, in its order."""
    import numpy as np
    from photographs import photo_tree, photograph
    from webdataset import WebDataset

    from looksam.rows import read_index

    contents = [photograph(i, 500, 375, SHARDED_BYTES) for i in range(20)]
    source = photo_tree(folder / "sharded", SHARDED_IMAGES, contents)
    out = sharded(source, folder / "shards")
    rows = read_index(out, "train")
    order = np.random.RandomState(0).permutation(len(rows)).tolist()
    urls = [str(path) for path in sorted(out.glob("*.tar"))]
    rates = best(
        {
            "index": lambda: sum(bool(rows.unverified(position)) for position in order),
            "verified": lambda: sum(bool(rows.content(position)) for position in order),
            "webdataset": lambda: sum(bool(s["jpg"]) for s in WebDataset(urls, shardshuffle=False)),
        }
    )
    what = "samples in random order, none verified / webdataset, in its order"
    tell(what, rates["index"], rates["webdataset"], "8")
    what = "  each verified by its SHA-256, as trainings do, which webdataset does not"
    tell(what, rates["verified"], rates["webdataset"])


# an index like ImageNet's, of shards that are not there
INVENT = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from looksam.index import INDEX
images, per_shard = {images}, {per_shard}
with pq.ParquetWriter(Path({folder!r}) / "index.parquet", INDEX) as index:
    for start in range(0, images, per_shard):
        numbers = range(start, min(start + per_shard, images))
        random = np.random.RandomState(start)
        columns = dict(
            split=["train"] * len(numbers), shard=[f"train-{{start // per_shard:06d}}.tar"] * len(numbers),
            offset=[512 + i * 112_640 for i in range(len(numbers))], size=[110_000] * len(numbers),
            key=[f"train-{{i:07d}}-n01440764-{{i}}" for i in numbers], label=[i * 7 % 1000 for i in numbers],
            sha256=[random.bytes(32).hex() for _ in numbers], extension=["jpg"] * len(numbers),
            width=[500] * len(numbers), height=[375] * len(numbers), format=["JPEG"] * len(numbers),
            mode=["RGB"] * len(numbers), source=[f"train/n01440764/n01440764_{{i}}.JPEG" for i in numbers],
        )
        index.write_table(pa.table(columns, INDEX))
"""
PLAN = """
import time
from pathlib import Path
from looksam.feed import Feed
from looksam.images import Photographs
from looksam.rows import read_index
import torch
started = time.perf_counter()
data = Photographs(read_index(Path({folder!r}), "train"), {dataset!r})
feed = Feed(data, {recipe!r}, micro_batches=1)
assert len(feed) > 0
print(time.perf_counter() - started)
"""


def measure_index(folder: Path) -> None:
    """Print what it takes to read ImageNet's index and draw an epoch's batches."""
    place = str(folder / "index")
    Path(place).mkdir()
    measured(python(INVENT.format(folder=place, images=INDEXED_IMAGES, per_shard=PER_SHARD)), ROOT)
    dataset = IMAGENET | {"classes": 1000}
    code = PLAN.format(folder=place, dataset=dataset, recipe=RECIPE | {"dataset": dataset})
    cost = measured(python(code), ROOT)
    seconds = float(cost.said)
    print(f"index and an epoch's batches of {INDEXED_IMAGES:,} images: {seconds:.1f} s (reach: 10), ", end="")
    print(f"{cost.megabytes:.0f} MB in all (reach: 2,000)")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="looksam-benchmark-") as temporary:
        for part in (compare_photographs, compare_small_images, compare_access, measure_index):
            part(Path(temporary))
