"""Train a small network on scikit-learn's digits with AdamW, plain and with LookSAM-5, in seconds on a CPU.

Needs torch, scikit-learn and looksam. Run: python examples/looksam_digits.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from looksam import Method, SharpnessAware

EPOCHS, BATCH = 20, 60


def train(method: Method, images: torch.Tensor, labels: torch.Tensor) -> tuple[nn.Module, int, int]:
    """The trained network, the steps it took and the gradient passes they cost."""
    torch.manual_seed(0)  # both methods start alike and see the same batches
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    sharpness = SharpnessAware(model, method)
    passes = 0

    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):

            def closure(batch=batch):
                nonlocal passes
                passes += 1
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
                loss.backward()
                return loss

            sharpness.backward(closure)  # once, and twice on every k-th step
            optimizer.step()
    return model, sharpness.step, passes


def main() -> None:
    """Train both ways on 1,200 digits and tell how each does on the other 597."""
    images, labels = (torch.from_numpy(x) for x in load_digits(return_X_y=True))
    images = images.float() / 16
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    training, test = order[:1200], order[1200:]

    for name, method in {
        "AdamW": Method(),
        "AdamW + LookSAM-5": Method(k=5, descent="g_v", rho=0.05, alpha=0.1),
    }.items():
        model, steps, passes = train(method, images[training], labels[training])
        correct = (model(images[test]).argmax(1) == labels[test]).float().mean()
        print(f"{name}: test accuracy {correct:.1%}, {passes} gradient passes in {steps} steps")


if __name__ == "__main__":
    main()
