"""Photographs of many sizes in shards, read each time anew, and trainings of a second on them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny_runs import SETTINGS

from looksam.detect import list_source
from looksam.images import Photographs
from looksam.rows import read_index
from looksam.sharding import Options, shard_to

PHOTOS: dict[str, Any] = {
    "name": "photos",
    "source": "files",
    "height": 32,
    "width": 32,
    "channels": 3,
    "classes": 3,
    "train_images": 50,
    "test_images": 17,
    "per_shard": 12,
    "decode": "each-time",
    "resize": 36,
}
PHOTO_SETTINGS: dict[str, Any] = SETTINGS | {
    "dataset": PHOTOS,
    "augment": "resized-crop+flip",
    "batch_size": 12,
    "micro_batch_size": 3,
    "epochs": 3,
}


def photo(number: int, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    """An image file that no other number has, its sides 40 to 89 pixels."""
    random = np.random.default_rng(number)
    size = tuple(int(side) for side in random.integers(40, 90, 2))
    image = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize(size)
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, kind, quality=90)
    return buffer.getvalue()


def photo_tree(root: Path) -> Path:
    """train/<class>/ and val/<class>/ of photographs: one grey, one CMYK, one a PNG called JPEG."""
    odd = {5: ("L", "JPEG"), 6: ("CMYK", "JPEG"), 7: ("RGB", "PNG")}
    for split, images in (("train", PHOTOS["train_images"]), ("val", PHOTOS["test_images"])):
        for number in range(images):
            path = root / split / f"n{number % 3:04d}" / f"{split}.{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            mode, kind = odd.get(number, ("RGB", "JPEG"))
            path.write_bytes(photo(number + 1000 * (split == "val"), mode, kind))
    return root


def photo_shards(folder: Path) -> Path:
    """Shards of a photo_tree."""
    listing = list_source(str(photo_tree(folder / "tree")))
    shard_to(listing, folder / "shards", Options(per_shard=12), lambda images: None)
    return folder / "shards"


def photographs(shards: Path, split: str = "train") -> Photographs:
    """A split of them."""
    return Photographs(read_index(shards, split), PHOTOS)
