"""Small models, their batches, the base optimizers and a closure that counts, for the tests of the core."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


class Transformer(nn.Module):
    """Patches of 2x2, one attention block with two heads, mean over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 2, stride=2)
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        # no bias: that of the keys has no gradient but rounding, which Adam divides by itself
        self.qkv, self.out = nn.Linear(8, 24, bias=False), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch(images).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        attended = ((q @ k.transpose(-1, -2) / 2).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + self.out(attended)
        return self.head((x + self.mlp(self.norm2(x))).mean(1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 3))


def convnet() -> nn.Module:
    convolution = nn.Conv2d(1, 4, 3, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def lamb(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    optim = pytest.importorskip("timm.optim")
    return optim.Lamb(parameters, lr=1e-2, weight_decay=0.1, max_grad_norm=None)


BASES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "lamb": lamb,
}


def built(make: Callable[[], nn.Module] = mlp) -> nn.Module:
    torch.manual_seed(0)
    return make().double()


def batches(steps: int) -> list[Batch]:
    """Images [6, 1, 4, 4] and labels of three classes, the same at every call."""
    torch.manual_seed(1)
    return [(torch.randn(6, 1, 4, 4, dtype=torch.float64), torch.randint(0, 3, (6,))) for _ in range(steps)]


class Closure:
    """Forward and backward of one batch, counting its calls."""

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        self.model, self.batch, self.calls = model, batch, 0

    def __call__(self) -> Tensor:
        self.calls += 1
        self.model.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self.batch[0]), self.batch[1])
        loss.backward()
        return loss
