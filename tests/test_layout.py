import csv
from pathlib import Path
from typing import Any

import pytest
from study_files import ROOT, copied, edit, study

from looksam.config import read_yaml
from looksam.layout import as_printed, header, same
from looksam.study import Study

SETTINGS_TABLES = ("table10", "table11")


@pytest.fixture(scope="module")
def paper() -> Study:
    return study(scale="paper")


@pytest.fixture(scope="module")
def mini() -> Study:
    return study(scale="mini")


def laid_out(made: Study, table: str) -> dict[str, Any]:
    return made.layout.request(made.tables[table])


def published() -> list[dict[str, str]]:
    with (ROOT / "config/published.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study at the paper's scale, the note of each of the paper's values being its number."""
    root = copied(tmp_path_factory.mktemp("numbered"))
    with (root / "config/published.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, published()[0].keys())
        writer.writeheader()
        writer.writerows(row | {"note": str(number)} for number, row in enumerate(published()))
    tables = [*read_yaml(root / "config/config.yaml")["tables"], "rerun-cifar100"]
    return study(root, scale="paper", tables=tables)


def test_each_of_the_papers_values_stands_in_exactly_one_cell(numbered: Study) -> None:
    cells = [cell for name in numbered.tables for cell in laid_out(numbered, name)["cells"]]
    found = [int(cell["published"]["note"]) for cell in cells if cell["published"]]
    assert sorted(found) == list(range(len(published())))


@pytest.mark.parametrize("table", ["table1", "table7", "table8"])
def test_each_of_the_papers_values_stands_under_the_headings_that_it_is_printed_under(
    numbered: Study, table: str
) -> None:
    request, printed = laid_out(numbered, table), published()
    for cell in request["cells"]:
        row = printed[int(cell["published"]["note"])]
        ours = (request["rows"][cell["row"]], request["columns"][cell["column"]])
        assert (row["row"], row["column"]) == ours


def test_the_numbers_of_an_independent_re_run_are_of_its_own_table_and_no_others_are(paper: Study) -> None:
    assert {row["table"] for row in published() if row["status"] == "independent"} == {"rerun-cifar100"}
    assert {row["status"] for row in published() if row["table"] == "rerun-cifar100"} == {"independent"}


def test_the_re_runs_numbers_stand_under_its_methods_and_beside_sam_5_stands_none(numbered: Study) -> None:
    request, printed = laid_out(numbered, "rerun-cifar100"), published()
    found = {
        (request["rows"][cell["row"]], request["columns"][cell["column"]]): cell["published"]
        and printed[int(cell["published"]["note"])]
        for cell in request["cells"]
    }
    assert {place: row and (row["row"], row["column"]) for place, row in found.items()} == {
        place: None if place[1] == "SAM-5" else place for place in found
    }
    assert len(found) == 8


@pytest.mark.parametrize("table", SETTINGS_TABLES)
def test_at_the_papers_scale_a_recipe_resolves_to_every_number_printed(paper: Study, table: str) -> None:
    compared = [
        (cell["metric"], cell["fact"], cell["published"]["value"])
        for cell in laid_out(paper, table)["cells"]
        if cell["published"] and cell["published"]["status"] in ("printed", "repaired")
    ]
    assert len(compared) > 100
    assert [(name, ours) for name, ours, _ in compared] == [(name, theirs) for name, _, theirs in compared]


@pytest.mark.parametrize("table", SETTINGS_TABLES)
def test_epochs_are_the_captions_300_and_not_the_200_of_the_settings(paper: Study, table: str) -> None:
    cells = [cell for cell in laid_out(paper, table)["cells"] if cell["metric"] == "epochs"]
    assert {(cell["fact"], cell["published"]["value"]) for cell in cells} == {("300", "200")}
    assert {cell["published"]["status"] for cell in cells} == {"conflict"}


@pytest.mark.parametrize("table", SETTINGS_TABLES)
def test_the_conflict_about_epochs_is_said_in_the_caption(paper: Study, table: str) -> None:
    assert "prints 200, its captions and text say 300; we train 300." in laid_out(paper, table)["caption"]


@pytest.mark.parametrize("table", SETTINGS_TABLES)
def test_only_epochs_differ_from_what_the_paper_prints(paper: Study, table: str) -> None:
    differ = {
        cell["metric"]
        for cell in laid_out(paper, table)["cells"]
        if cell["published"] and cell["fact"] != cell["published"]["value"]
    }
    assert differ == {"epochs"}


@pytest.mark.parametrize("table", ["table9", *SETTINGS_TABLES])
def test_a_table_of_facts_is_the_same_at_every_scale(mini: Study, paper: Study, table: str) -> None:
    assert laid_out(mini, table) == laid_out(paper, table)
    assert laid_out(mini, table)["scale"] == ""


def test_a_fact_of_a_model_comes_with_the_model_to_read_it_off(mini: Study) -> None:
    cell = laid_out(mini, "table9")["cells"][0]
    assert (cell["metric"], cell["model"]["name"], cell["fact"]) == ("params_millions", "vit-b-16", None)
    assert "label" not in cell["model"]


def test_a_cells_runs_are_one_a_seed_in_the_order_of_seeds(mini: Study) -> None:
    for cell in laid_out(mini, "table7")["cells"]:
        assert [run.split(".")[4] for run in cell["runs"]] == ["s0", "s1", "s2"]


def test_a_table_of_two_metrics_has_two_entries_a_cell(paper: Study) -> None:
    request = laid_out(paper, "table1")
    assert len(request["cells"]) == 2 * len(request["rows"]) * len(request["columns"])
    assert request["metrics"] == ["top1", "seconds_per_epoch"]


def test_a_cell_says_k_and_descent_of_its_method(mini: Study) -> None:
    request = laid_out(mini, "table7")
    found = {request["columns"][cell["column"]]: (cell["k"], cell["descent"]) for cell in request["cells"]}
    assert found == {
        "AdamW": (0, None),
        "SAM-5": (5, "g_s"),
        "LookSAM-5": (5, "g_v"),
        "SAM": (1, "g_s"),
    }


def test_a_cell_that_the_paper_lacks_says_why(paper: Study) -> None:
    (cell,) = [cell for cell in laid_out(paper, "table2")["cells"] if cell["absent"]]
    assert (cell["runs"], cell["published"]) == ([], None)


def test_figure_4_has_no_values_of_the_papers_and_a_plot(mini: Study) -> None:
    request = laid_out(mini, "figure4")
    assert {cell["published"] is None for cell in request["cells"]} == {True}
    assert "against-k" in request["plot"]


def test_vanilla_is_labelled_by_its_base_optimizer(paper: Study) -> None:
    assert laid_out(paper, "table7")["columns"][0] == "AdamW"
    assert laid_out(paper, "table2")["rows"][0] == "LAMB"


def test_vanilla_is_labelled_by_no_optimizer_where_the_rows_vary_it(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/tables/table7.yaml", lambda table: table["rows"].update(optimizer=["sgd", "adamw"]))
    request = laid_out(study(root, scale="paper", tables=["table7"]), "table7")
    assert request["columns"][0] == "base"
    assert request["rows"][:2] == ["WRN-28-10, SGD", "WRN-28-10, AdamW"]


def test_vanilla_is_labelled_by_the_optimizer_of_its_own_row(tmp_path: Path) -> None:
    root = copied(tmp_path)
    rows = {"method": ["vanilla", "sam"], "optimizer": ["sgd", "lamb"]}
    edit(
        root / "config/tables/table7.yaml",
        lambda table: table.update(rows=rows, columns={"model": ["resnet-18"]}),
    )
    request = laid_out(study(root, scale="paper", tables=["table7"]), "table7")
    assert request["rows"] == ["SGD, SGD", "LAMB, LAMB", "SAM, SGD", "SAM, LAMB"]


def test_vanilla_is_labelled_by_the_optimizer_that_all_runs_share(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/tables/table7.yaml", lambda table: table["runs"].update(optimizer="sgd"))
    assert laid_out(study(root, scale="paper", tables=["table7"]), "table7")["columns"][0] == "SGD"


def test_a_row_of_two_settings_is_labelled_model_first(paper: Study) -> None:
    assert laid_out(paper, "table10")["rows"][4] == "ViT-B-16, SAM"


def test_a_caption_names_every_stand_in(mini: Study) -> None:
    caption = laid_out(mini, "table7")["caption"]
    for theirs in ("WRN-28-10", "ResNet-18", "cifar10", "batch size 128"):
        assert f"{theirs} → " in caption
    assert "wrn-10-1 (depth 10, width 1)" in caption
    assert "digits (300 training and 1,497 test images of 8x8, 10 classes)" in caption


def test_a_caption_names_what_the_scale_leaves_out(mini: Study) -> None:
    caption = laid_out(mini, "table7")["caption"]
    assert "Left out: ResNet-50, SAM-10, SAM-20, LookSAM-10, LookSAM-20." in caption


def test_a_caption_names_combinations_that_the_scale_leaves_out(tmp_path: Path) -> None:
    root = copied(tmp_path)
    out = [{"method": ["sam-10", "sam-20"]}, {"optimizer": ["sgd"], "model": ["resnet-18", "resnet-50"]}]
    edit(root / "config/tables/table7.yaml", lambda table: table["rows"].update(optimizer=["sgd", "adamw"]))
    edit(root / "config/scales/mini.yaml", lambda scale: scale["tables"].update(table7={"leave_out": out}))
    caption = laid_out(study(root, tables=["table7"]), "table7")["caption"]
    assert "Left out: SAM-10, SAM-20, ResNet-18 or ResNet-50 with optimizer sgd." in caption


def test_names_with_commas_that_the_scale_leaves_out_are_told_apart(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/methods.yaml", lambda methods: methods["sam-20"].update(label="SAM, 20"))
    caption = laid_out(study(root, tables=["table7"]), "table7")["caption"]
    assert "Left out: ResNet-50; SAM-10; SAM, 20; LookSAM-10; LookSAM-20." in caption


def test_a_caption_names_what_the_scale_plans_and_its_stand_ins(mini: Study) -> None:
    caption = laid_out(mini, "table4")["caption"]
    assert "Not run: batch size 4096, batch size 8192, batch size 16384." in caption
    assert "batch size 4096 → 15" in caption


def test_every_time_of_a_planned_table_comes_with_its_cost(mini: Study) -> None:
    for cell in laid_out(mini, "figure4")["cells"]:
        assert (cell["cost"] is None) == (cell["metric"] == "top1")


def test_a_table_that_plans_nothing_has_no_costs(mini: Study, paper: Study) -> None:
    for cell in [*laid_out(mini, "table1")["cells"], *laid_out(paper, "table4")["cells"]]:
        assert cell["cost"] is None


def test_a_planned_cell_stands_beside_the_papers_value(mini: Study) -> None:
    (cell, *_) = laid_out(mini, "table4")["cells"]
    assert (cell["runs"], cell["absent"]) == ([], "not run at this scale")
    assert (cell["published"]["value"], cell["cost"]["batch_size"]) == ("4.8", 15)


def test_a_caption_ends_in_epochs_and_seeds(mini: Study) -> None:
    assert laid_out(mini, "table7")["caption"].endswith(" 30 epochs, 3 seeds.")
    assert laid_out(mini, "table8")["caption"].endswith(" 20 epochs, 1 seed.")


def test_a_caption_at_the_papers_scale_has_neither_stand_ins_nor_gaps(paper: Study) -> None:
    caption = laid_out(paper, "table7")["caption"]
    assert "Stand-ins" not in caption
    assert "Left out" not in caption


def test_a_caption_tells_a_rho_that_is_not_the_papers(mini: Study) -> None:
    assert "rho 1.0 → 0.1" in laid_out(mini, "table2")["caption"]


def test_a_table_without_the_papers_value_has_none(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/tables/table7.yaml", lambda table: table["columns"]["method"].append("sam-2"))
    request = laid_out(study(root, scale="paper"), "table7")
    column = request["columns"].index("SAM-2")
    assert {str(cell["published"]) for cell in request["cells"] if cell["column"] == column} == {"None"}


@pytest.mark.parametrize(("axis", "expected"), [({"batch_size": [1], "alpha": [2]}, "batch size, alpha")])
def test_a_header_says_what_an_axis_varies(axis: dict[str, Any], expected: str) -> None:
    assert header(axis) == expected
    assert header([{"label": "x", "batch_size": 1, "alpha": 2}]) == expected


@pytest.mark.parametrize(("theirs", "ours"), [("3e-3", 0.003), ("1.0", 1), ("AdamW", "adamw"), ("/", "/")])
def test_two_spellings_of_one_value_are_the_same(theirs: str, ours: Any) -> None:
    assert same(theirs, ours)


@pytest.mark.parametrize(("theirs", "ours"), [("3e-3", 0.03), ("sam", "sam-5"), ("/", 1.0), ("", 0)])
def test_two_values_are_not_the_same(theirs: str, ours: Any) -> None:
    assert not same(theirs, ours)


def test_a_fact_is_spelled_as_the_paper_does_where_it_is_the_same() -> None:
    assert as_printed("0.003", {"value": "3e-3"}) == "3e-3"
    assert as_printed("0.003", {"value": "3e-2"}) == "0.003"
    assert as_printed("0.003", None) == "0.003"
