"""What `source` of a data set in the config may be, and the images that each lists."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from looksam.detect import seen
from looksam.digits import digit_pairs, digits
from looksam.errors import UserError
from looksam.how_to import how_to
from looksam.listing import Listing
from looksam.sample import Split
from looksam.subset import fewer


def files(dataset: Mapping[str, Any], folder: Path) -> Listing:
    """The images in data/<name>, whatever kind of source is there."""
    if not folder.exists():
        raise UserError(f"{folder.absolute()} does not exist. {how_to(folder)}")
    if (listing := seen(folder)) is None:
        raise UserError(f"{folder.absolute()}: nothing known is there. {how_to(folder)}")
    return listing


def subset(dataset: Mapping[str, Any], folder: Path) -> Listing:
    """Some of the images in data/<of>: `train_images` and `test_images` of them, every class as often."""
    counts: dict[Split, int] = {"train": dataset["train_images"], "test": dataset["test_images"]}
    return fewer(files(dataset, folder.parent / dataset["of"]), counts)


SOURCES: dict[str, Callable[[Mapping[str, Any], Path], Listing]] = {
    "digits": digits,
    "digit-pairs": digit_pairs,
    "files": files,
    "subset": subset,
}
