"""SharpnessAwareOptimizer over DistributedDataParallel, in two gloo processes."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from nets import BASES, Closure, batches, built
from reference import flat
from torch import nn

from looksam import Method, SharpnessAware, SharpnessAwareOptimizer

LOOKSAM = Method(k=3, descent="g_v", rho=0.1, alpha=0.6)

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="this torch has no torch.distributed")


class Zeroing(Closure):
    """Zeroes as asked, or not at all, and adds its gradients."""

    def __init__(self, model: nn.Module, batch: tuple, set_to_none: bool | None) -> None:
        super().__init__(model, batch)
        self.set_to_none = set_to_none

    def __call__(self):
        if self.set_to_none is not None:
            self.model.zero_grad(self.set_to_none)
        nn.functional.cross_entropy(self.model(self.batch[0]), self.batch[1]).backward()


def replica(views: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.parallel.DistributedDataParallel(built(), gradient_as_bucket_view=views)
    return model, BASES["adamw"](list(model.parameters()))


def rank_of_two(rank: int, folder: Path, views: bool) -> None:
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for set_to_none in (True, False):
        data = batches(14)[rank::2]
        model, base = replica(views)
        sharpness = SharpnessAware(model, LOOKSAM)
        for batch in data:
            sharpness.backward(Zeroing(model, batch, set_to_none))
            base.step()
        ours, base = replica(views)
        optimizer = SharpnessAwareOptimizer(base, ours, LOOKSAM)
        for batch in data:
            optimizer.step(Zeroing(ours, batch, set_to_none))
        assert torch.equal(flat(ours), flat(model))
        with pytest.raises(ValueError, match="did not zero the gradients"):
            optimizer.step(Zeroing(ours, data[0], None))
    dist.destroy_process_group()


@pytest.mark.parametrize("views", [False, True])
def test_replicas_take_the_cores_steps_and_refuse_gradients_from_before(views, tmp_path):
    mp.spawn(rank_of_two, (tmp_path, views), nprocs=2)
