import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from looksam.snapshot import room, snapshot


def test_a_snapshot_does_not_follow_what_the_training_changes() -> None:
    w = torch.ones(3)
    copy = snapshot({"w": [w]})
    w.zero_()
    assert copy["w"][0].tolist() == [1, 1, 1]


def test_a_snapshot_keeps_keys_numbers_text_and_the_kinds_of_what_holds_them() -> None:
    state = {
        "groups": [{"betas": (0.9, 0.999), "fused": None}],
        3: {"name": "ρ", "on": True, "loss": math.inf},
    }
    assert snapshot(state) == state


def test_a_snapshot_of_an_ordered_dict_is_a_dict() -> None:
    assert type(snapshot(OrderedDict(a=1))) is dict


def test_a_snapshot_keeps_the_order_in_memory() -> None:
    images = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert snapshot({"images": images})["images"].stride() == images.stride()


def test_a_snapshot_of_a_part_does_not_hold_the_whole() -> None:
    part = torch.zeros(1000)[:10]
    assert snapshot({"part": part})["part"].untyped_storage().nbytes() == 40


def test_a_parameter_is_copied_without_its_graph() -> None:
    assert not snapshot({"w": nn.Parameter(torch.ones(1))})["w"].requires_grad


def test_the_memory_of_an_earlier_snapshot_is_used_again() -> None:
    w = torch.ones(3)
    before = snapshot({"layers": [{"w": w}]})
    w += 1
    after = snapshot({"layers": [{"w": w}]}, before)
    assert after["layers"][0]["w"].data_ptr() == before["layers"][0]["w"].data_ptr()
    assert after["layers"][0]["w"].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "other", [torch.ones(4), torch.ones(3, dtype=torch.float64), torch.ones(6)[::2], 1.0, None]
)
def test_a_tensor_that_has_changed_its_form_gets_new_memory(other: object) -> None:
    w = torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(snapshot({"w": w}, {"w": other})["w"], w)


def test_what_a_checkpoint_cannot_hold_is_named_with_its_place() -> None:
    with pytest.raises(TypeError, match=r"state\['history'\]\[1\] is <class 'numpy.float64'>"):
        snapshot({"history": [0.5, np.float64(0.5)]})


def test_the_first_snapshot_uses_the_room_made_for_it() -> None:
    state = {"layers": [torch.ones(3), torch.ones(2, 2).T]}
    made = room(state)
    after = snapshot(state, made)
    assert [t.data_ptr() for t in after["layers"]] == [t.data_ptr() for t in made["layers"]]
    assert torch.equal(after["layers"][1], state["layers"][1])
