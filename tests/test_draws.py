"""Facts about random numbers that depend on nothing but what they are for."""

import hashlib

import pytest
import torch

from looksam.draws import key, mix, order


def test_mix_is_splitmix64() -> None:
    # the first outputs of the reference implementation from the states 0 and 1234567
    expected = [0xE220A8397B1DCDAF, 6457827717110365317]
    assert [value % 2**64 for value in mix(torch.tensor([0, 1234567])).tolist()] == expected


def test_mix_keeps_the_shape_and_the_places_of_numbers() -> None:
    x = torch.arange(12).view(3, 4).t()
    assert torch.equal(mix(x), torch.stack([mix(row) for row in x]))
    assert mix(torch.tensor(5)).shape == ()


def test_a_key_depends_on_every_number_and_on_their_order() -> None:
    keys = {key(1, 2, 3), key(2, 1, 3), key(1, 2, 4), key(12, 3), key(1, 23), key(1, 2, 3, 0)}
    assert len(keys) == 6
    assert all(0 <= k < 2**63 for k in keys)


def test_a_key_is_the_same_in_every_process() -> None:
    # the first 63 bits of SHA-256 of "(1, 2)"
    assert key(1, 2) == int.from_bytes(hashlib.sha256(b"(1, 2)").digest()[:8], "big") >> 1


def test_order_is_a_permutation() -> None:
    assert order(0, 0, 1000).sort().values.tolist() == list(range(1000))


def test_order_is_the_same_for_the_same_seed_and_epoch() -> None:
    assert torch.equal(order(3, 7, 1000), order(3, 7, 1000))


@pytest.mark.parametrize("other", [(3, 8), (4, 7), (7, 3)])
def test_order_differs_by_seed_and_by_epoch(other: tuple[int, int]) -> None:
    assert not torch.equal(order(3, 7, 1000), order(*other, 1000))


def test_order_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    order(0, 0, 1000)
    assert torch.equal(torch.get_rng_state(), before)
