from pathlib import Path

import pytest

from looksam.errors import UserError
from looksam.evidence_premise import premise_grid, read_premise

HEAD = "run,model,optimizer,batch_size,lr_divisor,lag,phase,noise,drift,reuse,g_v_over_g,gains.ls\n"
ROWS = "a,wrn,sgd,32,1.0,5,0.1,,0.5,0.25,1.5,0.01\na,wrn,sgd,32,1.0,5,0.9,,0.7,0.75,0.5,\n"


def rows(folder: Path, text: str) -> list[dict[str, str]]:
    (folder / "premise.csv").write_text(HEAD + text)
    return read_premise(folder / "premise.csv")


def test_phases_and_seeds_are_one_mean(tmp_path: Path) -> None:
    grid = premise_grid(rows(tmp_path, ROWS))
    assert grid
    assert grid.rows == [["wrn", "sgd", "32", "1", "5", "2", "—", "0.6", "0.5", "1", "0.01"]]


def test_lags_and_learning_rates_stay_apart(tmp_path: Path) -> None:
    grid = premise_grid(rows(tmp_path, ROWS + "a,wrn,sgd,32,3.0,5,0.1,,0.5,0.25,1.5,0.01\n"))
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
