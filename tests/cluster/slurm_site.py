"""A checkout of the project as a user of the test's cluster has it: the profile edited, nothing trained."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from slurm_cluster import Cluster
from study_files import checkout, edit

PROFILE = "workflow/profiles/slurm/config.yaml"
RESULTS = ("model.safetensors", "history.parquet", "run.made.json")


class Site:
    """A checkout and the cluster that its Snakemake submits to; the profile as a user would edit it.

    train: what is other than the profile's for the rule. The rest: other top-level keys of the profile.
    """

    def __init__(
        self, folder: Path, cluster: Cluster, train: dict[str, Any] | None = None, **keys: Any
    ) -> None:
        self.folder, self.cluster = checkout(folder), cluster

        def change(profile: dict[str, Any]) -> None:
            small = {"gres": "gpu:1", "cpus_per_task": 1, "mem_mb": 4000}
            profile["configfile"] = "config/smoke.yaml"
            profile["default-resources"] |= {"mem_mb": 1000, "runtime": 10}
            profile["set-resources"]["train"] |= small | {"device": "cpu"} | (train or {})
            profile["set-resources"]["evaluate"] |= small
            profile |= {"latency-wait": 10, "slurm-init-seconds-before-status-checks": 2}
            if not cluster.accounting:
                profile["slurm-status-command"] = "squeue"
            profile |= keys

        edit(self.folder / PROFILE, change)

    def epochs(self, number: int) -> None:
        """Let every run of the study take so many epochs."""
        edit(
            self.folder / "config/scales/smoke.yaml",
            lambda scale: scale["settings"].update(epochs=number),
        )

    def snakemake(self, *arguments: str) -> subprocess.Popen[str]:
        """Snakemake, started through the profile."""
        environment = self.cluster.environment | {
            "PATH": f"{self.cluster.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        return subprocess.Popen(
            ["snakemake", "--profile", "slurm", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """What Snakemake says of what it does to the end, which must be a good one."""
        process = self.snakemake(*arguments)
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
        return said
