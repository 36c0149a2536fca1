"""The slices that are there: listed, and those deleted that nobody looks after."""

from collections.abc import Iterator

from looksam.columns import aligned
from looksam.locks import owner_of
from looksam.slices import Slices, folder_of
from looksam.tpu_settings import read_settings


def listed() -> str:
    """A table of all slices with our label in the settings' project and zone."""
    head = ("slice", "type", "state", "created", "bucket", "launcher")
    rows = [
        (s.name, s.type, s.state, s.created or "-", s.label, owner_of(folder_of(s.name)) or "none here")
        for s in Slices(read_settings()).all()
    ]
    return "\n".join(aligned([head, *rows], left=len(head))) if rows else "no slices"


def swept() -> Iterator[str]:
    """Delete the bucket's slices without a launcher of this checkout; a line on each."""
    settings = read_settings()
    slices = Slices(settings)
    for slice in slices.all():
        owner = owner_of(folder_of(slice.name))
        if slice.label != settings.label:
            yield f"{slice.name}: left alone, it is of bucket {slice.label}"
        elif owner:
            yield f"{slice.name}: left alone, {owner} looks after it and deletes it at its end"
        else:
            slices.delete(slice.name)
            yield f"{slice.name}: being deleted, was {slice.state}"
