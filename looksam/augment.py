"""Augmentation: uint8 batches in, normalised float32 out, every draw a function of seed, epoch and sample.

So it makes no difference in which batch or after which other draws a sample comes; but for mixup, which pairs
the samples of a batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import one_hot, pad

from looksam.draws import mix
from looksam.errors import UserError
from looksam.loader import Images

RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE = 2, 15
MIXUP_ALPHA = 0.2


def evaluation_batch(images: Tensor) -> Tensor:
    """Images [B, C, H, W] of 0..255, uint8 or float, as float32 in [-1, 1]."""
    return (images.float() / 255 - 0.5) / 0.5


class Draws(NamedTuple):
    """What draws start from: a key for each image, int64 [B], and one for the whole batch."""

    images: Tensor
    batch: int


def training_batch(
    names: str, data: Images, batch: Tensor, part: slice, seed: int, epoch: int, classes: int
) -> tuple[Tensor, Tensor]:
    """A part of a batch: augmented images float32 [n, C, H, W] in [-1, 1], and targets float32 [n, classes].

    The parts of a batch, put together, are what the batch is in one part. names: "none", or rows of AUGMENTS
    joined by "+", applied in the order of that table. batch: int64 [B], positions in `data` of its samples.
    part: positions in the batch.
    """
    chosen = [] if names == "none" else names.split("+")
    if unknown := set(chosen) - set(AUGMENTS):
        raise UserError(
            f"unknown augmentation {', '.join(sorted(unknown))} in {names!r}; known: none, or one or more of "
            f"{', '.join(AUGMENTS)}, joined by +"
        )
    keys = mix(mix(mix(torch.tensor(seed)) + epoch) + batch)
    places = torch.arange(len(batch))[part]
    if "mixup" in chosen:
        places = torch.cat([places[:1] - 1, places])  # the first image is mixed with the one before it
    some = batch[places]
    images, targets = data.images[some], one_hot(data.labels[some], classes).float()
    draws = Draws(keys[places], int(mix(keys + 5).sum()))
    for name, augment in AUGMENTS.items():
        if name in chosen:
            images, targets = augment(images, targets, draws)
    return evaluation_batch(images), targets


def crop(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Cuts H x W at random from the images with H // 8 (at least 1) zeros around them."""
    count, channels, height, width = images.shape
    margin = max(1, height // 8)
    keys = draws.images
    top, left = mix(keys + 1) % (2 * margin + 1), mix(keys + 2) % (2 * margin + 1)
    rows = top[:, None] + torch.arange(height, device=keys.device)
    columns = left[:, None] + torch.arange(width, device=keys.device)
    samples = torch.arange(count, device=keys.device)[:, None, None, None]
    colours = torch.arange(channels, device=keys.device)[:, None, None]
    padded = pad(images, [margin] * 4)
    return padded[samples, colours, rows[:, None, :, None], columns[:, None, None, :]], targets


def flip(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Mirrors half of the images left to right."""
    mirrored = (mix(draws.images + 3) % 2 == 0)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images), targets


def randaug(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """RandAugment (Cubuk et al. 2020) of each image: 2 of torchvision's operations, magnitude 15 of 0..30.

    The paper gives neither number; these are our choice.
    """
    from torchvision.transforms.v2 import RandAugment

    transform = RandAugment(num_ops=RANDAUGMENT_OPERATIONS, magnitude=RANDAUGMENT_MAGNITUDE)
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, key in zip(images, mix(draws.images + 4).tolist(), strict=True):
            seed_cpu(key)
            changed.append(transform(image))
    return torch.stack(changed), targets


def mixup(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """mixup (Zhang et al. 2018) of images 1 to B with the one before each, one share of Beta(0.2, 0.2).

    The paper gives no alpha; 0.2 is our choice. The share depends on which samples the whole batch has.
    Mixing 0..255 is mixing normalised images, because the normalisation is affine.
    """
    with torch.random.fork_rng(devices=[]):
        seed_cpu(draws.batch)
        share = float(Beta(MIXUP_ALPHA, MIXUP_ALPHA).sample())
    images = images.float()
    return (
        share * images[1:] + (1 - share) * images[:-1],
        share * targets[1:] + (1 - share) * targets[:-1],
    )


def seed_cpu(seed: int) -> None:
    """Seeds the generator that torch and torchvision draw from, inside fork_rng, which puts back its state.

    Not by torch.manual_seed, which would also seed the accelerators, and fork_rng(devices=[]) forgets these.
    """
    torch.default_generator.manual_seed(seed)


AUGMENTS: dict[str, Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]]] = {
    "crop": crop,
    "flip": flip,
    "randaug": randaug,
    "mixup": mixup,
}
