import subprocess
import sys
from pathlib import Path

import pytest
from study_files import ROOT

from looksam.failure import LINES_SHOWN, last_words

# what Snakemake 9.27 logs of two failed jobs and a finished one
LOG = """\
Building DAG of jobs...
Using shell: /usr/bin/bash
Select jobs to execute...
Execute 2 jobs...
[Tue Nov 24 04:25:30 2026]
localrule train:
    input: results/runs/b/run.json
    output: results/runs/b/model.safetensors
    log: {logs}/train/b.log
    jobid: 2
    reason: Missing output files: results/runs/b/model.safetensors
    wildcards: run=b
    resources: tmpdir=/tmp
[Tue Nov 24 04:25:30 2026]
localrule train:
    output: results/runs/c/model.safetensors
    log: {logs}/train/c.log
    jobid: 3
    wildcards: run=c
[Tue Nov 24 04:25:30 2026]
Finished jobid: 3 (Rule: train)
1 of 4 steps (25%) done
RuleException:
CalledProcessError in file "/home/user/looksam/workflow/rules/train.smk", line 22:
Command 'set -euo pipefail;
        exec &> >(tee {logs}/train/b.log)

        looksam train results/runs/b/run.json' returned non-zero exit status 1.
[Tue Nov 24 04:25:31 2026]
Error in rule train:
    message: None
    jobid: 2
    input: results/runs/b/run.json
    output: results/runs/b/model.safetensors
    log: {logs}/train/b.log (check log file(s) for error details)
    shell:
        
        exec &> >(tee {logs}/train/b.log)

        looksam train results/runs/b/run.json
        
        (command exited with non-zero exit code)
[Tue Nov 24 04:25:32 2026]
Error in rule shard:
    message: SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'.
    jobid: 4
    output: results/shards/d/index.parquet
    log: {logs}/shard/d.log, /home/user/5.log (check log file(s) for error details)
    shell:
        looksam shard results/shards/d/source.json
        (command exited with non-zero exit code)
Exiting because a job execution failed. Look above for error messages
Complete log(s): /home/user/looksam/.snakemake/log/2026-11-24T042530.883488.snakemake.log
WorkflowError:
At least one job did not complete successfully.
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The folder of the jobs' logs, beside Snakemake's own log."""
    folder = tmp_path / "logs"
    (folder / "train").mkdir(parents=True)
    (folder / "train/c.log").write_text("c is fine\n")
    lines = ["b: epoch 1/3", "b: epoch 2/3", "Traceback", "", "looksam train: error: no index", ""]
    (folder / "train/b.log").write_text("\n".join(lines))
    (tmp_path / "snakemake.log").write_text(LOG.format(logs=folder))
    return folder


def said(logs: Path) -> list[str]:
    return last_words([str(logs.parent / "snakemake.log")])


def test_a_failed_job_is_told_by_its_rule_its_last_lines_and_its_log(logs: Path) -> None:
    assert said(logs)[:6] == [
        "",
        "rule train failed:",
        "  b: epoch 2/3",
        "  Traceback",
        "  looksam train: error: no index",
        f"its log: {logs}/train/b.log",
    ]


def test_a_job_without_a_log_is_told_by_snakemakes_message(logs: Path) -> None:
    assert said(logs)[6:] == [
        "",
        "rule shard failed:",
        "  SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'.",
        f"its log: {logs}/shard/d.log",
    ]


def test_a_job_that_slurm_ended_is_told_by_its_last_lines_and_why_slurm_did(logs: Path) -> None:
    (logs / "shard").mkdir()
    (logs / "shard/d.log").write_text("d: 3 of 9 tars\n")
    assert said(logs)[7:] == [
        "rule shard failed:",
        "  d: 3 of 9 tars",
        "  Slurm ended the job: OUT_OF_MEMORY",
        f"its log: {logs}/shard/d.log",
    ]


def test_a_job_that_could_not_be_submitted_is_told_by_what_the_submission_said(tmp_path: Path) -> None:
    # what Snakemake 9.27 logs of it; the job's log is left from another day
    (tmp_path / "logs/train").mkdir(parents=True)
    (tmp_path / "logs/train/b.log").write_text("b: epoch 3/3\n")
    (tmp_path / "snakemake.log").write_text(
        "Error in rule train:\n    message: Error submitting jobscript (exit code 1):\n"
        "looksam tpu: error: settings.yaml: project: YOUR-PROJECT stands for yours\n"
        "For further error details see the cluster/cloud log and the log files of the involved rule(s).\n"
        f"    jobid: 4\n    output: b\n    log: {tmp_path}/logs/train/b.log (check log file(s) for error "
        "details)\n    shell:\n"
    )
    assert last_words([str(tmp_path / "snakemake.log")])[1:4] == [
        "rule train failed:",
        "  Error submitting jobscript (exit code 1):",
        "  looksam tpu: error: settings.yaml: project: YOUR-PROJECT stands for yours",
    ]


def test_a_job_with_an_empty_log_is_told_by_snakemakes_message(logs: Path) -> None:
    (logs / "train/b.log").write_text("\n\n")
    assert said(logs)[1:4] == ["rule train failed:", "  None", f"its log: {logs}/train/b.log"]


def test_a_finished_job_is_not_told(logs: Path) -> None:
    assert not any("c.log" in line or "c is fine" in line for line in said(logs))


def test_of_a_long_log_only_the_last_lines_are_told(logs: Path) -> None:
    (logs / "train/b.log").write_text("\n".join(f"line {number}" for number in range(1000)))
    shown = [line for line in said(logs) if line.startswith("  line")]
    assert shown == [f"  line {number}" for number in range(1000 - LINES_SHOWN, 1000)]


def test_a_job_that_failed_twice_is_told_once(logs: Path) -> None:
    log = logs.parent / "snakemake.log"
    log.write_text(log.read_text() * 2)
    assert sum(line == f"its log: {logs}/train/b.log" for line in said(logs)) == 1


def test_a_log_that_is_not_utf_8_is_told_all_the_same(logs: Path) -> None:
    (logs / "train/b.log").write_bytes(b"\xff broken\n")
    assert any("broken" in line for line in said(logs))


def test_without_a_failed_job_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "snakemake.log").write_text("Building DAG of jobs...\nComplete log(s): x\n")
    assert last_words([str(tmp_path / "snakemake.log"), str(tmp_path / "missing.log")]) == []


def test_the_last_words_come_after_everything_that_is_printed_before_the_end(logs: Path) -> None:
    code = (
        "import sys; from looksam.failure import say_last\n"
        f"say_last([{str(logs.parent / 'snakemake.log')!r}]); print('Exiting', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["Exiting", *said(logs)]


def test_a_job_that_a_retry_finished_has_not_failed(tmp_path: Path) -> None:
    log = tmp_path / "snakemake.log"
    log.write_text(LOG.format(logs=tmp_path) + "\nFinished jobid: 2 (Rule: train)\n")
    assert "rule train failed:" not in last_words([str(log)])


def test_a_job_that_failed_quietly_is_told_by_its_command(tmp_path: Path) -> None:
    # all that Snakemake 9.27 logs of it under --quiet rules
    (tmp_path / "logs/train").mkdir(parents=True)
    (tmp_path / "logs/train/b.log").write_text("looksam train: error: no index\n")
    command = f"exec &> >(tee {tmp_path}/logs/train/b.log)\n\n        looksam train results/runs/b/run.json"
    (tmp_path / "snakemake.log").write_text(
        f"Command 'set -euo pipefail;  \n        {command}' returned non-zero exit status 1.\n"
    )
    assert last_words([str(tmp_path / "snakemake.log")]) == [
        "",
        "rule train failed:",
        "  looksam train: error: no index",
        f"its log: {tmp_path}/logs/train/b.log",
    ]
