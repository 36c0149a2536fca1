"""SharpnessAwareOptimizer as torch's own machinery sees it: schedulers, clipping, scalers, hooks, files."""

import copy
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from nets import BASES, Closure, batches, built, convnet, mlp
from reference import flat
from torch import nn
from torch.optim import Optimizer

from looksam import Method, SharpnessAware, SharpnessAwareOptimizer

LOOKSAM = Method(k=3, descent="g_v", rho=0.1, alpha=0.6)
METHODS = [
    Method(),
    Method(k=1),
    Method(k=3),
    LOOKSAM,
    Method(k=2, ascent="layerwise", descent="g_v", rho=1.0),
]


def facade(method: Method = LOOKSAM, base: str = "adamw", make=mlp) -> SharpnessAwareOptimizer:
    model = built(make)
    return SharpnessAwareOptimizer(BASES[base](list(model.parameters())), model, method)


def go(optimizer: SharpnessAwareOptimizer, data: list) -> list[Closure]:
    closures = [Closure(optimizer.sharpness.model, batch) for batch in data]
    for closure in closures:
        optimizer.step(closure)
    return closures


def weights(optimizer: SharpnessAwareOptimizer) -> torch.Tensor:
    return flat(optimizer.sharpness.model)


def by_the_core(method: Method, steps: int, base: str = "adamw", clip: float | None = None) -> torch.Tensor:
    model = built(mlp)
    optimizer, sharpness = BASES[base](list(model.parameters())), SharpnessAware(model, method)
    for batch in batches(steps):
        sharpness.backward(Closure(model, batch))
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return flat(model)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_core_and_the_base_bit_for_bit(method, base):
    optimizer = facade(method, base)
    go(optimizer, batches(7))
    assert torch.equal(weights(optimizer), by_the_core(method, 7, base))


def test_the_closure_runs_twice_on_ascent_steps_and_once_between():
    assert [closure.calls for closure in go(facade(), batches(7))] == [2, 1, 1, 2, 1, 1, 2]


def test_the_closure_can_tell_the_second_pass():
    optimizer, seen = facade(), []
    for batch in batches(2):
        closure = Closure(optimizer.sharpness.model, batch)
        optimizer.step(lambda run=closure: (seen.append(optimizer.is_second_pass), run())[1])
    assert seen == [False, True, False]
    assert not optimizer.is_second_pass


def test_step_returns_the_loss_of_the_first_pass():
    optimizer, (batch,) = facade(), batches(1)
    before = Closure(optimizer.sharpness.model, batch)()
    assert torch.equal(optimizer.step(Closure(optimizer.sharpness.model, batch)), before)


def test_it_is_a_torch_optimizer_whose_groups_and_state_are_the_bases():
    optimizer = facade()
    go(optimizer, batches(1))
    assert isinstance(optimizer, Optimizer)
    assert optimizer.param_groups is optimizer.base.param_groups
    assert optimizer.state is optimizer.base.state
    assert optimizer.defaults is optimizer.base.defaults
    optimizer.base.load_state_dict(optimizer.base.state_dict())  # which puts new groups and a new state there
    assert optimizer.param_groups is optimizer.base.param_groups
    assert optimizer.state is optimizer.base.state


def test_a_closure_runs_with_gradients_inside_no_grad():
    optimizer = facade()
    with torch.no_grad():
        go(optimizer, batches(2))
    assert torch.equal(weights(optimizer), by_the_core(LOOKSAM, 2))


@pytest.mark.filterwarnings("error:Detected call of `lr_scheduler.step")
def test_a_torch_scheduler_changes_the_bases_learning_rate():
    optimizer = facade()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    rates = []
    for batch in batches(4):
        optimizer.step(Closure(optimizer.sharpness.model, batch))
        scheduler.step()
        rates.append(optimizer.base.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4])


def test_a_hook_on_the_base_clips_the_methods_gradient_once():
    optimizer = facade(base="sgd")
    optimizer.base.register_step_pre_hook(clip_to_a_tenth)
    go(optimizer, batches(7))
    assert torch.equal(weights(optimizer), by_the_core(LOOKSAM, 7, "sgd", clip=0.1))


def clip_to_a_tenth(base: Optimizer, args: tuple, kwargs: dict) -> None:
    nn.utils.clip_grad_norm_(base.param_groups[0]["params"], 0.1)


def test_backward_then_clipping_then_step_is_the_plain_loop():
    optimizer = facade(base="sgd")
    for batch in batches(7):
        optimizer.backward(Closure(optimizer.sharpness.model, batch))
        nn.utils.clip_grad_norm_(optimizer.sharpness.model.parameters(), 0.1)
        optimizer.step()
    assert torch.equal(weights(optimizer), by_the_core(LOOKSAM, 7, "sgd", clip=0.1))


def test_step_hooks_are_called_once_a_step():
    optimizer, calls = facade(), []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    go(optimizer, batches(2))
    assert calls == ["before", "after"] * 2


def test_hooks_of_the_state_see_the_sharpness_aware_part():
    optimizer, seen = facade(), []
    optimizer.register_state_dict_post_hook(lambda _, state: seen.append("sharpness" in state))
    optimizer.register_load_state_dict_pre_hook(lambda _, state: seen.append("sharpness" in state))
    optimizer.register_load_state_dict_post_hook(lambda _: seen.append(True))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [True, True, True]


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_restart_from_a_plain_file_mid_period_changes_nothing(stop, tmp_path):
    data, path = batches(9), tmp_path / "checkpoint.pt"
    first, second = facade(), facade()
    go(first, data[:stop])
    torch.save([first.sharpness.model.state_dict(), first.state_dict()], path)
    model_state, state = torch.load(path, weights_only=True)
    second.sharpness.model.load_state_dict(model_state)
    second.load_state_dict(state)
    go(second, data[stop:])
    assert torch.equal(weights(second), by_the_core(LOOKSAM, 9))


def test_a_base_optimizers_own_state_is_refused_with_where_to_load_it():
    with pytest.raises(ValueError, match=r"no 'sharpness', only state, param_groups.*optimizer\.base"):
        facade().load_state_dict(facade().base.state_dict())


def test_a_refused_state_changes_nothing():
    optimizer, other = facade(), facade()
    go(other, batches(2))
    state = other.state_dict()
    state["param_groups"] = state["param_groups"] * 2
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict(state)
    assert optimizer.sharpness.step == 0


def test_a_deep_copy_goes_on_by_itself():
    optimizer = facade()
    go(optimizer, batches(2))
    twin = copy.deepcopy(optimizer)
    go(optimizer, batches(4)[2:])
    go(twin, batches(4)[2:])
    assert twin.sharpness.model is not optimizer.sharpness.model
    assert torch.equal(weights(twin), weights(optimizer))


def test_a_thawed_layer_joins_as_a_group():
    model = built()
    first, *rest = model.parameters()
    first.requires_grad_(False)
    optimizer = SharpnessAwareOptimizer(BASES["sgd"](rest), model, LOOKSAM)
    go(optimizer, batches(1))
    before = first.detach().clone()
    first.requires_grad_(True)
    optimizer.add_param_group({"params": [first]})
    go(optimizer, batches(4)[1:])
    assert not torch.equal(first, before)


def test_autocast_around_the_step_sees_the_other_weights_in_the_second_pass():
    def trained(outside: bool) -> torch.Tensor:
        model = built().float()
        optimizer = SharpnessAwareOptimizer(BASES["sgd"](list(model.parameters())), model, LOOKSAM)
        autocast = partial(torch.autocast, "cpu", torch.bfloat16)
        for images, labels in batches(4):
            closure = Closure(model, (images.float(), labels))
            with autocast() if outside else nullcontext():
                optimizer.step(closure if outside else autocast()(closure.__call__))
        return weights(optimizer)

    assert torch.equal(trained(outside=True), trained(outside=False))


def test_a_model_with_nothing_to_train_is_told_so():
    optimizer = facade()
    optimizer.sharpness.model.requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        optimizer.step(lambda: None)


class Unzeroed(Closure):
    """The same, leaving the zeroing to the loop."""

    def __call__(self):
        self.calls += 1
        loss = nn.functional.cross_entropy(self.model(self.batch[0]), self.batch[1])
        loss.backward()
        return loss


def test_a_closure_that_leaves_the_zeroing_to_the_loop_is_the_same():
    optimizer = facade()
    for batch in batches(7):
        optimizer.step(Unzeroed(optimizer.sharpness.model, batch))
        optimizer.zero_grad()
    assert torch.equal(weights(optimizer), by_the_core(LOOKSAM, 7))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_closure_that_adds_to_gradients_from_before_is_refused(steps):
    optimizer = facade()
    go(optimizer, batches(steps))
    before = weights(optimizer)
    with pytest.raises(ValueError, match="did not zero the gradients"):
        optimizer.step(Unzeroed(optimizer.sharpness.model, batches(1)[0]))
    assert torch.equal(weights(optimizer), before)
    assert optimizer.sharpness.step == steps


def test_a_closure_that_zeroes_in_place_is_the_same():
    optimizer = facade()
    for batch in batches(7):
        unzeroed = Unzeroed(optimizer.sharpness.model, batch)
        optimizer.step(lambda run=unzeroed: (optimizer.zero_grad(set_to_none=False), run())[1])
    assert torch.equal(weights(optimizer), by_the_core(LOOKSAM, 7))


def test_step_without_a_closure_is_the_bases_where_k_is_0():
    optimizer = facade(Method())
    for batch in batches(3):
        Closure(optimizer.sharpness.model, batch)()
        optimizer.step()
    assert torch.equal(weights(optimizer), by_the_core(Method(), 3))


@pytest.mark.parametrize("steps", [0, 1])
def test_step_without_a_closure_is_refused_with_what_to_do(steps):
    optimizer = facade()
    go(optimizer, batches(steps))
    with pytest.raises(ValueError, match=r"k=3.*needs the closure.*optimizer\.backward\(closure\) first"):
        optimizer.step()


def test_step_without_a_closure_is_refused_again_once_backward_was_used_up():
    optimizer = facade()
    optimizer.backward(Closure(optimizer.sharpness.model, batches(1)[0]))
    optimizer.step()
    with pytest.raises(ValueError, match="needs the closure"):
        optimizer.step()


def test_step_without_a_closure_is_refused_once_the_gradients_were_zeroed():
    optimizer = facade()
    optimizer.backward(Closure(optimizer.sharpness.model, batches(1)[0]))
    optimizer.zero_grad()
    with pytest.raises(ValueError, match="needs the closure"):
        optimizer.step()


def test_a_closure_after_backward_is_refused():
    optimizer, (batch,) = facade(), batches(1)
    closure = Closure(optimizer.sharpness.model, batch)
    optimizer.backward(closure)
    with pytest.raises(ValueError, match=r"call step\(\) without a closure"):
        optimizer.step(closure)


def test_a_closure_that_is_backward_itself_is_taken_for_what_it_runs():
    optimizer = facade()
    for batch in batches(7):
        optimizer.step(partial(optimizer.backward, Closure(optimizer.sharpness.model, batch)))
    assert torch.equal(weights(optimizer), by_the_core(LOOKSAM, 7))


def test_a_closure_that_hides_a_call_of_backward_is_refused():
    optimizer, (batch,) = facade(), batches(1)
    with pytest.raises(ValueError, match="called backward itself"):
        optimizer.step(lambda: optimizer.backward(Closure(optimizer.sharpness.model, batch)))


def test_a_grad_scaler_around_backward_and_step_is_the_plain_loop():
    scaler, optimizer = torch.amp.GradScaler("cpu", init_scale=1024.0), facade(base="sgd")
    for batch in batches(7):
        optimizer.backward(scaled(Closure(optimizer.sharpness.model, batch), scaler))
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(optimizer.sharpness.model.parameters(), 0.1)
        scaler.step(optimizer)
        scaler.update()
    # a power of two: scaling is exact, but for what the float32 scale makes of float64 gradients
    torch.testing.assert_close(
        weights(optimizer), by_the_core(LOOKSAM, 7, "sgd", clip=0.1), rtol=1e-12, atol=0
    )


def scaled(closure: Closure, scaler: torch.amp.GradScaler):
    def run():
        closure.model.zero_grad()
        loss = nn.functional.cross_entropy(closure.model(closure.batch[0]), closure.batch[1])
        scaler.scale(loss).backward()
        return loss

    return run


def test_a_grad_scaler_skips_an_overflow_and_the_next_step_needs_its_own_gradient():
    scaler, optimizer = torch.amp.GradScaler("cpu", init_scale=1e38), facade()
    before = weights(optimizer)
    for p in optimizer.sharpness.model.parameters():
        p.register_hook(lambda g: g * torch.inf)
    optimizer.backward(scaled(Closure(optimizer.sharpness.model, batches(1)[0]), scaler))
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(weights(optimizer), before)
    assert scaler.get_scale() == pytest.approx(0.5e38)
    optimizer.zero_grad()
    with pytest.raises(ValueError, match="needs the closure"):
        optimizer.step()


@pytest.mark.parametrize("with_closure", [False, True])
def test_a_grad_scaler_that_would_step_without_the_methods_gradient_is_refused(with_closure):
    scaler, optimizer = torch.amp.GradScaler("cpu"), facade()
    closure = scaled(Closure(optimizer.sharpness.model, batches(1)[0]), scaler)
    closure()
    with pytest.raises(ValueError, match=r"GradScaler makes the call: optimizer\.backward\(closure\) first"):
        scaler.step(optimizer, *[closure][:with_closure])


def test_parameters_that_are_not_the_models_are_refused():
    strange = nn.Parameter(torch.zeros(2, 5))
    model = built()
    with pytest.raises(ValueError, match=r"1 parameters of the base optimizer are not the model's.*\(2, 5\)"):
        SharpnessAwareOptimizer(BASES["sgd"]([*model.parameters(), strange]), model, LOOKSAM)
    optimizer = facade()
    with pytest.raises(ValueError, match="are not the model's"):
        optimizer.add_param_group({"params": [strange]})
    assert len(optimizer.param_groups) == 1


def test_trainable_parameters_that_the_base_does_not_hold_are_named():
    model = built()
    with pytest.raises(ValueError, match=r"does not hold 1\.weight .*requires_grad_\(False\)"):
        SharpnessAwareOptimizer(BASES["sgd"](list(model.parameters())[1:]), model, LOOKSAM)


def test_a_base_that_is_no_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"must be a torch\.optim\.Optimizer, got str"):
        SharpnessAwareOptimizer("adamw", built(), LOOKSAM)


def test_a_base_that_is_sharpness_aware_itself_is_refused():
    optimizer = facade()
    with pytest.raises(ValueError, match=r"sharpness-aware already; take base\.base"):
        SharpnessAwareOptimizer(optimizer, optimizer.sharpness.model, LOOKSAM)


def test_a_base_that_calls_the_closure_itself_is_refused():
    model = built()
    with pytest.raises(ValueError, match="LBFGS calls the closure itself"):
        SharpnessAwareOptimizer(torch.optim.LBFGS(model.parameters()), model, LOOKSAM)


def test_a_closure_that_raises_leaves_everything_and_can_be_tried_again():
    optimizer, (batch,) = facade(make=convnet), batches(1)
    closure = Closure(optimizer.sharpness.model, batch)
    before, counted = weights(optimizer), optimizer.sharpness.model[1].num_batches_tracked.clone()

    def fail_in_the_second_pass():
        if closure.calls == 1:
            raise RuntimeError("out of memory")
        return closure()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(fail_in_the_second_pass)
    assert torch.equal(weights(optimizer), before)
    assert optimizer.sharpness.model[1].num_batches_tracked == counted + 1
    optimizer.step(closure)
    assert optimizer.sharpness.step == 1
