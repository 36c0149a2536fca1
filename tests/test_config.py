from pathlib import Path
from typing import Any

import pytest
import yaml
from study_files import ROOT, copied, edit, replace, study

from looksam.config import load_config, read_yaml
from looksam.errors import UserError

TABLES, SCALES, RECIPES = "config/tables", "config/scales", "config/recipes"
METHODS, MODELS, DATASETS = "config/methods.yaml", "config/models.yaml", "config/datasets.yaml"
CIFAR10 = f"{RECIPES}/cifar10-adamw.yaml"


def fails(root: Path, **chosen: Any) -> str:
    """The text of the error that the study at `root` ends in."""
    with pytest.raises(UserError) as error:
        study(root, **chosen).requests()
    return str(error.value)


def fails_with(root: Path, file: str, old: str, new: str, scale: str = "mini") -> str:
    """The text of the error that replacing `old` in a file leads to."""
    replace(root / file, old, new)
    return fails(root, scale=scale)


@pytest.mark.parametrize(
    ("file", "old", "new", "known"),
    [
        (f"{TABLES}/table1.yaml", "looksam-5", "looksam-6", read_yaml(ROOT / METHODS)),
        (f"{TABLES}/table1.yaml", "vit-b-16", "vit-b-17", read_yaml(ROOT / MODELS)),
        (f"{TABLES}/table9.yaml", "vit-b-16", "vit-b-17", read_yaml(ROOT / MODELS)),
        (f"{TABLES}/table7.yaml", "cifar10-adamw", "cifar10-adam", ["cifar10-adamw", "vit-imagenet-lamb"]),
        (f"{TABLES}/table7.yaml", "top1", "top2", ["top1", "top5", "seconds_per_epoch", "training_hours"]),
        (f"{TABLES}/table10.yaml", "- epochs", "- epoch", ["epochs", "warmup_steps", "peak_lr", "rho"]),
        (METHODS, "ascent: layerwise", "ascent: layrwise", ["global", "layerwise"]),
        (METHODS, "descent: g_v", "descent: gv", ["g_s", "g_v"]),
        (MODELS, "architecture: wrn", "architecture: wideresnet", ["vit", "resnet", "wrn"]),
        (DATASETS, "source: files", "source: folder", ["digits", "digit-pairs", "files"]),
    ],
)
def test_an_unknown_name_is_told_with_its_file_and_the_known_ones(
    tmp_path: Path, file: str, old: str, new: str, known: list[str]
) -> None:
    error = fails_with(copied(tmp_path), file, old, new, scale="paper")
    assert file in error
    assert repr(new.split()[-1]) in error
    assert all(name in error for name in known)


@pytest.mark.parametrize(
    ("old", "new", "known"),
    [
        ("dataset: cifar10", "dataset: cifar11", read_yaml(ROOT / DATASETS)),
        ("optimizer: adamw", "optimizer: adam", ["adamw", "sgd", "lamb"]),
        ("schedule: cosine", "schedule: cosin", ["cosine", "linear"]),
        ("geometry: crop+flip", "geometry: crop+flop", ["none", "crop", "flip", "randaug", "mixup"]),
        ("augment: none", "augment: non", ["none", "crop", "flip", "randaug", "mixup"]),
    ],
)
def test_an_unknown_choice_in_a_recipe_is_told_with_the_known_ones(
    tmp_path: Path, old: str, new: str, known: list[str]
) -> None:
    error = fails_with(copied(tmp_path), CIFAR10, old, new, scale="paper")
    assert repr(new.split()[-1].split("+")[-1]) in error
    assert all(name in error for name in known)


@pytest.mark.parametrize(
    ("chosen", "got", "known"),
    [
        ({"scale": "midi"}, "unknown scale 'midi'", ["mini", "paper", "smoke"]),
        ({"tables": ["tabel1"]}, "unknown table 'tabel1'", ["table1", "table11", "figure4"]),
        ({"seed": 3}, "unknown key 'seed'", ["scale", "seeds", "tables"]),
        ({"seeds": 0}, "seeds: 0 is less than the minimum of 1", []),
        ({"tables": []}, "tables: []", []),
        ({"scale": 3}, "scale: 3 is not of type 'string'", []),
    ],
)
def test_a_wrong_choice_in_config_yaml_is_told(chosen: dict[str, Any], got: str, known: list[str]) -> None:
    error = fails(ROOT, **chosen)
    assert error.startswith(f"config/config.yaml: {got}")
    assert all(name in error for name in known)


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "known"),
    [
        (METHODS, "{k: 5, ", "{k: 5, rhoo: 1, ", "rhoo", ["k", "ascent", "descent", "rho", "alpha"]),
        (MODELS, "vit-d48: {", "vit-d48: {deep: 1, ", "deep", ["patch_size", "dim", "depth", "heads"]),
        (DATASETS, "per_shard: 1000", "per_shard: 1\n  sort: 1", "sort", ["source", "classes", "per_shard"]),
        (CIFAR10, "threads: 4", "threads: 4\nthread: 1", "thread", ["epochs", "threads", "cases"]),
        (CIFAR10, "set: {rho", "set: {roh", "roh", ["epochs", "rho", "alpha"]),
        (CIFAR10, "{when: {ascent", "{if: 1, when: {ascent", "if", ["when", "set"]),
        (f"{SCALES}/mini.yaml", "title:", "titel: x\ntitle:", "titel", ["title", "seeds", "stand_ins"]),
        (f"{SCALES}/mini.yaml", "  epochs: 30", "  epoch: 30", "epoch", ["epochs", "batch_size", "threads"]),
        (f"{SCALES}/mini.yaml", "{seeds: 3,", "{seed: 3,", "seed", ["seeds", "leave_out"]),
        (
            f"{TABLES}/table1.yaml",
            "title:",
            "titel: x\ntitle:",
            "titel",
            ["title", "rows", "columns", "cell"],
        ),
    ],
)
def test_an_unknown_key_is_told_with_its_file_and_the_known_ones(
    tmp_path: Path, file: str, old: str, new: str, key: str, known: list[str]
) -> None:
    error = fails_with(copied(tmp_path), file, old, new)
    assert error.startswith(f"{file}: ")
    told, listed = error.split("; known: ")
    assert told.endswith(f"unknown key {key!r}")
    assert set(known) <= set(listed.split(", "))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (CIFAR10, "when: {ascent", "when: {acsent"),
        (f"{SCALES}/mini.yaml", "when: {recipe", "when: {recpie"),
        (f"{TABLES}/table2.yaml", "when: {method", "when: {metod"),
    ],
)
def test_an_unknown_key_of_a_case_is_told_with_those_that_may_be_asked(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    error = fails_with(copied(tmp_path), file, old, new)
    assert error.startswith(f"{file}: ")
    assert repr(new.split("{")[1]) in error
    assert all(
        f"'{fact}'" in error for fact in ("recipe", "table", "model", "method", "ascent", "batch_size")
    )


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{k: 1, ascent: global, descent: g_s, rho: -0.1}", "sam.rho: -0.1 is less than the minimum of 0"),
        ("{k: -1, ascent: global, descent: g_s}", "sam.k: -1 is less than the minimum of 0"),
        ("{ascent: global, descent: g_s}", "sam: 'k' is a required property; needed: k"),
        ("{k: 1, descent: g_s}", "sam: 'ascent' is a required property; needed: ascent, descent"),
        ("{k: 1.5, ascent: global, descent: g_s}", "sam.k: 1.5 is not of type 'integer'"),
        ("3", "sam: 3 is not of type 'object'"),
    ],
)
def test_a_wrong_method_is_told_by_key_and_value(tmp_path: Path, row: str, told: str) -> None:
    root = copied(tmp_path)
    edit(root / METHODS, lambda methods: methods.update(sam=yaml.safe_load(row)))
    assert fails(root) == f"{METHODS}: {told}"


def test_a_key_written_twice_is_an_error_that_says_where(tmp_path: Path) -> None:
    root = copied(tmp_path)
    error = fails_with(root, METHODS, "\nsam: {", "\nvanilla: {k: 0}\nsam: {")
    assert error.startswith(f"{root / METHODS}: not YAML: the key 'vanilla' stands twice")
    assert "line 3" in error


def test_a_key_written_twice_inside_a_row_is_an_error(tmp_path: Path) -> None:
    assert "the key 'k' stands twice" in fails_with(copied(tmp_path), METHODS, "{k: 1,", "{k: 1, k: 2,")


def test_a_file_that_is_not_yaml_is_told_with_the_line(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / METHODS).write_text("sam: {k: 1\nvanilla: [")
    error = fails(root)
    assert error.startswith(f"{root / METHODS}: not YAML: ")
    assert "line 2" in error
    assert "\n" not in error


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "methods.yaml").write_bytes(b"sam: \xff\xfe")
    with pytest.raises(UserError, match=r"methods\.yaml: not YAML"):
        read_yaml(tmp_path / "methods.yaml")


@pytest.mark.parametrize("content", ["", "- 1\n- 2\n", "words"])
def test_a_file_without_a_mapping_is_told_with_what_it_has(tmp_path: Path, content: str) -> None:
    path = tmp_path / "methods.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"methods\.yaml: a mapping of keys to values is wanted, got"):
        read_yaml(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / DATASETS).unlink()
    assert fails(root).startswith(f"{root / DATASETS}: no such file")


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "0.001", "10e-4", "+1e-3"])
def test_a_power_of_ten_is_a_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"peak_lr: {text}\n")
    assert read_yaml(path) == {"peak_lr": 0.001}


@pytest.mark.parametrize("text", ["e-3", "1e", "vit-1e3", "1e-3x"])
def test_a_name_that_resembles_a_power_of_ten_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: {text}\n")
    assert read_yaml(path) == {"name": text}


def test_only_the_files_of_the_chosen_tables_are_read(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / TABLES / "table8.yaml").write_text("not: [yaml")
    (root / RECIPES / "cifar100-adamw.yaml").write_text("not: [yaml")
    (root / SCALES / "smoke.yaml").write_text("not: [yaml")
    assert list(load_config({"scale": "mini", "tables": ["table7"]}, root).recipes) == ["cifar10-adamw"]


@pytest.mark.parametrize("name", ["config", "smoke", "cifar", "paper", "evidence-cifar100"])
def test_the_repositorys_own_config_is_valid(name: str) -> None:
    assert study(**read_yaml(ROOT / f"config/{name}.yaml")).requests()


@pytest.mark.parametrize("path", sorted((ROOT / RECIPES).glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_opens_with_its_source_cost_and_expected_result(path: Path) -> None:
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    assert all(word in header for word in ("Paper: ", "Cost: ", "Expected: "))
    assert "origin" in read_yaml(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "sma"}, "config/claims.yaml: unknown method 'sma'; known: vanilla"),
        ({"controls": {"none": "random"}}, "config/claims.yaml: unknown method 'random'"),
        ({"tables": ["evidences"]}, "config/claims.yaml: unknown table 'evidences'"),
        ({"power": 1.0}, "config/claims.yaml: evidence.power: 1.0 is greater"),
    ],
)
def test_what_the_evidence_study_asks_is_checked(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    root = copied(tmp_path)
    edit(root / "config/claims.yaml", lambda claims: claims["evidence"].update(change))
    assert said in fails(root, scale="mini", tables=["table7"])
