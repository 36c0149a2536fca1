from pathlib import Path

import pytest
from study_files import ROOT, copied, edit, study

from looksam.config import read_yaml
from looksam.study import Study


@pytest.fixture(scope="module")
def paper() -> Study:
    return study(scale="paper")


def caption(made: Study, table: str) -> str:
    return str(made.layout.request(made.tables[table])["caption"])


@pytest.mark.parametrize("scale", ["mini", "smoke", "cifar", "paper"])
def test_every_table_that_runs_fill_says_how_their_settings_were_chosen(scale: str) -> None:
    path = ROOT / f"config/{scale}.yaml"
    made = study(**{"scale": scale} | (read_yaml(path) if path.exists() else {}))
    for name, table in made.tables.items():
        said = "earning rate" in caption(made, name) or "marked as chosen" in caption(made, name)
        assert said == bool(table.runs), name


@pytest.mark.parametrize(("table", "source"), [("table1", "Table 10"), ("table2", "Table 11")])
def test_the_papers_settings_are_said_to_be_the_papers(paper: Study, table: str, source: str) -> None:
    assert f"Learning rate, rho and alpha: from {source} of the paper" in caption(paper, table)


@pytest.mark.parametrize(
    ("table", "said"), [("table5", "Learning rate and rho: "), ("table6", "Learning rate and alpha: ")]
)
def test_what_a_table_varies_itself_was_not_chosen(paper: Study, table: str, said: str) -> None:
    assert said in caption(paper, table)


def test_a_searched_table_says_by_what_how_often_and_on_which_images(paper: Study) -> None:
    said = caption(paper, "table7")
    assert "chosen by search-cifar10, for each network and method the best of 12 trials" in said
    assert "on 5,000 training images held out of it" in said


def test_a_searched_table_says_whose_values_other_methods_take(paper: Study) -> None:
    said = caption(paper, "table7")
    assert "SAM-10 and SAM-20 take SAM-5's; LookSAM-10 and LookSAM-20 take LookSAM-5's" in said


def test_a_searched_table_says_whose_values_a_control_takes(tmp_path: Path) -> None:
    root = copied(tmp_path)
    control = {
        "k": 5,
        "ascent": "global",
        "descent": "g_v_before",
        "chosen_as": "looksam-5",
        "label": "control",
    }
    edit(root / "config/methods.yaml", lambda methods: methods.update(control=control))
    edit(root / "config/recipes/cifar10-adamw.yaml", lambda recipe: recipe.update(alpha=0.7))
    columns = {"method": ["vanilla", "looksam-5", "control"]}
    edit(root / "config/tables/table7.yaml", lambda table: table.update(columns=columns))
    assert "; control takes LookSAM-5's." in caption(study(root, scale="cifar", tables=["table7"]), "table7")


def test_a_searched_table_says_what_a_search_tells_apart_and_what_some_columns_take(tmp_path: Path) -> None:
    root = copied(tmp_path)
    rows = {"label_smoothing": [0.0], "method": ["vanilla", "looksam-5"], "model": ["resnet-18"]}
    columns = [
        {"label": "chosen", "method": "looksam-5"},
        {"label": "auto", "method": "looksam-5", "alpha": "auto"},
    ]
    edit(root / "config/tables/search-cifar10.yaml", lambda search: search.update(rows=rows))
    edit(
        root / "config/tables/table7.yaml",
        lambda table: table.update(rows={"model": ["resnet-18"]}, columns=columns),
    )
    said = caption(study(root, scale="cifar", tables=["table7"]), "table7")
    assert "Learning rate, rho and alpha: chosen by search-cifar10" in said
    assert "for each network, label smoothing and method the best" in said


def test_a_scales_own_values_are_not_said_to_be_the_papers() -> None:
    said = caption(study(scale="mini"), "table2")
    assert "those of scale mini where it has any, else of the recipe; not searched" in said
    assert "of the paper" not in said


def test_a_recipes_own_values_are_said_not_to_be_searched(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/scales/paper.yaml", lambda scale: scale.pop("searches"))
    said = caption(study(root, scale="paper"), "table8")
    assert "Learning rate, rho and alpha: this study's own defaults, not searched." in said


def test_a_search_says_that_no_test_image_judges_it(paper: Study) -> None:
    said = caption(paper, "search-cifar10")
    assert "Every row has 12 trials of one training each" in said
    assert "5,000 training images, on which no trial trains, judge them; no test image does" in said


def test_the_columns_of_a_search_are_its_trials_with_their_values(paper: Study) -> None:
    request = paper.layout.request(paper.tables["search-cifar10"])
    assert request["column_header"] == "trial"
    assert request["columns"][0] == "1: peak lr 0.001, rho 0.0585, alpha 0.158"
    assert request["metrics"] == ["validation_top1"]
