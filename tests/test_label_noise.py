"""Facts about label noise: how many labels are wrong, which, and who sees them."""

from pathlib import Path

import numpy as np
from made_shards import write_shards

from looksam.label_noise import LabelNoise, flipped
from looksam.loader import load
from looksam.sample import Sample, png

RANDOM = np.random.default_rng(0)
LABELS = np.arange(1000) % 10
SHA256 = RANDOM.integers(0, 256, (1000, 32), dtype=np.uint8)
NOISE = LabelNoise(0.4, 3)


def wrong(noise: LabelNoise = NOISE) -> np.ndarray:
    return flipped(LABELS, SHA256, 10, noise) != LABELS


def test_exactly_the_share_that_is_asked_for_is_wrong() -> None:
    assert wrong().sum() == 400


def test_no_noise_changes_no_label() -> None:
    assert not wrong(LabelNoise(0.0, 3)).any()


def test_a_wrong_label_is_any_of_the_other_classes() -> None:
    found = flipped(LABELS, SHA256, 10, NOISE)[wrong()]
    # 400 draws of 9 steps from the right class, 44 of each: below 20 is 3.6 standard deviations off
    steps = np.bincount((found - LABELS[wrong()]) % 10, minlength=10)
    assert steps[0] == 0
    assert steps[1:].min() >= 20


def test_another_seed_makes_other_labels_wrong() -> None:
    both = (wrong() & wrong(LabelNoise(0.4, 4))).sum()
    # of two independent draws of 400, 160 are common; the standard deviation is 9.8
    assert abs(both - 160) < 40


def test_which_labels_are_wrong_does_not_depend_on_the_order_of_the_images() -> None:
    turned = flipped(LABELS[::-1], SHA256[::-1], 10, NOISE)[::-1]
    assert np.array_equal(turned, flipped(LABELS, SHA256, 10, NOISE))


def test_more_noise_keeps_the_labels_that_were_wrong_before() -> None:
    assert not (wrong(LabelNoise(0.2, 3)) & ~wrong()).any()


def test_images_that_are_held_out_keep_their_labels(tmp_path: Path) -> None:
    images = RANDOM.integers(0, 256, (40, 2, 2), dtype=np.uint8)
    samples = [Sample("train", f"a{i}", png(image), "png", i % 4) for i, image in enumerate(images)]
    samples.append(Sample("test", "b", png(images[0]), "png", 0))
    dataset = {"name": "tiny", "classes": 4, "height": 2, "width": 2, "channels": 1, "decode": "once"}
    shards = write_shards(samples, tmp_path, 100, dataset)
    clean, noisy = (load(shards, "train", dataset, 20, noise).labels for noise in (None, LabelNoise(0.5, 0)))
    assert (clean != noisy).sum() == 10
    held_out = load(shards, "validation", dataset, 20)
    assert sorted(np.bincount(held_out.labels)) == [5, 5, 5, 5]
