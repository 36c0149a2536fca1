from pathlib import Path
from typing import Any

import pytest
from study_files import copied, edit, study

from looksam.errors import UserError
from looksam.study import Study

TABLE7, MINI = "config/tables/table7.yaml", "config/scales/mini.yaml"
OPTIMIZERS = ["sgd", "adamw"]


def at_mini(root: Path, **asked: Any) -> Study:
    """Table 7 with rows of network and optimizer, of which the scale takes out what is asked."""
    edit(root / TABLE7, lambda table: table["rows"].update(optimizer=OPTIMIZERS))
    edit(root / MINI, lambda scale: scale["tables"].update(table7=asked))
    return study(root, tables=["table7"])


def rows(made: Study) -> list[tuple[str, str]]:
    """The network and optimizer of each row."""
    coordinates = [point.coordinates for point in made.tables["table7"].rows]
    return [(found["model"], found["optimizer"]) for found in coordinates]


def test_a_combination_leaves_out_the_rows_that_have_all_of_it(tmp_path: Path) -> None:
    out = [{"model": ["wrn-28-10", "resnet-50"], "optimizer": ["adamw"]}]
    assert rows(at_mini(copied(tmp_path), leave_out=out)) == [
        ("wrn-28-10", "sgd"),
        ("resnet-18", "sgd"),
        ("resnet-18", "adamw"),
        ("resnet-50", "sgd"),
    ]


def test_a_row_is_left_out_where_one_combination_of_several_is_its_own(tmp_path: Path) -> None:
    out = [{"model": ["resnet-50"]}, {"model": ["resnet-18"], "optimizer": ["sgd"]}, {"method": ["sam"]}]
    made = at_mini(copied(tmp_path), leave_out=out)
    assert rows(made) == [("wrn-28-10", "sgd"), ("wrn-28-10", "adamw"), ("resnet-18", "adamw")]
    assert "sam" not in [point.coordinates["method"] for point in made.tables["table7"].columns]


def test_a_mapping_leaves_out_the_rows_that_have_any_of_it(tmp_path: Path) -> None:
    made = at_mini(copied(tmp_path), leave_out={"model": ["resnet-50"], "optimizer": ["adamw"]})
    assert rows(made) == [("wrn-28-10", "sgd"), ("resnet-18", "sgd")]


def test_a_combination_of_row_and_column_plans_single_cells(tmp_path: Path) -> None:
    made = at_mini(copied(tmp_path), plan=[{"model": ["resnet-50"], "method": ["sam", "sam-5"]}])
    not_run = [cell.coordinates for cell in made.tables["table7"].cells if not cell.runs]
    assert {(found["model"], found["method"]) for found in not_run} == {
        ("resnet-50", "sam"),
        ("resnet-50", "sam-5"),
    }
    assert len(not_run) == 2 * len(OPTIMIZERS)


@pytest.mark.parametrize("asked", [{"batch_size": [16]}, [{"model": ["resnet-50"], "batch_size": [16]}]])
@pytest.mark.parametrize("key", ["leave_out", "plan"])
def test_what_no_axis_varies_is_told_with_what_they_vary(tmp_path: Path, key: str, asked: Any) -> None:
    with pytest.raises(
        UserError, match=rf"mini\.yaml: tables\.table7\.{key}: unknown setting .*'batch_size'; known: "
    ) as error:
        at_mini(copied(tmp_path), **{key: asked})
    assert set(str(error.value).split("; known: ")[1].split(", ")) == {"model", "optimizer", "method"}


def test_leaving_out_single_cells_is_told_to_be_none(tmp_path: Path) -> None:
    out = [{"model": ["resnet-50"], "method": ["sam"]}]
    with pytest.raises(
        UserError, match=r"model and method are not of one axis.*of each axis: model, optimizer; method$"
    ):
        at_mini(copied(tmp_path), leave_out=out)


@pytest.mark.parametrize("out", [[{}], [{"modle": ["resnet-50"]}], [["resnet-50"]], {"model": []}, "model"])
def test_a_wrong_list_of_combinations_is_told_by_the_schema(tmp_path: Path, out: Any) -> None:
    with pytest.raises(UserError, match=r"^config/scales/mini\.yaml: tables\.table7\.leave_out"):
        at_mini(copied(tmp_path), leave_out=out)


def test_columns_of_a_list_may_be_left_out_by_what_only_some_have(tmp_path: Path) -> None:
    root = copied(tmp_path)
    columns = [
        {"label": "base", "method": "vanilla"},
        {"label": "base, longer", "method": "vanilla", "epochs": 36},
        {"label": "SAM", "method": "sam"},
    ]
    edit(root / TABLE7, lambda table: table.update(columns=columns))
    made = at_mini(root, leave_out=[{"method": ["vanilla"], "epochs": [36]}])
    assert [point.label for point in made.tables["table7"].columns] == ["base", "SAM"]


@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_two_points_of_one_label_are_told_with_it(tmp_path: Path, axis: str) -> None:
    root = copied(tmp_path)
    alike = [{"label": "here", "model": "resnet-18"}, {"label": "here", "model": "resnet-50"}]
    edit(root / TABLE7, lambda table: table.update({"rows": {"method": ["sam"]}, axis: alike}))
    with pytest.raises(UserError, match=rf"table7\.yaml: 2 of the {axis} are called 'here'; give each"):
        study(root, tables=["table7"])
