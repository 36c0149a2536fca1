"""Zips of the layouts that are known as folders: an image folder's, and Kaggle's download of ImageNet."""

from pathlib import Path

from looksam.errors import UserError
from looksam.imagenet import seen_kaggle
from looksam.listing import Listing, seen_image_folder, visible
from looksam.zip_folder import ZipFolder

# what macOS adds to its zips
ADDED = "__MACOSX"


def seen_zip(root: Path) -> Listing | None:
    """A zip that holds such a folder, at its top or in the one folder that is there."""
    # a link in data/ has the name of its data set
    if not root.is_file() or ".zip" not in (root.suffix.lower(), root.resolve().suffix.lower()):
        return None
    top = ZipFolder.of(root)
    inner = [top / e.name for e in visible(top) if e.is_dir() and e.name != ADDED]
    for folder in (top, *inner) if len(inner) == 1 else (top,):
        for detect in (seen_kaggle, seen_image_folder):
            if listing := detect(folder):
                listing.kind += ", zipped"
                return listing
    names = ", ".join(sorted(entry.name for entry in visible(top))[:5])
    raise UserError(
        f"{root} holds {names or 'nothing'}; a zip is read that holds train/<class>/ and val/<class>/, or "
        "Kaggle's ILSVRC/ with LOC_val_solution.csv, at its top or in one folder"
    )
