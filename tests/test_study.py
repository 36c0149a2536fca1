import json
import re
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest
from large_study import generated
from study_files import ROOT, copied, edit, study

import looksam
from looksam.identity import digest
from looksam.study import Study

PLAN_65536 = {"leave_out": {"batch_size": [4096, 8192, 16384]}, "plan": {"batch_size": [65536]}}
SCALES = ("smoke", "mini", "cifar", "paper")


@pytest.fixture(scope="module")
def mini() -> Study:
    return study(scale="mini")


@pytest.fixture(scope="module", params=SCALES)
def at_scale(request: pytest.FixtureRequest) -> Study:
    return study(scale=request.param)


def test_at_mini_there_are_at_least_40_runs(mini: Study) -> None:
    assert len(mini.runs) >= 40


def test_a_study_has_each_run_of_its_tables_once(at_scale: Study) -> None:
    of_tables = [set(table.runs) for table in at_scale.tables.values()]
    assert set(at_scale.runs) == set.union(*of_tables)
    assert len(at_scale.runs) < sum(len(runs) for runs in of_tables)


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_table_3s_vanilla_is_table_2s(scale: str) -> None:
    tables = study(scale=scale).tables
    table2, table3 = (
        {run for run in tables[name].runs if ".vanilla." in run} for name in ("table2", "table3")
    )
    assert table3
    assert table3 <= table2


def test_table_4_trains_nothing_that_table_2_does_not() -> None:
    paper = study(scale="paper")
    assert paper.tables["table4"].runs.keys() <= paper.tables["table2"].runs.keys()


def test_tables_5_and_6_share_the_run_at_the_papers_alpha_and_rho_with_table_2() -> None:
    tables = study(scale="paper").tables
    shared = set.intersection(*(set(tables[name].runs) for name in ("table2", "table5", "table6")))
    assert len(shared) == 2 * 3


def test_figure_4_shares_table_7s_runs_at_the_papers_scale() -> None:
    paper = study(scale="paper")
    shared = paper.tables["figure4"].runs.keys() & paper.tables["table7"].runs.keys()
    assert len(shared) == 8 * 3


def test_an_id_is_readable_and_ends_in_the_digest_of_the_settings(at_scale: Study) -> None:
    for run in at_scale.runs.values():
        settings = run.settings
        batch, seed = f"b{settings['batch_size']}", f"s{settings['seed']}"
        model, dataset, its_batch, method, its_seed, its_digest = run.id.split(".")
        assert (model, dataset) == (settings["model"]["name"], settings["dataset"]["name"])
        assert (its_batch, its_seed, its_digest) == (batch, seed, digest(settings))
        assert method in at_scale.config.methods


def test_an_id_is_a_name_that_the_workflow_takes_and_names_no_table(at_scale: Study) -> None:
    rules = (ROOT / "workflow/rules/common.smk").read_text()
    (pattern,) = re.findall(r'run=r"(.+)"', rules)
    assert all(re.fullmatch(pattern, run) for run in at_scale.runs)
    assert not any(re.search("table|figure", run) for run in at_scale.runs)


def test_equal_settings_have_one_id(at_scale: Study) -> None:
    assert len({json.dumps(run.settings, sort_keys=True) for run in at_scale.runs.values()}) == len(
        at_scale.runs
    )


def test_the_runs_of_a_cell_differ_in_the_seed_alone(at_scale: Study) -> None:
    for table in at_scale.tables.values():
        for cell in table.cells:
            assert [run.settings["seed"] for run in cell.runs] == list(range(table.seeds)) or cell.absent
            assert len({digest(run.settings | {"seed": 0}) for run in cell.runs}) <= 1


def test_a_new_method_is_one_row_and_its_name_in_a_table(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = study(root)
    row = {"k": 7, "ascent": "layerwise", "descent": "g_v", "rho": 0.1, "label": "Look-LayerSAM-7"}
    edit(root / "config/methods.yaml", lambda methods: methods.update({"look-layersam-7": row}))
    edit(root / "config/tables/table7.yaml", lambda t: t["columns"]["method"].append("look-layersam-7"))
    after = study(root)
    table = after.tables["table7"]
    assert set(before.runs) <= set(after.runs)
    assert len(after.runs) - len(before.runs) == table.seeds * len(table.rows)


def test_a_method_that_no_table_names_adds_no_run(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = study(root)
    row = {"k": 7, "ascent": "layerwise", "descent": "g_v"}
    edit(root / "config/methods.yaml", lambda methods: methods.update({"look-layersam-7": row}))
    assert set(study(root).runs) == set(before.runs)


def test_seeds_of_the_config_go_before_the_scales() -> None:
    made = study(scale="mini", seeds=2)
    cells = [cell for table in made.tables.values() for cell in table.cells if not cell.absent]
    assert {len(cell.runs) for cell in cells} == {2}


def test_seeds_of_a_scales_table_go_before_the_scales_own(mini: Study) -> None:
    seeds = {name: table.seeds for name, table in mini.tables.items()}
    assert (seeds["table7"], seeds["table8"]) == (3, 1)


def test_more_seeds_keep_the_runs_that_there_were(mini: Study) -> None:
    assert set(mini.runs) <= set(study(scale="mini", seeds=3).runs)


def test_one_table_chosen_alone_has_the_runs_that_it_has_in_the_study(mini: Study) -> None:
    assert study(scale="mini", tables=["table5"]).runs == mini.tables["table5"].runs


@pytest.mark.parametrize("what", ["specs", "studies"])
def test_wherever_looksam_k_is_trained_sam_k_stands_beside_it(what: str) -> None:
    for made in (study(scale=scale) for scale in SCALES):
        for table in made.tables.values():
            axes = [table.spec["rows"], table.spec.get("columns", {})]
            of_spec = {m for axis in axes if isinstance(axis, dict) for m in axis.get("method", [])}
            of_study = {cell.coordinates["method"] for cell in table.cells}
            methods = (of_spec if table.cells else set()) if what == "specs" else of_study
            looking = {method for method in methods if method.startswith("looksam-")}
            assert {method.replace("looksam", "sam") for method in looking} <= methods, table.name


def test_each_k_is_that_of_its_methods_name(mini: Study) -> None:
    for name, row in mini.config.methods.items():
        k = re.search(r"-(\d+)(?:-|$)", name)
        assert row["k"] == (int(k[1]) if k else {"vanilla": 0}.get(name, 1))


def test_a_cell_that_the_paper_lacks_has_no_run_and_says_why() -> None:
    cells = study(scale="paper").tables["table2"].cells
    (absent,) = [cell for cell in cells if cell.absent]
    assert (absent.coordinates["method"], absent.coordinates["batch_size"]) == ("sam", 65536)
    assert absent.runs == ()
    assert absent.absent == "the paper trains no SAM at 65536"


def test_what_a_scale_leaves_out_is_in_no_row_or_column(mini: Study) -> None:
    assert [point.coordinates["batch_size"] for point in mini.tables["table2"].columns] == [32768, 65536]


def test_what_a_scale_plans_has_cells_and_no_runs(mini: Study) -> None:
    table = mini.tables["table4"]
    assert [point.coordinates["batch_size"] for point in table.columns] == [4096, 8192, 16384, 32768]
    told = {cell.coordinates["batch_size"]: (len(cell.runs), cell.absent) for cell in table.cells}
    not_run = dict.fromkeys([4096, 8192, 16384], (0, "not run at this scale"))
    assert told == not_run | {32768: (1, None)}


def test_what_a_scale_plans_is_neither_trained_nor_evaluated(mini: Study) -> None:
    asked = mini.requests()["results/evaluations/figure4.json"]["runs"]
    methods = {run["run"].split(".")[3] for run in asked}
    assert {"sam-3", "looksam-3", "sam-15", "looksam-15"}.isdisjoint(methods)
    assert {"vanilla", "sam", "sam-20", "looksam-20"} <= methods


def test_a_cell_that_the_paper_lacks_is_not_planned(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/scales/mini.yaml", lambda scale: scale["tables"].update({"table2": PLAN_65536}))
    (cell,) = [
        c for c in study(root).tables["table2"].cells if c.absent == "the paper trains no SAM at 65536"
    ]
    assert cell.settings is None


def test_a_table_of_facts_has_no_runs_at_any_scale(at_scale: Study) -> None:
    assert [name for name, table in at_scale.tables.items() if not table.runs] == [
        "table9",
        "table10",
        "table11",
    ]


def test_every_run_has_a_request_for_its_shards(mini: Study) -> None:
    requests = mini.requests()
    for run in mini.runs:
        request = requests[f"results/runs/{run}/run.json"]
        assert requests[f"{request['shards']}/source.json"]["dataset"] == request["settings"]["dataset"]


def test_an_evaluation_asks_for_the_runs_of_its_table_and_their_shards(mini: Study) -> None:
    request, runs = mini.requests()["results/evaluations/table7.json"], mini.tables["table7"].runs
    assert [run["run"] for run in request["runs"]] == list(runs)
    assert request["shards"] == sorted({f"results/shards/{run.shards}" for run in runs.values()})


def test_two_sizes_of_a_data_set_have_two_shard_folders(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = {run.shards for run in study(root, tables=["table7"]).runs.values()}
    edit(root / "config/datasets.yaml", lambda d: d["digits"].update(train_images=301, test_images=1496))
    assert before.isdisjoint(run.shards for run in study(root, tables=["table7"]).runs.values())


def test_every_request_is_written_as_json(tmp_path: Path) -> None:
    made = study(copied(tmp_path), tables=["table7", "table9"])
    made.write_requests()
    written = {
        str(path.relative_to(tmp_path)): json.loads(path.read_text())
        for path in (tmp_path / "results").rglob("*.json")
    }
    assert written == made.requests()
    assert "results/evaluations/table9.json" not in written


def test_writing_the_requests_again_touches_none(tmp_path: Path) -> None:
    root = copied(tmp_path)
    study(root, tables=["table7"]).write_requests()
    stamps = {path: path.stat().st_mtime_ns for path in (root / "results").rglob("*.json")}
    study(root, tables=["table7"]).write_requests()
    assert {path: path.stat().st_mtime_ns for path in (root / "results").rglob("*.json")} == stamps


def test_planning_starts_no_torch() -> None:
    code = "import sys, looksam.study, looksam.failure; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_variant_that_only_a_small_scale_can_run_needs_nothing_at_the_papers(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/tables/table2.yaml", lambda table: table["columns"]["batch_size"].append(2048))
    edit(root / "config/scales/mini.yaml", lambda scale: scale["stand_ins"]["batch_size"].update({2048: 10}))
    caption = study(root, tables=["table2"]).requests()["results/tables/table2.json"]["caption"]
    assert "batch size 2048 → 10" in caption


def calls_to_plan(runs: int, folder: Path) -> int:
    """How many functions of this package are called to plan the tables of a study of so many runs."""
    made, calls = study(generated(folder, runs)), 0
    made.requests()  # reads the code, which is the same for all sizes
    package = str(Path(looksam.__file__).parent)

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(package)

    sys.setprofile(count)
    try:
        assert sum(len(made.table(name).runs) for name in made.tables) == runs
        made.requests()
    finally:
        sys.setprofile(None)
    return calls


def test_a_run_costs_the_same_however_many_there_are(tmp_path: Path) -> None:
    few, more, most = (calls_to_plan(runs, tmp_path / str(runs)) for runs in (100, 200, 500))
    assert most - more == 3 * (more - few)
