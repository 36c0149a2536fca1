"""Which kind of source a path holds, told from what is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from looksam.cifar_python import seen_cifar_python
from looksam.errors import UserError
from looksam.imagenet import seen_ilsvrc, seen_kaggle
from looksam.listing import Listing, folder_of, image_folder, of_samples, visible
from looksam.sources import CIFAR_FILES, IDX_STEMS, SOURCES

DIGITS: dict[str, dict[str, Any]] = {
    "digits": {"name": "digits", "classes": 10, "train_images": 300},
    "digit-pairs": {"name": "digit-pairs", "classes": 100, "train_images": 600, "test_images": 1500},
}
KNOWN = (
    "digits or digit-pairs; a folder with ILSVRC2012's tars and devkit; Kaggle's CLS-LOC tree; a folder with "
    "train/<class>/ and val/<class>/; the four IDX files of MNIST's relatives, gzipped or not; "
    "cifar-10-batches-bin or cifar-100-binary; CIFAR's python version, packed or not"
)


def list_source(source: str) -> Listing:
    """The images that `source` holds: the name of embedded data, or a path."""
    if source in DIGITS and not Path(source).exists():
        dataset = DIGITS[source]
        return of_samples(source, dataset["classes"], SOURCES[source](dataset, Path())).checked(source)
    root = Path(source)
    if not root.exists():
        raise UserError(f"{root.absolute()} does not exist; a source is {KNOWN}")
    try:
        for detect in DETECTORS:
            if listing := detect(root):
                return listing.checked(root)
    except PermissionError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    raise UserError(f"{root.absolute()}: nothing known is there; a source is {KNOWN}")


def seen_idx(root: Path) -> Listing | None:
    """MNIST's relatives: train-images-idx3-ubyte and so on."""
    names = [f"{stem}-images-idx3-ubyte{end}" for stem in IDX_STEMS.values() for end in ("", ".gz")]
    if not any((root / name).is_file() for name in names):
        return None
    return of_samples("IDX files", 10, SOURCES["idx"]({"name": root.name}, root))


def seen_cifar(root: Path) -> Listing | None:
    """The binary version of CIFAR-10 or CIFAR-100: the folder itself or the one that holds it."""
    for classes, (inside, _, _) in CIFAR_FILES.items():
        parent = root.parent if root.name == inside else root
        if (parent / inside).is_dir():
            dataset = {"name": f"cifar{classes}", "classes": classes}
            return of_samples(f"CIFAR-{classes}, binary", classes, SOURCES["cifar"](dataset, parent))
    return None


def seen_image_folder(root: Path) -> Listing | None:
    """A folder by class in train or val."""
    folders = [folder for split in ("train", "test") if (folder := folder_of(root, split))]
    if not folders or not all(any(e.is_dir() for e in visible(folder)) for folder in folders):
        return None
    return image_folder(root)


DETECTORS: tuple[Callable[[Path], Listing | None], ...] = (
    seen_ilsvrc,
    seen_kaggle,
    seen_idx,
    seen_cifar,
    seen_cifar_python,
    seen_image_folder,
)
