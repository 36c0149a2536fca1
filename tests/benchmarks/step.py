"""What a sharpness-aware step costs: its time over the base optimizer's, and the memory held between steps.

Absolute times mean little on a shared machine, so the methods take turns, a whole period of 5 steps each, and
ratios of the medians are printed.
"""

import statistics
import time
from collections.abc import Callable

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from looksam import Method, SharpnessAware
from looksam.models import wrn

PERIOD, ROUNDS = 5, 3
METHODS = {
    "AdamW": Method(),
    "SAM": Method(k=1),
    "SAM-5": Method(k=5),
    "LookSAM-5": Method(k=5, descent="g_v"),
    "LayerSAM": Method(k=1, ascent="layerwise"),
    "Look-LayerSAM-5": Method(k=5, ascent="layerwise", descent="g_v"),
}


def vit() -> tuple[nn.Module, Tensor]:
    """ViT, width 192, depth 6, patch 4, at 32x32 and batch 64."""
    model = VisionTransformer(img_size=32, patch_size=4, embed_dim=192, depth=6, num_heads=3, num_classes=10)
    return model, torch.randn(64, 3, 32, 32)


def small_convolutions() -> tuple[nn.Module, Tensor]:
    """The narrow WRN of the mini scale at 8x8 and batch 30: many small tensors."""
    dataset = {"height": 8, "width": 8, "channels": 1, "classes": 10}
    return wrn({"depth": 10, "width": 1}, dataset), torch.randn(30, 1, 8, 8)


def stepper(
    make: Callable[[], tuple[nn.Module, Tensor]], method: Method
) -> tuple[Callable[[], None], SharpnessAware]:
    """A function that takes one training step, and what it keeps between steps."""
    torch.manual_seed(0)
    model, images = make()
    labels = torch.randint(0, 10, (len(images),))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    sharpness = SharpnessAware(model, method)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        return loss

    def step() -> None:
        sharpness.backward(closure)
        optimizer.step()

    return step, sharpness


def measure(name: str, make: Callable[[], tuple[nn.Module, Tensor]], rounds: int) -> None:
    """Print each method's ratios on one network."""
    steppers = {label: stepper(make, method) for label, method in METHODS.items()}
    seconds: dict[str, list[float]] = {label: [] for label in METHODS}
    for turn in range(rounds + 1):
        for label, (step, _) in steppers.items():
            started = time.perf_counter()
            for _ in range(PERIOD):
                step()
            if turn:  # the first turn warms up
                seconds[label].append(time.perf_counter() - started)
    base = statistics.median(seconds["AdamW"])
    model, _ = make()
    parameters = sum(p.numel() for p in model.parameters())
    print(f"\n{name}\n{'method':16} {'time / AdamW':>12} {'held / parameters':>18}")
    for label, (_, sharpness) in steppers.items():
        held = sum(tensor.numel() for tensor in sharpness.memory.values()) / parameters
        print(f"{label:16} {statistics.median(seconds[label]) / base:12.2f} {held:18.1f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure("ViT d192 depth 6, 32x32, batch 64, one thread", vit, ROUNDS)
    measure("WRN-10-1, 8x8, batch 30, one thread", small_convolutions, 20 * ROUNDS)
