"""Facts about augmentation: what each does, and that its draws depend on seed, epoch and sample alone."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from looksam.augment import AUGMENTS, evaluation_batch, training_batch
from looksam.draws import mix
from looksam.errors import UserError
from looksam.images import Images

PER_SAMPLE = ["none", "crop", "flip", "randaug", "crop+flip", "crop+flip+randaug"]
SHAPES = [(1, 8, 8), (1, 8, 16), (3, 32, 32), (3, 224, 224)]


def data(count: int, shape: tuple[int, int, int] = (3, 32, 32)) -> Images:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return Images(images, torch.arange(count) % 10)


def constant(value: int, count: int, shape: tuple[int, int, int]) -> Images:
    """Images that are the same all over."""
    return Images(torch.full((count, *shape), value, dtype=torch.uint8), torch.zeros(count, dtype=torch.long))


def trained_on(
    names: str,
    images: Images,
    seed: int = 0,
    epoch: int = 0,
    batch: Tensor | None = None,
    part: slice = slice(None),
) -> tuple[Tensor, Tensor]:
    """Inputs, normalised, and targets of a batch, by default of all the images in one part."""
    batch = torch.arange(len(images.labels)) if batch is None else batch
    augmented, targets = training_batch(names, images, batch, part, seed, epoch, 10)
    return evaluation_batch(augmented), targets


def augmented(names: str, images: Images, seed: int = 0, epoch: int = 0) -> Tensor:
    return trained_on(names, images, seed, epoch)[0]


def raw(images: Tensor) -> Tensor:
    """Normalised images as values of 0..255 again."""
    return ((images + 1) * 127.5).round()


def test_evaluation_maps_0_to_minus_1_and_255_to_1() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    assert evaluation_batch(images).flatten().tolist() == pytest.approx([-1, -0.6, 1])
    assert evaluation_batch(images).dtype == torch.float32


def test_evaluation_rounds_as_halving_after_centring_does() -> None:
    images = torch.cat([torch.arange(256.0), torch.rand(10_000) * 255])
    assert torch.equal(evaluation_batch(images), (images / 255 - 0.5) / 0.5)


def test_evaluation_leaves_mixed_images_alone() -> None:
    images = torch.full((1, 1, 1, 2), 51.0)
    evaluation_batch(images)
    assert (images == 51).all()


def test_none_is_the_evaluation_batch_with_one_hot_targets() -> None:
    images, labels = data(12)
    inputs, targets = trained_on("none", Images(images, labels))
    assert torch.equal(inputs, evaluation_batch(images))
    assert torch.equal(targets.argmax(1), labels)
    assert torch.equal(targets.sum(1), torch.ones(12))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", [*PER_SAMPLE, "mixup", "randaug+mixup"])
def test_every_augmentation_keeps_shape_and_range(names: str, shape: tuple[int, int, int]) -> None:
    inputs = augmented(names, data(2, shape))
    assert inputs.shape == (2, *shape)
    assert inputs.dtype == torch.float32
    assert inputs.abs().max() <= 1


@pytest.mark.parametrize("names", PER_SAMPLE)
def test_a_sample_comes_out_the_same_whatever_batch_it_is_in(names: str) -> None:
    images, some = data(24), torch.tensor([17, 3, 4])
    together = augmented(names, images)
    assert torch.equal(trained_on(names, images, batch=some)[0], together[some])


@pytest.mark.parametrize("names", ["none", "crop+flip+randaug", "mixup", "crop+mixup"])
@pytest.mark.parametrize("parts", [2, 3, 12])
def test_the_parts_of_a_batch_together_are_the_batch_to_the_bit(names: str, parts: int) -> None:
    images, batch, size = data(24), torch.randperm(24)[:12], 12 // parts
    slices = [slice(start, start + size) for start in range(0, 12, size)]
    pieces = [trained_on(names, images, batch=batch, part=part) for part in slices]
    whole = trained_on(names, images, batch=batch)
    assert torch.equal(torch.cat([inputs for inputs, _ in pieces]), whole[0])
    assert torch.equal(torch.cat([targets for _, targets in pieces]), whole[1])


@pytest.mark.parametrize("names", ["crop", "flip", "randaug"])
@pytest.mark.parametrize(("seed", "epoch"), [(1, 0), (0, 1)])
def test_another_seed_or_epoch_draws_anew(names: str, seed: int, epoch: int) -> None:
    assert not torch.equal(augmented(names, data(24)), augmented(names, data(24), seed, epoch))


def test_the_seed_and_the_epoch_are_not_interchangeable() -> None:
    assert not torch.equal(augmented("crop", data(24), seed=1), augmented("crop", data(24), epoch=1))


@pytest.mark.parametrize("names", [*AUGMENTS, "+".join(AUGMENTS)])
def test_augmentation_leaves_the_global_generator_and_the_images_alone(names: str) -> None:
    images = data(6)
    copy, before = images.images.clone(), torch.get_rng_state()
    augmented(names, images)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images.images, copy)


@pytest.mark.parametrize("names", AUGMENTS)
def test_the_global_generator_has_no_say_in_augmentation(names: str) -> None:
    first = augmented(names, data(6))
    torch.rand(1)
    assert torch.equal(augmented(names, data(6)), first)


def test_crops_are_windows_of_the_image_with_a_black_margin() -> None:
    images = data(200, (2, 8, 16))
    padded = torch.nn.functional.pad(images.images, [1, 1, 1, 1]).float()
    windows = padded.unfold(2, 8, 1).unfold(3, 16, 1)  # [B, C, 3, 3, 8, 16]
    cropped = raw(augmented("crop", images))
    hits = (windows == cropped[:, :, None, None]).flatten(4).all(4).all(1)
    assert hits.flatten(1).any(1).all()
    assert (hits.sum(0) > 0).all()


def test_a_crop_is_the_window_that_the_second_and_third_draws_name() -> None:
    images = data(50, (2, 8, 16))
    keys = mix(mix(mix(torch.tensor(7)) + 3) + torch.arange(50))
    padded = torch.nn.functional.pad(images.images, [1, 1, 1, 1])
    places = zip((mix(keys + 1) % 3).tolist(), (mix(keys + 2) % 3).tolist(), strict=True)
    windows = [
        image[:, top : top + 8, left : left + 16] for image, (top, left) in zip(padded, places, strict=True)
    ]
    cropped, _ = training_batch("crop", images, torch.arange(50), slice(None), 7, 3, 10)
    assert torch.equal(cropped, torch.stack(windows))


def test_a_crop_of_a_constant_image_is_constant_but_for_the_margin() -> None:
    cropped = raw(augmented("crop", constant(77, 50, (1, 32, 32))))
    assert set(cropped.flatten().tolist()) == {0, 77}
    assert (cropped[:, :, 4:28, 4:28] == 77).all()


def test_half_of_the_images_are_flipped_and_the_rest_untouched() -> None:
    images, labels = data(2000, (1, 4, 4))
    flipped = raw(augmented("flip", Images(images, labels)))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    untouched = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ untouched).all()
    # 2000 fair draws: five standard deviations are 0.056
    assert abs(mirrored.float().mean().item() - 0.5) < 0.056


def test_flips_and_crops_are_drawn_independently() -> None:
    images = constant(0, 4000, (1, 8, 8))
    images.images[:, :, :, 0] = 255
    result = raw(augmented("crop+flip", images))
    columns = [tuple((row == 255).nonzero().flatten().tolist()) for row in result[:, 0, 4]]
    counts = {place: columns.count(place) for place in set(columns)}
    # 3 crops x 2 flips, one of each crop moves the stripe out of the image; five standard deviations are 118
    assert all(abs(counts[place] - 4000 / 6) < 118 for place in [(0,), (1,), (6,), (7,)])


def test_randaug_changes_most_images_and_each_in_its_own_way() -> None:
    image = data(1).images.expand(40, 3, 32, 32)
    results = augmented("randaug", Images(image, torch.zeros(40, dtype=torch.long)))
    assert len({tuple(result.flatten().tolist()) for result in results}) > 25


def test_mixup_takes_the_same_shares_of_images_and_targets() -> None:
    images = data(10)
    inputs, targets = trained_on("mixup", images, epoch=3)
    share = targets[0, 0]
    assert 0 < share < 1
    plain = evaluation_batch(images.images)
    torch.testing.assert_close(inputs, share * plain + (1 - share) * plain.roll(1, 0))
    torch.testing.assert_close(targets.sum(1), torch.ones(10))


def test_mixup_of_the_same_batch_is_the_same() -> None:
    assert torch.equal(augmented("mixup", data(10)), augmented("mixup", data(10)))


def test_shares_of_mixup_are_spread_as_beta_of_a_fifth() -> None:
    images = data(2, (1, 8, 8))
    shares = torch.tensor([trained_on("mixup", images, epoch=e)[1][0, 0] for e in range(400)])
    # Beta(0.2, 0.2): mean 1/2, standard deviation 0.423; the mean of 400 has 0.021
    assert abs(shares.mean().item() - 0.5) < 0.1
    assert abs(shares.std().item() - 0.423) < 0.05


def test_the_order_of_the_names_makes_no_difference() -> None:
    assert torch.equal(augmented("mixup+flip+crop", data(6)), augmented("crop+flip+mixup", data(6)))


@pytest.mark.parametrize("names", ["cutmix", "crop+cutmix", "none+crop", "crop+", ""])
def test_an_unknown_name_names_the_known_ones(names: str) -> None:
    with pytest.raises(
        UserError,
        match=r"known: none, or one or more of resized-crop, crop, .*, mixup, joined by \+",
    ):
        augmented(names, data(2))


def test_torchvision_is_imported_only_where_it_is_needed() -> None:
    script = "import sys, looksam.augment; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
