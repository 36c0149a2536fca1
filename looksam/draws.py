"""Random numbers as functions of what they are for (seed, epoch, sample, step), whatever was drawn before."""

import hashlib

import numpy as np
import torch
from torch import Tensor

INCREMENT = np.uint64(0x9E3779B97F4A7C15)
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def mix(x: Tensor) -> Tensor:
    """Next output of SplitMix64 from state x, elementwise; int64 stands for the 64 bits, arithmetic wraps.

    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; the constants are Java's.
    """
    # a numpy scalar would warn where it wraps, and an array does not
    bits = np.atleast_1d(x.numpy()).view(np.uint64) + INCREMENT
    bits = (bits ^ (bits >> SHIFTS[0])) * FACTORS[0]
    bits = (bits ^ (bits >> SHIFTS[1])) * FACTORS[1]
    return torch.from_numpy((bits ^ (bits >> SHIFTS[2])).view(np.int64)).view(x.shape)


def key(*numbers: int) -> int:
    """63 bits that depend on all the numbers and on their order, to seed a generator with."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def order(seed: int, epoch: int, images: int) -> Tensor:
    """Permutation int64 [images] of the epoch; depends on seed and epoch alone."""
    generator = torch.Generator().manual_seed(int(mix(mix(torch.tensor(seed)) + epoch)))
    return torch.randperm(images, generator=generator)
