"""What the workflow adds to its jobs, and what `looksam train` takes until its first step, as ratios.

The smoke study runs in a folder that is deleted in the end. A busy machine slows both sides of a ratio.
"""

import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORES = 2
ROUNDS = 5

SMOKE = ["snakemake", "--cores", str(CORES), "--configfile", "config/smoke.yaml"]
IMPORTS = "import torch, timm"
# a training that ends after its first step, by putting its exit where the step ends
FIRST_STEP = """
import os, sys
from looksam.cli import main
from looksam.sharpness import SharpnessAware
backward = SharpnessAware.backward
def once(*arguments, **options):
    backward(*arguments, **options)
    os._exit(0)
SharpnessAware.backward = once
main(["train", sys.argv[1]])
sys.exit("the training took no step")
"""


def seconds(command: list[str], folder: Path) -> float:
    """Wall seconds of a command in a checkout; what it says is shown where it fails."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    passed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")
    return passed


def compare_with_jobs(folder: Path) -> None:
    """Print the smoke study's wall time on two cores over half the sum of its jobs' own wall times."""
    wall = seconds(SMOKE, folder)
    by_rule: dict[str, list[float]] = {}
    for path in sorted((folder / "results/benchmarks").rglob("*.tsv")):
        with path.open(newline="") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        rule = path.relative_to(folder / "results/benchmarks").parts[0].removesuffix(".tsv")
        by_rule.setdefault(rule, []).append(float(row["s"]))
    ideal = sum(map(sum, by_rule.values())) / CORES
    print(f"smoke on {CORES} cores / half the sum of its jobs' own wall times: {wall / ideal:.2f}")
    for rule, times in by_rule.items():
        print(f"  {rule:10} {len(times)} of {sum(times) / len(times) / wall:.2f} of the whole each")


def compare_start(folder: Path) -> None:
    """Print the time of a training until its first step over that of importing torch and timm."""
    # a vision transformer, which timm builds; table7, which has run, has none, but data for it
    seconds([*SMOKE, "-n", "--config", "tables=['table2']"], folder)
    request = folder / "results/runs/first-step/run.json"
    request.parent.mkdir()
    shutil.copy(next((folder / "results/runs").glob("vit-*/run.json")), request)
    commands = {
        "imports": [sys.executable, "-c", IMPORTS],
        "first step": [sys.executable, "-c", FIRST_STEP, str(request.relative_to(folder))],
    }
    turns: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            turns[name].append(seconds(command, folder))
    imports, first = (statistics.median(turns[name]) for name in commands)
    print(f"\na run until its first step / import torch and timm: {first / imports:.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    from large_study import checkout

    with tempfile.TemporaryDirectory(prefix="looksam-benchmark-") as temporary:
        copy = checkout(Path(temporary))
        compare_with_jobs(copy)
        compare_start(copy)
