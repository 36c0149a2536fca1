"""torchrun that ends with its program's exit code, where torchrun itself ends with 1 whatever that was."""

import logging
import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a program on this host's devices, by torchrun's options; ends as the first rank that failed."""
    # its own report of a failure is long, and would hide the program's last words
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run(parse_args(arguments))
    except ChildFailedError as failed:
        sys.exit(as_shells_say(failed.get_first_failure()[1].exitcode))
    except SignalException as ended:
        sys.exit(as_shells_say(-ended.sigval))


def as_shells_say(code: int) -> int:
    """An exit code of Python's, in which a signal is negative, as a shell has it."""
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    main()
