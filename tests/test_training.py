"""Facts about a training: micro-batches, ranks, masks, and what a recipe may ask of a device."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from ranked_runs import trained_on_ranks
from safetensors.torch import load_file
from tiny_runs import SETTINGS, digit_shards, requested, trained

from looksam.distributed import Ranks
from looksam.errors import UserError
from looksam.feed import Feed, MicroBatch
from looksam.history import FOUND
from looksam.images import Images
from looksam.models import build
from looksam.prefetch import prefetched
from looksam.train import seeded
from looksam.training import Training, micro_batches

ALONE = Ranks(0, 1, torch.device("cpu"))
GREY = {"name": "tiny", "height": 8, "width": 8, "channels": 1, "classes": 10, "decode": "once"}
VIT = {"name": "tiny", "architecture": "vit", "patch_size": 4, "dim": 16, "depth": 2, "heads": 2}
CONVNET = {"name": "tiny", "architecture": "resnet", "bottleneck": False, "width": 4, "blocks": [1, 1]}
LOOKSAM: dict[str, Any] = {"k": 3, "ascent": "global", "descent": "g_v", "rho": 0.1, "alpha": 0.3}


def digits(count: int) -> Images:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return Images(images, torch.arange(count) % 10)


def training(images: Images, **settings: Any) -> Training:
    chosen = SETTINGS | {"dataset": GREY, "model": VIT, "method": LOOKSAM, "warmup_steps": 0} | settings
    network = seeded(0, lambda: build(chosen["model"], GREY))
    return Training(network, chosen, len(images.labels), ALONE)


def steps(images: Images, count: int, **settings: Any) -> Training:
    """A training after so many steps."""
    made = training(images, **settings)
    feed = feed_of(made, images)
    for _ in range(count):
        made.step(feed)
    return made


def feed_of(made: Training, images: Images) -> Iterator[MicroBatch]:
    """What a training is fed from the step on where it is."""
    chosen = made.settings | {"epochs": 99}
    feed = Feed(images, chosen, made.micro_batches, 0, 1)
    return prefetched(feed, range(made.history.steps * made.micro_batches, len(feed)), 0)


def flat(made: Training) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in made.network.parameters()])


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digit_shards(tmp_path_factory.mktemp("shards"))


@pytest.mark.parametrize(
    ("largest", "ranks", "expected"),
    [(None, 1, 1), (None, 4, 1), (16, 1, 4), (16, 2, 2), (20, 1, 4), (99, 2, 1)],
)
def test_a_rank_takes_its_share_in_as_few_micro_batches_as_fit(
    largest: int | None, ranks: int, expected: int
) -> None:
    settings = {"batch_size": 64} | ({"micro_batch_size": largest} if largest else {})
    assert micro_batches(settings, ranks) == expected


def test_ranks_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(UserError, match="batch_size 64 cannot be shared by 3 ranks"):
        micro_batches({"batch_size": 64}, 3)


def test_a_batch_of_1024_in_16_micro_batches_is_one_sweep_to_1e_6() -> None:
    # one float32 sum taken in another order, through four steps of training
    settings: dict[str, Any] = {"batch_size": 1024, "optimizer": "sgd", "augment": "crop+mixup"}
    whole, parts = (flat(steps(digits(1024), 4, micro_batch_size=size, **settings)) for size in (1024, 64))
    assert (whole - parts).norm() <= 1e-6 * whole.norm()


@pytest.mark.parametrize("method", ["synchronised", "rank", "micro-batch"])
def test_one_rank_that_perturbs_by_rank_perturbs_by_the_whole_batch(method: str) -> None:
    made = training(digits(64), method=LOOKSAM | {"perturbation": method})
    assert made.sharpness.method.perturbation == {"rank": "synchronised"}.get(method, method)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": VIT | {"drop_path": 0.5}},
        {"model": VIT, "augment": "crop+mixup", "ema": 0.9},
        {"model": VIT, "method": LOOKSAM | {"perturbation": "micro-batch"}},
        {"model": CONVNET, "augment": "crop+flip"},
    ],
    ids=["drop path", "mixup and ema", "m-sharpness", "batch norm"],
)
def test_two_ranks_train_the_weights_of_one_rank_with_two_micro_batches_to_the_bit(
    tmp_path: Path, shards: Path, settings: dict[str, Any]
) -> None:
    settings = {"method": LOOKSAM, "batch_size": 16, "micro_batch_size": 8} | settings
    one = trained(tmp_path / "one", shards, **settings)
    two = requested(tmp_path / "two", shards, **settings)
    trained_on_ranks(two / "run.json", 2)
    expected, found = (load_file(folder / "model.safetensors") for folder in (one, two))
    parameters = {name for name in expected if "running_" not in name and "num_batches" not in name}
    assert {name for name in parameters if not torch.equal(expected[name], found[name])} == set()
    # BatchNorm's statistics, which the first rank alone has of its own images, are no part of a step
    histories = [pq.read_table(folder / "history.parquet") for folder in (one, two)]
    without = [table.drop_columns("judged_top1") for table in histories]
    assert without[0].equals(without[1])


def test_both_passes_of_an_ascent_step_draw_the_same_masks() -> None:
    images, model = digits(60), VIT | {"drop_path": 0.5}
    # without a perturbation both passes have the same weights, so g_s = g and nothing is left for g_v
    made = steps(images, 1, model=model, micro_batch_size=5, method=LOOKSAM | {"rho": 0.0})
    assert all(not g_v.any() for g_v in made.sharpness.memory.values())


def test_masks_differ_between_the_passes_where_the_replay_is_off() -> None:
    images, model = digits(60), VIT | {"drop_path": 0.5}
    made = steps(images, 1, model=model, method=LOOKSAM | {"rho": 0.0, "replay": False})
    assert any(g_v.any() for g_v in made.sharpness.memory.values())


def test_masks_do_not_depend_on_what_was_drawn_before() -> None:
    images, model = digits(60), VIT | {"drop_path": 0.5}
    first = steps(images, 4, model=model)
    torch.rand(3)
    assert torch.equal(flat(steps(images, 4, model=model)), flat(first))


@pytest.mark.parametrize("model", [VIT | {"drop_path": 0.5}, CONVNET], ids=["vit", "convnet"])
def test_activation_checkpointing_changes_no_bit(model: dict[str, Any]) -> None:
    plain, twice = (
        steps(digits(60), 4, model=model, activation_checkpointing=asked).network.state_dict()
        for asked in (False, True)
    )
    assert {name for name in plain if not torch.equal(plain[name], twice[name])} == set()


def noted(sizes: list[int], x: torch.Tensor) -> torch.Tensor:
    sizes.append(x.numel())
    return x


def test_activation_checkpointing_keeps_fewer_activations() -> None:
    kept = []
    for asked in (False, True):
        made = training(digits(60), activation_checkpointing=asked)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(partial(noted, sizes), lambda x: x):
            made.model(torch.zeros(60, 1, 8, 8))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_the_evaluated_weights_are_the_moving_average_of_those_of_each_step() -> None:
    images, made = digits(60), training(digits(60), ema=0.75)
    average = None
    feed = feed_of(made, images)
    for _ in range(4):
        made.step(feed)
        average = flat(made) if average is None else 0.75 * average + 0.25 * flat(made)
    names = [name for name, _ in made.network.named_parameters()]
    found = torch.cat([made.weights()[name].flatten() for name in names])
    torch.testing.assert_close(found, average)


def test_channels_last_lays_out_kernels_and_changes_the_weights_by_rounding_alone() -> None:
    plain, laid = (
        steps(digits(60), 3, model=CONVNET, memory_format=asked) for asked in ("contiguous", "channels_last")
    )
    kernels = [p for p in laid.network.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    # AdamW divides rounding errors of near-zero gradients by their own size
    torch.testing.assert_close(flat(laid), flat(plain), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("asked", "is_compiled"), [("never", False), ("accelerator", False), ("always", True)]
)
def test_on_a_cpu_a_network_is_compiled_only_where_the_recipe_says_always(
    asked: str, is_compiled: bool
) -> None:
    made = training(digits(60), compile=asked)
    assert (made.network._compiled_call_impl is not None) == is_compiled


def test_a_compiled_network_trains_the_same_weights_but_for_rounding() -> None:
    plain, compiled = (steps(digits(60), 4, optimizer="sgd", compile=asked) for asked in ("never", "always"))
    torch.testing.assert_close(flat(compiled), flat(plain), rtol=0, atol=1e-5)


def test_going_on_from_a_state_is_going_on_without_a_stop_to_the_bit(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "model": CONVNET,
        "optimizer": "lamb",
        "ema": 0.9,
        "clip": 1.0,
        "warmup_steps": 3,
    }
    images, whole = digits(60), steps(digits(60), 10, **settings)
    first = steps(images, 6, **settings)  # in the middle of an epoch of 4 steps, and of a period of 3
    first.history.fetch()
    torch.save(first.state(), tmp_path / "state.pt")
    again = training(images, **settings)
    again.load(torch.load(tmp_path / "state.pt", weights_only=True))
    feed = feed_of(again, images)
    for _ in range(4):
        again.step(feed)
    assert all(torch.equal(x, again.weights()[name]) for name, x in whole.weights().items())
    whole.history.fetch()
    again.history.fetch()
    assert whole.history.rows == again.history.rows


def test_what_refreshes_found_stays_on_the_device_until_losses_are_fetched() -> None:
    rows = [steps(digits(60), count).history.rows for count in (3, 4)]  # of an epoch of 4 steps
    assert [len(each["g_v_over_g"]) for each in rows] == [len(each["loss"]) for each in rows] == [0, 4]


def test_a_training_records_the_diagnostics_of_its_refresh() -> None:
    made = steps(digits(60), 4)  # refreshes at steps 0 and 3
    read = made.sharpness.read_diagnostics()
    assert {name: made.history.rows[name][-1] for name in FOUND} == {name: read[name] for name in FOUND}
