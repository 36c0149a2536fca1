"""`looksam train` as a process, or as two under torchrun, for the tests of trainings."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from study_files import ROOT


def started(request: Path, ranks: int, *options: str) -> subprocess.Popen[str]:
    """`looksam train`, by itself or on so many ranks of this machine, over loopback."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    signals = ["--signals-to-handle", "SIGTERM,SIGINT,SIGUSR1"]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *rendezvous, *signals]
    return subprocess.Popen(
        [sys.executable, *(torchrun if ranks > 1 else []), "-m", "looksam.cli", "train", request, *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started, as a machine that fails would."""
    pids = [process.pid]
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        pids += [int(child) for child in children.read_text().split()] if children.exists() else []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def trained_on_ranks(request: Path, ranks: int) -> None:
    """Train the run to its end."""
    process = started(request, ranks)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
