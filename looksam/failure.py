"""What went wrong, said last: the failed job's own error and where its log lies."""

import atexit
import re
import sys
from collections.abc import Sequence
from pathlib import Path

# an error of ours is one line, a traceback says its error in the last ones
LINES_SHOWN = 3

FAILED_JOB = re.compile(
    r"^Error in rule (?P<rule>\S+):\n"
    r"(?:    message: (?P<message>.*(?:\n(?!    jobid:).*)*)\n)?    jobid: (?P<job>\d+)\n"
    r"(?:    .*\n)*?    log: (?P<log>[^,\n]+?)(?:, .*)?(?: \(check log.*)?\n",
    flags=re.MULTILINE,
)
# what Snakemake says of a job that never ran, whose log may be that of another day
NEVER_RAN = ("Error submitting jobscript", "Job submission failed")
# and adds to every message of a cluster
NO_NEWS = "For further error details see the cluster/cloud log"
# what a job that Slurm ended could not say itself
ENDED_BY_SLURM = re.compile(r"SLURM status is: '(?!FAILED')(?P<status>\w+)")
# all that Snakemake tells of a failed job under --quiet rules: the command, which names its log
FAILED_COMMAND = re.compile(r"^Command '[^']*?exec &> >\(tee (?P<log>\S+)\)", flags=re.MULTILINE)


def say_last(snakemake_logs: Sequence[str]) -> None:
    """At exit, after Snakemake's own last words, print each failed job's last lines and its log's path."""
    atexit.register(lambda: print(*last_words(snakemake_logs), sep="\n", file=sys.stderr, flush=True))


def last_words(snakemake_logs: Sequence[str]) -> list[str]:
    """The last lines of each failed job that Snakemake's logs tell of, and where its whole log lies."""
    text = "".join(Path(log).read_text(errors="replace") for log in snakemake_logs if Path(log).is_file())
    messages = {Path(command["log"]): "no message" for command in FAILED_COMMAND.finditer(text)}
    for job in FAILED_JOB.finditer(text):
        messages[Path(job["log"])] = job["message"] or "no message"
        if f"\nFinished jobid: {job['job']} " in text[job.end() :]:
            del messages[Path(job["log"])]  # a retry did it
    return [line for log, message in messages.items() for line in of_job(log, message)]


def of_job(log: Path, message: str) -> list[str]:
    """What is said of one failed job: the last lines of its log, or Snakemake's message where it has none."""
    said = [line for line in message.splitlines() if not line.startswith(NO_NEWS)]
    has_run = log.is_file() and not message.startswith(NEVER_RAN)
    lines = log.read_text(errors="replace").splitlines() if has_run else []
    shown = [line for line in lines if line.strip()][-LINES_SHOWN:] or said
    if lines and (ended := ENDED_BY_SLURM.search(message)):
        shown.append(f"Slurm ended the job: {ended['status']}")
    # results/logs/<rule>/<wildcards>.log, or <rule>.log without wildcards
    rule = log.stem if log.parent.name == "logs" else log.parent.name
    return ["", f"rule {rule} failed:", *(f"  {line}" for line in shown), f"its log: {log}"]
