"""SharpnessAwareOptimizer in real runs of Hugging Face's Trainer and accelerate, against a plain loop."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from pages import blocks
from reference import flat
from torch import nn
from torch.utils.data import DataLoader

from looksam import Method, SharpnessAware, SharpnessAwareOptimizer

accelerate = pytest.importorskip("accelerate", reason="needs accelerate: pip install 'looksam[trainers]'")
transformers = pytest.importorskip(
    "transformers", reason="needs transformers: pip install 'looksam[trainers]'"
)
from accelerate.optimizer import AcceleratedOptimizer  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

LOOKSAM = Method(k=3, descent="g_v", rho=0.1, alpha=0.6)
METHODS = [Method(), Method(k=1), LOOKSAM, Method(k=3, ascent="layerwise", descent="g_v", rho=1.0)]
BATCHES, SIZE = 8, 12


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Linear(16, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 3)
        )
        self.calls = 0

    def forward(self, images, labels):
        self.calls += 1
        return {"loss": nn.functional.cross_entropy(self.network(images), labels)}


def data() -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    return [{"images": torch.randn(16), "labels": torch.randint(0, 3, ())} for _ in range(BATCHES * SIZE)]


def base_and_schedule(model: nn.Module) -> tuple[torch.optim.Optimizer, Callable]:
    base = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return base, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """accelerate remembers the precision of the first run in a process."""
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> type:
    """The trainer that the documentation shows."""
    names: dict[str, type] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("documented"))
        exec(compile(blocks("trainers.md", "Hugging Face")[0], "documentation", "exec"), names)
    return names["SharpnessAwareTrainer"]


def run(
    kind: type, folder: Path, method: Method = LOOKSAM, *, resume: bool = False, fp16: bool = False, **options
):
    class Sequential(kind):
        def get_train_dataloader(self):
            return self.accelerator.prepare(DataLoader(data(), batch_size=self.args.train_batch_size))

        def training_step(self, *args):
            torch.manual_seed(self.state.global_step)  # so that dropout does not depend on what else draws
            return super().training_step(*args)

    model = Classifier()
    base, schedule = base_and_schedule(model)
    optimizer = SharpnessAwareOptimizer(base, model, method)
    defaults = {
        "per_device_train_batch_size": SIZE,
        "num_train_epochs": 1,
        "max_grad_norm": 0.0,
        "save_strategy": "no",
    }
    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True}
    arguments = transformers.TrainingArguments(str(folder), **quiet, **(defaults | options), fp16=fp16)
    trainer = Sequential(model, arguments, optimizers=(optimizer, schedule(optimizer)), train_dataset=data())
    if fp16:  # which accelerate has on accelerators alone
        trainer.accelerator.scaler, trainer.accelerator.native_amp = torch.amp.GradScaler("cpu"), True
    trainer.train(resume_from_checkpoint=resume)
    return model


def by_the_core(
    method: Method = LOOKSAM,
    *,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    clip: float | None = None,
    chunks: int = 1,
    epochs: int = 1,
) -> torch.Tensor:
    model = Classifier()
    base, schedule = base_and_schedule(model)
    scheduler, sharpness = schedule(base), SharpnessAware(model, method)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    for step, batch in enumerate(
        [batch for _ in range(epochs) for batch in DataLoader(data(), batch_size=SIZE)]
    ):
        torch.manual_seed(step)

        def closure(batch=batch):
            base.zero_grad()
            for x, y in zip(batch["images"].chunk(chunks), batch["labels"].chunk(chunks), strict=True):
                with torch.autocast("cpu", autocast) if autocast else nullcontext():
                    loss = model(x, y)["loss"]
                scaler.scale(loss / chunks).backward()

        sharpness.backward(closure)
        scaler.unscale_(base)
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(base)
        scaler.update()
        scheduler.step()
    return flat(model)


@pytest.mark.parametrize("method", METHODS)
def test_the_documented_trainer_is_the_plain_loop_bit_for_bit(documented, method, tmp_path):
    assert torch.equal(flat(run(documented, tmp_path, method)), by_the_core(method))


def test_the_documented_trainer_takes_the_second_gradient_on_ascent_steps_alone(documented, tmp_path):
    assert run(documented, tmp_path).calls == BATCHES + 3


def test_the_trainers_clipping_clips_the_methods_gradient_once(documented, tmp_path):
    assert torch.equal(flat(run(documented, tmp_path, max_grad_norm=0.1)), by_the_core(clip=0.1))


@pytest.mark.parametrize("method", METHODS)
def test_the_trainers_accumulation_is_the_plain_loops(documented, method, tmp_path):
    options = {"per_device_train_batch_size": SIZE // 3, "gradient_accumulation_steps": 3}
    model = run(documented, tmp_path, method, max_grad_norm=0.1, **options)
    assert torch.equal(flat(model), by_the_core(method, chunks=3, clip=0.1))


def test_bf16_is_the_plain_loop_under_autocast_bit_for_bit(documented, tmp_path):
    model = run(documented, tmp_path, bf16=True, max_grad_norm=0.1)
    assert torch.equal(flat(model), by_the_core(autocast=torch.bfloat16, clip=0.1))


@pytest.mark.parametrize("clip", [None, 0.1])
def test_fp16_is_the_plain_loop_with_a_scaler_bit_for_bit(documented, clip, tmp_path):
    model = run(documented, tmp_path, fp16=True, max_grad_norm=clip or 0.0)
    scaler = torch.amp.GradScaler("cpu")
    assert torch.equal(flat(model), by_the_core(autocast=torch.half, scaler=scaler, clip=clip))


@pytest.mark.parametrize("stop", [2, 4, 8])
def test_a_run_resumed_from_the_trainers_checkpoint_is_the_uninterrupted_one(documented, stop, tmp_path):
    options = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": stop}
    run(documented, tmp_path, **options, max_steps=stop)
    state = torch.load(tmp_path / f"checkpoint-{stop}" / "optimizer.pt", weights_only=True)
    resumed = run(documented, tmp_path, **options, resume=True)
    assert state["sharpness"]["step"] == stop
    assert torch.equal(flat(resumed), by_the_core(epochs=2))


def test_trainer_as_it_is_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"step\(\) got none.*docs/trainers\.md"):
        run(transformers.Trainer, tmp_path)


def test_trainer_as_it_is_trains_by_the_base_where_k_is_0(tmp_path):
    assert torch.equal(flat(run(transformers.Trainer, tmp_path, Method())), by_the_core(Method()))


def by_accelerate(
    folder: Path, stop: int = BATCHES, *, resume: bool = False, with_closure: bool = False
) -> nn.Module:
    model = Classifier()
    base, schedule = base_and_schedule(model)
    ours = SharpnessAwareOptimizer(base, model, LOOKSAM)
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="no")
    model, optimizer, loader, scheduler = accelerator.prepare(
        model, ours, DataLoader(data(), SIZE), schedule(ours)
    )
    if resume:
        accelerator.load_state(str(folder))
    start = ours.sharpness.step
    for step, batch in enumerate(loader):
        if not start <= step < stop:
            continue
        torch.manual_seed(step)

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = model(**batch)["loss"]
            accelerator.backward(loss)
            return loss

        if with_closure:
            optimizer.step(closure)
        else:
            ours.backward(closure)
            optimizer.step()
        scheduler.step()
    accelerator.save_state(str(folder))
    return model


@pytest.mark.parametrize("with_closure", [False, True])
def test_accelerate_is_the_plain_loop_bit_for_bit(with_closure, tmp_path):
    assert torch.equal(flat(by_accelerate(tmp_path, with_closure=with_closure)), by_the_core())


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_resumed_from_accelerates_state_is_the_uninterrupted_one(stop, tmp_path):
    by_accelerate(tmp_path, stop)
    assert torch.equal(flat(by_accelerate(tmp_path, resume=True)), by_the_core())


def test_accelerates_scaler_with_a_closure_is_refused():
    accelerate.Accelerator(cpu=True)
    model = Classifier()
    ours = SharpnessAwareOptimizer(base_and_schedule(model)[0], model, LOOKSAM)
    scaler = torch.amp.GradScaler("cpu")
    optimizer = AcceleratedOptimizer(ours, scaler=scaler)
    scaler.scale(model(torch.randn(4, 16), torch.zeros(4, dtype=torch.long))["loss"]).backward()
    with pytest.raises(ValueError, match=r"GradScaler makes the call: optimizer\.backward\(closure\) first"):
        optimizer.step(lambda: None)


@pytest.mark.parametrize("block", blocks("trainers.md", "Hugging Face"))
def test_a_code_block_of_the_documentation_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "documentation", "exec"), {})
