"""Images decoded once: a split as one array of pixels beside its shards, which trainings map into memory."""

import hashlib
import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image, ImageOps

from looksam.contents import Contents
from looksam.errors import UserError
from looksam.files import replace_file, replace_with
from looksam.rows import rows_of, splits_in

FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}
# what is raised by an image that is none, or is damaged
UNDECODABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
# SHA-256 of the arrays by file name, written last
DIGESTS = "decoded.json"


def write_decoded(folder: Path, dataset: Mapping[str, Any], index: Path) -> None:
    """Write the images of each split to <split>.npy, where the data set is decoded once; else nothing.

    index: the index.parquet of the shards in `folder`, under whatever name it still has.
    """
    if dataset.get("decode") == "once":
        write_arrays(folder, dataset, {split: rows_of(index, split) for split in splits_in(index)})


def write_arrays(folder: Path, dataset: Mapping[str, Any], splits: Mapping[str, Contents]) -> None:
    """Write the images of these splits."""
    digests = {}
    for split, rows in splits.items():
        path = folder / f"{split}.npy"
        replace_file(path, partial(write_array, rows, dataset))
        digests[path.name] = sha256(path)
    replace_with(folder / DIGESTS, json.dumps(digests, indent=1))


def bytes_decoded(dataset: Mapping[str, Any]) -> int:
    """Bytes of an image in the array of its split; 0 of a data set that has none."""
    is_decoded = dataset.get("decode") == "once"
    return dataset["channels"] * dataset["height"] * dataset["width"] if is_decoded else 0


def write_array(rows: Contents, dataset: Mapping[str, Any], path: Path) -> None:
    """Write the images, uint8 [N, C, H, W], in the order of the index."""
    count = len(rows.labels)
    shape = (count, dataset["channels"], dataset["height"], dataset["width"])
    images = open_memmap(path, "w+", np.uint8, shape)
    for i, content in enumerate(rows.contents(range(count))):
        try:
            images[i] = fitted(content, dataset)
        except UNDECODABLE as error:
            raise rows.undecodable(i, error) from error
    images.flush()


def fitted(content: bytes | bytearray, dataset: Mapping[str, Any]) -> NDArray[np.uint8]:
    """An image brought to size, uint8 [C, H, W].

    dataset: height, width, channels (1: grey, 3: RGB). An image of another size is resized (bicubic,
    antialiased) until it just covers height x width, and its centre is kept.
    """
    channels, size = dataset["channels"], (dataset["width"], dataset["height"])
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        found = ImageOps.fit(image.convert(MODES[channels]), size, Image.Resampling.BICUBIC)
    pixels: NDArray[np.uint8] = np.array(found).reshape(*size[::-1], channels).transpose(2, 0, 1)
    return pixels


def mapped(folder: Path, split: str) -> NDArray[np.uint8]:
    """The images of a split of the index, uint8 [N, C, H, W], on pages that processes share until they write.

    Their SHA-256 is compared with what was written.
    """
    path = folder / f"{split}.npy"
    again = f"delete {folder} and run snakemake again"
    try:
        wanted = json.loads((folder / DIGESTS).read_text())[path.name]
        found = sha256(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}, the decoded images, or their digest in {DIGESTS} is missing or damaged ({error}); "
            + again
        ) from error
    if found != wanted:
        raise UserError(f"{path} was changed after it was written: its SHA-256 is not in {DIGESTS}; {again}")
    images: NDArray[np.uint8] = np.load(path, mmap_mode="c")
    return images


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
