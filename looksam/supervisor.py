"""Jobs that outlive the Snakemake that submitted them: one supervisor each, found again by the job's name.

`.tpu/jobs/<job>/` holds the job's script, its log, the supervisor's process id, a lock that it holds as long
as it lives, and its exit code once it has ended.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from looksam.files import replace_with
from looksam.locks import locked

JOBS = Path(".tpu/jobs")
# of prctl(2): who is orphaned below this process becomes its child, and not the first process's
PR_SET_CHILD_SUBREAPER = 36


def supervised(script: Path, name: str) -> None:
    """Start a supervisor of the job, or leave it to the one that still lives."""
    folder = JOBS / name
    while True:
        with locked(folder) as lock:
            if lock is not None:
                _start(script, folder, lock)
                return
        if not (folder / "exit").exists():
            return
        # the last job's supervisor has written its exit code, and is about to end
        time.sleep(0.05)


def _start(script: Path, folder: Path, lock: int) -> None:
    (folder / "exit").unlink(missing_ok=True)
    shutil.copyfile(script, folder / "script")
    command = [sys.executable, "-m", "looksam.cli", "tpu", "supervise", str(folder)]
    with (folder / "log").open("ab") as log:
        # the child inherits the lock, so that there is no moment in which nobody holds it
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock], start_new_session=True
        )
    replace_with(folder / "pid", f"{child.pid}\n")


def supervise(folder: Path) -> None:
    """Run a job's script, and all that it starts, to the end; keep the exit code.

    SIGTERM and SIGINT are passed on, and then given what time they take.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(["bash", str(folder / "script")], start_new_session=True)

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.killpg(child.pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    code = child.wait()
    # a shell that the signal ended may leave a launcher that still deletes its slice
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    replace_with(folder / "exit", f"{128 - code if code < 0 else code}\n")
