from collections.abc import Callable
from functools import partial
from math import isnan

import pytest
import torch
from nets import mlp
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from looksam.hessian import Losses, flat, hessian, largest_eigenvalue, start

EXACT = 1e-9  # a residual at which the eigenvalue of a float64 matrix is known to nearly as many digits


def network() -> tuple[nn.Module, list[nn.Parameter], Losses]:
    """A small network in float64, its parameters, and its loss on nine images as three micro-batches."""
    torch.manual_seed(0)
    model = mlp().double()
    images, labels = torch.randn(9, 1, 4, 4, dtype=torch.float64), torch.arange(9) % 3

    def share(some: slice) -> Tensor:
        return cross_entropy(model(images[some]), labels[some], reduction="sum") / 9

    return model, list(model.parameters()), [partial(share, slice(i, i + 3)) for i in (0, 3, 6)]


def whole(losses: Losses) -> Losses:
    """The same loss as one micro-batch."""
    return [lambda: torch.stack([closure() for closure in losses]).sum()]


def dense(model: nn.Module, losses: Losses) -> Tensor:
    """The Hessian written out, [P, P]."""
    named = {name: p.detach() for name, p in model.named_parameters()}
    sizes = [p.numel() for p in named.values()]

    def loss(w: Tensor) -> Tensor:
        parts = {n: x.view_as(p) for x, (n, p) in zip(w.split(sizes), named.items(), strict=True)}
        return functional_call(Summed(model, losses), {f"model.{name}": p for name, p in parts.items()}, ())

    found: Tensor = torch.autograd.functional.hessian(loss, flat(list(named.values())))
    return found


class Summed(nn.Module):
    """The loss as a module, so that its weights can be replaced."""

    def __init__(self, model: nn.Module, losses: Losses) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self) -> Tensor:
        return torch.stack([closure() for closure in self.losses]).sum()


def matrix(*eigenvalues: float) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The product with a symmetric matrix of these eigenvalues, and a vector to begin with."""
    generator = torch.Generator().manual_seed(1)
    size = len(eigenvalues)
    drawn = torch.randn(size, size, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(drawn).Q
    whole = basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T
    return whole.mv, torch.randn(size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("joined", [False, True], ids=["micro-batches", "one batch"])
def test_a_product_is_that_with_the_hessian_written_out(joined: bool) -> None:
    model, parameters, losses = network()
    v = torch.randn(sum(p.numel() for p in parameters), dtype=torch.float64)
    product = hessian(parameters, whole(losses) if joined else losses)
    torch.testing.assert_close(product(v), dense(model, losses) @ v, rtol=0, atol=1e-12)


def test_the_eigenvalue_is_that_of_the_hessian_written_out() -> None:
    model, parameters, losses = network()
    g = list(torch.autograd.grad(whole(losses)[0](), parameters))
    found = largest_eigenvalue(hessian(parameters, losses), start(g), 200, EXACT)
    assert found.converged
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(dense(model, losses))[-1]), abs=1e-6)


def test_a_negative_eigenvalue_of_larger_magnitude_is_not_taken() -> None:
    found = largest_eigenvalue(*matrix(-9.0, -3.0, 1.0, 2.0, 4.0), 20, EXACT)
    assert found.value == pytest.approx(4.0, abs=1e-9)
    assert found.converged


def test_where_all_are_negative_it_is_the_one_nearest_to_0() -> None:
    assert largest_eigenvalue(*matrix(-9.0, -3.0, -1.0), 20, EXACT).value == pytest.approx(-1.0, abs=1e-9)


def test_opposite_eigenvalues_do_not_deceive_it() -> None:
    found = largest_eigenvalue(*matrix(-5.0, 5.0), 20, EXACT)
    assert (found.value, found.converged) == (pytest.approx(5.0, abs=1e-9), True)


def test_it_ends_within_the_tolerance() -> None:
    product, v = matrix(*[float(i) for i in range(50)], 80.0)
    loose, exact = largest_eigenvalue(product, v, 50, 0.02), largest_eigenvalue(product, v, 50, EXACT)
    assert loose.products < exact.products
    assert loose.value == pytest.approx(80.0, rel=0.02)


def test_out_of_products_it_says_that_it_has_not_converged() -> None:
    found = largest_eigenvalue(*matrix(*[float(i) for i in range(50)]), 3, 0.02)
    assert (found.converged, found.products) == (False, 3)
    assert found.value < 49.0


def test_a_matrix_of_zeros_has_eigenvalue_0() -> None:
    found = largest_eigenvalue(*matrix(0.0, 0.0), 20, 0.02)
    assert (found.value, found.converged) == (0.0, True)


def test_an_overflow_is_no_number() -> None:
    found = largest_eigenvalue(lambda v: v * torch.inf, torch.ones(3), 20, 0.02)
    assert isnan(found.value)
    assert not found.converged


def test_it_begins_along_a_gradient_and_also_without_one() -> None:
    g = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    nowhere = [torch.zeros_like(x) for x in g]
    torch.testing.assert_close(start(g) - start(nowhere), torch.tensor([0.6, 0.0, 0.8]))
    assert float(start(nowhere).norm()) == pytest.approx(1.0)
