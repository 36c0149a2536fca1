"""The TPU's path as far as it goes without a TPU: device, process group, autocast, launch environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from study_files import ROOT

from looksam.distributed import backend_for
from looksam.elastic import as_shells_say
from looksam.tpu_host import script, train_script
from looksam.tpu_settings import Settings

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def tpu() -> dict[str, Any]:
    program = [sys.executable, ROOT / "tests/tpu_in_name.py"]
    done = subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_tpu_is_taken_without_an_index_because_each_process_sees_its_own(tpu) -> None:
    assert tpu["device"] == ["tpu", None]


def test_the_process_group_has_tpu_dist_on_the_tpu_and_gloo_on_the_cpu(tpu) -> None:
    assert tpu["backends"] == "cpu:gloo,tpu:tpu_dist"
    assert tpu["groups"] == [[0, 1]]


def test_autocast_on_a_tpu_is_bfloat16(tpu) -> None:
    assert tpu["autocast"] == "torch.bfloat16"


def test_numbers_on_the_cpu_go_by_gloo_beside_the_tpus_group(tpu) -> None:
    assert tpu["mean over the CPU's group"] == 0.5


def test_a_cpu_needs_gloo_alone() -> None:
    assert backend_for(torch.device("cpu")) == "cpu:gloo"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's home, with a python that says what it was called with, in which environment."""
    (tmp_path / "python").write_text(
        "#!/bin/bash\n"
        '[ "$2" = torch.tpu.distributed ] && { cat "$HOME/environment"; exit "$(cat "$HOME/code")"; }\n'
        'echo "$@"; echo "$TORCH_DEVICE_BACKEND_AUTOLOAD $TORCH_TPU_TOPOLOGY $PWD"; exit 7\n'
    )
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "setup.sh").write_text(f"export PATH={tmp_path}:$PATH\n")
    (tmp_path / "code").write_text("0")
    return tmp_path


def launched(host: Path, environment: str) -> "subprocess.CompletedProcess[str]":
    """What a host does for a training, whose torch_tpu prints this launch environment."""
    (host / "environment").write_text(environment)
    settings = Settings(
        **dict.fromkeys(("project", "zone", "bucket", "measuring_type", "runtime_version"), "x"),
        **dict.fromkeys(
            ("max_device_hours", "wait_hours", "deadline_hours", "stall_minutes", "poll_seconds"), 1.0
        ),
        mount=host,
        setup=host / "setup.sh",
        accelerator_types={},
        spot=True,
        slices=1,
    )
    command = train_script(settings, host / "code.tar", ["looksam", "train", "a run.json"])
    environ = os.environ | {"HOME": str(host)}
    return subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True)


def test_a_host_of_many_starts_torchrun_by_torch_tpus_environment(host: Path) -> None:
    many = 'TORCH_TPU_TOPOLOGY="2,2,2"\nWORLD_SIZE=8\nNODE_RANK="1"\nNNODES="2"\n'
    done = launched(host, f'{many}MASTER_ADDR="10.0.0.1"\nMASTER_PORT="29500"\n')
    called, environment = done.stdout.splitlines()
    assert called == (
        "-m looksam.elastic --nnodes 2 --node-rank 1 --nproc-per-node 4 --master-addr 10.0.0.1 "
        "--master-port 29500 --signals-to-handle SIGTERM,SIGINT,SIGUSR1 --no-python looksam train a run.json"
    )
    assert environment == f"1 2,2,2 {host}"
    assert done.returncode == 7


def test_a_host_alone_starts_torchrun_by_itself(host: Path) -> None:
    called, _ = launched(
        host, 'TORCH_TPU_TOPOLOGY="2,4,1"\nWORLD_SIZE=8\nNODE_RANK="0"\n'
    ).stdout.splitlines()
    assert "--nnodes 1 --node-rank 0 --nproc-per-node 8 --master-addr localhost" in called


def test_a_host_without_a_launch_environment_does_not_train(host: Path) -> None:
    (host / "code").write_text("5")
    done = launched(host, "")
    assert (done.returncode, done.stdout) == (5, "")


def test_a_script_of_a_host_is_one_word_for_any_shell() -> None:
    done = subprocess.run(["sh", "-c", script(['echo "it\'s $((1 + 1))"'])], capture_output=True, text=True)
    assert done.stdout == "it's 2\n"


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (75, 75), (-9, 137)])
def test_torchrun_ends_as_its_program(code: int, expected: int) -> None:
    assert as_shells_say(code) == expected
    program = f"import os; os.kill(os.getpid(), {-code})" if code < 0 else f"raise SystemExit({code})"
    run = [
        sys.executable,
        "-m",
        "looksam.elastic",
        "--nproc-per-node",
        "1",
        "--master-port",
        "0",
        "--no-python",
    ]
    done = subprocess.run([*run, sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True)
    assert done.returncode == expected


@pytest.mark.parametrize("given", [None, "1"])
def test_where_no_tpu_is_meant_torch_loads_no_backend_of_its_own_accord(given: str | None) -> None:
    program = (
        "import os, runpy, sys; sys.argv = ['looksam', 'train', 'none/run.json']\n"
        "try: runpy.run_module('looksam.cli', run_name='__main__')\n"
        "except SystemExit: print(os.environ['TORCH_DEVICE_BACKEND_AUTOLOAD'])"
    )
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
    environment |= {"TORCH_DEVICE_BACKEND_AUTOLOAD": given} if given else {}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == f"{given or 0}\n"


def test_the_commands_of_tpus_import_no_torch() -> None:
    modules = ("tpu", "launcher", "sweep", "submission", "supervisor")
    program = (
        f"import sys; import {', '.join(f'looksam.{m}' for m in modules)}; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
