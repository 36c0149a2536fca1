"""Image folders for the tests of sharding."""

import io
from pathlib import Path

from PIL import Image

from looksam.listing import Listing
from looksam.sharding import Options, shard_to


def jpeg(number: int, size: tuple[int, int] = (12, 9)) -> bytes:
    """A JPEG file that no other number has."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256, 90)).save(
        buffer, "JPEG", comment=str(number).encode()
    )
    return buffer.getvalue()


def tree(root: Path, train: int = 20, val: int = 6, classes: int = 2) -> Path:
    """train/<class>/ and val/<class>/ with so many images in all, classes taking turns."""
    for split, images in (("train", train), ("val", val)):
        for number in range(images):
            path = root / split / f"n{number % classes:04d}" / f"{split}.{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(number + 1000 * (split == "val")))
    return root


def sharded(listing: Listing, out: Path, options: Options = Options(per_shard=6)) -> Path:  # noqa: B008
    """The folder with the listing's shards."""
    shard_to(listing, out, options, lambda images: None)
    return out


def contents_by_source(root: Path) -> dict[str, bytes]:
    """The bytes of every image of a tree by its name in it."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.JPEG")}
