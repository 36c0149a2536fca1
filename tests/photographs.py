"""Files like photographs, of a size that is asked for, made of the two that scikit-learn holds."""

import io
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image

PHOTOGRAPHS = ("china.jpg", "flower.jpg")


def photograph(number: int, width: int, height: int, size: int) -> bytes:
    """A JPEG file of nearly `size` bytes: a crop of one of the photographs, at the quality that gives it."""
    folder = Path(sklearn.datasets.__file__).parent / "images"
    with Image.open(folder / PHOTOGRAPHS[number % len(PHOTOGRAPHS)]) as photo:
        random = np.random.RandomState(number)
        left, top = random.randint(photo.width - width + 1), random.randint(photo.height - height + 1)
        part = photo.crop((left, top, left + width, top + height))
    contents = (saved(part, quality) for quality in range(100, 0, -1))
    return next(content for content in contents if len(content) <= size)


def saved(image: Image.Image, quality: int) -> bytes:
    """The image as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def numbered(content: bytes, number: int) -> bytes:
    """The JPEG file with a comment, so that no other has its bytes."""
    return content[:2] + b"\xff\xfe\x00\x0a" + b"%08d" % number + content[2:]


def photo_tree(root: Path, images: int, contents: list[bytes], classes: int = 10) -> Path:
    """train/<class>/ with so many images, all different, of `contents` in turn."""
    for label in range(classes):
        (root / "train" / f"n{label:04d}").mkdir(parents=True)
    for number in range(images):
        path = root / "train" / f"n{number % classes:04d}" / f"{number}.JPEG"
        path.write_bytes(numbered(contents[number % len(contents)], number))
    return root
