"""Which kind of source a path holds, told from what is there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from looksam.cifar import seen_cifar
from looksam.digits import digit_pairs, digits
from looksam.errors import UserError
from looksam.idx import seen_idx
from looksam.imagenet import seen_ilsvrc, seen_kaggle
from looksam.listing import Listing, seen_image_folder
from looksam.parquet_folder import seen_parquet
from looksam.tar_folder import seen_tars
from looksam.zips import seen_zip

# embedded data by name, and how much of it is taken where no config says so
EMBEDDED: dict[str, tuple[Callable[[Mapping[str, Any], Path], Listing], dict[str, int]]] = {
    "digits": (digits, {"train_images": 300}),
    "digit-pairs": (digit_pairs, {"train_images": 600, "test_images": 1500}),
}
KNOWN = (
    "a folder with ILSVRC2012's tars and devkit; Kaggle's CLS-LOC tree; a folder with train/<class>/ and "
    "val/<class>/; a zip of one of these two; the four IDX files of MNIST's relatives, gzipped or not; "
    "CIFAR's python or binary version, packed or not; WebDataset tars; Hugging Face's Parquet files"
)


def list_source(source: str) -> Listing:
    """The images that `source` holds: the name of embedded data, or a path."""
    root = Path(source)
    if source in EMBEDDED and not root.exists():
        listed, taken = EMBEDDED[source]
        return listed(taken, root)
    if not root.exists():
        raise UserError(f"{root.absolute()} does not exist; a source is {' or '.join(EMBEDDED)}; {KNOWN}")
    if (listing := seen(root)) is None:
        raise UserError(
            f"{root.absolute()}: nothing known is there; a source is {' or '.join(EMBEDDED)}; {KNOWN}"
        )
    return listing.checked(root)


def seen(root: Path) -> Listing | None:
    """The images at a path, None where nothing known is there."""
    try:
        return next((listing for detect in DETECTORS if (listing := detect(root))), None)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or root}: {error.strerror or error}") from error


DETECTORS: tuple[Callable[[Path], Listing | None], ...] = (
    seen_ilsvrc,
    seen_kaggle,
    seen_idx,
    seen_cifar,
    seen_image_folder,
    seen_tars,
    seen_zip,
    seen_parquet,
)
