"""What planning, tables and the report cost at 100, 1,000 and 10,000 runs, and how much a run adds.

The studies are generated and their results SYNTHETIC (tests/large_study.py), in folders that are deleted in
the end. Seconds are of the wall. A run's share is of processor time, which a busy machine changes less: what
is past the cost of 100 runs, over the runs past 100.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SIZES = (100, 1_000, 10_000)


class Cost(NamedTuple):
    """Seconds of a process, on the wall and of the processor, its largest resident memory, and its output."""

    wall: float
    processor: float
    megabytes: float
    said: str


def measured(command: Sequence[str], folder: Path) -> Cost:
    """The cost of a command in a checkout; RuntimeError with what it said where it fails."""
    environment = os.environ | {
        "PYTHONPATH": f"{folder}:{ROOT / 'tests'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said}")
    # Linux counts in KiB, macOS in bytes
    megabytes = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return Cost(wall, usage.ru_utime + usage.ru_stime, megabytes, said)


def python(code: str) -> list[str]:
    """The command that runs the code."""
    return [sys.executable, "-c", code]


STUDY = "from pathlib import Path; from looksam.config import read_yaml; from looksam.study import Study; "
TABULATE = """
from pathlib import Path
from looksam.cli import main
for request in Path("results/tables").glob("generated-?.json"):
    evaluations, table = f"results/evaluations/{request.stem}.parquet", request.with_suffix(".parquet")
    main(["tabulate", str(request), "--evaluations", evaluations, "--table", str(table)])
"""
REPORT = """
from pathlib import Path
from looksam.cli import main
tables = sorted(str(path) for path in Path("results/tables").glob("*.parquet"))
made_of = ["--tables", *tables, "--verdicts", "results/verdicts.json", "--templates", "reports/templates"]
written = ["--html", "reports/all_tables.html", "--exports", "reports/tables"]
main(["report", "results/report.json", *made_of, *written])
"""
COMMAND = "from looksam.cli import main; main({!r})"
FINISH = "from pathlib import Path; from large_study import finished; finished(Path())"
DRY_RUN = ["snakemake", "-n"]

# in this order: each step finds what those before it left
STEPS = {
    "dry run, first": DRY_RUN,
    "dry run again": DRY_RUN,
    "  of it, config to requests": python(
        STUDY + "Study(read_yaml(Path('config/config.yaml'))).write_requests()"
    ),
    "looksam plan": python(COMMAND.format(["plan", "--device", "a100"])),
    "looksam status": python(COMMAND.format(["status", "results"])),
    "": python(FINISH),
    "tabulate": python(TABULATE),
    "judge": python(COMMAND.format(["judge", "results/claims.json", "--verdicts", "results/verdicts.json"])),
    "report": python(REPORT),
    "report, so far": python(COMMAND.format(["report", "--so-far"])),
    "dry run, all done": DRY_RUN,
}


def costs(runs: int) -> dict[str, Cost]:
    """The cost of every step for a study of so many runs."""
    from large_study import generated

    with tempfile.TemporaryDirectory(prefix="looksam-synthetic-") as folder:
        checkout = generated(Path(folder), runs)
        found = {step: measured(command, checkout) for step, command in STEPS.items()}
        if "Nothing to be done" not in found["dry run, all done"].said:
            raise RuntimeError(f"the invented results are not fresh:\n{found['dry run, all done'].said}")
        page = (checkout / "reports/all_tables.html").stat().st_size / 1e6
    print(f"{runs:6,} runs: a page of {page:.1f} MB", flush=True)
    return found


def plan_the_paper() -> None:
    """Print what a dry run of the paper's own tables with three seeds costs, on a fresh checkout."""
    from large_study import checkout

    with tempfile.TemporaryDirectory(prefix="looksam-benchmark-") as folder:
        paper = ["--configfile", "config/paper.yaml", "--config", "seeds=3"]
        cost = measured([*DRY_RUN, *paper], checkout(Path(folder)))
    print(f"the paper's tables, three seeds: dry run {cost.wall:.1f} s {cost.megabytes:.0f} MB", flush=True)


def compare_sizes() -> None:
    """Print seconds and peak memory of each step at each size, and how a run's share grew."""
    found = {runs: costs(runs) for runs in SIZES}
    few, some, many = SIZES
    sizes = "".join(f"{size:>17,}" for size in SIZES)
    print(f"\n{'':28}{sizes}  a run's share at {many:,} / at {some:,}")
    for step in filter(None, STEPS):
        cells = [found[size][step] for size in SIZES]
        first, second, third = (cost.processor for cost in cells)
        share = ((third - first) / (many - few)) / ((second - first) / (some - few))
        numbers = "".join(f"{cost.wall:7.1f} s {cost.megabytes:5.0f} MB" for cost in cells)
        print(f"{step:28}{numbers}  {share:.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    plan_the_paper()
    compare_sizes()
