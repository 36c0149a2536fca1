"""Random numbers as functions of what they are for (seed, epoch, sample, step), whatever was drawn before."""

import hashlib

import torch
from torch import Tensor


def mix(x: Tensor) -> Tensor:
    """Next output of SplitMix64 from state x, elementwise; int64 stands for the 64 bits, arithmetic wraps.

    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; the constants are Java's.
    """
    x = x + _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted(x, 31)


def key(*numbers: int) -> int:
    """63 bits that depend on all the numbers and on their order, to seed a generator with."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def order(seed: int, epoch: int, images: int) -> Tensor:
    """Permutation int64 [images] of the epoch; depends on seed and epoch alone."""
    generator = torch.Generator().manual_seed(int(mix(mix(torch.tensor(seed)) + epoch)))
    return torch.randperm(images, generator=generator)


def _signed(bits: int) -> int:
    """The int64 that has the same 64 bits."""
    return bits - (1 << 64) if bits >> 63 else bits


def _shifted(x: Tensor, places: int) -> Tensor:
    """The 64 bits moved right and filled with zeros; torch's >> on int64 fills with the sign."""
    return (x >> places) & ((1 << (64 - places)) - 1)
