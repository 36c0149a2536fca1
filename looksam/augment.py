"""Augmentation: images of 0..255 in and out, every draw a function of seed, epoch and sample.

So it makes no difference in which batch or after which other draws a sample comes; but for mixup, which pairs
the samples of a batch.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import one_hot, pad

from looksam.crops import chances_of, drawn_crop
from looksam.draws import mix
from looksam.errors import UserError
from looksam.images import Data

RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE = 2, 15
# share of the images, and grey, which is almost 0 once it is normalised
ERASED, ERASED_TO = 0.25, 128
MIXUP_ALPHA = 0.2


def evaluation_batch(images: Tensor) -> Tensor:
    """Images [B, C, H, W] of 0..255, uint8 or float, as float32 in [-1, 1]."""
    # the bits of (x / 255 - 0.5) / 0.5, because halves and doubles are exact; converted first and then in
    # place, because torch divides uint8 slowly, and new memory costs as much as the arithmetic
    return images.to(torch.float32, copy=True).div_(127.5).sub_(1)


class Draws(NamedTuple):
    """What draws start from: a key for each image, int64 [n], and those of the whole batch.

    size: height and width that a network is given.
    """

    images: Tensor
    batch: Tensor
    size: tuple[int, int]


def training_batch(
    names: str, data: Data, batch: Tensor, part: slice, seed: int, epoch: int, classes: int
) -> tuple[Tensor, Tensor]:
    """A part of a batch: augmented images [n, C, H, W] of 0..255, and targets float32 [n, classes].

    The images are uint8, or float32 once they are mixed. The parts of a batch, put together, are what the
    batch is in one part. names: "none", or rows of AUGMENTS joined by "+", applied in the order of that
    table. batch: int64 [B], positions in `data` of its samples. part: positions in the batch.
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
    targets = one_hot(data.labels[some], classes).float()
    draws = Draws(keys[places], keys, data.size)
    images: Any = data.pictures(some) if "resized-crop" in chosen else data.at(some)
    for name, augment in AUGMENTS.items():
        if name in chosen:
            images, targets = augment(images, targets, draws)
    return images, targets


def resized_crop(pictures: Iterable[Tensor], targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Windows of 8 to 100 % of the area, drawn of each picture, brought to size (Szegedy et al. 2015)."""
    chances = chances_of(draws.images + 6).tolist()
    crops = (drawn_crop(picture, draws.size, of) for picture, of in zip(pictures, chances, strict=True))
    first = next(crops)
    images = torch.empty((len(chances), *first.shape), dtype=torch.uint8)
    images[0] = first
    for image, cropped in zip(images[1:], crops, strict=True):
        image.copy_(cropped)
    return images, targets


def crop(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Cuts H x W at random from the images with H // 8 (at least 1) zeros around them."""
    channels, height, width = images.shape[1:]
    margin = max(1, height // 8)
    top, left = (mix(draws.images + salt) % (2 * margin + 1) for salt in (1, 2))
    padded = pad(images, [margin] * 4)
    each, plane, line, _ = padded.stride()
    # every window of one line, by where it starts: torch copies these faster than windows of two dimensions
    windows = padded.as_strided((padded.numel() - width + 1, width), (1, 1))
    in_image = plane * torch.arange(channels)[:, None] + line * torch.arange(height)
    starts = each * torch.arange(len(images)) + line * top + left
    return windows.index_select(0, (starts[:, None] + in_image.flatten()).flatten()).view_as(images), targets


def flip(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Mirrors half of the images left to right, in place."""
    some = (mix(draws.images + 3) % 2 == 0).nonzero().flatten()
    # numpy puts whole images back several times faster than torch's indexing does
    images.numpy()[some.numpy()] = images.index_select(0, some).flip(-1).numpy()
    return images, targets


def randaug(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """RandAugment (Cubuk et al. 2020) of each image: 2 of torchvision's operations, magnitude 15 of 0..30.

    The paper gives neither number; these are our choice.
    """
    from torchvision.transforms.v2 import RandAugment

    transform = RandAugment(num_ops=RANDAUGMENT_OPERATIONS, magnitude=RANDAUGMENT_MAGNITUDE)
    return one_by_one(transform, images, mix(draws.images + 4)), targets


def erase(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Random erasing (Zhong et al. 2020) of a quarter of the images: a window of 2 to 33 % becomes grey.

    torchvision's, with timm's share of the images; the paper has none.
    """
    from torchvision.transforms.v2 import RandomErasing

    transform = RandomErasing(p=ERASED, value=ERASED_TO)
    return one_by_one(transform, images, mix(draws.images + 7)), targets


def one_by_one(transform: Callable[[Tensor], Tensor], images: Tensor, keys: Tensor) -> Tensor:
    """The images, each transformed with draws that its key decides."""
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, key in zip(images, keys.tolist(), strict=True):
            seed_cpu(key)
            changed.append(transform(image))
    return torch.stack(changed)


def mixup(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """mixup (Zhang et al. 2018) of images 1 to B with the one before each, one share of Beta(0.2, 0.2).

    The paper gives no alpha; 0.2 is our choice. The share depends on which samples the whole batch has.
    Mixing 0..255 is mixing normalised images, because the normalisation is affine.
    """
    with torch.random.fork_rng(devices=[]):
        seed_cpu(int(mix(draws.batch + 5).sum()))
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


# each is given images that nobody else has, which it may change
AUGMENTS: dict[str, Callable[[Any, Tensor, Draws], tuple[Tensor, Tensor]]] = {
    "resized-crop": resized_crop,
    "crop": crop,
    "flip": flip,
    "randaug": randaug,
    "erase": erase,
    "mixup": mixup,
}
