"""What happens beside a training's steps, where its ranks wait for each other."""

import datetime
import math
import os
import time
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from tiny_runs import UNSEEN, requested

from looksam.distributed import Ranks
from looksam.lease import lease
from looksam.watch import watched

# gloo's own is half an hour; a rank on a busy machine may not be at work for a second or two
SECONDS_OF_PATIENCE = 5.0


def wait_for_the_run(rank: int, folder: Path) -> None:
    """Be one of two ranks that want the run, and write down what the first one told."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    warnings.simplefilter("ignore")
    patience = datetime.timedelta(seconds=SECONDS_OF_PATIENCE)
    dist.init_process_group("gloo", f"file://{folder}/store", patience, world_size=2, rank=rank)
    ranks = Ranks(rank, 2, torch.device("cpu"))
    with watched(folder / "run.json", ranks, UNSEEN._replace(wait=math.inf)) as (text, _):
        (folder / f"told.{rank}").write_text(text)
    ranks.settle()
    # as the command ends: a Python that takes itself down beside gloo's threads is aborted now and then
    os._exit(0)


def test_ranks_wait_for_another_process_that_has_their_run_longer_than_for_each_other(tmp_path: Path) -> None:
    folder = requested(tmp_path / "run", tmp_path / "shards")
    with lease(folder):
        waiting = torch.multiprocessing.start_processes(
            wait_for_the_run, (folder,), 2, join=False, start_method="spawn"
        )
        ended = time.monotonic() + 30
        while not (folder / "store").exists():  # they have started
            assert time.monotonic() < ended
            time.sleep(0.1)
        time.sleep(2 * SECONDS_OF_PATIENCE)
    while not waiting.join(30):
        pass
    assert [(folder / f"told.{rank}").read_text() for rank in range(2)] == [
        (folder / "run.json").read_text()
    ] * 2
