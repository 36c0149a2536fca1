import os
import re
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from looksam.checkpoint import Checkpoints
from looksam.errors import UserError

REQUEST = '{"settings": {"seed": 0}}'


def held() -> None:
    """The lease's check, of a run that nobody takes over."""


def lost() -> None:
    """The lease's check, of a run that was taken over."""
    raise UserError("taken over")


def checkpoints(
    folder: Path, generation: int = 1, request: str = REQUEST, check: Callable[[], None] = held
) -> Checkpoints:
    return Checkpoints(folder, request, generation, check)


def state(step: int) -> dict[str, Any]:
    """A small state whose every part tells the step."""
    return {"step": step, "w": {"layer": torch.full((50,), float(step))}, "lrs": [0.1 / step]}


def store(folder: Path, *steps: int, generation: int = 1, request: str = REQUEST) -> None:
    """Write a checkpoint of each step."""
    with checkpoints(folder, generation, request) as written:
        for step in steps:
            written.save(step, state(step))


def step_in(folder: Path, generation: int = 9) -> int | None:
    """The step that a new process goes on from, all parts of whose state agree; None if it starts anew."""
    with checkpoints(folder, generation) as found, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = found.load()
    if loaded is None:
        return None
    step: int = loaded["step"]
    expected = state(step)
    assert torch.equal(loaded["w"]["layer"], expected["w"]["layer"])
    assert loaded["lrs"] == expected["lrs"]
    return step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_without_a_checkpoint_a_training_starts_anew(tmp_path: Path) -> None:
    assert checkpoints(tmp_path).load() is None


def test_what_was_saved_is_loaded_bitwise(tmp_path: Path) -> None:
    saved = {
        "w": torch.randn(5, dtype=torch.float64),
        "half": torch.randn(3).bfloat16(),
        "nan": torch.tensor([float("nan"), -0.0]),
        "generator": torch.get_rng_state(),
        "lr": 0.1 + 0.2,
        "groups": [{"betas": (0.9, 0.999)}],
        5: None,
    }
    with checkpoints(tmp_path) as written:
        written.save(1, saved)
    loaded = checkpoints(tmp_path).load()
    assert loaded is not None
    for name in ("w", "half", "nan", "generator"):
        assert torch.equal(loaded[name].view(torch.uint8), saved[name].view(torch.uint8))
    assert (loaded["lr"], loaded["groups"], loaded[5]) == (saved["lr"], saved["groups"], None)


def test_what_the_training_changes_after_the_call_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    changing = state(1)
    with checkpoints(tmp_path) as written:
        written.save(1, changing)
        changing["w"]["layer"].zero_()
    assert step_in(tmp_path) == 1


def test_an_optimizers_state_is_loaded_bitwise(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    with checkpoints(tmp_path) as written:
        written.save(1, optimizer.state_dict())
    loaded = checkpoints(tmp_path).load()
    assert str(loaded) == str(optimizer.state_dict())


def test_a_prepared_checkpoint_holds_the_state_at_its_own_time(tmp_path: Path) -> None:
    with checkpoints(tmp_path) as written:
        written.prepare(state(1))
        written.save(2, state(2))
    assert step_in(tmp_path) == 2


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    store(tmp_path, 5, 9, 10, 100)
    assert names(tmp_path) == ["checkpoint.1.10.pt", "checkpoint.1.100.pt"]


def test_the_newest_is_loaded(tmp_path: Path) -> None:
    store(tmp_path, 9, 10)
    assert step_in(tmp_path) == 10


def test_a_later_generation_is_newer_though_its_step_is_lower(tmp_path: Path) -> None:
    store(tmp_path, 20)
    store(tmp_path, 10, generation=2)
    assert step_in(tmp_path) == 10


def test_a_training_that_goes_on_keeps_what_it_went_on_from_beside_its_first(tmp_path: Path) -> None:
    store(tmp_path, 1, 2)
    with checkpoints(tmp_path, 2) as going_on:
        going_on.load()
        going_on.save(3, state(3))
    assert names(tmp_path) == ["checkpoint.1.2.pt", "checkpoint.2.3.pt"]


def test_the_step_that_is_on_the_disk_is_not_written_again(tmp_path: Path) -> None:
    with checkpoints(tmp_path) as written:
        written.save(1, state(1))
        written.save(2, state(2))
        written.save(2, state(2))
    assert names(tmp_path) == ["checkpoint.1.1.pt", "checkpoint.1.2.pt"]


def torn(content: bytes) -> bytes:
    """As after a power cut on a file system that lengthens a file before it has the data."""
    return content[: len(content) // 2] + b"\0" * (len(content) - len(content) // 2)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "short": lambda content: content[:10],
    "truncated": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "torn": torn,
    "a bit flipped": flipped,
    "a bit of the digest flipped": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "another file": lambda content: b"model" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_newest_falls_back_and_says_to_what(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store(tmp_path, 1, 2)
    newest = tmp_path / "checkpoint.1.2.pt"
    newest.write_bytes(damage(newest.read_bytes()))
    wrong = f"{newest} is damaged: it does not end in the SHA-256 of its content"
    with pytest.warns(UserWarning, match=f"^{re.escape(wrong)}; going on from checkpoint.1.1.pt$"):
        loaded = checkpoints(tmp_path, 2).load()
    assert loaded is not None
    assert loaded["step"] == 1


def test_two_damaged_ones_start_anew_and_both_are_named(tmp_path: Path) -> None:
    store(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.warns(
        UserWarning, match=r"1\.2\.pt is damaged.*1\.1\.pt is damaged.*; training from the start"
    ):
        assert checkpoints(tmp_path, 2).load() is None


def test_one_that_cannot_be_read_falls_back(tmp_path: Path) -> None:
    store(tmp_path, 1)
    (tmp_path / "checkpoint.1.2.pt").mkdir()
    with pytest.warns(UserWarning, match=r"1\.2\.pt Is a directory; going on from checkpoint\.1\.1\.pt"):
        assert checkpoints(tmp_path, 2).load() is not None


def test_one_that_is_another_under_its_name_is_recognised(tmp_path: Path) -> None:
    store(tmp_path, 1, 2)
    shutil.copy(tmp_path / "checkpoint.1.1.pt", tmp_path / "checkpoint.1.3.pt")
    with pytest.warns(UserWarning, match="is another checkpoint: of generation 1 and step 1"):
        checkpoints(tmp_path, 2).load()
    assert step_in(tmp_path) == 2


def test_one_of_another_request_is_not_loaded_and_said_to_be(tmp_path: Path) -> None:
    store(tmp_path, 1, request="other code")
    with pytest.warns(
        UserWarning, match="belongs to another request than run.json.*; training from the start"
    ):
        assert checkpoints(tmp_path, 2).load() is None


def test_after_a_fallback_the_good_one_stays_until_another_is_on_the_disk(tmp_path: Path) -> None:
    store(tmp_path, 1, 2)
    (tmp_path / "checkpoint.1.2.pt").write_bytes(b"")
    with checkpoints(tmp_path, 2) as going_on:
        with pytest.warns(UserWarning, match="is damaged"):
            going_on.load()
        going_on.save(3, state(3))
    assert names(tmp_path) == ["checkpoint.1.1.pt", "checkpoint.2.3.pt"]


def test_nothing_that_runs_code_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"state\['x'\] is <class 'numpy.ndarray'>"):
        checkpoints(tmp_path).save(1, {"x": np.zeros(1)})


def test_the_end_removes_all_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / ".checkpoint.1.7.pt.0a").touch()
    with checkpoints(tmp_path) as written:
        written.save(1, state(1))
        written.save(2, state(2))
        written.remove()
    assert names(tmp_path) == ["model.safetensors"]


def test_what_a_killed_writer_left_half_written_goes_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.1.7.pt.0a").touch()
    (tmp_path / ".checkpoint.3.7.pt.0b").touch()
    checkpoints(tmp_path, 2).load()
    assert names(tmp_path) == [".checkpoint.3.7.pt.0b"]


def test_a_run_that_was_taken_over_saves_and_removes_nothing(tmp_path: Path) -> None:
    store(tmp_path, 1)
    stale = checkpoints(tmp_path, 2, check=lost)
    with pytest.raises(UserError, match="taken over"):
        stale.save(2, state(2))
    with pytest.raises(UserError, match="taken over"):
        stale.remove()
    assert names(tmp_path) == ["checkpoint.1.1.pt"]


def test_a_run_that_is_taken_over_while_it_writes_leaves_no_checkpoint(tmp_path: Path) -> None:
    answers: Iterator[Callable[[], None]] = iter([held, lost])
    stale = checkpoints(tmp_path, check=lambda: next(answers)())
    stale.save(1, state(1))
    with pytest.raises(UserError, match="taken over"):
        stale.wait()
    assert names(tmp_path) == []


def test_a_writer_whose_half_written_file_its_successor_removed_says_who_took_over(tmp_path: Path) -> None:
    # the successor comes after the check before the file takes its place
    answers = iter([held, lambda: checkpoints(tmp_path, 2).load(), lost])
    stale = checkpoints(tmp_path, check=lambda: next(answers)())
    stale.save(1, state(1))
    with pytest.raises(UserError, match="taken over"):
        stale.wait()
    assert names(tmp_path) == []


def test_an_end_that_is_interrupted_leaves_the_newest(tmp_path: Path) -> None:
    store(tmp_path, 9, 10)
    (tmp_path / "checkpoint.1.9.pt").unlink()
    (tmp_path / "checkpoint.1.9.pt").mkdir()
    with pytest.raises(OSError, match=r"checkpoint\.1\.9\.pt"):
        checkpoints(tmp_path, 2).remove()
    assert step_in(tmp_path) == 10


def late(tmp_path: Path) -> tuple[Checkpoints, Checkpoints]:
    """A writer of generation 1 that has not noticed that another went on from its step 2, and that other."""
    stale, owner = checkpoints(tmp_path, 1), checkpoints(tmp_path, 2)
    for step in (1, 2):
        stale.save(step, state(step))
    stale.wait()
    owner.load()
    return stale, owner


def test_a_late_writer_takes_nothing_from_an_owner_that_has_saved(tmp_path: Path) -> None:
    stale, owner = late(tmp_path)
    owner.save(3, state(3))
    owner.save(4, state(4))
    owner.wait()
    stale.save(50, state(50))
    stale.wait()
    assert step_in(tmp_path) == 4
    assert {"checkpoint.2.3.pt", "checkpoint.2.4.pt"} <= set(names(tmp_path))


def test_a_late_writer_leaves_an_owner_that_has_not_saved_with_two_to_go_on_from(tmp_path: Path) -> None:
    stale, _ = late(tmp_path)
    stale.save(3, state(3))
    stale.wait()
    assert names(tmp_path) == ["checkpoint.1.2.pt", "checkpoint.1.3.pt"]


def test_what_a_late_writer_adds_goes_with_the_owners_next(tmp_path: Path) -> None:
    stale, owner = late(tmp_path)
    owner.save(3, state(3))
    owner.wait()
    stale.save(50, state(50))
    stale.wait()
    owner.save(4, state(4))
    owner.wait()
    assert names(tmp_path) == ["checkpoint.2.3.pt", "checkpoint.2.4.pt"]


def test_a_late_end_removes_nothing_of_the_owners(tmp_path: Path) -> None:
    stale, owner = late(tmp_path)
    owner.save(3, state(3))
    owner.wait()
    stale.remove()
    assert names(tmp_path) == ["checkpoint.2.3.pt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's device that is always full")
def test_a_full_disk_is_a_users_error_at_the_next_call_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, 1)
    full = checkpoints(tmp_path, 2)
    # every new file is the device that is always full
    monkeypatch.setattr("looksam.checkpoint.FileIO", lambda path, mode: FileIO("/dev/full", mode))
    full.save(2, state(2))
    with pytest.raises(UserError, match=r"cannot write .*checkpoint\.2\.2\.pt: No space left on device"):
        full.save(3, state(3))
    assert step_in(tmp_path) == 1


# what changes a file or what may still be lost, by the name under which Python calls it
# by our own code and by pathlib, a module or a package in the folder of the standard library
PYTHON = Path(os.__file__).parent.name
CALLS = re.compile(r"(open|write|flush|close|fsync|replace|rename|link|unlink|FileIO|__exit__)")


def killed_at(number: int, folder: Path) -> bool:
    """Save a third checkpoint in a process whose writer is killed before its `number`-th call; whether so."""
    child = os.fork()
    if not child:
        left = number

        def count(frame: FrameType, event: str, call: Any) -> None:
            nonlocal left
            ours = Path(frame.f_code.co_filename).parent.name in ("looksam", "pathlib", PYTHON)
            if ours and event == "c_call" and CALLS.fullmatch(getattr(call, "__name__", "")):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        threading.setprofile(count)
        written = checkpoints(folder, 2)
        written.load()
        written.save(3, state(3))
        written.wait()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_save_that_is_killed_anywhere_leaves_the_old_state_or_the_new_one_and_one_before_it(
    tmp_path: Path,
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    store(before, 1, 2)
    number, found, kept = 0, [], []
    while killed_at(number, shutil.copytree(before, tmp_path / str(number))):
        kept.append(len(list((tmp_path / str(number)).glob("checkpoint.*"))))
        found.append(step_in(tmp_path / str(number)))
        shutil.rmtree(tmp_path / str(number))
        number += 1
    # old until some call, new from it on
    assert found == [2] * found.count(2) + [3] * found.count(3)
    assert min(found.count(2), found.count(3)) > 2
    assert min(kept) == 2
