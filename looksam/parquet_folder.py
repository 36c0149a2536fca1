"""A folder of Parquet files as Hugging Face has them: images in a column, labels in another."""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looksam.errors import UserError
from looksam.listing import SPLITS, Item, Listing, numbers
from looksam.parquet_pages import Chunk, RowGroup, check_pages, row_groups
from looksam.places import Place
from looksam.unpacked import Where

IMAGES, LABELS = ("image", "img"), ("label", "fine_label")
NAME = re.compile(r"(train|validation|val|test)(?:[-._].*)?\.parquet")
PIECE = re.compile(r"-(\d+)-of-(\d+)")
# no image has fewer, and a file of a few bytes may claim any number of rows
LEAST_BYTES = 16
MOST_PATH, ROWS = 4096, 4096


class Columns(NamedTuple):
    """Of a file: columns of images and labels; named: whether images have paths; classes: their names."""

    image: str
    label: str
    named: bool
    classes: tuple[str, ...]

    def read(self) -> list[str]:
        """What is read for a listing."""
        return [self.label, *([f"{self.image}.path"] if self.named else [])]


def seen_parquet(root: Path) -> Listing | None:
    """Parquet files named by their split, or in a folder named by it; of the folder, or its `data`."""
    by_name = files_of(root)
    if not by_name:
        return None
    listing = Listing("Parquet with images", [])
    told: dict[Columns, Path] = {}
    for split, names in SPLITS.items():
        # `test` often has no labels, and is another split beside `validation`
        if name := next((name for name in names if name in by_name), None):
            listing.items[split] = [item for path in by_name[name] for item in items_of(path, root, told)]
    if all(item.label == -1 for item in listing.items.get("test", [])):
        listing.items.pop("test", None)
    if len(told) > 1:
        paths = ", ".join(map(str, told.values()))
        raise UserError(f"{root}: these files differ in columns or class names: {paths}; keep one data set")
    listing.classes = [name for columns in told for name in columns.classes] or numbers(listing.items)
    return listing


def files_of(root: Path) -> dict[str, list[Path]]:
    """The files by the split that their names, or their folders', tell."""
    by_name: dict[str, list[Path]] = {}
    untold = []
    for folder in (root, root / "data"):
        for path in sorted(folder.glob("*.parquet")):
            if match := NAME.fullmatch(path.name):
                by_name.setdefault(match[1], []).append(path)
            else:
                untold.append(path.name)
        for name in (name for names in SPLITS.values() for name in names):
            if found := sorted((folder / name).glob("*.parquet")):
                by_name.setdefault(name, []).extend(found)
    if untold:
        raise UserError(
            f"{root}: the name of {', '.join(untold[:5])} tells no split; name it train, validation or test, "
            "as in train-00000-of-00001.parquet"
        )
    for paths in by_name.values():
        complete(paths)
    return by_name


def complete(paths: list[Path]) -> None:
    """Refuses files of which one is missing by their names, such as train-00000-of-00002."""
    matches = [match for path in paths if (match := PIECE.search(path.name))]
    there = {int(match[1]) for match in matches}
    wanted = max((int(match[2]) for match in matches), default=0)
    if matches and len(there) != wanted:
        first = paths[0]
        raise UserError(f"{first.parent} holds {len(there)} of {wanted} files as {first.name}; fetch more")


def items_of(path: Path, root: Path, told: dict[Columns, Path]) -> Iterator[Item]:
    """The images of a file, whose bytes stay unread. told: is given its columns."""
    changed, name = path.stat().st_mtime_ns, path.relative_to(root)
    groups = row_groups(path)
    try:
        columns = columns_of(path, pq.read_schema(path))
        told.setdefault(columns, path)
        # as a dictionary, for one long text may stand in a million rows
        with pq.ParquetFile(path, read_dictionary=columns.read()[1:]) as file:
            begin = 0
            for number, group in enumerate(groups):
                chunk = image_chunk(path, group, columns)
                size = max(0, chunk.whole) // max(1, group.rows)
                where = Where(number, group.rows, chunk.start, chunk.end, columns.image).packed()
                batches = file.iter_batches(ROWS, [number], columns.read(), use_threads=False)
                rows = (row for batch in batches for row in rows_of(path, batch, columns))
                for at, (label, text) in enumerate(rows):
                    place = Place("parquet", str(path), size, changed, at, where)
                    yield Item(label, f"{name}:{begin + at}{text}", place)
                begin += group.rows
    # the last two are pyarrow's, for a footer whose schema has other names than its metadata
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        raise UserError(f"{path} is damaged or no Parquet file ({error}); fetch it again") from error


def image_chunk(path: Path, group: RowGroup, columns: Columns) -> Chunk:
    """Where a row group's images are, once it is known that its other columns can be read."""
    bytes_there = path.stat().st_size
    if group.rows * LEAST_BYTES > bytes_there:
        raise UserError(f"{path} claims {group.rows:,} images in {bytes_there:,} bytes; fetch it again")
    wanted = [f"{columns.image}.bytes", *columns.read()]
    if missing := set(wanted) - group.chunks.keys():
        raise pa.ArrowInvalid(f"a row group without {', '.join(sorted(missing))}")
    with path.open("rb") as file:
        for name in columns.read():
            check_pages(path, file, group.chunks[name])
    return group.chunks[wanted[0]]


def rows_of(path: Path, batch: pa.RecordBatch, columns: Columns) -> Iterator[tuple[int, str]]:
    """The label of each row, and its image's name after a slash, or ""."""
    labels = batch.column(columns.label).to_pylist()
    if None in labels:
        raise UserError(f"{path} has rows without a label in {columns.label}; correct it")
    if not columns.named:
        yield from ((label, "") for label in labels)
        return
    paths = batch.column(columns.image).field("path")
    longest = pc.max(pc.binary_length(paths.dictionary)).as_py() or 0
    if longest > MOST_PATH:
        raise UserError(f"{path} holds an image's path of {longest:,} bytes; such files are refused")
    for label, text in zip(labels, paths.to_pylist(), strict=True):
        last = PurePosixPath(text or "").name
        yield label, f"/{last}" if last and last.isprintable() else ""


def columns_of(path: Path, schema: pa.Schema) -> Columns:
    """The columns of images and labels, by their names or else by what Hugging Face's metadata calls them."""
    features = features_of(path, schema)
    image = column(path, schema, features, IMAGES, "Image")
    label = column(path, schema, features, LABELS, "ClassLabel")
    images = schema.field(image).type
    fields = {images.field(i).name: images.field(i).type for i in range(images.num_fields)}
    if not pa.types.is_struct(images) or fields.get("bytes") not in (pa.binary(), pa.large_binary()):
        raise UserError(f"{path}: column {image} is {images}, not struct<bytes: binary, path: string>")
    if not pa.types.is_integer(schema.field(label).type):
        raise UserError(f"{path}: column {label} is {schema.field(label).type}; labels are integers")
    named = fields.get("path") == pa.string()
    names = features.get(label, {}).get("names") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: the class names of {label} in its metadata are no list of names")
    return Columns(image, label, named, tuple(names))


def column(path: Path, schema: pa.Schema, features: dict[str, Any], names: tuple[str, ...], kind: str) -> str:
    """The first column that has one of the names, or else the only one of the kind."""
    found = [name for name in names if name in schema.names]
    of_kind = [name for name in schema.names if features.get(name, {}).get("_type") == kind]
    if not found and len(of_kind) != 1:
        raise UserError(f"{path} has no column {' or '.join(names)}; it has {', '.join(schema.names[:10])}")
    return str((found or of_kind)[0])


def features_of(path: Path, schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What Hugging Face's metadata says of each column; nothing where there is none."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told.get("info", {}).get("features", {})
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: its metadata of Hugging Face cannot be read ({error})") from error
