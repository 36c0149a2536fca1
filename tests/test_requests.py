import os
from pathlib import Path

import pytest

from looksam.errors import UserError
from looksam.requests import check_link, consumed, made_path, read_request, write_request

# nanoseconds since 1970, long past, so that whatever is written now is newer
FIRST, RESULT = 1_000_000_000_123_456_789, 1_000_000_005_000_000_000


@pytest.fixture
def request_(tmp_path: Path) -> Path:
    """A request of text "one" from which a result was made: its stamp, and the result's, are of long ago."""
    path = tmp_path / "runs" / "a" / "run.json"
    write_request(path, "one")
    stamp(path, FIRST)
    with consumed(path):
        (path.parent / "result").write_text("made from one")
    stamp(path.parent / "result", RESULT)
    return path


def stamp(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))


def stamped(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_a_request_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    path = tmp_path / "results" / "runs" / "a" / "run.json"
    write_request(path, "one")
    assert path.read_text() == "one"


def test_an_unchanged_text_keeps_its_stamp(request_: Path) -> None:
    write_request(request_, "one")
    assert stamped(request_) == FIRST


def test_an_unchanged_text_without_a_result_keeps_its_stamp(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_request(path, "one")
    stamp(path, FIRST)
    write_request(path, "one")
    assert stamped(path) == FIRST


def test_a_changed_text_is_newer_than_the_result(request_: Path) -> None:
    write_request(request_, "two")
    assert request_.read_text() == "two"
    assert stamped(request_) > RESULT


def test_the_text_that_the_result_was_made_from_brings_its_stamp_back(request_: Path) -> None:
    write_request(request_, "two")
    write_request(request_, "one")
    assert request_.read_text() == "one"
    assert stamped(request_) == FIRST


def test_a_deleted_request_comes_back_with_the_stamp_of_its_result(request_: Path) -> None:
    request_.unlink()
    write_request(request_, "one")
    assert (request_.read_text(), stamped(request_)) == ("one", FIRST)


def test_a_touched_request_gets_back_the_stamp_of_its_result(request_: Path) -> None:
    stamp(request_, RESULT + 1)
    write_request(request_, "one")
    assert stamped(request_) == FIRST


def test_a_request_is_newer_than_a_result_of_another_text_that_was_finished_after_it(request_: Path) -> None:
    write_request(request_, "two")
    stamp(request_, RESULT - 1)
    write_request(request_, "two")
    assert stamped(request_) > RESULT


def test_the_copy_has_text_and_stamp_of_the_request(request_: Path) -> None:
    copy = made_path(request_)
    assert (copy.name, copy.read_text(), stamped(copy)) == ("run.made.json", "one", FIRST)


def test_the_copy_is_of_the_text_that_the_command_read(request_: Path) -> None:
    with consumed(request_):
        write_request(request_, "two")
    assert (made_path(request_).read_text(), stamped(made_path(request_))) == ("one", FIRST)
    assert stamped(request_) > RESULT


def test_a_second_result_replaces_the_copy(request_: Path) -> None:
    write_request(request_, "two")
    second = stamped(request_)
    with consumed(request_):
        pass
    write_request(request_, "two")
    assert (made_path(request_).read_text(), stamped(request_)) == ("two", second)


def test_a_command_that_fails_leaves_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_request(path, "one")
    with pytest.raises(RuntimeError, match="no memory"), consumed(path):
        raise RuntimeError("no memory")
    assert [left.name for left in tmp_path.iterdir()] == ["run.json"]


def test_a_command_that_fails_leaves_the_copy_of_the_result_before(request_: Path) -> None:
    write_request(request_, "two")
    with pytest.raises(RuntimeError), consumed(request_):
        raise RuntimeError
    assert made_path(request_).read_text() == "one"


def test_a_missing_request_is_an_error_that_says_what_writes_it(tmp_path: Path) -> None:
    command = consumed(tmp_path / "run.json")
    with pytest.raises(UserError, match=r"no request at .*run\.json.*`snakemake -n`"):
        command.__enter__()


def test_a_request_is_read_as_what_it_says(tmp_path: Path) -> None:
    write_request(tmp_path / "run.json", '{"id": "a"}')
    assert read_request(tmp_path / "run.json") == {"id": "a"}


def test_to_read_a_missing_request_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no request at .*run\.json"):
        read_request(tmp_path / "run.json")


def test_a_link_to_a_bucket_that_is_not_mounted_is_named_with_what_to_do(tmp_path: Path) -> None:
    link = tmp_path / "results"
    link.symlink_to(tmp_path / "mount/results")
    with pytest.raises(UserError, match=r"results is a link to .*mount/results, which is not there; mount"):
        check_link(link)


def test_a_link_to_a_folder_and_nothing_at_all_are_as_good_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(tmp_path)
    check_link(tmp_path / "results")
    check_link(tmp_path / "none")
