import re
from pathlib import Path
from typing import Any

import pytest
from study_files import ROOT, copied, edit, study

from looksam.config import read_yaml
from looksam.errors import UserError
from looksam.identity import digest, words

RECIPE, METHODS = "config/recipes/cifar10-adamw.yaml", "config/methods.yaml"
MINI, PAPER, TABLE7 = "config/scales/mini.yaml", "config/scales/paper.yaml", "config/tables/table7.yaml"
TABLE5, LAMB = "config/tables/table5.yaml", "config/recipes/vit-imagenet-lamb.yaml"
SAM_5, LOOKSAM_5 = {"model": "wrn-28-10", "method": "sam-5"}, {"model": "wrn-28-10", "method": "looksam-5"}
VANILLA = {"model": "wrn-28-10", "method": "vanilla"}


def settings(root: Path, coordinates: dict[str, Any], scale: str = "mini", **more: Any) -> dict[str, Any]:
    """The settings of a run of Table 7."""
    made = study(root, scale=scale, tables=["table7"])
    found: dict[str, Any] = made.resolver.settings({"recipe": "cifar10-adamw"} | coordinates | more, "table7")
    return found


def unsearched(folder: Path) -> Path:
    """The study's files, the paper's scale without its searches."""
    root = copied(folder)
    edit(root / PAPER, lambda scale: scale.pop("searches"))
    return root


def fails(root: Path, table: str = "table7", scale: str = "mini") -> str:
    with pytest.raises(UserError) as error:
        study(root, scale=scale, tables=[table])
    return str(error.value)


def ids(root: Path, table: str = "table7") -> set[str]:
    return set(study(root, tables=[table]).runs)


def of_methods(found: set[str], *methods: str) -> set[str]:
    return {run for run in found if run.split(".")[3] in methods}


# from the weakest owner of rho to the strongest: what gives it there
OWNERS = [
    (RECIPE, lambda recipe, rho: recipe.update(rho=rho, cases=[])),
    (RECIPE, lambda recipe, rho: recipe["cases"].append({"when": {"k": 5}, "set": {"rho": rho}})),
    (PAPER, lambda scale, rho: scale.update(settings={"rho": rho})),
    (PAPER, lambda scale, rho: scale.update(cases=[{"when": {"descent": "g_s"}, "set": {"rho": rho}}])),
    (METHODS, lambda methods, rho: methods["sam-5"].update(rho=rho)),
    (TABLE7, lambda table, rho: table["runs"].update(rho=rho)),
]


@pytest.mark.parametrize("strongest", range(len(OWNERS)))
def test_of_several_owners_of_a_setting_the_strongest_wins(tmp_path: Path, strongest: int) -> None:
    root = unsearched(tmp_path)
    edit(root / TABLE7, lambda table: table.update(columns={"method": ["sam-5"]}))
    for number, (file, give) in enumerate(OWNERS[: strongest + 1]):
        edit(root / file, lambda content, give=give, rho=number + 1.0: give(content, rho))
    runs = study(root, scale="paper", tables=["table7"]).runs.values()
    assert {run.settings["method"]["rho"] for run in runs} == {strongest + 1.0}


@pytest.mark.parametrize("owner", [RECIPE, PAPER])
def test_of_two_cases_that_hold_the_later_wins(tmp_path: Path, owner: str) -> None:
    root = copied(tmp_path)
    cases = [{"when": {"model": "wrn-28-10"}, "set": {"epochs": 7}}, {"when": {"k": 5}, "set": {"epochs": 9}}]
    edit(root / owner, lambda content: content.update(cases=content.get("cases", []) + cases))
    assert settings(root, SAM_5, "paper")["epochs"] == 9


def test_a_case_holds_only_where_all_of_its_conditions_do(tmp_path: Path) -> None:
    root = copied(tmp_path)
    case = {"when": {"model": "wrn-28-10", "k": 10}, "set": {"epochs": 7}}
    edit(root / PAPER, lambda scale: scale.update(cases=[case]))
    assert settings(root, SAM_5, "paper")["epochs"] == 200


def test_a_case_asks_for_the_papers_model_and_not_for_its_stand_in(tmp_path: Path) -> None:
    root = copied(tmp_path)
    case = {"when": {"model": "wrn-28-10", "dataset": "cifar10"}, "set": {"epochs": 7}}
    edit(root / MINI, lambda scale: scale["cases"].append(case))
    assert settings(root, SAM_5)["epochs"] == 7


def test_vanillas_method_is_only_k_0() -> None:
    assert settings(ROOT, VANILLA)["method"] == {"k": 0}


def test_sam_has_no_alpha() -> None:
    method = settings(ROOT, SAM_5)["method"]
    assert method == {"k": 5, "ascent": "global", "descent": "g_s", "rho": 0.05}


def test_looksam_has_rho_and_alpha() -> None:
    method = settings(ROOT, LOOKSAM_5, "paper")["method"]
    assert method == {"k": 5, "ascent": "global", "descent": "g_v", "rho": 0.05, "alpha": 0.7}


def test_another_alpha_changes_looksams_runs_and_no_others(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = ids(root)
    edit(root / MINI, lambda s: [c["set"].update(alpha=0.2) for c in s["cases"] if "alpha" in c["set"]])
    changed = before - ids(root)
    assert changed == of_methods(before, "looksam-5")


def test_another_rho_changes_every_run_but_vanillas(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = ids(root)
    edit(root / RECIPE, lambda recipe: [case["set"].update(rho=0.3) for case in recipe["cases"]])
    assert before & ids(root) == of_methods(before, "vanilla")


def test_a_label_is_no_setting(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = ids(root)
    edit(root / "config/models.yaml", lambda models: models["wrn-10-1"].update(label="WRN-10-1"))
    edit(root / METHODS, lambda methods: methods["sam"].update(label="Sharpness-aware"))
    assert "label" not in settings(root, SAM_5)["model"]
    assert ids(root) == before


def test_model_data_and_batch_size_have_stand_ins() -> None:
    found = settings(ROOT, SAM_5)
    assert (found["model"]["name"], found["dataset"]["name"], found["batch_size"]) == (
        "wrn-10-1",
        "digits",
        30,
    )


def test_at_the_papers_scale_nothing_stands_in() -> None:
    found = settings(ROOT, SAM_5, "paper")
    assert (found["model"]["name"], found["dataset"]["name"], found["batch_size"]) == (
        "wrn-28-10",
        "cifar10",
        128,
    )


def test_a_tables_alpha_has_a_stand_in() -> None:
    made = study(tables=["table5"])
    (row,) = {cell.place.row for cell in made.tables["table5"].cells}
    alphas = [cell.runs[0].settings["method"]["alpha"] for cell in made.tables["table5"].cells]
    assert (row, alphas) == (0, [0.07, 0.1, 0.14])


@pytest.mark.parametrize(
    ("key", "value"), [("batch_size", 128), ("model", "resnet-18"), ("dataset", "cifar10")]
)
def test_a_missing_stand_in_is_told_with_the_known_ones_and_the_remedy(
    tmp_path: Path, key: str, value: str | int
) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["stand_ins"][key].pop(value))
    error = fails(root)
    assert error.startswith(f"{MINI}: no stand-in for {key} {value!r}; known: ")
    assert f"Add it to stand_ins.{key}" in error


@pytest.mark.parametrize(("name", "table"), [("rho", "table7"), ("alpha", "table7"), ("rho", "table2")])
def test_a_method_without_its_numbers_is_told_with_the_files_that_may_give_them(
    tmp_path: Path, name: str, table: str
) -> None:
    root = unsearched(tmp_path)
    recipe = RECIPE if table == "table7" else LAMB
    for file in (recipe, PAPER):
        edit(root / file, lambda owner: [case["set"].pop(name, None) for case in owner.get("cases", [])])
    error = fails(root, table, scale="paper")
    assert f": no {name} for method " in error
    assert all(file in error for file in (f"config/tables/{table}.yaml", METHODS, recipe, PAPER))


def test_a_setting_that_no_one_gives_is_told_with_the_recipe(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / RECIPE, lambda recipe: recipe.pop("peak_lr"))
    error = fails(root)
    assert ": no peak_lr for method vanilla, model wrn-28-10, batch_size 128" in error
    assert all(file in error for file in (TABLE7, RECIPE, MINI))


@pytest.mark.parametrize("key", ["model", "method"])
def test_a_table_without_model_or_method_is_told(tmp_path: Path, key: str) -> None:
    root = copied(tmp_path)
    edit(root / TABLE5, lambda table: table["runs"].pop(key))
    assert fails(root, "table5") == f"{TABLE5}: no {key} for its runs; give it in rows, columns or runs"


def test_a_batch_larger_than_the_data_is_an_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["stand_ins"]["batch_size"].update({128: 301}))
    error = fails(root)
    assert ": batch_size 301 is larger than the 300 training images of digits" in error
    assert all(file in error for file in (TABLE7, RECIPE, MINI))


def test_a_batch_of_all_the_data_is_none(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["stand_ins"]["batch_size"].update({128: 300}))
    assert settings(root, SAM_5)["batch_size"] == 300


@pytest.mark.parametrize("warmup_steps", [300, 301])
def test_a_warm_up_that_leaves_no_step_is_an_error(tmp_path: Path, warmup_steps: int) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["settings"].update(warmup_steps=warmup_steps))
    error = fails(root)
    assert f": warmup_steps {warmup_steps} leaves nothing of the 300 steps" in error


def test_a_warm_up_that_leaves_one_step_is_none(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["settings"].update(warmup_steps=299))
    assert settings(root, SAM_5)["warmup_steps"] == 299


@pytest.mark.parametrize(
    ("geometry", "augment", "joined"),
    [
        ("crop+flip", "randaug", "crop+flip+randaug"),
        ("crop+flip", "none", "crop+flip"),
        ("none", "randaug+mixup", "randaug+mixup"),
        ("none", "none", "none"),
    ],
)
def test_geometry_and_augmentation_are_joined(
    tmp_path: Path, geometry: str, augment: str, joined: str
) -> None:
    root = copied(tmp_path)
    edit(root / RECIPE, lambda recipe: recipe.update(geometry=geometry, augment=augment))
    found = settings(root, SAM_5, "paper")
    assert found["augment"] == joined
    assert "geometry" not in found


def test_a_recipe_without_clip_has_runs_without_it() -> None:
    assert "clip" not in settings(ROOT, SAM_5)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_words_are_every_name_that_a_setting_may_choose_and_those_of_its_parts() -> None:
    found = {"augment": "crop+flip", "epochs": 3, "model": {"name": "a", "architecture": "vit"}}
    assert words(found) == {"crop", "flip", "model", "a", "vit"}


@pytest.mark.parametrize("value", ["big", -1.0, True])
def test_a_tables_value_that_is_no_setting_is_an_error(tmp_path: Path, value: object) -> None:
    root = copied(tmp_path)
    edit(root / TABLE5, lambda table: table["columns"].update(alpha=[value]))
    assert "alpha" in fails(root, "table5", scale="paper")


@pytest.mark.parametrize("value", ["30", 0])
def test_a_stand_in_that_is_no_batch_size_is_an_error(tmp_path: Path, value: object) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["stand_ins"]["batch_size"].update({128: value}))
    assert "batch_size" in fails(root)


def test_one_and_1_0_are_one_run(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / MINI, lambda scale: scale["stand_ins"].pop("rho"))
    runs = []
    for rho in (1, 1.0):
        edit(root / "config/tables/table6.yaml", lambda table, rho=rho: table["columns"].update(rho=[rho]))
        runs.append(list(study(root, tables=["table6"]).runs))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("alpha", ["auto", "cos", "ls"])
@pytest.mark.parametrize(
    ("file", "give"),
    [
        (METHODS, lambda methods, alpha: methods["looksam-5"].update(alpha=alpha)),
        (RECIPE, lambda recipe, alpha: recipe["cases"].append({"when": {"k": 5}, "set": {"alpha": alpha}})),
        (PAPER, lambda scale, alpha: scale.update(settings={"alpha": alpha})),
    ],
)
def test_alpha_may_be_a_name(tmp_path: Path, file: str, give: Any, alpha: str) -> None:
    root = copied(tmp_path)
    edit(root / file, lambda content: give(content, alpha))
    assert settings(root, LOOKSAM_5, "paper")["method"]["alpha"] == alpha


def test_start_replay_and_perturbation_make_other_runs_where_given_and_are_in_no_other(
    tmp_path: Path,
) -> None:
    root = copied(tmp_path)
    before = ids(root)
    given = {"start": 3, "replay": False, "perturbation": "micro-batch"}
    edit(root / METHODS, lambda methods: methods["looksam-5"].update(given))
    assert settings(root, LOOKSAM_5)["method"].items() >= given.items()
    assert before - ids(root) == of_methods(before, "looksam-5")


@pytest.mark.parametrize("descent", ["g_v_per_tensor", "gsam", "random", "g_v_before"])
def test_every_descent_but_g_s_has_an_alpha(tmp_path: Path, descent: str) -> None:
    root = copied(tmp_path)
    edit(root / METHODS, lambda methods: methods["looksam-5"].update(descent=descent, alpha=0.3))
    assert settings(root, LOOKSAM_5)["method"]["alpha"] == 0.3


AT_A_URL = {"shards": "https://host/digits", "decode": "streamed", "resize": 9}


def with_digits(folder: Path, change: dict[str, Any], left_out: tuple[str, ...] = ()) -> Path:
    """The study's files with another row of digits."""
    root = copied(folder)

    def edited(datasets: dict[str, Any]) -> None:
        kept = {key: value for key, value in datasets["digits"].items() if key not in left_out}
        datasets["digits"] = kept | change

    edit(root / "config/datasets.yaml", edited)
    return root


def test_shards_at_a_url_need_no_source(tmp_path: Path) -> None:
    root = with_digits(tmp_path, AT_A_URL, ("source", "per_shard"))
    requests = study(root, tables=["table7"]).requests()
    code = study(root).code
    (request,) = (content for path, content in requests.items() if path.endswith("source.json"))
    assert request["dataset"]["shards"] == "https://host/digits"
    assert request["code"] == code.fingerprint("fetch", "fetch", {"streamed"})


@pytest.mark.parametrize(
    ("change", "left_out", "message"),
    [
        (
            AT_A_URL,
            (),
            "digits has shards, at https://host/digits, which are made already; leave out source and",
        ),
        (
            AT_A_URL | {"decode": "each-time"},
            ("source", "per_shard"),
            r"'each-time' is not one of \['once', 'str",
        ),
        ({"decode": "streamed", "resize": 9}, (), "'streamed' is not one of"),
        ({"shards": "digits"}, ("source", "per_shard"), "digits.shards: 'digits' does not match"),
    ],
)
def test_a_row_that_says_two_things_of_its_shards_is_refused(
    tmp_path: Path, change: dict[str, Any], left_out: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        study(with_digits(tmp_path, change, left_out), tables=["table7"])


def test_label_noise_of_zero_is_the_run_without_any(tmp_path: Path) -> None:
    root = copied(tmp_path)
    clean = settings(root, VANILLA, scale="paper")
    assert settings(root, VANILLA, scale="paper", label_noise=0.0) == clean
    assert settings(root, VANILLA, scale="paper", label_noise=0.2) == clean | {"label_noise": 0.2}


@pytest.mark.parametrize(
    ("method", "descent", "alpha", "label"),
    [
        ("looksam-5-auto", "g_v", "auto", "LookSAM-5, alpha auto"),
        ("looksam-5-cos", "g_v", "cos", "LookSAM-5, alpha cos"),
        ("looksam-5-ls", "g_v", "ls", "LookSAM-5, alpha ls"),
        ("looksam-5-a01", "g_v", 0.1, "LookSAM-5, alpha 0.1"),
        ("looksam-5-a07", "g_v", 0.7, "LookSAM-5, alpha 0.7"),
        ("random-5", "random", 0.3, "random direction"),
        ("g-v-before-5", "g_v_before", 0.3, "g_v of the refresh before"),
    ],
)
def test_a_variant_of_looksam_5_has_its_own_push_and_all_else_of_looksam_5(
    tmp_path: Path, method: str, descent: str, alpha: float | str, label: str
) -> None:
    root = copied(tmp_path)
    edit(root / TABLE7, lambda table: table.update(columns={"method": ["looksam-5", method]}))
    edit(root / MINI, lambda scale: scale.update(cases=[], settings={**scale["settings"], "alpha": 0.3}))
    made = study(root, tables=["table7"])
    assert [point.label for point in made.tables["table7"].columns] == ["LookSAM-5", label]
    theirs, ours = (
        made.resolver.settings({"recipe": "cifar10-adamw", **LOOKSAM_5, "method": name}, "table7")["method"]
        for name in ("looksam-5", method)
    )
    assert ours == theirs | {"descent": descent, "alpha": alpha}


def test_the_ids_of_the_runs_of_all_methods_have_their_parts_between_points() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in read_yaml(ROOT / METHODS))
