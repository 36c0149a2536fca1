import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from study_files import ROOT

from looksam.errors import UserError
from looksam.files import create_with, replace_file, replace_with


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_made_with_the_folders_above_it(tmp_path: Path) -> None:
    replace_with(tmp_path / "a" / "b" / "c.json", "new")
    assert (tmp_path / "a" / "b" / "c.json").read_text() == "new"


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    replace_with(tmp_path / "c.json", "old")
    replace_with(tmp_path / "c.json", "new")
    assert names(tmp_path) == ["c.json"]


def test_until_the_writer_is_done_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("old")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append(path.read_text())

    replace_file(path, write)
    assert (seen, path.read_text()) == (["old"], "new")


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, write)
    assert (names(tmp_path), path.read_text()) == (["c.json"], "old")


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("old")
    code = (
        "import os, sys; from pathlib import Path; from looksam.files import replace_file\n"
        "replace_file(Path(sys.argv[1]), lambda t: (t.write_text('half'), os.kill(os.getpid(), 9)))"
    )
    killed = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert (killed.returncode, path.read_text()) == (-signal.SIGKILL, "old")


def test_a_link_is_replaced_and_what_it_points_to_is_not(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    replace_with(tmp_path / "link", "new")
    assert ((tmp_path / "link").read_text(), (tmp_path / "target").read_text()) == ("new", "old")


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    replace_with(tmp_path / "c.json", "ρ → α")
    assert (tmp_path / "c.json").read_bytes() == "ρ → α".encode()


def test_a_file_may_be_replaced_in_a_folder_that_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    replace_with(Path("c.json"), "new")
    assert os.listdir() == ["c.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's device that is always full")
def test_a_full_disk_is_a_users_error_that_names_the_file(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        temporary.symlink_to("/dev/full")
        temporary.write_text("new")

    with pytest.raises(UserError, match=rf"cannot write {tmp_path}/c.json: No space left on device"):
        replace_file(tmp_path / "c.json", write)
    assert names(tmp_path) == []


def test_a_file_is_created_where_there_is_none(tmp_path: Path) -> None:
    assert create_with(tmp_path / "c.json", "new")
    assert (names(tmp_path), (tmp_path / "c.json").read_text()) == (["c.json"], "new")


def test_a_file_that_is_there_is_not_created(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("old")
    assert not create_with(tmp_path / "c.json", "new")
    assert (names(tmp_path), (tmp_path / "c.json").read_text()) == (["c.json"], "old")


def test_a_link_that_was_made_though_its_answer_got_lost_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def asked_twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", asked_twice)
    assert create_with(tmp_path / "c.json", "new")


def test_without_hard_links_a_file_is_created_once_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert [create_with(tmp_path / "c.json", text) for text in ("new", "newer")] == [True, False]
    assert (tmp_path / "c.json").read_text() == "new"


def test_a_file_in_place_is_on_the_disk_by_its_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda opened: synced.append(os.fstat(opened).st_ino) or fsync(opened))
    replace_with(tmp_path / "c.json", "new")
    assert synced == [(tmp_path / "c.json").stat().st_ino, tmp_path.stat().st_ino]
