import json
from pathlib import Path
from typing import Any

import pytest
from study_files import ROOT, copied, edit, study

from looksam.cells import Run
from looksam.config import read_yaml
from looksam.errors import UserError
from looksam.study import Study

CIFAR, METHODS = "config/scales/cifar.yaml", "config/methods.yaml"
TABLE7, SEARCH10 = "config/tables/table7.yaml", "config/tables/search-cifar10.yaml"
RECIPE = "config/recipes/cifar10-adamw.yaml"
HELD_OUT = 5000


@pytest.fixture(scope="module")
def cifar() -> Study:
    return study(**read_yaml(ROOT / "config/cifar.yaml"))


def changed(root: Path) -> Study:
    return study(root, scale="cifar", tables=["table7"])


def finals(made: Study, table: str = "table7") -> dict[tuple[str, str], Run]:
    """By model and method, a table's run of seed 0."""
    cells = made.tables[table].cells
    return {(cell.coordinates["model"], cell.coordinates["method"]): cell.runs[0] for cell in cells}


def reference(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = run.settings["chosen"]
    return found


def searched_as(run: Run) -> str:
    """The method whose trials a run's values come from."""
    return str(Path(reference(run)["from"]).parent.name.split(".")[3])


def test_the_searches_of_the_chosen_tables_are_tables_of_the_study_after_them(cifar: Study) -> None:
    assert list(cifar.tables) == ["table7", "table8", "figure4", "search-cifar10", "search-cifar100"]


def test_a_scale_without_searches_has_none() -> None:
    for scale in ("mini", "smoke"):
        made = study(scale=scale)
        assert not made.searches
        assert not any("chosen" in run.settings for run in made.runs.values())


def test_every_row_of_a_search_has_the_same_number_of_trials(cifar: Study) -> None:
    for name in ("search-cifar10", "search-cifar100"):
        table = cifar.tables[name]
        counts = [sum(cell.place.row == row for cell in table.cells) for row in range(len(table.rows))]
        assert counts == [12] * 12
        assert len(table.runs) == 12 * 12


def test_the_methods_of_a_trial_have_the_same_values_of_what_they_share(cifar: Study) -> None:
    cells = cifar.tables["search-cifar10"].cells
    for trial in range(12):
        runs = [cell.runs[0].settings for cell in cells if cell.place.column == trial]
        assert len({run["peak_lr"] for run in runs}) == 1
        for key in ("rho", "alpha"):
            assert len({run["method"][key] for run in runs if key in run["method"]}) == 1


def test_a_trial_varies_what_its_method_uses_and_nothing_else(cifar: Study) -> None:
    (search,) = [search for name, search in cifar.searches.items() if name == "search-cifar10"]
    keys = {trials.method: trials.keys for _, trials in search.rows.values()}
    assert keys == {
        "vanilla": ("peak_lr",),
        "sam": ("peak_lr", "rho"),
        "sam-5": ("peak_lr", "rho"),
        "looksam-5": ("peak_lr", "rho", "alpha"),
    }


def test_trials_hold_images_out_and_no_other_run_does(cifar: Study) -> None:
    for name, table in cifar.tables.items():
        expected = {HELD_OUT} if name.startswith("search") else {None}
        assert {run.settings.get("validation_images") for run in table.runs.values()} == expected


def test_a_searched_run_refers_to_what_it_lacks(cifar: Study) -> None:
    settings = finals(cifar)["wrn-28-10", "looksam-5"].settings
    assert settings["chosen"]["settings"] == ["peak_lr", "rho", "alpha"]
    assert "peak_lr" not in settings
    assert settings["method"].keys().isdisjoint({"rho", "alpha"})


def test_the_base_optimizer_takes_its_learning_rate_alone(cifar: Study) -> None:
    assert reference(finals(cifar)["resnet-50", "vanilla"])["settings"] == ["peak_lr"]


def test_what_a_run_refers_to_is_a_choice_that_the_study_makes(cifar: Study) -> None:
    requests = cifar.requests()
    for run in cifar.runs.values():
        if "chosen" in run.settings:
            path = Path(reference(run)["from"])
            request = requests[str(path.with_name("trials.json"))]
            assert path.parent.name == request["search"]
            assert all(set(reference(run)["settings"]) <= t["settings"].keys() for t in request["trials"])
            assert all(t["run"] in cifar.runs for t in request["trials"])


def test_a_network_takes_the_choice_of_its_own_trials(cifar: Study) -> None:
    for (model, _), run in finals(cifar).items():
        assert Path(reference(run)["from"]).parent.name.startswith(f"{model}.cifar10.")


def test_a_method_of_another_k_takes_the_choice_of_its_kind(cifar: Study) -> None:
    found = {method: searched_as(run) for (_, method), run in finals(cifar, "figure4").items()}
    assert found.pop("vanilla") == "vanilla"
    assert found.pop("sam") == "sam"
    assert found == {method: f"{method.rpartition('-')[0]}-5" for method in found}


def test_a_row_of_its_own_goes_before_that_of_its_kind(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / SEARCH10, lambda search: search["rows"]["method"].append("looksam-10"))
    found = {method: searched_as(run) for (_, method), run in finals(changed(root)).items()}
    assert (found["looksam-10"], found["looksam-20"]) == ("looksam-10", "looksam-10")
    assert found["looksam-5"] == "looksam-5"


def test_a_method_of_a_new_kind_is_told_to_be_searched_too(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / TABLE7, lambda table: table["columns"]["method"].append("layersam"))
    with pytest.raises(
        UserError, match=r"search-cifar10\.yaml: no row for .*layersam.*name its model and"
    ) as e:
        changed(root)
    assert "\n" not in str(e.value)


def with_controls(root: Path, **control: Any) -> Path:
    """The folder, with a control of LookSAM-5 in Table 7."""
    row = {"k": 5, "ascent": "global", "descent": "random", "chosen_as": "looksam-5"} | control
    edit(root / METHODS, lambda methods: methods.update(control=row))
    edit(root / RECIPE, lambda recipe: recipe.update(alpha=0.7))
    edit(root / TABLE7, lambda table: table["columns"]["method"].append("control"))
    return root


def test_a_control_takes_the_choice_of_the_method_that_it_names(tmp_path: Path) -> None:
    found = finals(changed(with_controls(copied(tmp_path))))
    for model in ("wrn-28-10", "resnet-18", "resnet-50"):
        assert reference(found[model, "control"]) == reference(found[model, "looksam-5"])


def test_a_control_that_reuses_nothing_takes_all_of_the_choice_but_alpha(tmp_path: Path) -> None:
    found = finals(changed(with_controls(copied(tmp_path), descent="g_s")))["wrn-28-10", "control"]
    assert searched_as(found) == "looksam-5"
    assert found.settings["chosen"]["settings"] == ["peak_lr", "rho"]


def test_what_a_control_names_goes_before_trials_of_its_own(tmp_path: Path) -> None:
    root = with_controls(copied(tmp_path))
    edit(root / SEARCH10, lambda search: search["rows"]["method"].append("control"))
    assert searched_as(finals(changed(root))["wrn-28-10", "control"]) == "looksam-5"


def test_a_control_of_a_method_without_trials_takes_what_that_method_takes(tmp_path: Path) -> None:
    found = finals(changed(with_controls(copied(tmp_path), chosen_as="looksam-20")))
    assert searched_as(found["wrn-28-10", "control"]) == "looksam-5"


def test_whose_choice_a_method_takes_is_no_setting_of_its_runs(tmp_path: Path) -> None:
    root = with_controls(copied(tmp_path), descent="g_v", k=10)
    before = finals(changed(root))["wrn-28-10", "control"]
    assert "chosen_as" not in json.dumps(before.settings)
    edit(root / METHODS, lambda methods: methods["control"].pop("chosen_as"))
    assert finals(changed(root))["wrn-28-10", "control"].settings == before.settings


def test_an_unknown_method_to_choose_as_is_told_with_the_known_ones_at_any_scale(tmp_path: Path) -> None:
    root = with_controls(copied(tmp_path), chosen_as="looksam-6")
    for scale in ("cifar", "mini"):
        with pytest.raises(
            UserError, match=r"methods\.yaml: control: unknown chosen_as 'looksam-6'; known: .*looksam-5"
        ):
            study(root, scale=scale, tables=["table7"])


def test_a_control_without_a_row_to_take_is_told_whose_it_would_be(tmp_path: Path) -> None:
    fails(
        with_controls(copied(tmp_path), chosen_as="layersam"),
        r"no row for .*control of table7, whose .*layersam's",
    )


COLUMNS = [
    {"label": "base", "method": "vanilla"},
    {"label": "base, 1.2x the steps", "method": "vanilla", "epochs": 240},
    {"label": "LookSAM-5", "method": "looksam-5"},
    {"label": "LookSAM-5, auto", "method": "looksam-5", "alpha": "auto"},
]
VARIED = {"model": ["wrn-28-10", "resnet-18"], "optimizer": ["sgd", "adamw"], "label_smoothing": [0.0, 0.1]}


def of_varied_rows(root: Path, **table: Any) -> Study:
    """Table 7 and its search with rows of network, optimizer and a number; columns are a list."""
    edit(root / TABLE7, lambda t: t.update({"rows": VARIED, "columns": COLUMNS} | table))
    edit(root / SEARCH10, lambda s: s.update(rows=VARIED | {"method": ["vanilla", "sam-5", "looksam-5"]}))
    return changed(root)


def test_a_row_of_a_table_takes_the_choice_of_its_own_model_optimizer_and_number(tmp_path: Path) -> None:
    made = of_varied_rows(copied(tmp_path))
    requests = made.requests()
    for cell in made.tables["table7"].cells:
        (run,) = cell.runs[:1]
        (first, *_) = requests[str(Path(reference(run)["from"]).with_name("trials.json"))]["trials"]
        trial = made.runs[first["run"]].settings
        for key in ("model", "optimizer", "label_smoothing"):
            assert trial[key] == run.settings[key]
        assert first["run"].split(".")[3] == cell.coordinates["method"]


def test_every_row_of_several_settings_has_a_search_of_its_own(tmp_path: Path) -> None:
    table = of_varied_rows(copied(tmp_path)).tables["search-cifar10"]
    assert len(set(table.searches)) == 2 * 2 * 2 * 3
    assert len(table.runs) == 12 * len(table.searches)


def test_a_longer_run_takes_the_choice_of_the_method_and_keeps_its_epochs(tmp_path: Path) -> None:
    base, longer, *_ = of_varied_rows(copied(tmp_path)).tables["table7"].cells
    assert reference(longer.runs[0]) == reference(base.runs[0])
    assert (base.runs[0].settings["epochs"], longer.runs[0].settings["epochs"]) == (200, 240)


def test_a_column_that_sets_alpha_takes_the_rest_of_the_choice(tmp_path: Path) -> None:
    *_, chosen, auto = of_varied_rows(copied(tmp_path)).tables["table7"].cells[:4]
    assert reference(chosen.runs[0])["settings"] == ["peak_lr", "rho", "alpha"]
    assert reference(auto.runs[0]) == reference(chosen.runs[0]) | {"settings": ["peak_lr", "rho"]}
    assert auto.runs[0].settings["method"]["alpha"] == "auto"


def test_a_table_that_names_no_optimizer_takes_the_choice_for_its_recipes(tmp_path: Path) -> None:
    made = of_varied_rows(copied(tmp_path), rows={"model": ["resnet-18"]})
    run = made.tables["table7"].cells[0].runs[0]
    (first, *_) = made.requests()[str(Path(reference(run)["from"]).with_name("trials.json"))]["trials"]
    trial = made.runs[first["run"]].settings
    assert (trial["optimizer"], trial["label_smoothing"]) == ("adamw", 0.0)


def test_a_table_that_names_no_label_noise_takes_the_choice_for_none(tmp_path: Path) -> None:
    root = copied(tmp_path)
    rows = {"model": ["wrn-28-10", "resnet-18", "resnet-50"], "label_noise": [0.2, 0.0]}
    edit(
        root / SEARCH10, lambda s: s.update(rows=rows | {"method": ["vanilla", "sam", "sam-5", "looksam-5"]})
    )
    made = changed(root)
    run = finals(made)["resnet-18", "sam"]
    (first, *_) = made.requests()[str(Path(reference(run)["from"]).with_name("trials.json"))]["trials"]
    assert "label_noise" not in made.runs[first["run"]].settings


def test_a_value_that_no_row_of_the_search_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no row for .*optimizer lamb"):
        of_varied_rows(copied(tmp_path), rows=VARIED | {"optimizer": ["lamb"]})


def test_rows_of_a_search_may_be_a_list_that_differs_in_what_it_names(tmp_path: Path) -> None:
    root = copied(tmp_path)
    common = {"model": "resnet-18", "method": "vanilla"}
    rows = [{"label": "a", **common}, {"label": "b", **common, "optimizer": "sgd"}]
    edit(root / TABLE7, lambda t: t.update(rows=rows, columns={"label_smoothing": [0.0]}))
    edit(root / SEARCH10, lambda s: s.update(rows=rows))
    first, second = (cell.runs[0] for cell in changed(root).tables["table7"].cells)
    assert reference(first) != reference(second)


def test_a_value_of_the_methods_row_goes_before_the_choice(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / METHODS, lambda methods: methods["looksam-10"].update(alpha=0.3))
    run = finals(changed(root))["wrn-28-10", "looksam-10"]
    assert run.settings["method"]["alpha"] == 0.3
    assert reference(run)["settings"] == ["peak_lr", "rho"]


def test_a_value_of_the_cell_goes_before_the_choice(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / TABLE7, lambda table: table["runs"].update(rho=0.3))
    run = finals(changed(root))["wrn-28-10", "sam-5"]
    assert run.settings["method"]["rho"] == 0.3
    assert reference(run)["settings"] == ["peak_lr"]


def test_the_choice_goes_before_a_value_of_the_scale(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / CIFAR, lambda scale: scale.update(settings={"rho": 0.3, "peak_lr": 1.0}))
    settings = finals(changed(root))["wrn-28-10", "sam"].settings
    assert settings["chosen"]["settings"] == ["peak_lr", "rho"]


def test_another_space_makes_new_trials_and_new_runs_of_the_methods_that_it_concerns(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = changed(root).runs
    edit(root / SEARCH10, lambda search: search["search"]["space"]["alpha"].update(high=0.5))
    gone = set(before) - set(changed(root).runs)
    assert {run.split(".")[3] for run in gone} == {"looksam-5", "looksam-10", "looksam-20"}


def test_more_trials_keep_those_that_there_were(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = set(changed(root).tables["search-cifar10"].runs)
    edit(root / SEARCH10, lambda search: search["search"].update(trials=16))
    assert before < set(changed(root).tables["search-cifar10"].runs)


def test_one_more_method_in_a_search_changes_no_other_ones_runs(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = set(changed(root).runs)
    edit(root / SEARCH10, lambda search: search["rows"]["method"].append("layersam"))
    assert before < set(changed(root).runs)


def test_what_a_scale_leaves_out_of_a_search_has_no_trials(tmp_path: Path) -> None:
    root = copied(tmp_path)
    out = {"leave_out": {"model": ["resnet-50"]}}
    edit(root / CIFAR, lambda s: s.update(tables={"search-cifar10": out, "table7": out}))
    assert not any(run.startswith("resnet-50") for run in changed(root).runs)


def test_more_seeds_are_of_the_runs_and_not_of_the_trials() -> None:
    made = study(scale="cifar", tables=["table8"], seeds=5)
    assert {len(cell.runs) for cell in made.tables["table8"].cells} == {5}
    assert {len(cell.runs) for cell in made.tables["search-cifar100"].cells} == {1}


def test_the_papers_scale_searches_as_the_cifar_scale_does(cifar: Study) -> None:
    assert set(cifar.runs) <= set(study(scale="paper").runs)


def fails(root: Path, match: str) -> None:
    with pytest.raises(UserError, match=match):
        changed(root)


def test_more_images_held_out_than_there_are_is_an_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / SEARCH10, lambda search: search["search"].update(validation_images=49_900))
    fails(root, r"batch_size 128 is larger than the 100 training images of cifar10")


def test_a_search_by_a_table_that_is_none_is_an_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / CIFAR, lambda scale: scale["searches"].update(table7="table8"))
    fails(root, r"cifar\.yaml: searches\.table7: table8 is no search")


def test_an_unknown_search_is_told_with_the_known_tables(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / CIFAR, lambda scale: scale["searches"].update(table7="search-cifar1"))
    fails(root, r"cifar\.yaml: unknown table 'search-cifar1'; known: .*search-cifar10")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"space": {"clip": {"low": 1.0, "high": 2.0, "scale": "log"}}},
            r"search\.space: unknown key 'clip'; known: peak_lr",
        ),
        ({"space": {"rho": {"low": 0.0, "high": 2.0, "scale": "log"}}}, r"search\.space\.rho\.low: 0"),
        (
            {"space": {"rho": {"low": 2.0, "high": 1.0, "scale": "log"}}},
            r"search\.space\.rho: low 2\.0 is not",
        ),
        ({"trials": 0}, r"search\.trials: 0 is less"),
        ({"space": {"alpha": {"low": 0.1, "high": 1.0, "scale": "log"}}}, r"nothing in its space .*AdamW"),
    ],
)
def test_a_wrong_search_is_told_by_key_and_value(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    root = copied(tmp_path)
    edit(root / SEARCH10, lambda search: search["search"].update(change))
    fails(root, rf"search-cifar10\.yaml: {told}")


def test_a_search_may_be_a_table_that_is_asked_for_alone() -> None:
    made = study(scale="cifar", tables=["search-cifar10"])
    assert len(made.tables["search-cifar10"].runs) == 144


def test_a_request_of_a_search_is_plain_json(cifar: Study) -> None:
    assert json.loads(json.dumps(cifar.requests())) == cifar.requests()
