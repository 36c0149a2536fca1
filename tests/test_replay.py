import pytest
import torch
from nets import Closure, batches, built, convnet
from reference import flat
from torch import Tensor, nn

from looksam import Method, SharpnessAware
from looksam.replay import perturbed

SAM = Method(k=1, rho=0.5)


class Masks(nn.Module):
    """Dropout that keeps what it drew."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.drawn.append(nn.functional.dropout(torch.ones_like(x), 0.5))
        return x * self.drawn[-1]


def masked() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), Masks(), nn.Linear(8, 3))


def failing_at(call: int, closure: Closure) -> Closure:
    """The closure, raising at the end of one of its calls."""

    def hook(*_: object) -> None:
        if closure.calls == call:
            raise RuntimeError("out of memory")

    closure.model.register_forward_hook(hook)
    return closure


def test_weights_are_moved_inside_and_given_back_bit_for_bit():
    torch.manual_seed(0)
    w = [torch.randn(1000), torch.randn(10, 10)]
    before = [x.clone() for x in w]
    epsilon = [torch.randn_like(x) for x in w]
    with perturbed(w, epsilon):
        assert all(torch.equal(x, y + e) for x, y, e in zip(w, before, epsilon, strict=True))
    assert all(torch.equal(x, y) for x, y in zip(w, before, strict=True))


def test_subtracting_the_perturbation_would_not_give_the_weights_back():
    torch.manual_seed(0)
    w, epsilon = torch.randn(1000), torch.randn(1000)
    assert not torch.equal((w + epsilon) - epsilon, w)


def test_batchnorm_statistics_come_from_the_first_pass_only():
    model, alone = built(convnet), built(convnet)
    sharpness = SharpnessAware(model, SAM)
    for batch in batches(3):
        sharpness.backward(Closure(model, batch))
        Closure(alone, batch)()
    assert model[1].num_batches_tracked == 3
    assert all(torch.equal(x, y) for x, y in zip(model.buffers(), alone.buffers(), strict=True))


def test_a_buffer_that_its_module_replaces_is_given_back_too():
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.passes = self.passes + 1
            return x

    model = built(lambda: nn.Sequential(nn.Flatten(), Counter(), nn.Linear(16, 3)))
    SharpnessAware(model, SAM).backward(Closure(model, batches(1)[0]))
    assert model[1].passes == 1


def test_both_passes_draw_the_same_dropout_masks():
    model = built(masked)
    sharpness = SharpnessAware(model, SAM)
    for batch in batches(2):
        sharpness.backward(Closure(model, batch))
    first, again, second, _ = model[2].drawn
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_without_replay_the_passes_draw_different_masks():
    model = built(masked)
    SharpnessAware(model, Method(k=1, replay=False)).backward(Closure(model, batches(1)[0]))
    first, second = model[2].drawn
    assert not torch.equal(first, second)


def test_random_numbers_go_on_as_after_one_pass():
    model, (batch,) = built(masked), batches(1)
    torch.manual_seed(2)
    Closure(model, batch)()
    expected = torch.get_rng_state()
    torch.manual_seed(2)
    SharpnessAware(model, SAM).backward(Closure(model, batch))
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("call", [1, 2])
def test_an_error_in_either_pass_leaves_weights_memory_and_step(call):
    model, (batch,) = built(convnet), batches(1)
    before, sharpness = flat(model), SharpnessAware(model, Method(k=1, descent="g_v"))
    with pytest.raises(RuntimeError, match="out of memory"):
        sharpness.backward(failing_at(call, Closure(model, batch)))
    assert torch.equal(flat(model), before)
    assert sharpness.step == 0
    assert sharpness.memory == {}


def test_an_error_in_the_second_pass_leaves_buffers_and_random_numbers_as_after_the_first():
    model, (batch,) = built(lambda: nn.Sequential(*convnet(), nn.Dropout())), batches(1)
    alone = built(lambda: nn.Sequential(*convnet(), nn.Dropout()))
    torch.manual_seed(2)
    Closure(alone, batch)()
    expected = torch.get_rng_state()
    torch.manual_seed(2)
    with pytest.raises(RuntimeError, match="out of memory"):
        SharpnessAware(model, SAM).backward(failing_at(2, Closure(model, batch)))
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(torch.equal(x, y) for x, y in zip(model.buffers(), alone.buffers(), strict=True))


def test_what_else_the_second_pass_draws_does_not_count():
    model, (batch,) = built(masked), batches(1)
    closure = Closure(model, batch)
    torch.manual_seed(2)
    closure()
    expected = torch.get_rng_state()

    def drawing_more() -> Tensor:
        loss = closure()
        if closure.calls == 3:
            torch.rand(10)
        return loss

    torch.manual_seed(2)
    SharpnessAware(model, SAM).backward(drawing_more)
    assert closure.calls == 3
    assert torch.equal(torch.get_rng_state(), expected)


def test_autocast_around_the_whole_step_sees_the_perturbed_weights_and_then_the_old_ones() -> None:
    model, x = torch.nn.Linear(4, 4, bias=False), torch.randn(2, 4)
    (w,) = [p.detach() for p in model.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        before = model(x)
        with perturbed([w], [torch.ones_like(w)]):
            inside = model(x)
        after = model(x)
    assert not torch.equal(inside, before)
    assert torch.equal(after, before)
