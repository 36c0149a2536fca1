"""A checkout of the project as a user of the test's cluster has it: the profile edited, nothing trained."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from processes import wait_until
from slurm_cluster import Cluster
from study_files import checkout, edit, study

from looksam.config import read_yaml

PROFILE = "workflow/profiles/slurm/config.yaml"
# of a GPU and its node, as the virtual nodes have them
SMALL = {"gres": "gpu:1", "cpus_per_task": 1, "mem_mb": 4000}


class Site:
    """A checkout, and the cluster that its Snakemake submits to."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = checkout(folder), cluster
        self.asked = read_yaml(self.folder / PROFILE)
        self.environment = cluster.environment | {
            "PATH": f"{cluster.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
        }
        self.ask({})

    def ask(self, train: dict[str, Any], **keys: Any) -> None:
        """Edit the profile for this cluster. train: other values for the rule; keys: other top-level keys."""

        def change(profile: dict[str, Any]) -> None:
            profile |= self.asked | {"configfile": "config/smoke.yaml", "latency-wait": 10}
            profile["default-resources"] = {"mem_mb": 1000, "runtime": 10}
            ours = self.asked["set-resources"]
            profile["set-resources"] = {
                "train": ours["train"] | SMALL | {"device": "cpu"} | train,
                "evaluate": ours["evaluate"] | SMALL,
                "choose": ours["choose"] | SMALL,
            }
            profile["slurm-init-seconds-before-status-checks"] = 2
            if not self.cluster.accounting:
                profile["slurm-status-command"] = "squeue"
            profile |= keys

        edit(self.folder / PROFILE, change)

    def run_of(self, method: str, epochs: int) -> str:
        """The id of the study's run of a method, once every run takes so many epochs."""
        scale = self.folder / "config/scales/smoke.yaml"
        edit(scale, lambda content: content["settings"].update(epochs=epochs))
        runs = study(self.folder, scale="smoke", tables=["table7"]).runs
        return next(run for run in runs if f".{method}.s0." in run)

    def folder_of(self, run: str) -> Path:
        return self.folder / "results/runs" / run

    def launcher(self, command: str) -> str:
        """A launcher by which each rank runs a command of the shell, whose "$@" is the rank's own."""
        launcher, rank = self.folder / "launcher", self.folder / "rank"
        rank.write_text(f"#!/bin/sh\nexec {command}\n")
        launcher.write_text(f'#!/bin/sh\nexec workflow/profiles/slurm/launch {rank} "$@"\n')
        for path in (launcher, rank):
            path.chmod(0o755)
        return str(launcher)

    def log_of(self, run: str) -> str:
        """What the run's job has said so far."""
        log = self.folder / f"results/logs/train/{run}.log"
        return log.read_text() if log.exists() else ""

    def slurm_logs_of(self, run: str) -> list[str]:
        """What Slurm and Snakemake said of the run, one text a job that was submitted for it."""
        logs = self.folder.glob(f"results/logs/slurm/rule_train/{run}/*.log")
        return [log.read_text() for log in logs]

    def snakemake(self, *arguments: str) -> subprocess.Popen[str]:
        """Snakemake, started through the profile."""
        return subprocess.Popen(
            ["snakemake", "--profile", "slurm", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def started(self, run: str) -> tuple[subprocess.Popen[str], str]:
        """Snakemake, and the id of the Slurm job that has begun with the run, from its very start."""
        for left in (self.folder_of(run), self.folder / f"results/logs/slurm/rule_train/{run}"):
            shutil.rmtree(left, ignore_errors=True)
        process = self.snakemake(f"results/runs/{run}/model.safetensors")
        lease = self.folder_of(run) / "lease.1.json"
        wait_until(lambda: lease.exists() or process.poll() is not None, 120)
        assert process.poll() is None, process.communicate()[0]
        (job,) = self.cluster.jobs()
        return process, job

    def finished(self, process: subprocess.Popen[str]) -> str:
        """What Snakemake said until its end, a good one; jobs that were put back start at once."""
        with self.cluster.releasing():
            said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def trained_here(self, run: str, ranks: int) -> Path:
        """The folder of the same run, trained on this machine by torchrun alone, without Slurm."""
        root = self.folder.with_name(f"{self.folder.name}-{run}-{ranks}")
        if root.exists():
            return root / "results/runs" / run
        (root / "results/runs" / run).mkdir(parents=True)
        (root / "results/shards").symlink_to(self.folder / "results/shards")
        request = f"results/runs/{run}/run.json"
        (root / request).write_bytes((self.folder / request).read_bytes())
        launcher = ["torchrun", "--standalone", "--nproc-per-node", str(ranks), "--no-python"]
        command = [*(launcher if ranks > 1 else []), "looksam", "train", request]
        done = subprocess.run(command, cwd=root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return root / "results/runs" / run


def assert_same_result(one: Path, other: Path) -> None:
    """The two folders of a run hold the same weights and history, to the bit."""
    for name in ("model.safetensors", "history.parquet", "run.made.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
