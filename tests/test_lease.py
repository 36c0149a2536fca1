import math
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from looksam.errors import UserError
from looksam.lease import Lease, Watch, lease, take
from looksam.owner import Owner

FORK = multiprocessing.get_context("fork")
QUICK = {"interval": 0.05, "patience": 0.5}
CONTENDERS = 8


def elsewhere(name: str = "elsewhere") -> Owner:
    """This process as if it were on another machine."""
    return replace(Owner.here(), machine=name, host=name)


def content(folder: Path) -> dict[str, bytes]:
    """What lies in the folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def process(body: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """Another process that runs `body` with a connection to this one, killed in the end."""
    here, there = FORK.Pipe()
    started = FORK.Process(target=body, args=[there, *arguments])
    started.start()
    try:
        yield started, here
    finally:
        started.kill()
        started.join()


def hold(connection: Connection, folder: Path, name: str = "") -> None:
    """Own the run; at each message answer what `check` says."""
    with lease(folder, **QUICK, owner=elsewhere(name) if name else None) as held:
        connection.send(held.generation)
        while connection.recv() != "end":
            connection.send(said(held))


def said(held: Lease) -> str:
    """What `check` says, nothing if the lease is held."""
    try:
        held.check()
    except UserError as error:
        return str(error)
    return ""


def test_the_first_owner_is_generation_1(tmp_path: Path) -> None:
    with lease(tmp_path) as held:
        assert held.generation == 1


def test_each_owner_is_a_generation_later_than_the_last(tmp_path: Path) -> None:
    generations = []
    for _ in range(3):
        with lease(tmp_path) as held:
            generations.append(held.generation)
    assert generations == [1, 2, 3]


def test_of_all_leases_the_last_alone_is_left(tmp_path: Path) -> None:
    for _ in range(3):
        with lease(tmp_path):
            pass
    assert list(content(tmp_path)) == ["lease.3.json"]


def test_an_error_in_the_body_releases_the_lease(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lease(tmp_path):
        raise ZeroDivisionError
    with lease(tmp_path) as held:
        assert held.generation == 2


def test_a_second_start_is_refused_with_the_owner_named(tmp_path: Path) -> None:
    with (
        lease(tmp_path),
        pytest.raises(
            UserError, match=rf"is being trained by process {os.getpid()} on .*; wait until it ends"
        ),
        lease(tmp_path),
    ):
        pass


def test_a_refused_start_changes_nothing(tmp_path: Path) -> None:
    with lease(tmp_path) as held:
        before = content(tmp_path)
        with pytest.raises(UserError), lease(tmp_path):
            pass
        assert (content(tmp_path), said(held)) == (before, "")


def test_a_living_owner_on_another_machine_refuses_after_its_next_count(tmp_path: Path) -> None:
    with lease(tmp_path, **QUICK):
        started = time.monotonic()
        with pytest.raises(UserError, match="trained by"), lease(tmp_path, interval=0.05, owner=elsewhere()):
            pass
        assert time.monotonic() - started < 5


def test_a_killed_owner_is_followed_at_once_on_its_machine(tmp_path: Path) -> None:
    with process(hold, tmp_path) as (owner, connection):
        connection.recv()
        owner.kill()
        owner.join()
        started = time.monotonic()
        with lease(tmp_path) as held:
            assert (held.generation, time.monotonic() - started < 1) == (2, True)


def test_a_killed_owner_is_followed_elsewhere_after_the_time_without_a_count(tmp_path: Path) -> None:
    with process(hold, tmp_path) as (owner, connection):
        connection.recv()
        owner.kill()
        owner.join()
        started = time.monotonic()
        with lease(tmp_path, **QUICK, owner=elsewhere()) as held:
            assert (held.generation, time.monotonic() - started >= 0.5) == (2, True)


def test_an_owner_that_stood_still_finds_itself_taken_over(tmp_path: Path) -> None:
    with process(hold, tmp_path, "node1") as (owner, connection):
        connection.recv()
        os.kill(owner.pid or 0, signal.SIGSTOP)
        with lease(tmp_path, **QUICK, owner=elsewhere("node2")):
            os.kill(owner.pid or 0, signal.SIGCONT)
            connection.send("check")
            assert f"taken over by process {os.getpid()} on node2" in connection.recv()


def test_an_owner_that_comes_back_late_breaks_nothing_of_its_successors(tmp_path: Path) -> None:
    with process(hold, tmp_path, "node1") as (owner, connection):
        connection.recv()
        os.kill(owner.pid or 0, signal.SIGSTOP)
        with lease(tmp_path, interval=1000, patience=0.2, owner=elsewhere("node2")) as held:
            before = content(tmp_path)
            os.kill(owner.pid or 0, signal.SIGCONT)
            connection.send("end")
            owner.join()
            assert (content(tmp_path), list(before), said(held)) == (before, ["lease.2.json"], "")


def test_the_heartbeat_finds_the_successor_without_being_asked(tmp_path: Path) -> None:
    with lease(tmp_path, **QUICK) as held:
        (tmp_path / "lease.2.json").write_text(elsewhere().text())
        deadline = time.monotonic() + 10
        while not held.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        assert held.lost


def test_a_higher_generation_counts_where_the_own_file_is_still_there(tmp_path: Path) -> None:
    with lease(tmp_path) as held:
        (tmp_path / "lease.2.json").write_text(elsewhere("node2").text())
        assert "taken over by" in said(held)
        assert "node2" in said(held)


def test_an_own_file_that_is_gone_counts_where_no_higher_generation_is_seen(tmp_path: Path) -> None:
    with lease(tmp_path) as held:
        (tmp_path / "lease.1.json").unlink()
        assert "taken over by another process" in said(held)
    assert content(tmp_path) == {}


def test_a_wait_ends_with_the_owner_and_says_for_whom_it_waits(tmp_path: Path) -> None:
    with process(hold, tmp_path) as (owner, connection):
        connection.recv()
        threading.Timer(0.3, connection.send, ["end"]).start()
        with (
            pytest.warns(UserWarning, match=f"trained by process {owner.pid} on .*; waiting until it ends"),
            lease(tmp_path, wait=math.inf, interval=0.05) as held,
        ):
            assert held.generation == 2


def test_a_wait_that_is_too_short_is_refused_at_its_end(tmp_path: Path) -> None:
    with lease(tmp_path):
        started = time.monotonic()
        with (
            pytest.warns(UserWarning, match="waiting"),
            pytest.raises(UserError, match="is being trained"),
            lease(tmp_path, wait=0.2, interval=0.05),
        ):
            pass
        assert 0.2 <= time.monotonic() - started < 5


def test_a_generation_below_the_highest_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "lease.5.json").touch()
    assert not take(tmp_path, 4, Owner.here())
    assert list(content(tmp_path)) == ["lease.5.json"]


@pytest.mark.parametrize("left", [b"", b"{", b"\0" * 1024])
def test_a_lease_that_a_crash_damaged_is_followed_after_the_time_without_a_count(
    tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "lease.7.json").write_bytes(left)
    with lease(tmp_path, **QUICK) as held:
        assert held.generation == 8


def test_a_look_that_hung_counts_for_one_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 500.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    watch = Watch(limit=10)
    for _ in range(3):
        watch.look(b"as before")
    assert (watch.still, watch.moved) == (20, False)


def contend(barrier: Any, folders: list[Path], number: int, machine: str) -> None:
    """Start on each folder with all the others; leave a file where this process got the run."""
    warnings.simplefilter("ignore")
    for folder in folders:
        barrier.wait()
        owner = elsewhere(f"{machine}{number}") if machine else None
        try:
            with lease(folder, interval=0.05, patience=1, owner=owner) as held:
                (folder / f"won.{held.generation}.{number}").touch()
                barrier.wait()
        except UserError:
            barrier.wait()


def winners(folders: list[Path], machine: str = "") -> list[list[str]]:
    """The generations that processes got on each folder which start on it at once."""
    barrier = FORK.Barrier(CONTENDERS)
    processes = [
        FORK.Process(target=contend, args=[barrier, folders, number, machine]) for number in range(CONTENDERS)
    ]
    for started in processes:
        started.start()
    for started in processes:
        started.join()
    return [[path.name.split(".")[1] for path in folder.glob("won.*")] for folder in folders]


def folders(tmp_path: Path, count: int, left: str = "") -> list[Path]:
    """Run folders, in each of which a dead owner may have left a lease."""
    made = [tmp_path / str(number) for number in range(count)]
    for folder in made:
        folder.mkdir()
        if left:
            (folder / "lease.3.json").write_text(left)
    return made


def test_of_eight_that_start_at_once_one_gets_the_run(tmp_path: Path) -> None:
    assert winners(folders(tmp_path, 40)) == [["1"]] * 40


def test_of_eight_that_follow_a_dead_owner_at_once_one_gets_the_run(tmp_path: Path) -> None:
    dead = replace(Owner.here(), started=1)
    assert winners(folders(tmp_path, 40, dead.text())) == [["4"]] * 40


def test_of_eight_machines_that_watch_a_dead_owner_one_gets_the_run(tmp_path: Path) -> None:
    assert winners(folders(tmp_path, 3, elsewhere().text()), machine="node") == [["4"]] * 3


def take_turns(folder: Path, log: Path, turns: int) -> None:
    """Own the run several times, each time waiting for the others; write down each beginning and end."""
    warnings.simplefilter("ignore")
    for _ in range(turns):
        with lease(folder, wait=math.inf, interval=0.004) as held, log.open("a") as file:
            file.write(f"{held.generation} ")
            file.flush()
            held.check()
            file.write(f"{held.generation} ")


def test_owners_that_wait_for_each_other_never_overlap_nor_share_a_generation(tmp_path: Path) -> None:
    (run,) = folders(tmp_path, 1)
    log = tmp_path / "log"
    processes = [FORK.Process(target=take_turns, args=[run, log, 25]) for _ in range(4)]
    for started in processes:
        started.start()
    for started in processes:
        started.join()
    assert log.read_text().split() == [str(1 + turn // 2) for turn in range(200)]
