"""How a training with FSDP2 goes on from a state of each kind, for tests of distribution."""

import io
import shutil
import tempfile
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import checkpoint
from two_ranks import LOOKS, K, Results, adamw, batches, built, closures, part, sharded, weights

from looksam import SharpnessAware


def resumed(rank: int) -> Results:
    """Weights of trainings that stopped in the middle of a period and went on from a state of each kind."""
    found: Results = {}
    for kind, reload in RELOADS.items():
        model = sharded(built("prelu"))
        optimizer, sharpness = adamw(model), SharpnessAware(model, LOOKS["looksam"])
        for i, batch in enumerate(batches()):
            runs = closures(model, [part(batch, rank, 2)])
            if i == K + 1:
                state = sharpness.state_dict()
                sharpness = SharpnessAware(model, LOOKS["looksam"])
                sharpness.load_state_dict(reload(state, model, runs))
            sharpness.backward(runs)
            optimizer.step()
        found[f"resumed from {kind}"] = weights(model)
    return found | {"whole state": whole(state)}


def through_a_file(state: Results, *unused: Any) -> Results:
    """The state as a plain file gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def whole(state: Results, *unused: Any) -> Results:
    """The state with whole tensors in the place of shards."""
    refreshes = [
        {**refresh, "g_v": {name: x.full_tensor() for name, x in refresh["g_v"].items()}}
        for refresh in state["refreshes"]
    ]
    return through_a_file({**state, "refreshes": refreshes})


def through_a_distributed_checkpoint(state: Results, model: nn.Module, runs: Any) -> Results:
    """The state as a distributed checkpoint gives it back, in the place of one of another ascent step."""
    folder = [tempfile.mkdtemp()]
    dist.broadcast_object_list(folder)
    checkpoint.save(state, checkpoint_id=folder[0])
    looked = SharpnessAware(model, LOOKS["looksam"])
    looked.backward(runs)
    filled = looked.state_dict()
    checkpoint.load(filled, checkpoint_id=folder[0])
    dist.barrier()
    shutil.rmtree(folder[0], ignore_errors=True)
    return filled


RELOADS = {
    "shards": through_a_file,
    "whole tensors": whole,
    "a distributed checkpoint": through_a_distributed_checkpoint,
}
