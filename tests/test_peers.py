"""Other implementations beside ours; needs the extra `peers`."""

import pytest
import torch
from nets import Closure, Transformer, batches, built, convnet, mlp
from reference import flat

from looksam import Method, SharpnessAware

K, ALPHA, RHO = 4, 0.6, 0.1


def theirs(make, steps: int) -> torch.Tensor:
    """Weights after training with pytorch_optimizer's LookSAM, called twice a step."""
    optimizers = pytest.importorskip("pytorch_optimizer")
    model = built(make)
    optimizer = optimizers.LookSAM(
        model.parameters(), torch.optim.SGD, rho=RHO, k=K, alpha=ALPHA, lr=0.1, momentum=0.9
    )
    for step, batch in enumerate(batches(steps)):
        closure = Closure(model, batch)
        closure()
        if step % K == 0:
            optimizer.first_step(zero_grad=True)
            closure()
        optimizer.second_step()
    return flat(model)


def ours(make, steps: int, descent: str) -> torch.Tensor:
    model = built(make)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sharpness = SharpnessAware(model, Method(k=K, descent=descent, rho=RHO, alpha=ALPHA))
    for batch in batches(steps):
        sharpness.backward(Closure(model, batch))
        optimizer.step()
    return flat(model)


@pytest.mark.parametrize("make", [mlp, convnet, Transformer])
def test_g_v_per_tensor_is_pytorch_optimizers_looksam(make):
    # they add 1e-8 to ||g_v||, which is some 1e-3 in the smallest tensors; BatchNorm leaves the perturbed
    # pass in their running statistics, which training does not use
    expected = theirs(make, 3 * K + 2)
    assert (ours(make, 3 * K + 2, "g_v_per_tensor") - expected).norm() < 1e-5 * expected.norm()


def test_g_v_of_the_whole_model_is_not():
    expected = theirs(mlp, K)
    assert (ours(mlp, K, "g_v") - expected).norm() > 1e-3 * expected.norm()


@pytest.mark.parametrize(
    ("adaptive", "method"),
    [(False, Method(k=1, rho=RHO)), (True, Method(k=1, ascent="elementwise", rho=RHO))],
)
def test_sam_and_asam_are_pytorch_optimizers(adaptive, method):
    optimizers = pytest.importorskip("pytorch_optimizer")
    model, other = built(), built()
    peer = optimizers.SAM(other.parameters(), torch.optim.SGD, rho=RHO, adaptive=adaptive, lr=0.1)
    optimizer, sharpness = torch.optim.SGD(model.parameters(), lr=0.1), SharpnessAware(model, method)
    for batch in batches(K):
        closure = Closure(other, batch)
        closure()
        peer.step(closure)
        sharpness.backward(Closure(model, batch))
        optimizer.step()
    # their norm is in float32
    assert (flat(model) - flat(other)).norm() < 1e-7 * flat(other).norm()


def test_their_closure_form_takes_two_passes_at_every_step():
    optimizers = pytest.importorskip("pytorch_optimizer")
    model, passes = built(), []
    optimizer = optimizers.LookSAM(model.parameters(), torch.optim.SGD, k=K, lr=0.1)
    for batch in batches(2 * K):

        def closure(batch=batch) -> None:
            passes.append(Closure(model, batch)())

        closure()
        optimizer.step(closure)
    assert len(passes) == 2 * 2 * K
