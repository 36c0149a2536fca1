import ast
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from study_files import ROOT, alter, copied, replace, study

from looksam.fingerprint import CHOICES, SILENT, Code
from looksam.identity import words

METHODS = ("vanilla", "sam", "looksam-5", "layersam", "look-layersam-5")
PACKAGE = ROOT / "looksam"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return copied(tmp_path) / "looksam"


# by method, the words of a run's settings
WORDS = {
    "vanilla": {"vit", "lamb", "linear", "resized-crop", "flip", "files", "each-time"},
    "sam": {"vit", "lamb", "linear", "resized-crop", "flip", "files", "each-time", "global", "g_s"},
    "looksam-5": {"vit", "lamb", "linear", "resized-crop", "flip", "files", "each-time", "global", "g_v"},
    "layersam": {"vit", "lamb", "linear", "resized-crop", "flip", "files", "each-time", "layerwise", "g_s"},
    "look-layersam-5": {
        "vit",
        "lamb",
        "linear",
        "resized-crop",
        "flip",
        "files",
        "each-time",
        "layerwise",
        "g_v",
    },
}


BEFORE = Code(PACKAGE)


def changed(package: Path) -> set[str]:
    """The methods whose trainings have another fingerprint than with the package as it is."""
    after = Code(package)
    return {
        method
        for method, chosen in WORDS.items()
        if of_training(after, chosen) != of_training(BEFORE, chosen)
    }


def differ(package: Path, word: str) -> bool:
    """Whether a training that names `word` has another fingerprint than with the package as it is."""
    return of_training(Code(package), {word}) != of_training(BEFORE, {word})


def of_training(code: Code, chosen: Collection[str]) -> str:
    return code.fingerprint("train", "train", chosen)


def test_the_words_of_these_tests_are_those_of_runs() -> None:
    table2 = study(scale="paper", tables=["table2"]).tables["table2"]
    found = {cell.coordinates["method"]: words(cell.runs[0].settings) for cell in table2.cells if cell.runs}
    assert all(WORDS[method] <= found[method] for method in found)


def test_a_run_s_words_are_those_of_its_parts_their_names_and_what_they_list() -> None:
    settings = {"seed": 0, "augment": "crop+flip", "shadow": {"lags": 5, "alphas": [0.1, "auto"]}}
    assert words(settings) == {"crop", "flip", "shadow", "auto"}


def test_the_equation_of_layersam_counts_for_the_layerwise_methods_alone(package: Path) -> None:
    alter(package / "ascent.py", "layerwise")
    assert changed(package) == {"layersam", "look-layersam-5"}


def test_the_equation_of_sam_counts_for_the_global_methods_alone(package: Path) -> None:
    alter(package / "ascent.py", "whole_model")
    assert changed(package) == {"sam", "looksam-5"}


def test_the_reuse_of_g_v_counts_for_the_methods_that_reuse_it_alone(package: Path) -> None:
    alter(package / "descent.py", "reuse")
    assert changed(package) == {"looksam-5", "look-layersam-5"}


@pytest.mark.parametrize(
    ("module", "function", "word"),
    [
        ("ascent", "elementwise", "elementwise"),
        ("ascent", "is_normalisation", "norm_layers"),
        ("ascent", "layerwise_matrices", "layerwise_matrices"),
        ("descent", "flatten", "gsam"),
        ("descent", "push_anywhere", "random"),
        ("descent", "reuse_per_tensor", "g_v_per_tensor"),
        ("refresh", "as_measured", "auto"),
        ("refresh", "as_confirmed", "cos"),
        ("refresh", "as_fitted", "ls"),
    ],
)
def test_a_row_that_no_table_of_the_paper_names_counts_for_its_own_runs_alone(
    package: Path, module: str, function: str, word: str
) -> None:
    alter(package / f"{module}.py", function)
    assert changed(package) == set()
    assert differ(package, word)


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("shadow", "taken_back"),
        ("looks", "drawn"),
        ("looks", "gain"),
        ("shadow_rows", "write"),
        ("shadow_settings", "step_of"),
    ],
)
def test_shadow_steps_count_for_the_runs_that_take_them_alone(
    package: Path, module: str, function: str
) -> None:
    alter(package / f"{module}.py", function)
    assert changed(package) == set()
    assert differ(package, "shadow")


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("train", "fit"),
        ("train", "train"),
        ("loader", "load"),
        ("loader", "batches"),
        ("crops", "window"),
        ("draws", "order"),
        ("augment", "training_batch"),
        ("draws", "mix"),
        ("training", "micro_batches"),
        ("distributed", "joined"),
        ("device", "prepared"),
        ("optimizers", "decay_groups"),
        ("optimizers", "schedule"),
        ("models", "build"),
    ],
)
def test_what_every_training_does_counts_for_all(package: Path, module: str, function: str) -> None:
    alter(package / f"{module}.py", function)
    assert changed(package) == set(METHODS)


@pytest.mark.parametrize(
    ("module", "function", "word"),
    [
        ("models", "wrn", "wrn"),
        ("models", "resnet", "resnet"),
        ("models", "vit", "vit"),
        ("optimizers", "adamw", "adamw"),
        ("optimizers", "sgd", "sgd"),
        ("optimizers", "lamb", "lamb"),
        ("optimizers", "cosine", "cosine"),
        ("optimizers", "linear", "linear"),
        ("augment", "crop", "crop"),
        ("augment", "randaug", "randaug"),
        ("augment", "mixup", "mixup"),
    ],
)
def test_a_choice_counts_for_the_runs_that_name_it_alone(
    package: Path, module: str, function: str, word: str
) -> None:
    alter(package / f"{module}.py", function)
    after = Code(package)
    known = [row for table in ("ARCHITECTURES", "OPTIMIZERS", "SCHEDULES", "AUGMENTS") for row in rows(table)]
    assert {row for row in known if of_training(after, {row}) != of_training(BEFORE, {row})} == {word}


def rows(table: str) -> tuple[str, ...]:
    module = {"ARCHITECTURES": "models", "AUGMENTS": "augment"}.get(table, "optimizers")
    return BEFORE.choices(module, table)


def test_a_class_inside_a_network_counts_for_it(package: Path) -> None:
    replace(package / "models.py", "nn.BatchNorm2d(in_channels), nn.ReLU()", "nn.BatchNorm2d(in_channels)")
    assert differ(package, "wrn")
    assert not differ(package, "resnet")


def test_a_constant_counts_where_it_is_used(package: Path) -> None:
    replace(package / "augment.py", "MIXUP_ALPHA = 0.2", "MIXUP_ALPHA = 0.3")
    assert differ(package, "mixup")
    assert not differ(package, "randaug")


@pytest.mark.parametrize("module", sorted(SILENT))
def test_a_module_that_decides_no_number_counts_for_nothing(package: Path, module: str) -> None:
    path = package / f"{module}.py"
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body.append(ast.Pass())
    path.write_text(ast.unparse(tree) + "\nunused = 1\n")
    assert changed(package) == set()


def test_the_order_of_a_stream_counts_where_shards_are_streamed(package: Path) -> None:
    replace(package / "lanes.py", "LANES = 12", "LANES = 8")
    assert differ(package, "streamed")
    assert not differ(package, "each-time")
    assert not differ(package, "once")


def test_the_command_line_counts_for_nothing(package: Path) -> None:
    alter(package / "training_commands.py", "train")
    assert changed(package) == set()


def test_a_comment_counts_for_nothing(package: Path) -> None:
    for path in package.glob("*.py"):
        path.write_text("# a comment\n" + path.read_text().replace("\n\n", "\n\n# another\n"))
    assert changed(package) == set()


def test_formatting_counts_for_nothing(package: Path) -> None:
    for path in package.glob("*.py"):
        path.write_text(ast.unparse(ast.parse(path.read_text())))
    assert changed(package) == set()


def test_a_docstring_counts_for_nothing(package: Path) -> None:
    edited = 0
    for path in package.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body[0] = ast.Expr(ast.Constant("Something else."))
                edited += 1
        path.write_text(ast.unparse(tree))
    assert edited > 100
    assert changed(package) == set()


def test_a_function_that_nothing_uses_counts_for_nothing(package: Path) -> None:
    path = package / "train.py"
    path.write_text(path.read_text() + "\n\ndef unused() -> int:\n    return 1\n")
    assert changed(package) == set()


def test_a_new_row_of_a_table_of_choices_counts_for_nothing(package: Path) -> None:
    replace(
        package / "ascent.py",
        '"global": Ascent(whole_model),',
        '"global": Ascent(whole_model), "all": Ascent(whole_model),',
    )
    assert changed(package) == set()
    assert "all" in Code(package).choices("ascent", "ASCENTS")


def test_evaluation_counts_for_no_training(package: Path) -> None:
    alter(package / "evaluate.py", "measure")
    assert changed(package) == set()
    assert BEFORE.fingerprint("evaluate", "evaluate") != Code(package).fingerprint("evaluate", "evaluate")


@pytest.mark.parametrize(
    ("module", "function", "sources"),
    [
        ("cifar", "samples_of", {"files", "subset"}),
        ("listing", "image_folder_of", {"files", "subset"}),
        ("imagenet", "validation_images", {"files", "subset"}),
        ("subset", "fewer", {"subset"}),
        ("digits", "single", {"digits"}),
        ("digits", "draw_pairs", {"digit-pairs"}),
    ],
)
def test_a_source_counts_for_its_own_shards_alone(
    package: Path, module: str, function: str, sources: set[str]
) -> None:
    alter(package / f"{module}.py", function)
    after = Code(package)
    stale = {
        known
        for known in BEFORE.choices("sources", "SOURCES")
        if BEFORE.fingerprint("shards", "shard", {known}) != after.fingerprint("shards", "shard", {known})
    }
    assert stale == sources
    assert changed(package) == set()


def test_each_table_of_choices_is_one_literal_of_the_package() -> None:
    found = Counter(
        name
        for module in BEFORE.modules.values()
        for name, definition in module.definitions.items()
        if name in CHOICES
        and isinstance(definition, ast.Assign | ast.AnnAssign)
        and isinstance(definition.value, ast.Dict)
        and all(isinstance(key, ast.Constant) for key in definition.value.keys)
    )
    assert found == Counter(CHOICES)


def test_every_import_inside_the_package_is_one_that_the_fingerprint_follows() -> None:
    for name, module in BEFORE.modules.items():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("looksam") for alias in node.names), name
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, name
                assert node.module != "looksam" or name == "__init__"


def test_every_definition_of_the_package_stands_where_the_fingerprint_looks() -> None:
    # an assignment that adds to a name, or one inside a top-level `if`, would decide results unseen
    seen = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
    others = ast.Import | ast.ImportFrom
    for path in (ROOT / "looksam").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_script = isinstance(node, ast.If) and ast.unparse(node.test) in (
                "TYPE_CHECKING",
                "__name__ == '__main__'",
            )
            adds_to_yaml = isinstance(node, ast.Expr) and path.stem == "config"
            assert isinstance(node, seen | others) or is_text or is_script or adds_to_yaml, (
                path,
                node.lineno,
            )
