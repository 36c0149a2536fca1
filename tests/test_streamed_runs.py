"""Facts about trainings and evaluations on shards at a URL, through the commands."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from photo_runs import PHOTO_SETTINGS, PHOTOS, photo_shards
from ranked_runs import started, trained_on_ranks
from shard_servers import Server, served
from tiny_runs import requested, sha256

import looksam.remote_file
from looksam.cli import main
from looksam.decoded import mapped

DATASET = {key: value for key, value in PHOTOS.items() if key not in ("source", "per_shard")}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_shards(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def server(shards: Path) -> Iterator[Server]:
    with served(shards) as found:
        yield found


def dataset(server: Server, **changed: Any) -> dict[str, Any]:
    return DATASET | {"decode": "streamed", "shards": server.url} | changed


def fetched(folder: Path, dataset: dict[str, Any]) -> Path:
    """The folder that the rule shard makes."""
    folder.mkdir(parents=True)
    (folder / "source.json").write_text(json.dumps({"dataset": dataset, "code": "0"}))
    main(["shard", str(folder / "source.json"), "--workers", "2"])
    return folder


def run_of(folder: Path, server: Server, **settings: Any) -> Path:
    """The folder of a run whose shards' index has been fetched."""
    chosen = PHOTO_SETTINGS | {"dataset": dataset(server)} | settings
    return requested(folder / "run", fetched(folder / "shards", chosen["dataset"]), **chosen)


def evaluated(run: Path, *options: str) -> dict[str, Any]:
    request = run.parent / "table.json"
    request.write_text(json.dumps({"runs": [{"run": run.name, "code": "c"}]}))
    rows = run.parent / "rows.parquet"
    main(["evaluate", str(request), "--runs", str(run.parent), "--evaluations", str(rows), *options])
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def test_the_rule_shard_fetches_the_index_and_no_shard(tmp_path: Path, server: Server) -> None:
    folder = fetched(tmp_path / "shards", dataset(server))
    assert sorted(path.name for path in folder.iterdir()) == [
        "_info.json",
        "classes.json",
        "index.parquet",
        "source.json",
        "source.made.json",
    ]
    assert sha256(folder / "index.parquet") == sha256(server.folder / "index.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": 51}, "holds 50 train images, but the data set photos is configured with"),
        ({"classes": 4}, "holds 3 classes, but"),
    ],
)
def test_shards_of_other_counts_than_the_config_says_are_refused(
    tmp_path: Path, server: Server, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(SystemExit, match=f"looksam shard: error: {server.url} {message}"):
        fetched(tmp_path / "shards", dataset(server, **change))
    assert not (tmp_path / "shards/index.parquet").exists()


def test_a_shard_that_is_not_there_is_told_before_anything_trains(tmp_path: Path, server: Server) -> None:
    server.answers["test-000001.tar"] = [404]
    with pytest.raises(SystemExit, match=r"test-000001\.tar is not given out \(404 Not Found\); copy the"):
        fetched(tmp_path / "shards", dataset(server))
    assert not (tmp_path / "shards/index.parquet").exists()


def test_images_that_are_decoded_once_are_read_once(tmp_path: Path, server: Server) -> None:
    once = {key: value for key, value in dataset(server, decode="once").items() if key != "resize"}
    run = run_of(tmp_path, server, dataset=once, augment="flip")
    server.requests.clear()
    main(["train", str(run / "run.json")])
    assert (run / "model.safetensors").exists()
    assert server.requests == []
    assert len(mapped(tmp_path / "shards", "test")) == 17


def test_training_and_evaluation_stream_every_image(tmp_path: Path, server: Server) -> None:
    run = run_of(tmp_path, server)
    server.cuts["train-000003.tar"] = [3000]  # one connection breaks
    main(["train", str(run / "run.json"), "--workers", "0"])
    assert not server.cuts["train-000003.tar"]
    assert pq.read_table(run / "history.parquet").num_rows == 3 * (50 // 12)
    metrics = evaluated(run, "--workers", "0")
    assert metrics["images"] == 17
    outcomes = pq.read_table(run / "outcomes.parquet")
    index = pq.read_table(tmp_path / "shards/index.parquet").to_pylist()
    assert outcomes["key"].to_pylist() == [row["key"] for row in index if row["split"] == "test"]


def test_an_evaluation_of_streamed_images_is_that_of_the_same_images_on_disk(
    tmp_path: Path, server: Server
) -> None:
    run = run_of(tmp_path, server, epochs=1)
    main(["train", str(run / "run.json"), "--workers", "0"])
    found = evaluated(run, "--workers", "0")
    (run / "metrics.json").unlink()
    said = json.loads((run / "run.json").read_text())
    said["shards"] = str(server.folder)
    said["settings"]["dataset"] = PHOTOS
    (run / "run.json").write_text(json.dumps(said))
    assert evaluated(run, "--workers", "0") == found


def test_two_ranks_train_and_workers_change_nothing(tmp_path: Path, server: Server) -> None:
    settings = {"epochs": 1, "micro_batch_size": 6}
    runs = [run_of(tmp_path / name, server, **settings) for name in ("first", "second")]
    trained_on_ranks(runs[0] / "run.json", 2)
    process = started(runs[1] / "run.json", 2, "--workers", "2")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert sha256(runs[0] / "model.safetensors") == sha256(runs[1] / "model.safetensors")


def test_a_server_that_fails_ends_a_training_that_goes_on_once_it_is_back(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looksam.remote_file, "WAITS", (0, 0))
    whole, stopped = (run_of(tmp_path / name, server) for name in ("whole", "stopped"))
    main(["train", str(whole / "run.json"), "--workers", "0"])
    # each shard is read in the first epoch; most are refused in the second
    for path in server.folder.glob("train-*.tar"):
        server.cuts[path.name] = [10**9] * 4 + [0] * 99
    command = ["train", str(stopped / "run.json"), "--workers", "0", "--seconds-between-checkpoints", "0"]
    with pytest.raises(
        SystemExit, match=rf"{server.url}/train-\d+\.tar cannot be read .* run the same command"
    ):
        main(command)
    assert list(stopped.glob("checkpoint.*"))
    server.cuts.clear()
    main(command)
    assert sha256(stopped / "model.safetensors") == sha256(whole / "model.safetensors")


def test_a_damaged_byte_is_one_line_of_the_command(tmp_path: Path, server: Server) -> None:
    run = run_of(tmp_path, server)
    server.flipped["train-000002.tar"] = 5000
    process = started(run / "run.json", 1, "--workers", "2")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"looksam train: error: {server.url}/train-000002.tar is not what the index says: sample" in said
    assert "Traceback" not in said
