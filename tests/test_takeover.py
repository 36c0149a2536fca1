"""A small training on machines that stop, go on late and die: lease and checkpoints together."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from looksam.checkpoint import Checkpoints
from looksam.errors import UserError
from looksam.files import replace_with
from looksam.lease import lease
from looksam.owner import Owner

FORK = multiprocessing.get_context("fork")
STEPS, SECONDS_OF_A_STEP = 150, 0.01
MACHINES = ("node0", "node1", "node2")


def after(w: str) -> str:
    """The weights a step later."""
    return hashlib.sha256(w.encode()).hexdigest()


def train(folder: Path, machine: str) -> None:
    """Wait for the run, go on from its newest checkpoint, and save at each step; write result at the end."""
    warnings.simplefilter("ignore")
    owner = replace(Owner.here(), machine=machine)
    with (
        suppress(UserError),
        lease(folder, wait=60, interval=0.02, patience=0.2, owner=owner) as held,
        Checkpoints(folder, "request", held.generation, held.check) as checkpoints,
        (folder / "log").open("a", buffering=1) as log,
    ):
        if (folder / "result").exists():
            checkpoints.remove()  # the owner before may have died before it did
            return
        state = checkpoints.load() or {"step": 0, "w": ""}
        log.write(f"{held.generation} from {state['step']}\n")
        while state["step"] < STEPS:
            time.sleep(SECONDS_OF_A_STEP)
            state = {"step": state["step"] + 1, "w": after(state["w"])}
            checkpoints.save(state["step"], state)
            checkpoints.wait()
            log.write(f"{held.generation} saved {state['step']}\n")
        held.check()
        replace_with(folder / "result", state["w"])
        checkpoints.remove()


def disturb(folder: Path, chance: random.Random) -> None:
    """Keep a process on each machine until there is a result, and again and again stop or kill the owner."""
    machines: dict[str, BaseProcess] = {}
    while not (folder / "result").exists():
        for machine in MACHINES:
            if machine not in machines or not machines[machine].is_alive():
                machines[machine] = FORK.Process(target=train, args=[folder, machine])
                machines[machine].start()
        time.sleep(chance.uniform(0.1, 0.4))
        leases = sorted(folder.glob("lease.*.json"), key=lambda path: int(path.name.split(".")[1]))
        owner = Owner.parse(leases[-1].read_bytes()) if leases else None
        if owner:
            signal_all([owner.pid], chance.choice([signal.SIGKILL, signal.SIGSTOP, signal.SIGSTOP]))
        time.sleep(chance.uniform(0.2, 0.6))
        signal_all([process.pid or 0 for process in machines.values()], signal.SIGCONT)
    for process in machines.values():
        process.join()


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def events(folder: Path) -> Iterator[tuple[int, str, int]]:
    """Generation, what it did and the step, in the order in which it was done."""
    for line in (folder / "log").read_text().splitlines():
        generation, event, step = line.split()
        yield int(generation), event, int(step)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_changes_hands_ends_as_if_it_had_not_and_loses_nothing_saved(
    tmp_path: Path, seed: int
) -> None:
    disturb(tmp_path, random.Random(seed))
    expected = ""
    for _ in range(STEPS):
        expected = after(expected)
    assert (tmp_path / "result").read_text() == expected

    saved: dict[int, int] = {0: 0}
    for generation, event, step in events(tmp_path):
        if event == "saved":
            saved[generation] = step
        else:
            assert step >= saved[max(saved)]
    assert max(generation for generation, _, _ in events(tmp_path)) > 2
    assert not list(tmp_path.glob("checkpoint.*"))
