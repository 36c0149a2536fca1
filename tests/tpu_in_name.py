"""What the tests of the TPU's path run in a process of their own: a device named "tpu" with no TPU behind it.

torch renames its spare backend so once and for all, as torch_tpu does; no tensor can be put there.
"""

import json
import os
import sys
from datetime import timedelta
from types import ModuleType

import torch
import torch.distributed as dist

from looksam.distributed import BACKENDS, Ranks, backend_for, training_device


def device_module() -> ModuleType:
    """What torch asks of a backend's module."""
    module = ModuleType("torch.tpu")
    module.is_available = lambda: True  # type: ignore[attr-defined]
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]  # type: ignore[attr-defined]
    return module


def autocast_dtype(kind: str) -> str:
    with torch.autocast(kind, torch.bfloat16):
        return str(torch.get_autocast_dtype(kind))


def main() -> None:
    torch.utils.rename_privateuse1_backend("tpu")
    torch._register_device_module("tpu", device_module())
    made = []

    def process_group(store: dist.Store, rank: int, size: int, timeout: timedelta) -> dist.ProcessGroupGloo:
        made.append([rank, size])
        return dist.ProcessGroupGloo(store, rank, size, timeout)

    dist.Backend.register_backend("tpu_dist", process_group, devices=["tpu"])
    torch.accelerator.is_available = lambda: True
    torch.accelerator.current_accelerator = lambda check_available=False: torch.device("tpu")
    torch.accelerator.device_count = lambda: 4
    device = training_device(local_rank=3)
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1"}
    dist.init_process_group(backend_for(device), store=dist.HashStore(), rank=0, world_size=1)
    total = Ranks(0, 2, device).mean(torch.ones(1))  # of two ranks, of which one is here
    found = {
        "device": [device.type, device.index],
        "backend": BACKENDS[device.type],
        "backends": dist.get_backend_config(),
        "groups": made,
        "autocast": autocast_dtype(device.type),
        "mean over the CPU's group": total.item(),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
