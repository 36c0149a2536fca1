"""Settings, jobs and budget of the tpu profile: what is refused before anything is created."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from study_files import ROOT
from tiny_runs import SETTINGS

from looksam.errors import UserError
from looksam.tpu_budget import LEDGER, checked_budget, note, spent
from looksam.tpu_code import shared_code
from looksam.tpu_job import job, slice_name
from looksam.tpu_progress import Pulse
from looksam.tpu_settings import FILE, SCHEMA, Settings, read_settings, shape_of
from looksam.tpu_versions import check_versions

GIVEN: dict[str, Any] = {
    "project": "ours",
    "zone": "us-east5-a",
    "bucket": "our.tables",
    "mount": "/mnt/looksam",
    "max_device_hours": 100,
    "accelerator_types": {16: "v6e-16", 4096: "v6e-8"},
    "measuring_type": "v6e-1",
    "runtime_version": "v2-alpha-tpuv6e",
    "setup": "workflow/profiles/tpu/setup.sh",
}
RUN = "vit-b-16.imagenet-1k.b4096.look-layersam-5.s0.1a2b3c4d"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose results are on its bucket, as the working directory."""
    for name in (SCHEMA, "config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "bucket/results").mkdir(parents=True)
    (tmp_path / "results").symlink_to("bucket/results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(root: Path, **changes: Any) -> Settings:
    """The settings with changes, None for a key that is left out."""
    content = GIVEN | {"mount": str(root / "bucket")} | changes
    (root / FILE).parent.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return read_settings(root)


def asked(root: Path, run: str = RUN, **changes: Any) -> list[str]:
    """The command of a run that is asked for."""
    folder = Path("results/runs") / run
    folder.mkdir(parents=True)
    content = {"id": run, "settings": SETTINGS | {"batch_size": 16} | changes}
    (folder / "run.json").write_text(json.dumps(content))
    return ["looksam", "train", f"{folder}/run.json"]


def test_the_settings_as_they_come_name_the_first_placeholder_and_what_to_write() -> None:
    with pytest.raises(
        UserError, match=r"tpu/settings.yaml: project: YOUR-PROJECT stands for yours; .* pays"
    ):
        read_settings(ROOT)


@pytest.mark.parametrize("key", ["project", "zone", "bucket", "max_device_hours"])
def test_each_placeholder_is_named_with_file_and_key(root: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"{FILE}: {key}: YOUR-X stands for yours"):
        settings(root, **{key: "YOUR-X"})


@pytest.mark.parametrize("key", [key for key in GIVEN if key != "mount"])
def test_each_missing_setting_is_named_with_its_file(root: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"{FILE}: '{key}' is a required property"):
        settings(root, **{key: None})


def test_an_unknown_setting_names_the_known_ones(root: Path) -> None:
    with pytest.raises(UserError, match=r"unknown key 'regoin'; known: project, zone"):
        settings(root, regoin="x")


def test_all_but_the_placeholders_may_stay_as_it_comes(root: Path) -> None:
    content = yaml.safe_load((ROOT / FILE).read_text())
    placeholders = {key for key, value in content.items() if str(value).startswith("YOUR-")}
    assert placeholders == {"project", "zone", "bucket", "max_device_hours"}
    found = settings(root, **content | {key: GIVEN[key] for key in placeholders})
    for batch_size in (128, 4096, 8192, 16384, 32768, 65536):
        assert found.shape_for(batch_size).generation == "v6e"


@pytest.mark.parametrize(
    ("type", "chips", "hosts"),
    [("v4-8", 4, 1), ("v5p-2048", 1024, 256), ("v5litepod-16", 16, 4), ("v6e-8", 8, 1), ("v6e-1", 1, 1)],
)
def test_a_type_says_its_chips_and_hosts(type: str, chips: int, hosts: int) -> None:
    assert (shape_of(type).chips, shape_of(type).hosts) == (chips, hosts)


@pytest.mark.parametrize("type", ["v3-128", "tpu7x-8", "v6e", "v6e-x", "v6e-0"])
def test_a_type_that_torch_tpu_or_the_queue_does_not_serve_is_refused(root: Path, type: str) -> None:
    with pytest.raises(
        UserError, match=f"accelerator_types: '{type}' is none that can be had; allowed: v4-<n>"
    ):
        settings(root, accelerator_types={16: type})


def test_types_of_two_generations_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="v5p and v6e need two images"):
        settings(root, accelerator_types={16: "v6e-8", 32: "v5p-8"})


def test_a_batch_size_without_a_type_names_those_that_have_one(root: Path) -> None:
    with pytest.raises(UserError, match="none for batch size 60; there are: 16, 4096"):
        settings(root).shape_for(60)


def test_chips_that_cannot_share_the_batch_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="v6e-16 has 16 chips, which cannot share a batch of 100"):
        settings(root, accelerator_types={100: "v6e-16"}).shape_for(100)


def test_a_slices_name_is_the_runs_and_google_takes_it(root: Path) -> None:
    name = slice_name(RUN, settings(root))
    assert name == slice_name(RUN, settings(root))
    assert name.startswith("looksam-")
    assert "1a2b3c4d" in name
    assert len(name) <= 63
    assert name != slice_name(RUN.replace("s0", "s1"), settings(root))
    assert name != slice_name(RUN, settings(root, bucket="another"))


def test_results_that_are_not_on_the_bucket_are_refused_with_the_way_there(root: Path) -> None:
    command = asked(root)
    with pytest.raises(UserError, match=r"no host sees.* ln -s /elsewhere/results results"):
        job(command, settings(root, mount="/elsewhere"))


@pytest.mark.parametrize("command", [["looksam", "plan"], ["looksam", "report", "results/report.json"]])
def test_a_command_without_a_request_for_a_slice_is_refused(root: Path, command: list[str]) -> None:
    with pytest.raises(
        UserError, match=f"looksam train results/runs/<run>/run.json.* got: {' '.join(command)}"
    ):
        job(command, settings(root))


@pytest.mark.parametrize(
    ("request_", "runs"), [("evaluations/table1", "runs"), ("searches/a.0a1b2c3d/trials", "trials")]
)
def test_an_evaluation_is_a_job_on_a_type_of_its_own_that_lives_as_long_as_runs_are_measured(
    root: Path, request_: str, runs: str
) -> None:
    path = Path(f"results/{request_}.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({runs: [{"run": "one"}, {"run": "two"}]}))
    made = job(["looksam", "evaluate", str(path), "--runs", "results/runs"], settings(root))
    assert (made.run, made.shape.type) == (None, "v6e-1")
    assert made.signs == [Path(f"results/runs/{run}/metrics.json") for run in ("one", "two")]


def test_a_job_is_still_once_none_of_its_signs_changes(tmp_path: Path) -> None:
    signs = [tmp_path / "one", tmp_path / "two"]
    pulse = Pulse(signs, limit=0.2)
    assert not pulse.is_still()
    time.sleep(0.3)
    signs[1].write_text("measured")
    assert not pulse.is_still()
    time.sleep(0.3)
    assert pulse.is_still()


@pytest.mark.parametrize("perturbation", ["rank", "micro-batch"])
def test_a_training_whose_method_counts_ranks_is_not_resumed_on_another_shape(
    root: Path, perturbation: str
) -> None:
    command = asked(root, method=SETTINGS["method"] | {"perturbation": perturbation})
    progress = Path(command[-1]).with_name("progress.json")
    progress.write_text(json.dumps({"ranks": 8}))
    with pytest.raises(
        UserError, match=f"began on 8 devices; its method's perturbation, {perturbation}, depends"
    ):
        job(command, settings(root))
    progress.write_text(json.dumps({"ranks": 16}))
    assert job(command, settings(root)).shape.chips == 16


def test_a_synchronised_training_is_resumed_on_any_shape(root: Path) -> None:
    command = asked(root)
    Path(command[-1]).with_name("progress.json").write_text(json.dumps({"ranks": 8}))
    assert job(command, settings(root)).shape.type == "v6e-16"


def test_the_budget_is_of_the_studys_runs_without_results(root: Path) -> None:
    runs = [f"a.digits.b16.vanilla.s{seed}.0000000{seed}" for seed in range(3)]
    for run in runs:
        asked(root, run, epochs=10**11)
    alone = checked_budget(settings(root), runs[0])
    Path("results/evaluations").mkdir()
    Path("results/report.json").write_text(json.dumps({"tables": ["table1", "table9"]}))
    Path("results/evaluations/table1.json").write_text(json.dumps({"runs": [{"run": run} for run in runs]}))
    (Path("results/runs") / runs[1] / "model.safetensors").touch()
    hours = [
        float(line.split()[6].replace(",", "")) for line in (alone, checked_budget(settings(root), runs[0]))
    ]
    assert hours[1] == pytest.approx(2 * hours[0], abs=0.01)


def test_a_batch_size_without_a_type_anywhere_in_the_study_is_refused_at_its_first_run(root: Path) -> None:
    for run, batch_size in (("first", 16), ("last", 60)):
        asked(root, run, batch_size=batch_size)
    Path("results/evaluations").mkdir()
    Path("results/report.json").write_text(json.dumps({"tables": ["table1"]}))
    runs = {"runs": [{"run": "first"}, {"run": "last"}]}
    Path("results/evaluations/table1.json").write_text(json.dumps(runs))
    with pytest.raises(UserError, match="none for batch size 60"):
        checked_budget(settings(root), "first")


def test_a_study_over_the_limit_is_refused_with_its_hours_and_cost(root: Path) -> None:
    command = asked(root, epochs=10**13)
    run = job(command, settings(root)).run
    with pytest.raises(
        UserError, match=r"needs [\d,.]+ more chip-hours, [\d,.]+ at 2 an hour; .*max_device_hours"
    ):
        checked_budget(settings(root, cost_per_chip_hour=2), run)


def test_chip_hours_are_counted_from_slices_that_ended_live_or_are_forgotten(root: Path) -> None:
    now = time.time()
    events = [(now - 7200, "began", "a", 8), (now - 3600, "ended", "a", 8), (now - 1800, "began", "b", 4)]
    events += [(now - 10**6, "began", "forgotten", 1)]
    LEDGER.parent.mkdir()
    keys = ("time", "event", "slice", "chips")
    LEDGER.write_text("".join(json.dumps(dict(zip(keys, e, strict=True))) + "\n" for e in events))
    assert spent(settings(root, deadline_hours=5), now) == pytest.approx(8 + 2 + 5)
    note("ended", "b", 4)
    assert spent(settings(root, deadline_hours=5), now + 3600) == pytest.approx(8 + 2 + 5, abs=0.1)


def test_the_code_on_the_bucket_is_named_by_its_content(root: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (root / name).touch()
    (root / "looksam").mkdir()
    (root / "looksam/a.py").write_text("a = 1\n")
    first = shared_code(root / "bucket")
    assert shared_code(root / "bucket") == first
    (root / "looksam/a.py").write_text("a = 2\n")
    assert shared_code(root / "bucket") != first


def test_hosts_with_the_same_packages_pass_and_others_are_named(tmp_path: Path) -> None:
    for host, torch in enumerate(("2.14", "2.14", "2.15")):
        (tmp_path / f"{host}.log").write_text(f'installing\nlooksam-versions {{"torch": "{torch}"}}\n')
    check_versions(tmp_path, 2)
    with pytest.raises(UserError, match=r"torch: 2.14 on 0 1, 2.15 on 2"):
        check_versions(tmp_path, 3)
    with pytest.raises(UserError, match="host 3 has not said what is installed"):
        check_versions(tmp_path, 4)
