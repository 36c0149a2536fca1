"""Files at a URL, read forward from any byte; a connection that breaks is opened again where it broke."""

import http.client
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from looksam.errors import UserError

Found = TypeVar("Found")

# seconds before each further attempt, of as many in a row as bring no byte
WAITS = (1, 2, 4, 8, 16)
# without a byte, before a connection counts as broken
SECONDS_TO_ANSWER = 60
# bytes between two samples that are passed over, because to ask anew takes longer
PASSED_OVER = 2**20
# a server's answers that another attempt may change
BUSY = (408, 425, 429, 500, 502, 503, 504)
NOT_ALLOWED, MISSING, ENDED = (401, 403), (404, 410), 416


class RemoteFile:
    """A file at http(s)://, or at any URL that fsspec knows, up to a byte. Close it when done.

    A server that knows no ranges sends the file from its start, which is then passed over.
    """

    def __init__(self, url: str, end: int | None = None) -> None:
        self.url, self.end = url, end
        self._file: Any = None
        self._at = 0

    def read(self, at: int, size: int) -> bytearray:
        """So many bytes from `at` on. UserError where they are not to be had."""
        found = bytearray()
        while len(found) < size:
            some = partial(self._some, at + len(found), size - len(found))
            found += persistent(self.url, some, self.close)
        return found

    def close(self) -> None:
        """End the connection; the next read opens another."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _some(self, at: int, most: int) -> bytes:
        """At least one byte, at most so many."""
        if self._file is None or not 0 <= at - self._at <= PASSED_OVER:
            self.close()
            self._file, self._at = opened(self.url, at, self.end)
        while self._at < at:
            self._next(min(at - self._at, PASSED_OVER))
        return self._next(most)

    def _next(self, most: int) -> bytes:
        piece: bytes = self._file.read(most)
        if not piece:
            # of a file that is not by HTTP, no byte means the end; by HTTP, length is what is still promised
            if getattr(self._file, "length", 0) == 0:
                too_short(self.url)
            raise ConnectionError("the connection was closed before all of it was sent")
        self._at += len(piece)
        return piece


def whole(url: str) -> bytes:
    """All bytes of a small file."""

    def attempt() -> bytes:
        file, _ = opened(url, 0, None)
        with file:
            content: bytes = file.read()
        return content

    return persistent(url, attempt, lambda: None)


def persistent(url: str, attempt: Callable[[], Found], between: Callable[[], object]) -> Found:
    """What the first of some attempts returns that does not fail; UserError after the last.

    An attempt's UserError ends it at once. between: is called after one that failed.
    """
    for wait in (*WAITS, None):
        try:
            return attempt()
        except UserError:
            raise
        # whatever a file system of fsspec may raise
        except Exception as error:
            between()
            if wait is None:
                raise UserError(
                    f"{shown(url)} cannot be read ({describe(error)}), after {len(WAITS)} more attempts in "
                    f"{sum(WAITS)} seconds; what was saved is kept: once it can be read, run the same "
                    "command again"
                ) from error
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def opened(url: str, at: int, end: int | None) -> tuple[Any, int]:
    """The file, and the byte at which it stands: `at`, or less where the server knows no ranges."""
    return by_http(url, at, end) if url.startswith(("http://", "https://")) else by_fsspec(url, at)


def by_http(url: str, at: int, end: int | None) -> tuple[http.client.HTTPResponse, int]:
    """The same, by HTTP."""
    headers = {} if end is None and at == 0 else {"Range": f"bytes={at}-{'' if end is None else end - 1}"}
    try:
        response = urlopen(Request(url, headers=headers), timeout=SECONDS_TO_ANSWER)
    except HTTPError as error:
        error.close()
        if error.code in BUSY:
            raise
        refused(url, error.code, error.reason)
    return response, at if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0


def by_fsspec(url: str, at: int) -> tuple[Any, int]:
    """The same, by fsspec, with the package that it asks for: s3fs, gcsfs, adlfs, ..."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
        file = system.open(path, "rb", cache_type="readahead")
    except (ImportError, ValueError) as error:
        raise UserError(f"{shown(url)} cannot be opened: {describe(error)}") from error
    except FileNotFoundError:
        refused(url, MISSING[0], "no such file")
    except PermissionError as error:
        refused(url, NOT_ALLOWED[1], describe(error))
    file.seek(at)
    return file, at


def refused(url: str, code: int, reason: str) -> NoReturn:
    """Raise what to say of an answer that will not change by itself."""
    if code == ENDED:
        too_short(url)
    if code in MISSING:
        remedy = "copy the whole folder there, or correct `shards` in config/datasets.yaml"
    elif code in NOT_ALLOWED:
        remedy = "renew the credential, or the signed URL, and run the same command again"
    else:
        remedy = "ask whoever runs the server"
    raise UserError(f"{shown(url)} is not given out ({code} {reason}); {remedy}; what was saved is kept")


def too_short(url: str) -> NoReturn:
    """Raise what to say of a file that ends before its last sample."""
    raise UserError(
        f"{shown(url)} was cut short, or is another file than the index describes; copy the folder there "
        "again"
    )


def describe(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def joined(folder: str, name: str) -> str:
    """The URL of a file in a folder; what follows `?`, as in a signed URL, stays at the end."""
    scheme, host, path, query, _ = urlsplit(folder)
    if scheme in ("http", "https"):
        name = quote(name)
    return urlunsplit((scheme, host, f"{path.rstrip('/')}/{name}", query, ""))


def shown(url: str) -> str:
    """The URL without what follows `?`, which may be a secret."""
    return url.partition("?")[0]
