"""The core in the loops that people train in: mixed precision, accumulation, clipping, schedules, compile."""

import itertools

import pytest
import torch
from nets import BASES, Batch, Closure, batches, built, convnet, mlp
from reference import flat
from test_replay import masked
from torch import Tensor, nn

from looksam import Method, SharpnessAware
from looksam.ascent import ASCENTS
from looksam.descent import DESCENTS

K = 3
LOOKSAM = Method(k=K, descent="g_v", rho=0.1, alpha=0.6)
STEPS = 2 * K + 2


def gradient(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def micro_closures(model: nn.Module, batch: Batch, parts: int) -> list:
    """One closure for each part of the batch, of which the first zeroes the gradients."""

    def closure_of(images: Tensor, labels: Tensor, is_first: bool):
        def closure() -> Tensor:
            if is_first:
                model.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels) / parts
            loss.backward()
            return loss

        return closure

    pieces = zip(batch[0].chunk(parts), batch[1].chunk(parts), strict=True)
    return [closure_of(*piece, is_first=number == 0) for number, piece in enumerate(pieces)]


def accumulated(model: nn.Module, batch: Batch):
    """One closure that runs those of `micro_closures` in order."""

    def closure() -> Tensor:
        return torch.stack([part() for part in micro_closures(model, batch, 3)]).sum()

    return closure


def trained(make, closures_of, method: Method = LOOKSAM) -> nn.Module:
    model = built(make)
    optimizer, sharpness = BASES["adamw"](list(model.parameters())), SharpnessAware(model, method)
    for batch in batches(STEPS):
        sharpness.backward(closures_of(model, batch))
        optimizer.step()
    return model


def test_accumulating_in_the_closure_is_training_on_the_whole_batch():
    whole, pieces = trained(mlp, Closure), trained(mlp, accumulated)
    # sums over a batch in another order, 1e-16 a step, amplified by training
    assert (flat(pieces) - flat(whole)).norm() < 1e-12 * flat(whole).norm()


@pytest.mark.parametrize("make", [mlp, convnet, masked])
def test_a_list_of_closures_is_one_closure_that_runs_them_in_order(make):
    listed = trained(make, lambda model, batch: micro_closures(model, batch, 3))
    assert torch.equal(flat(listed), flat(trained(make, accumulated)))


def test_a_list_of_closures_returns_their_losses_of_the_first_pass():
    model, (batch,) = built(), batches(1)
    expected = [closure() for closure in micro_closures(model, batch, 3)]
    found = SharpnessAware(model, Method(k=1, rho=1.0)).backward(micro_closures(model, batch, 3))
    assert torch.equal(torch.stack(found), torch.stack(expected))


def test_every_micro_batch_draws_its_own_masks_and_draws_them_again_in_the_second_pass():
    model, (batch,) = built(masked), batches(1)
    SharpnessAware(model, LOOKSAM).backward(micro_closures(model, batch, 3))
    first, again = model[2].drawn[:3], model[2].drawn[3:]
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])


def test_an_empty_list_of_closures_is_refused():
    with pytest.raises(ValueError, match="no closure to run"):
        SharpnessAware(built(), LOOKSAM).backward([])


def test_under_bf16_autocast_weights_and_memory_stay_float32_and_the_loss_falls():
    model = built().float()
    optimizer, sharpness = torch.optim.AdamW(model.parameters(), lr=1e-2), SharpnessAware(model, LOOKSAM)
    (images, labels), losses = batches(1)[0], []

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(images.float()), labels)
        loss.backward()
        return loss

    for _ in range(20):
        losses.append(sharpness.backward(closure).item())
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    assert {x.dtype for x in (*model.parameters(), *sharpness.memory.values())} == {torch.float32}


@pytest.mark.parametrize("descent", DESCENTS)
@pytest.mark.parametrize("ascent", ASCENTS)
def test_weights_of_several_dtypes_keep_them(ascent, descent):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8).bfloat16(), nn.LayerNorm(8), nn.Linear(8, 3))
    dtypes = [p.dtype for p in model.parameters()]
    sharpness = SharpnessAware(model, Method(k=2, ascent=ascent, descent=descent, rho=0.1))
    images, labels = batches(1)[0]

    def closure() -> None:
        model.zero_grad()
        hidden = model[1](model[0](images.bfloat16())).float()
        nn.functional.cross_entropy(model[3](model[2](hidden)), labels).backward()

    for _ in range(4):
        sharpness.backward(closure)
        assert [p.grad.dtype for p in model.parameters()] == dtypes
    assert all(x.isfinite() for x in sharpness.diagnostics.values())
    assert [x.dtype for x in sharpness.memory.values()] in ([], dtypes)


class Scaled:
    """A float32 training with a GradScaler, whose loss may be blown up in one call of the closure."""

    def __init__(self, scale: float, method: Method = LOOKSAM) -> None:
        self.model = built().float()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
        self.sharpness = SharpnessAware(self.model, method)

    def step(self, batch: Batch, overflow_in: int = 0) -> None:
        passes = itertools.count(1)

        def closure() -> None:
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(batch[0].float()), batch[1])
            loss = loss * torch.inf if next(passes) == overflow_in else loss
            self.scaler.scale(loss).backward()

        self.sharpness.backward(closure)
        self.scaler.step(self.optimizer)
        self.scaler.update()


@pytest.mark.parametrize("alpha", [0.6, "auto", "cos", "ls"])
def test_the_scale_of_a_grad_scaler_changes_nothing_though_it_grows_within_a_period(alpha):
    method = Method(k=K, descent="g_v", rho=0.1, alpha=alpha)
    scaled, plain = Scaled(2.0**10, method), Scaled(1.0, method)
    plain.scaler = torch.amp.GradScaler("cpu", enabled=False)
    for batch in batches(STEPS):
        scaled.step(batch)
        plain.step(batch)
    assert scaled.scaler.get_scale() > 2.0**10
    # scales are powers of two, so only what is rounded after a division or a root differs
    assert (flat(scaled.model) - flat(plain.model)).norm() < 1e-5 * flat(plain.model).norm()


@pytest.mark.parametrize(("at", "overflow_in"), [(0, 1), (0, 2), (K, 1), (K, 2), (K + 1, 1)])
def test_a_grad_scaler_skips_a_step_that_overflows_in_either_pass_and_training_goes_on(at, overflow_in):
    training = Scaled(2.0**10)
    for step, batch in enumerate(batches(STEPS)):
        before, g_v = flat(training.model), training.sharpness.memory
        training.step(batch, overflow_in if step == at else 0)
        assert torch.equal(flat(training.model), before) == (step == at)
        if step == at and g_v:
            assert all(torch.equal(x, g_v[name]) for name, x in training.sharpness.memory.items())
    assert flat(training.model).isfinite().all()
    assert training.sharpness.step == STEPS


def test_clipping_after_backward_bounds_what_the_optimizer_sees_and_leaves_g_v():
    model, (first, second) = built(), batches(2)
    sharpness = SharpnessAware(model, LOOKSAM)
    sharpness.backward(Closure(model, first))
    before = {name: x.clone() for name, x in sharpness.memory.items()}
    nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    assert gradient(model).norm() <= 1e-3
    assert all(torch.equal(x, sharpness.memory[name]) for name, x in before.items())
    sharpness.backward(Closure(model, second))
    nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    assert gradient(model).norm() <= 1e-3


def test_param_groups_and_schedulers_are_the_optimizers_own_affair():
    one, two = built(), built()
    matrices, vectors = ([p for p in two.parameters() if (p.ndim > 1) == wanted] for wanted in (True, False))
    optimizers = [
        torch.optim.AdamW(one.parameters(), lr=1e-2),
        torch.optim.AdamW([{"params": matrices}, {"params": vectors}], lr=1e-2),
    ]
    for model, optimizer in zip((one, two), optimizers, strict=True):
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS + 1)
        sharpness = SharpnessAware(model, LOOKSAM)
        for batch in batches(STEPS):
            sharpness.backward(Closure(model, batch))
            optimizer.step()
            scheduler.step()
        assert scheduler.last_epoch == STEPS
    assert torch.equal(flat(one), flat(two))


@pytest.mark.parametrize("make", [mlp, convnet])
def test_a_compiled_model_is_compiled_once_and_trains_alike(make):
    testing = pytest.importorskip("torch._dynamo.testing")
    torch._dynamo.reset()
    counter = testing.CompileCounter()  # runs the graphs as they are and counts them
    model = built(make)
    compiled = torch.compile(model, backend=counter)
    optimizer = BASES["adamw"](list(model.parameters()))
    sharpness = SharpnessAware(compiled, LOOKSAM)
    graphs = []
    for batch in batches(STEPS):
        sharpness.backward(Closure(compiled, batch))
        optimizer.step()
        graphs.append(counter.frame_count)
    assert graphs == [1] * STEPS
    expected = flat(trained(make, Closure))
    assert (flat(model) - expected).norm() < 1e-12 * expected.norm()
