"""Commands on a terminal of their own."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

from study_files import ROOT

LOOKSAM = [sys.executable, "-m", "looksam.cli"]


def on_a_terminal(*arguments: str | Path) -> str:
    """What the command writes to a terminal of 120 columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen([*LOOKSAM, *arguments], cwd=ROOT, stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b""
    # a terminal whose last writer is gone answers with an error and not with an end of file
    try:
        while some := os.read(ours, 4096):
            written += some
    except OSError:
        pass
    os.close(ours)
    assert process.wait() == 0, written.decode()
    return written.decode()
