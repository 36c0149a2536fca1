"""SharpnessAwareOptimizer in real Lightning runs, against a plain loop with the core, bit for bit."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from pages import blocks
from reference import flat
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from looksam import Method, SharpnessAware, SharpnessAwareOptimizer

pl = pytest.importorskip("lightning.pytorch", reason="needs lightning: pip install 'looksam[trainers]'")
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402
from lightning.pytorch.plugins import MixedPrecision  # noqa: E402

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")

LOOKSAM = Method(k=3, descent="g_v", rho=0.1, alpha=0.6)
METHODS = [Method(), Method(k=1), LOOKSAM, Method(k=3, ascent="layerwise", descent="g_v", rho=1.0)]
BATCHES = 8


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 3))


def loader() -> DataLoader:
    torch.manual_seed(1)
    data = TensorDataset(torch.randn(12 * BATCHES, 16), torch.randint(0, 3, (12 * BATCHES,)))
    return DataLoader(data, batch_size=12)


def base_and_schedule(model: nn.Module) -> tuple[torch.optim.Optimizer, Callable]:
    base = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return base, partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)


class Classifier(pl.LightningModule):
    def __init__(self, method: Method = LOOKSAM) -> None:
        super().__init__()
        self.network, self.method = network(), method
        self.calls: list[int] = []
        self.hooks = 0

    def configure_optimizers(self):
        base, schedule = base_and_schedule(self.network)
        optimizer = SharpnessAwareOptimizer(base, self.network, self.method)
        return [optimizer], [{"scheduler": schedule(optimizer), "interval": "step"}]

    def on_train_batch_start(self, batch, batch_idx):
        torch.manual_seed(self.trainer.global_step)  # so that dropout does not depend on what else draws

    def training_step(self, batch, batch_idx):
        self.calls.append(batch_idx)
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def on_before_optimizer_step(self, optimizer):
        self.hooks += 1


class ByBackward(Classifier):
    """For precision 16-mixed: the plugin runs the closure itself, and is given one that looks."""

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        optimizer.step(closure=partial(optimizer.optimizer.backward, optimizer_closure))


class Accumulating(Classifier):
    """Manual optimization: the batch of the loader is the step's, run in three micro-batches."""

    def __init__(self, method: Method = LOOKSAM) -> None:
        super().__init__(method)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()

        def closure():
            optimizer.zero_grad()
            for images, labels in zip(batch[0].chunk(3), batch[1].chunk(3), strict=True):
                self.manual_backward(nn.functional.cross_entropy(self.network(images), labels) / 3)

        self.take(optimizer, closure)
        self.lr_schedulers().step()

    def take(self, optimizer, closure):
        optimizer.step(closure)


class Split(ByBackward):
    """Automatic optimization: what is left of the batch runs forward and backward after the first third."""

    def training_step(self, batch, batch_idx):
        first, *self.rest = zip(batch[0].chunk(3), batch[1].chunk(3), strict=True)
        return self.loss(*first)

    def loss(self, images, labels):
        return nn.functional.cross_entropy(self.network(images), labels) / 3

    def backward(self, loss):
        loss.backward()
        precision = self.trainer.precision_plugin
        for micro_batch in self.rest:
            with precision.train_step_context():
                loss = self.loss(*micro_batch)
            precision.pre_backward(loss, self).backward()


def trainer(**options) -> "pl.Trainer":
    defaults = {"max_epochs": 1, "enable_checkpointing": False}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(accelerator="cpu", **quiet, **(defaults | options))


def fitted(module: Classifier, **options) -> Classifier:
    trainer(**options).fit(module, loader())
    return module


def by_the_core(
    method: Method = LOOKSAM,
    *,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    clip: Callable[[nn.Module], object] | None = None,
    chunks: int = 1,
    epochs: int = 1,
) -> torch.Tensor:
    model = network()
    base, schedule = base_and_schedule(model)
    scheduler, sharpness = schedule(base), SharpnessAware(model, method)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    for step, (images, labels) in enumerate([batch for _ in range(epochs) for batch in loader()]):
        torch.manual_seed(step)

        def closure(images=images, labels=labels):
            base.zero_grad()
            for x, y in zip(images.chunk(chunks), labels.chunk(chunks), strict=True):
                with torch.autocast("cpu", autocast, cache_enabled=False) if autocast else nullcontext():
                    loss = nn.functional.cross_entropy(model(x), y)
                scaler.scale(loss / chunks).backward()

        sharpness.backward(closure)
        scaler.unscale_(base)
        if clip is not None:
            clip(model)
        scaler.step(base)
        scaler.update()
        scheduler.step()
    return flat(model)


def clip_norm(model: nn.Module) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)


def clip_value(model: nn.Module) -> None:
    nn.utils.clip_grad_value_(model.parameters(), 0.01)


def fp16() -> "MixedPrecision":
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_the_plain_loop_bit_for_bit(method):
    assert torch.equal(flat(fitted(Classifier(method)).network), by_the_core(method))


def test_a_run_takes_the_second_gradient_on_ascent_steps_alone():
    assert fitted(Classifier()).calls == [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7]


def run_once(model, batch):
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    return loss.detach()


def test_the_loss_of_the_first_pass_alone_can_be_logged():
    class Logging(Classifier):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            if not self.optimizers().is_second_pass:
                self.log("loss", loss, on_step=False, on_epoch=True, batch_size=1)
            return loss

    model, losses = network(), []
    base, schedule = base_and_schedule(model)
    scheduler, sharpness = schedule(base), SharpnessAware(model, LOOKSAM)
    for step, batch in enumerate(loader()):
        torch.manual_seed(step)
        losses.append(sharpness.backward(partial(run_once, model, batch)).item())
        base.step()
        scheduler.step()
    run = trainer()
    run.fit(Logging(), loader())
    assert run.callback_metrics["loss"].item() == pytest.approx(sum(losses) / BATCHES, rel=1e-6)


def test_hooks_before_the_optimizers_step_run_once_a_step():
    assert fitted(Classifier()).hooks == BATCHES


@pytest.mark.parametrize("module", [Classifier, ByBackward])
@pytest.mark.parametrize("method", METHODS)
def test_the_trainers_clipping_clips_the_methods_gradient_once(method, module):
    clipped = fitted(module(method), gradient_clip_val=0.1)
    assert torch.equal(flat(clipped.network), by_the_core(method, clip=clip_norm))


def test_the_trainers_clipping_by_value_clips_the_methods_gradient_once():
    clipped = fitted(Classifier(), gradient_clip_val=0.01, gradient_clip_algorithm="value")
    assert torch.equal(flat(clipped.network), by_the_core(clip=clip_value))


@pytest.mark.parametrize("clip", [None, clip_norm])
def test_bf16_mixed_is_the_plain_loop_under_autocast_bit_for_bit(clip):
    run = fitted(Classifier(), precision="bf16-mixed", gradient_clip_val=0.1 if clip else None)
    assert torch.equal(flat(run.network), by_the_core(autocast=torch.bfloat16, clip=clip))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clip", [None, clip_norm])
def test_16_mixed_with_a_closure_that_looks_is_the_plain_loop_with_a_scaler(method, clip):
    run = fitted(ByBackward(method), plugins=[fp16()], gradient_clip_val=0.1 if clip else None)
    scaler = torch.amp.GradScaler("cpu")
    assert torch.equal(flat(run.network), by_the_core(method, autocast=torch.half, scaler=scaler, clip=clip))
    assert run.hooks == BATCHES


@pytest.mark.parametrize("clip", [None, 0.1])
def test_16_mixed_without_it_is_refused_with_what_to_do(clip):
    with pytest.raises(ValueError, match=r"step\(\) got none.*optimizer\.backward\(closure\) first"):
        fitted(Classifier(), plugins=[fp16()], gradient_clip_val=clip)


def test_gradients_accumulated_by_the_trainer_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"did not zero the gradients.*accumulate_grad_batches=1 and manual"):
        fitted(Classifier(), accumulate_grad_batches=2)


def test_gradients_accumulated_by_the_trainer_are_the_base_optimizers_where_k_is_0():
    run = fitted(Classifier(Method()), accumulate_grad_batches=2)
    assert run.calls == list(range(BATCHES))


@pytest.mark.parametrize("method", METHODS)
def test_accumulation_inside_the_closure_is_the_plain_loops(method):
    assert torch.equal(flat(fitted(Accumulating(method)).network), by_the_core(method, chunks=3))


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.half])
@pytest.mark.parametrize("clip", [None, clip_norm])
def test_micro_batches_of_one_batch_in_automatic_optimization_are_the_plain_loops(autocast, clip):
    plugins = {None: {}, torch.bfloat16: {"precision": "bf16-mixed"}, torch.half: {"plugins": [fp16()]}}[
        autocast
    ]
    run = fitted(Split(), gradient_clip_val=0.1 if clip else None, **plugins)
    scaler = torch.amp.GradScaler("cpu") if autocast is torch.half else None
    plain = by_the_core(chunks=3, autocast=autocast, clip=clip, scaler=scaler)
    assert torch.equal(flat(run.network), plain)


@pytest.mark.parametrize("autocast", [None, torch.half])
def test_clipping_before_the_optimizers_step_in_manual_optimization_clips_once(autocast):
    class Clipping(Accumulating):
        def on_before_optimizer_step(self, optimizer):
            self.clip_gradients(optimizer, 0.1, "norm")

        def take(self, optimizer, closure):
            optimizer.step(partial(optimizer.backward, closure))

    run = fitted(Clipping(), plugins=[fp16()] if autocast else None)
    scaler = torch.amp.GradScaler("cpu") if autocast else None
    plain = by_the_core(chunks=3, autocast=autocast, clip=clip_norm, scaler=scaler)
    assert torch.equal(flat(run.network), plain)


def test_backward_then_step_of_lightnings_own_wrapper_are_the_plain_loops():
    class Parted(Accumulating):
        def take(self, optimizer, closure):
            optimizer.backward(closure)
            optimizer.step()

    assert torch.equal(flat(fitted(Parted()).network), by_the_core(chunks=3))


def test_manual_optimization_with_step_alone_is_refused():
    class Manual(Accumulating):
        def training_step(self, batch, batch_idx):
            self.manual_backward(nn.functional.cross_entropy(self.network(batch[0]), batch[1]))
            self.optimizers().step()

    with pytest.raises(ValueError, match=r"step\(\) got none"):
        fitted(Manual())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_resumed_from_lightnings_checkpoint_mid_period_is_the_uninterrupted_one(precision, tmp_path):
    save = ModelCheckpoint(tmp_path, filename="first", save_weights_only=False)
    fitted(Classifier(), precision=precision, enable_checkpointing=True, callbacks=[save])
    path = tmp_path / "first.ckpt"
    state = torch.load(path, weights_only=True)["optimizer_states"][0]
    resumed = Classifier()
    trainer(precision=precision, max_epochs=2).fit(resumed, loader(), ckpt_path=path)
    assert state["sharpness"]["step"] == BATCHES
    assert BATCHES % LOOKSAM.k != 0
    autocast = torch.bfloat16 if precision == "bf16-mixed" else None
    assert torch.equal(flat(resumed.network), by_the_core(epochs=2, autocast=autocast))


def test_a_checkpoint_of_a_plain_optimizer_is_refused(tmp_path):
    class Plain(Classifier):
        def configure_optimizers(self):
            return base_and_schedule(self.network)[0]

    save = ModelCheckpoint(tmp_path, filename="first")
    fitted(Plain(), enable_checkpointing=True, callbacks=[save])
    with pytest.raises(ValueError, match="no 'sharpness'"):
        trainer(max_epochs=2).fit(Classifier(), loader(), ckpt_path=tmp_path / "first.ckpt")


def test_a_wrapper_of_lightnings_that_is_not_known_is_refused():
    class Wrapping(type(trainer().precision_plugin)):
        def optimizer_step(self, optimizer, model, closure, **kwargs):
            return optimizer.step(closure=partial(self.clip_after, model, optimizer, closure))

        def clip_after(self, model, optimizer, closure):
            return closure()

    with pytest.raises(
        ValueError, match=r"wrapped the closure in Wrapping\.clip_after, known is _wrap_closure"
    ):
        fitted(Classifier(), plugins=[Wrapping()])


@pytest.mark.parametrize("block", blocks("trainers.md", "Lightning"))
def test_a_code_block_of_the_documentation_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "documentation", "exec"), {})
