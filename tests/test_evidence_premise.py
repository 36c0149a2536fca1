from pathlib import Path
from typing import Any

import pytest

from looksam.errors import UserError
from looksam.evidence_premise import premise_grid, read_premise

HEAD = "run,model,optimizer,batch_size,lr_divisor,lag,phase,noise,drift,reuse,g_v_over_g,gains.ls,seed\n"
ROWS = "a,wrn,sgd,32,1.0,5,0.1,,0.5,0.25,1.5,0.01,0\na,wrn,sgd,32,1.0,5,0.9,,0.7,0.75,0.5,,0\n"


def rows(folder: Path, text: str) -> list[dict[str, Any]]:
    (folder / "premise.csv").write_text(HEAD + text)
    return read_premise(folder / "premise.csv")


def test_phases_and_seeds_are_one_mean(tmp_path: Path) -> None:
    grid = premise_grid(rows(tmp_path, ROWS))
    assert grid
    assert grid.rows == [["wrn", "sgd", "32", "1", "5", "2", "—", "0.6", "0.5", "1", "0.01"]]


def test_lags_and_learning_rates_stay_apart(tmp_path: Path) -> None:
    grid = premise_grid(rows(tmp_path, ROWS + "a,wrn,sgd,32,3.0,5,0.1,,0.5,0.25,1.5,0.01,0\n"))
    assert grid
    assert [row[3] for row in grid.rows] == ["1", "3"]


def test_the_head_names_the_rules_of_alpha(tmp_path: Path) -> None:
    grid = premise_grid(rows(tmp_path, ROWS))
    assert grid
    assert grid.header[-1] == "gain, alpha ls"


def test_without_measured_steps_there_is_no_table(tmp_path: Path) -> None:
    assert premise_grid(rows(tmp_path, "")) is None


def test_no_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`looksam gather` writes it"):
        read_premise(tmp_path / "premise.csv")


def test_a_head_that_names_runs_alone_is_of_a_study_that_measured_nothing(tmp_path: Path) -> None:
    (tmp_path / "premise.csv").write_text("run,model\n")
    assert read_premise(tmp_path / "premise.csv") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column run"),
        (b"name\n1\n", "could not convert string to float|no column"),
        (b"run,model\na,wrn\n", "no column batch_size, drift, g_v_over_g, lag, .*seed"),
        (HEAD.encode() + b"a,wrn,sgd,32,1.0,5,0.1,,half,0.25,1.5,0.01,0\n", "could not convert .*'half'"),
        (b"\xff\xfe\x00", ".*can't decode byte"),
    ],
)
def test_a_file_of_something_else_is_told_in_a_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "premise.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"premise\.csv: not as `looksam gather` wrote it: {said}"):
        read_premise(tmp_path / "premise.csv")
