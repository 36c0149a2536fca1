"""How long a training of 86 M parameters stands still for a checkpoint, over `torch.save` of the same bytes.

Both write to one folder and take turns; a turn begins when all that was written before is on the disk. The
first checkpoint, whose memory is new, is shown apart: as it is, and prepared for in the background.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from looksam.checkpoint import Checkpoints

ROUNDS = 7
# ViT-B-16's, in tensors of its common shapes: weights, AdamW's two moments and g_v of each
SHAPES = [(768, 3072), (3072, 768), (768, 2304), (768, 768), (768,), (3072,)] * 12 + [(1000, 768)]


def state() -> dict[str, list[Tensor]]:
    """Four float32 tensors for each parameter."""
    return {name: [torch.randn(shape) for shape in SHAPES] for name in ("w", "m", "v", "g_v")}


def seconds(call: Callable[[], None]) -> float:
    """How long a call takes, when the disk has nothing left to do."""
    os.sync()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def first(folder: Path, saved: dict[str, list[Tensor]]) -> float:
    """The seconds of a first checkpoint that nothing has prepared."""
    with Checkpoints(folder, "request", 1, lambda: None) as checkpoints:
        return seconds(lambda: checkpoints.save(0, saved))


def compare(folder: Path) -> None:
    """Print the ratio of the medians, and that of the first checkpoint."""
    saved = state()
    unprepared = first(folder, saved)
    size = sum(tensor.nbytes for tensors in saved.values() for tensor in tensors)
    stands, writes = [], []
    with Checkpoints(folder, "request", 2, lambda: None) as checkpoints:
        checkpoints.prepare(saved)
        checkpoints.wait()
        for step in range(ROUNDS + 1):
            stands.append(seconds(lambda step=step: checkpoints.save(step, saved)))
            checkpoints.wait()
            writes.append(seconds(lambda: torch.save(saved, folder / "plain.pt")))
            (folder / "plain.pt").unlink()
    written = statistics.median(writes[1:])
    print(f"A checkpoint of {size / 1e9:.2f} GB: the training stands still / torch.save of the same bytes")
    print(f"  {statistics.median(stands[1:]) / written:.2f}")
    print(f"  {stands[0] / written:.2f} the first, {unprepared / written:.2f} if unprepared")


if __name__ == "__main__":
    torch.set_num_threads(1)
    # not in the system's temporary folder, which may be memory
    with tempfile.TemporaryDirectory(dir=".") as folder:
        compare(Path(folder))
