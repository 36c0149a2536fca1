import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from looksam.owner import BYTES, Owner, machine, started

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


def ended() -> Owner:
    """The owner that a process was which has ended since."""
    me = Owner.here()
    child = os.fork()
    if not child:
        os._exit(0)
    ticks = started(child)
    os.waitpid(child, 0)
    return replace(me, pid=child, started=ticks)


def test_this_process_lives() -> None:
    assert Owner.here().lives(Owner.here())


def test_a_process_that_ended_does_not_live() -> None:
    assert ended().lives(Owner.here()) is False


def test_a_later_process_of_the_same_id_is_another() -> None:
    me = Owner.here()
    assert me.started
    assert replace(me, started=me.started - 1).lives(me) is False


def test_a_killed_process_that_nobody_waited_for_does_not_live() -> None:
    child = os.fork()
    if not child:
        signal.pause()
    owner = replace(Owner.here(), pid=child, started=started(child))
    assert owner.lives(Owner.here())
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    lived = owner.lives(Owner.here())
    os.waitpid(child, 0)
    assert lived is False


def test_a_stopped_process_lives() -> None:
    child = os.fork()
    if not child:
        signal.pause()
    owner = replace(Owner.here(), pid=child, started=started(child))
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    lived = owner.lives(Owner.here())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lived


def test_a_process_that_released_its_lease_does_not_go_on_with_it() -> None:
    assert replace(Owner.here(), released=True).lives(Owner.here()) is False


@pytest.mark.parametrize("where", ["elsewhere", ""])
def test_of_a_process_on_another_machine_nothing_is_known(where: str) -> None:
    assert replace(ended(), machine=where).lives(Owner.here()) is None


def test_where_the_kernel_does_not_tell_nothing_is_known() -> None:
    assert replace(ended(), machine="").lives(replace(Owner.here(), machine="")) is None


def test_two_processes_of_a_machine_agree_on_its_name() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, machine().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 4096).decode() == machine() != ""


def test_a_process_whose_name_looks_like_its_state_is_understood(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 ("
    program.symlink_to("/bin/sleep")
    child = os.posix_spawn(program, [str(program), "60"], {})
    ticks = started(child)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert ticks is not None
    assert ticks >= (started(os.getpid()) or 0)


def test_an_owners_text_says_the_owner_and_has_the_same_length_at_each_count() -> None:
    me = Owner.here()
    texts = [
        replace(me, beat=beat, released=released).text() for beat, released in ((0, False), (10**9, True))
    ]
    assert [len(text) for text in texts] == [BYTES, BYTES]
    assert Owner.parse(texts[1].encode()) == replace(me, beat=10**9, released=True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff", b"null"])
def test_what_is_no_owners_text_names_none(content: bytes) -> None:
    assert Owner.parse(content) is None


def test_an_owner_is_shown_by_process_machine_and_time() -> None:
    owner = Owner("node7", machine(), 123, 1, since=0)
    assert str(owner) == "process 123 on node7 (since 1970-01-01 00:00:00 UTC)"
