"""A checkout as a user of TPUs has it, its results on a mounted bucket, and a stand-in for gcloud in PATH."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tpu_gcloud
import yaml
from study_files import checkout
from tiny_runs import SETTINGS

HERE = Path(__file__).parent
# a training of some seconds on two hosts, which saves all the time
RUN = "tiny.digits.b16.looksam-5.s0.0a1b2c3d"
LONG = {"batch_size": 16, "epochs": 60}


class Site:
    """A checkout in a folder, its settings, and the slices that the stand-in has."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.state, self.mount = folder, folder / "cloud", folder / "bucket"
        for path in (self.state, self.mount / "results", folder / "bin"):
            path.mkdir(parents=True)
        self.checkout = checkout(folder / "checkout")
        (self.checkout / "results").symlink_to(self.mount / "results")
        (folder / "setup.sh").write_text(
            f'export PATH={folder}/bin:$PATH\necho set up on "$LOOKSAM_BUCKET"\n'
        )
        (folder / "bin/python").symlink_to(HERE / "tpu_python")
        gcloud = folder / "bin/gcloud"
        gcloud.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/tpu_gcloud.py "$@"\n')
        gcloud.chmod(0o755)
        self.settings: dict[str, Any] = {
            "project": "ours",
            "zone": "us-east5-a",
            "bucket": "tables",
            "mount": str(self.mount),
            "max_device_hours": 10,
            "accelerator_types": {16: "v5p-16"},
            "measuring_type": "v5p-8",
            "runtime_version": "v2-alpha-tpuv5",
            "poll_seconds": 0.2,
            "slices": 4,
            "setup": str(folder / "setup.sh"),
        }
        self.set(**settings)

    def set(self, **settings: Any) -> None:
        """Edit the settings."""
        self.settings |= settings
        (self.checkout / "workflow/profiles/tpu/settings.yaml").write_text(yaml.safe_dump(self.settings))

    def request(self, shards: Path, **settings: Any) -> Path:
        """The folder of a run that is asked for, on these shards."""
        folder = self.mount / "results/runs" / RUN
        folder.mkdir(parents=True)
        run = {"id": RUN, "shards": str(shards), "settings": SETTINGS | LONG | settings, "code": "0"}
        (folder / "run.json").write_text(json.dumps(run))
        return folder

    @property
    def environment(self) -> dict[str, str]:
        """Of a process at this site."""
        return os.environ | {
            "PATH": f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.checkout),
            "TPU_STAND_IN": str(self.state),
            "TPU_STAND_IN_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        }

    def looksam(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """A command of looksam in the checkout."""
        return self.run([sys.executable, "-m", "looksam.cli", *arguments], **environment)

    def snakemake(self, *arguments: str) -> "subprocess.Popen[str]":
        """Snakemake through the profile, on the smoke study."""
        study = ["--configfile", "config/smoke.yaml", "--latency-wait", "5"]
        study += ["--seconds-between-status-checks", "1"]
        return self.run(["snakemake", "--profile", "tpu", *arguments, *study])

    def run(self, command: list[str], **environment: str) -> "subprocess.Popen[str]":
        """A command in the checkout, in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.checkout,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def launch(self, *options: str, **environment: str) -> "subprocess.Popen[str]":
        """The launcher of the run's training, which saves five times a second."""
        program = ["looksam", "train", f"results/runs/{RUN}/run.json", "--seconds-between-checkpoints", "0.2"]
        return self.looksam("tpu", "launch", "--", *program, *options, **environment)

    def slices(self) -> list[str]:
        """The names of all slices that there are, in whatever state."""
        return [path.stem for path in (self.state / "slices").glob("*.json")]

    def created(self) -> int:
        """How many slices were ever created."""
        path = self.state / "created"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def spend(self, chips: int, hours: float) -> None:
        """Let the ledger tell of a slice of the past."""
        ledger = self.checkout / ".tpu/slices.jsonl"
        ledger.parent.mkdir(exist_ok=True)
        with ledger.open("a") as file:
            for seconds, event in ((0, "began"), (hours * 3600, "ended")):
                line = {"time": seconds, "event": event, "slice": "old", "chips": chips}
                file.write(json.dumps(line) + "\n")

    def change(self, **content: Any) -> str:
        """Let the only slice there is be otherwise; its name."""
        (name,) = self.slices()
        tpu_gcloud.STATE = self.state
        tpu_gcloud.write(name, tpu_gcloud.read(name) | content)
        return name

    def suspend(self) -> None:
        """Take the slice away, as Google does with spot slices."""
        tpu_gcloud.kill(self.change(state="SUSPENDED"))

    def lose(self) -> None:
        """Let the slice vanish from the queue."""
        name = self.change()
        tpu_gcloud.path_of(name).unlink()
        tpu_gcloud.kill(name)

    def kill_host(self, host: int) -> None:
        """Let one host of the slice die, of which the queue says nothing."""
        tpu_gcloud.kill(self.change(dead=[host]), host)

    def stall(self) -> None:
        """Let all that runs on the slice stand still, and the slice be ACTIVE."""
        tpu_gcloud.kill(self.change(), number=signal.SIGSTOP)

    def go_on(self) -> None:
        """Let what stood still go on."""
        tpu_gcloud.kill(self.change(), number=signal.SIGCONT)

    def processes(self) -> list[int]:
        """What runs on any slice."""
        tpu_gcloud.STATE = self.state
        names = [path.name for path in (self.state / "hosts").glob("*")]
        return [pid for name in names for pid in tpu_gcloud.processes_of(name)]


def until(fact: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.05)


def is_saved(folder: Path, at_least: int = 1) -> bool:
    """The training in a run's folder has saved a checkpoint."""
    return len(list(folder.glob("checkpoint*"))) >= at_least


def ended(process: "subprocess.Popen[str]", seconds: float = 90) -> str:
    """What a process said, once it has ended."""
    said, _ = process.communicate(timeout=seconds)
    return said
