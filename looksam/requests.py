"""Requests: small files that say everything that decides a result; their time stamp says whether it is stale.

A request (`run.json` of a training, `source.json` of a shard folder, `<table>.json` of a table) is the input
of the rule that makes the result. It is written when the Snakefile is parsed, and only if its text changes,
so that time stamps alone tell Snakemake what is stale, with its own metadata lost too. The command that makes
the result leaves beside it a copy of the request that it read (`run.made.json`), with the request's time
stamp. Going back to an earlier request brings its time stamp back too, and the result is found fresh.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from looksam.errors import UserError
from looksam.files import replace_with


def write_request(path: Path, text: str) -> None:
    """Make `path` hold `text`, with a time stamp older than results made from it and newer than others."""
    made = made_path(path)
    made_text = _text(made)
    if made_text == text:
        if _text(path) != text or path.stat().st_mtime_ns != made.stat().st_mtime_ns:
            replace_with(path, text)
            shutil.copystat(made, path)
    elif _text(path) != text:
        replace_with(path, text)
    elif made_text is not None:
        # results made from another text may have been finished after this request was written
        os.utime(path)


def check_link(folder: Path) -> None:
    """UserError where a folder is a link that leads to none, as to a bucket that is not mounted."""
    if folder.is_symlink() and not os.path.isdir(folder):
        raise UserError(
            f"{folder} is a link to {os.readlink(folder)}, which is not there; mount what it lies on, make "
            "the folder, or remove the link"
        )


def checked(path: Path) -> Path:
    """The path itself, where there is a request."""
    if not path.is_file():
        raise UserError(f"no request at {path}; `snakemake -n` writes those that the config asks for")
    return path


@contextmanager
def consumed(path: Path) -> Iterator[str]:
    """Keep a copy of the request at `path`, its text on entry, once the body has made the result from it."""
    text, stat = checked(path).read_text(), path.stat()
    yield text
    made = made_path(path)
    replace_with(made, text)
    os.utime(made, ns=(stat.st_mtime_ns, stat.st_mtime_ns))


def read_request(path: str | Path) -> dict[str, Any]:
    """What the request at `path` says."""
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"no request at {path}: the config asks for no such result") from None
    return content


def made_path(request: Path) -> Path:
    """The copy of a request that its finished result was made from: `run.json` -> `run.made.json`."""
    return request.with_suffix(".made" + request.suffix)


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
