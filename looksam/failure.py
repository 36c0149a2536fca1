"""What went wrong, said last: the failed job's own error and where its log lies."""

import atexit
import re
import sys
from collections.abc import Sequence
from pathlib import Path

# an error of ours is one line, a traceback says its error in the last ones
LINES_SHOWN = 3

FAILED_JOB = re.compile(
    r"^Error in rule (?P<rule>\S+):\n(?:    message: (?P<message>.*)\n)?    jobid: (?P<job>\d+)\n"
    r"(?:    .*\n)*?    log: (?P<log>.+?)(?: \(check log.*)?\n",
    flags=re.MULTILINE,
)


def say_last(snakemake_logs: Sequence[str]) -> None:
    """At exit, after Snakemake's own last words, print each failed job's last lines and its log's path."""
    atexit.register(lambda: print(*last_words(snakemake_logs), sep="\n", file=sys.stderr, flush=True))


def last_words(snakemake_logs: Sequence[str]) -> list[str]:
    """The last lines of each failed job that Snakemake's logs tell of, and where its whole log lies."""
    text = "".join(Path(log).read_text(errors="replace") for log in snakemake_logs if Path(log).is_file())
    said = {}
    for job in FAILED_JOB.finditer(text):
        if f"\nFinished jobid: {job['job']} " in text[job.end() :]:
            continue  # a retry did it
        log = Path(job["log"])
        lines = (
            [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            if log.is_file()
            else []
        )
        shown = lines[-LINES_SHOWN:] or [job["message"] or "it left no message"]
        said[log] = ["", f"rule {job['rule']} failed:", *(f"  {line}" for line in shown), f"its log: {log}"]
    return [line for lines in said.values() for line in lines]
