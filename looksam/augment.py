"""Augmentation: uint8 batches in, normalised float32 out, every draw a function of seed, epoch and sample.

So it makes no difference in which batch or after which other draws a sample comes; but for mixup, which pairs
the samples of a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from looksam.errors import UserError

RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE = 2, 15
MIXUP_ALPHA = 0.2


def evaluation_batch(images: Tensor) -> Tensor:
    """Images [B, C, H, W] of 0..255, uint8 or float, as float32 in [-1, 1]."""
    return (images.float() / 255 - 0.5) / 0.5


def training_batch(
    names: str, images: Tensor, labels: Tensor, ids: Tensor, seed: int, epoch: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Augmented images float32 [B, C, H, W] in [-1, 1], and targets float32 [B, classes] that sum to 1.

    names: "none", or rows of AUGMENTS joined by "+", applied in the order of that table. images: uint8
    [B, C, H, W], C 1 or 3. labels, ids: int64 [B]; an id tells a sample from the others of its split.
    """
    chosen = [] if names == "none" else names.split("+")
    if unknown := set(chosen) - set(AUGMENTS):
        raise UserError(
            f"unknown augmentation {', '.join(sorted(unknown))} in {names!r}; known: none, or one or more of "
            f"{', '.join(AUGMENTS)}, joined by +"
        )
    targets = one_hot(labels, classes).float()
    keys = mix(mix(mix(torch.tensor(seed, device=ids.device)) + epoch) + ids)
    for name, augment in AUGMENTS.items():
        if name in chosen:
            images, targets = augment(images, targets, keys)
    return evaluation_batch(images), targets


def mix(x: Tensor) -> Tensor:
    """Next output of SplitMix64 from state x, elementwise; int64 stands for the 64 bits, arithmetic wraps.

    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; the constants are Java's.
    """
    x = x + signed(0x9E3779B97F4A7C15)
    x = (x ^ shifted(x, 30)) * signed(0xBF58476D1CE4E5B9)
    x = (x ^ shifted(x, 27)) * signed(0x94D049BB133111EB)
    return x ^ shifted(x, 31)


def signed(bits: int) -> int:
    """The int64 that has the same 64 bits."""
    return bits - (1 << 64) if bits >> 63 else bits


def shifted(x: Tensor, places: int) -> Tensor:
    """The 64 bits moved right and filled with zeros; torch's >> on int64 fills with the sign."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def crop(images: Tensor, targets: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts H x W at random from the images with H // 8 (at least 1) zeros around them."""
    count, channels, height, width = images.shape
    margin = max(1, height // 8)
    top, left = mix(keys + 1) % (2 * margin + 1), mix(keys + 2) % (2 * margin + 1)
    rows = top[:, None] + torch.arange(height, device=keys.device)
    columns = left[:, None] + torch.arange(width, device=keys.device)
    samples = torch.arange(count, device=keys.device)[:, None, None, None]
    colours = torch.arange(channels, device=keys.device)[:, None, None]
    padded = pad(images, [margin] * 4)
    return padded[samples, colours, rows[:, None, :, None], columns[:, None, None, :]], targets


def flip(images: Tensor, targets: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrors half of the images left to right."""
    mirrored = (mix(keys + 3) % 2 == 0)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images), targets


def randaug(images: Tensor, targets: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """RandAugment (Cubuk et al. 2020) of each image: 2 of torchvision's operations, magnitude 15 of 0..30.

    The paper gives neither number; these are our choice.
    """
    from torchvision.transforms.v2 import RandAugment

    transform = RandAugment(num_ops=RANDAUGMENT_OPERATIONS, magnitude=RANDAUGMENT_MAGNITUDE)
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, key in zip(images, mix(keys + 4).tolist(), strict=True):
            seed_cpu(key)
            changed.append(transform(image))
    return torch.stack(changed), targets


def mixup(images: Tensor, targets: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """mixup (Zhang et al. 2018) of each image with its neighbour in the batch, one share of Beta(0.2, 0.2).

    The paper gives no alpha; 0.2 is our choice. The share depends on which samples the batch has. Mixing
    0..255 is mixing normalised images, because the normalisation is affine.
    """
    from torchvision.transforms.v2 import MixUp

    with torch.random.fork_rng(devices=[]):
        seed_cpu(int(mix(keys + 5).sum()))
        mixed: tuple[Tensor, Tensor] = MixUp(alpha=MIXUP_ALPHA)(images.float(), targets)
    return mixed


def seed_cpu(seed: int) -> None:
    """Seeds the generator that torchvision draws from, inside fork_rng, which puts back its state.

    Not by torch.manual_seed, which would also seed the accelerators, and fork_rng(devices=[]) forgets these.
    """
    torch.default_generator.manual_seed(seed)


AUGMENTS: dict[str, Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "crop": crop,
    "flip": flip,
    "randaug": randaug,
    "mixup": mixup,
}
