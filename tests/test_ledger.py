from dataclasses import replace
from pathlib import Path

import pytest
from made_ledgers import entry, ledger

from looksam.errors import UserError
from looksam.ledger import read, write


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    found = ledger({"sam": [900, None], "looksam-5": [1, 2]})
    write(found, tmp_path / "runs.csv")
    assert read(tmp_path / "runs.csv") == found


def test_numbers_are_exact(tmp_path: Path) -> None:
    one = replace(entry("sam", 0, 900), peak_lr=0.1 + 0.2, cos_g_v_old=1 / 3)
    write([one], tmp_path / "runs.csv")
    assert read(tmp_path / "runs.csv") == [one]


@pytest.mark.parametrize("alpha", [0.7, "ls", None])
def test_alpha_is_a_number_a_name_or_nothing(tmp_path: Path, alpha: float | str | None) -> None:
    write([replace(entry("sam", 0, 900), alpha=alpha)], tmp_path / "runs.csv")
    assert read(tmp_path / "runs.csv")[0].alpha == alpha


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write(ledger({"sam": [900, None]}), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("run,table\na,b\n")
    with pytest.raises(UserError, match="no column scale, row, column"):
        read(tmp_path / "runs.csv")


def test_a_number_that_is_none_is_an_error(tmp_path: Path) -> None:
    write([entry("sam", 0, 900)], tmp_path / "runs.csv")
    text = (tmp_path / "runs.csv").read_text()
    (tmp_path / "runs.csv").write_text(text.replace(",900,", ",many,"))
    with pytest.raises(UserError, match="not as `looksam gather` wrote it"):
        read(tmp_path / "runs.csv")


def test_no_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`looksam gather` writes it"):
        read(tmp_path / "runs.csv")
