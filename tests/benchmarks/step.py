"""What a sharpness-aware step costs, in time over the base optimizer's and in memory over the parameters'.

Absolute times mean little on a shared machine, so what is compared takes turns, one step each, and ratios of
the medians are printed. A method's time is that of its period: one ascent step and the steps between.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from looksam import Method, SharpnessAware

PERIOD = 5
METHODS = {
    "AdamW": Method(),
    "SAM": Method(k=1),
    "SAM-5": Method(k=5),
    "LookSAM-5": Method(k=5, descent="g_v"),
    "LayerSAM": Method(k=1, ascent="layerwise"),
    "Look-LayerSAM-5": Method(k=5, ascent="layerwise", descent="g_v"),
}
Make = Callable[[], tuple[nn.Module, Tensor]]
Step = Callable[[], None]


def vit() -> tuple[nn.Module, Tensor]:
    """ViT, width 192, depth 6, patch 4, at 32x32 and batch 64."""
    model = VisionTransformer(img_size=32, patch_size=4, embed_dim=192, depth=6, num_heads=3, num_classes=10)
    return model, torch.randn(64, 3, 32, 32)


def small_convolutions() -> tuple[nn.Module, Tensor]:
    """Some 20,000 parameters in some 60 small tensors, at 8x8 and batch 30: each call's overhead counts."""
    widths = [1, *[10] * 20]
    layers = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        for a, b in pairwise(widths)
    ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(640, 10)), torch.randn(30, 1, 8, 8)


def large_linear() -> tuple[nn.Module, Tensor]:
    """86 million parameters and next to no activations, so that memory is that of the parameters."""
    return nn.Sequential(*[nn.Linear(3280, 3280) for _ in range(8)], nn.Linear(3280, 10)), torch.randn(
        2, 3280
    )


def closure_of(model: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """Zeroes the gradients, runs both sweeps, returns the loss."""
    labels = torch.randint(0, 10, (len(images),))

    def closure() -> Tensor:
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        return loss

    return closure


def steps_of(make: Make, method: Method) -> tuple[dict[str, Step], SharpnessAware]:
    """A function for each kind of step that the method takes in a period, and what the method keeps."""
    torch.manual_seed(0)
    model, images = make()
    closure = closure_of(model, images)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    sharpness = SharpnessAware(model, method)

    def at(phase: int) -> Step:
        def step() -> None:
            sharpness.step = phase
            sharpness.backward(closure)
            optimizer.step()

        return step

    kinds = {"ascent": at(0)} if method.k else {}
    return kinds | ({} if method.k == 1 else {"between": at(1)}), sharpness


def period(seconds: Mapping[str, float], name: str) -> float:
    """Seconds of a period of 5 steps of a method, from those of each kind of its steps."""
    ascents = 0 if METHODS[name].k == 0 else PERIOD // METHODS[name].k
    kinds = {"ascent": ascents, "between": PERIOD - ascents}
    return sum(count * seconds[f"{name} {kind}"] for kind, count in kinds.items() if count)


def medians(turns: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """The median seconds of each, taking turns; a first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in range(rounds + 1):
        for name, step in turns.items():
            started = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compare_methods(title: str, make: Make, rounds: int) -> None:
    """Print each method's time over AdamW's and the memory it holds between steps over the parameters'."""
    made = {name: steps_of(make, method) for name, method in METHODS.items()}
    turns = {f"{name} {kind}": step for name, (kinds, _) in made.items() for kind, step in kinds.items()}
    seconds = medians(turns, rounds)
    base = period(seconds, "AdamW")
    parameters = sum(p.numel() for p in make()[0].parameters())
    print(f"\n{title}\n{'method':16} {'time / AdamW':>12} {'held / parameters':>18}")
    for name, (_, sharpness) in made.items():
        held = sum(tensor.numel() for tensor in sharpness.memory.values()) / parameters
        print(f"{name:16} {period(seconds, name) / base:12.2f} {held:18.1f}", flush=True)


def compare_with_pytorch_optimizer(rounds: int) -> None:
    """Print the time of pytorch_optimizer's LookSAM.step(closure) over ours, where it is installed."""
    try:
        from pytorch_optimizer import LookSAM
    except ModuleNotFoundError:
        print(
            "\npytorch_optimizer is not installed: pip install 'looksam[peers]' to compare with its LookSAM"
        )
        return
    model, images = vit()
    closure = closure_of(model, images)
    theirs = LookSAM(model.parameters(), torch.optim.AdamW, k=PERIOD, fused=True)

    def their_period() -> None:
        for _ in range(PERIOD):
            closure()  # its step wants the first gradient there, and runs the closure for the second
            theirs.step(closure)

    steps, _ = steps_of(vit, METHODS["LookSAM-5"])

    def our_period() -> None:
        for kind in ("ascent", *["between"] * (PERIOD - 1)):
            steps[kind]()

    seconds = medians({"theirs": their_period, "ours": our_period}, rounds)
    print(f"\nLookSAM-5, pytorch_optimizer's step(closure) / ours: {seconds['theirs'] / seconds['ours']:.2f}")


def reuse_alone(rounds: int) -> None:
    """Print a reuse step's own work on 86 M parameters over two foreach additions of the same tensors."""
    model, images = large_linear()
    closure = closure_of(model, images)
    sharpness = SharpnessAware(model, Method(k=10**9, descent="g_v"))
    sharpness.backward(closure)
    closure()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    others = list(sharpness.memory.values())

    def additions() -> None:
        torch._foreach_add_(gradients, others)
        torch._foreach_add_(gradients, others)

    turns = {"reuse": lambda: sharpness.backward(lambda: None), "additions": additions}
    seconds = medians(turns, rounds)
    print(f"\nA reuse step's own work / two foreach additions: {seconds['reuse'] / seconds['additions']:.2f}")


def peak_bytes(name: str) -> int:
    """The largest resident memory of a process that takes two steps of the method on 86 M parameters."""
    code = f"from step import two_steps; two_steps({name!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=sys.path[0], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def two_steps(name: str) -> None:
    """Take two steps of the method and print the largest resident memory so far, in bytes."""
    torch.set_num_threads(1)
    model, images = large_linear()
    closure, optimizer = closure_of(model, images), torch.optim.SGD(model.parameters(), lr=1e-3)
    sharpness = SharpnessAware(model, METHODS[name])
    for _ in range(2):
        sharpness.backward(closure)
        optimizer.step()
    # not getrusage's figure, which a process inherits from the one that starts it
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)


def compare_peaks() -> None:
    """Print how much more memory a step needs at its peak than the base optimizer's, over the parameters'."""
    if not Path("/proc/self/status").exists():
        print("\nPeak memory is read from Linux's /proc, which is not here")
        return
    size = sum(p.numel() * p.element_size() for p in large_linear()[0].parameters())
    base = peak_bytes("AdamW")
    print("\nExtra peak memory, what is held included / parameters")
    for name in ("SAM", "LookSAM-5", "Look-LayerSAM-5"):
        print(f"{name:16} {(peak_bytes(name) - base) / size:12.2f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare_methods("ViT d192 depth 6, 32x32, batch 64, one thread", vit, 15)
    compare_methods("20,000 parameters in 60 tensors, 8x8, batch 30, one thread", small_convolutions, 150)
    compare_with_pytorch_optimizer(4)
    reuse_alone(10)
    compare_peaks()
