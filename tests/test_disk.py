"""What a study takes on disk, against the files that it really makes."""

from pathlib import Path

import pytest
import torch
from made_runs import finished
from safetensors.torch import save
from study_files import copied, study
from tiny_runs import DIGITS, SETTINGS, digit_shards

from looksam.cells import Run
from looksam.columns import aligned, duration, short, size
from looksam.disk import checkpoint_bytes, disk, shard_bytes, sizes, weight_bytes
from looksam.models import build
from looksam.optimizers import OPTIMIZERS, base_optimizer

SMOKE = {"scale": "smoke", "tables": ["table7"]}


def test_a_request_alone_is_no_shards(tmp_path: Path) -> None:
    found = study(copied(tmp_path), **SMOKE)
    before = disk(found, []).shards.planned
    found.write_requests()
    assert disk(found, []).shards.planned == before


def test_nothing_is_there_before_anything_runs(tmp_path: Path) -> None:
    found = study(copied(tmp_path), **SMOKE)
    use = disk(found, list(found.runs.values()))
    assert (use.shards.now, use.weights.now, use.other) == (0, 0, 0)
    assert use.to_come == use.shards.planned + use.weights.planned + use.checkpoint > 0


def test_what_is_there_is_counted_by_kind(tmp_path: Path) -> None:
    root = copied(tmp_path)
    use = disk(finished(root, **SMOKE), [])
    # every made file says "made"
    assert use.weights.now == 3 * 4
    assert use.other > 0
    assert use.checkpoint == 0


def test_weights_take_what_safetensors_writes_of_parameters() -> None:
    network = build(SETTINGS["model"], SETTINGS["dataset"])
    written = save({name: x.detach() for name, x in network.named_parameters()})
    assert 0 < len(written) - weight_bytes(Run("run", SETTINGS, "shards")) < 4096


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_checkpoint_counts_the_optimizers_states(name: str) -> None:
    settings = SETTINGS | {"optimizer": name, "method": {"k": 0}}
    network = build(settings["model"], settings["dataset"])
    optimizer = base_optimizer(settings, network)
    network(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    tensors = [x for state in optimizer.state_dict()["state"].values() for x in state.values()]
    states = sum(x.numel() for x in tensors if isinstance(x, torch.Tensor) and x.numel() > 1)
    run = Run("run", settings, "shards")
    assert checkpoint_bytes(run) - weight_bytes(run) == pytest.approx(4 * states, rel=0.01)


def test_a_method_that_reuses_keeps_one_more_number_of_each_parameter() -> None:
    plain = Run("run", SETTINGS | {"method": {"k": 0}}, "shards")
    assert checkpoint_bytes(Run("run", SETTINGS, "shards")) == checkpoint_bytes(plain) + weight_bytes(plain)


def test_the_estimate_of_small_shards_is_near_what_is_written(tmp_path: Path) -> None:
    written = sum(sizes(digit_shards(tmp_path)).values())
    # 64 + 100 digits of the data set's 64 + 1733
    estimate = shard_bytes(DIGITS | {"test_images": 100})
    assert 0.5 < written / estimate < 2


def test_of_shards_at_a_url_an_index_is_fetched_or_what_is_decoded_once() -> None:
    streamed, once = (
        shard_bytes(DIGITS | {"shards": "s3://bucket/digits", "decode": decode})
        for decode in ("streamed", "once")
    )
    assert streamed < shard_bytes(DIGITS) / 5
    assert once == shard_bytes(DIGITS) + streamed


def test_columns_stand_under_each_other() -> None:
    assert aligned([("run", "n"), ("a", "10")]) == ["run   n", "a    10"]


def test_numbers_are_short() -> None:
    assert [short(x) for x in (0, 1e-5, 0.5, 12.34, 5678.9)] == ["0", "<0.01", "0.50", "12.3", "5,679"]
    assert [duration(x) for x in (8, 720, 12000, 560000)] == ["8 s", "12 min", "3.3 h", "6.5 d"]
    assert [size(x) for x in (0, 999, 1e6, 2.5e12)] == ["0 B", "999 B", "1 MB", "2.5 TB"]
