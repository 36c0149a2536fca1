"""`looksam shard` and its companions: shards of data sets, what a source holds, whether shards are whole."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Never

from looksam.arguments import count, natural
from looksam.errors import UserError

if TYPE_CHECKING:
    from looksam.listing import Listing
    from looksam.sharding import Options

# what a request decides, by name
BY_HAND = {name: f"--{name.replace('_', '-')}" for name in ("per_shard", "seed", "broken_share", "decode")}


def add_shard(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam shard`."""
    sub.add_argument(
        "source", help="results/shards/<dataset>/source.json alone, or a data set's files, with OUT"
    )
    sub.add_argument("out", type=Path, nargs="?", metavar="OUT", help="folder for the shards of SOURCE")
    sub.add_argument("--workers", type=count, default=1, metavar="N", help="threads; %(default)s")
    by_hand = sub.add_argument_group("with OUT", "beside a request, the request says these")
    # not given, they are Options' own
    left_out = argparse.SUPPRESS
    by_hand.add_argument("--per-shard", type=count, default=left_out, metavar="N", help="images; 5000")
    by_hand.add_argument("--seed", type=natural, default=left_out, metavar="S", help="of the order; 0")
    share = "of a split's images that may be broken; 0.001"
    by_hand.add_argument("--broken-share", type=float, default=left_out, metavar="X", help=share)
    decode = "decode every image to find broken ones"
    by_hand.add_argument("--decode", action="store_true", default=left_out, help=decode)
    sub.add_argument("--plan", action="store_true", help="say what it takes, write no shards")


def add_sources(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam sources`."""
    sub.add_argument("source", help="a folder or a file, or the name of embedded data: digits, digit-pairs")
    sub.add_argument("--json", action="store_true", help="an object instead of lines")


def add_verify(sub: argparse.ArgumentParser) -> None:
    """The options of `looksam verify`."""
    sub.add_argument("shards", type=Path, help="a folder with index.parquet")


# as in cli.py, each command imports what it needs


def shard(parsed: argparse.Namespace) -> None:
    """Write a data set's WebDataset shards and their index, beside its request or to a folder."""
    if parsed.out is None:
        shard_request(parsed, Path(parsed.source))
        return
    from looksam.detect import list_source
    from looksam.linked import shard_or_link
    from looksam.sharding import Options

    listing = list_source(parsed.source)
    options = Options(**{name: given for name, given in vars(parsed).items() if name in Options._fields})
    if parsed.plan:
        say_plan(listing, parsed.out, options)
        return
    with shown(listing.images) as show:
        broken = shard_or_link(listing, parsed.out, options, show)
    found = sum(map(len, broken.values()))
    print(f"{parsed.out}: finished" + (f"; {found} broken images are in quarantine.parquet" if found else ""))


def shard_request(parsed: argparse.Namespace, request: Path) -> None:
    """Write the shards that a request of the workflow asks for."""
    from looksam.requests import checked, consumed, read_request
    from looksam.shards import requested, shard

    if request.suffix != ".json":
        raise UserError(
            f"without OUT, results/shards/<dataset>/source.json or another request is wanted; got {request}"
        )
    if given := [option for name, option in BY_HAND.items() if name in parsed]:
        raise UserError(f"{', '.join(given)} goes with OUT; a request says itself what decides its shards")
    if "shards" in read_request(request)["dataset"]:
        fetch_request(parsed, request)
        return
    if parsed.plan:
        listing, options = requested(checked(request), parsed.workers)
        say_plan(listing, request.parent, options)
        return
    with consumed(request):
        shard(request, parsed.workers, shown)


def fetch_request(parsed: argparse.Namespace, request: Path) -> None:
    """Fetch the index of the shards that a request says are at a URL."""
    from looksam.fetch import fetch
    from looksam.requests import consumed

    if parsed.plan:
        raise UserError("these shards are at a URL and are not written here; there is nothing to plan")
    with consumed(request):
        fetch(request)


def say_plan(listing: "Listing", out: Path, options: "Options") -> None:
    """Print what a sharding takes."""
    from looksam.shard_plan import shard_plan

    print("\n".join(shard_plan(listing, out, options).lines()))


def sources(parsed: argparse.Namespace) -> None:
    """Say which kind of source a path holds, its images, bytes and classes; nothing is written."""
    import json

    from looksam.detect import list_source
    from looksam.listing import as_json, summary

    listing = list_source(parsed.source)
    print(json.dumps(as_json(listing)) if parsed.json else "\n".join(summary(listing)))


def verify(parsed: argparse.Namespace) -> None:
    """Compare every image's hash, every label and count with the index, and name what is wrong."""
    from looksam.verify import problems

    found = 0
    for found, problem in enumerate(problems(parsed.shards), start=1):  # noqa: B007
        print(problem)
    if found:
        raise UserError(f"{found} things are wrong in {parsed.shards}; run looksam shard again to mend it")
    print(f"{parsed.shards}: all as the index says")


@contextmanager
def shown(images: int) -> Iterator[Callable[[int], None]]:
    """A function that shows how many images are done: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from tqdm import tqdm

    bar: tqdm[Never]
    with tqdm(desc="sharding", total=images, unit=" images", unit_scale=True, dynamic_ncols=True) as bar:

        def show(done: int) -> None:
            bar.n = done
            bar.refresh()

        yield show
