import subprocess
import sys
from pathlib import Path

import pytest

from looksam.verdicts import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Answer,
    Finding,
    Verdict,
    Verdicts,
    headline,
    read,
    write,
)


def verdict(of_paper: str, here: str) -> Verdict:
    return Verdict("c1", "a claim", "Table 1", of_paper, here, "why − because", "", 3, "a rule")


FINDING = Finding("table1", "LookSAM-5 minus SAM", "−0.1 pp", "−0.4 to +0.2", 3, SUPPORTED, "paired t")


def test_verdicts_survive_their_file(tmp_path: Path) -> None:
    one = Verdict("c1", "a", "b", SUPPORTED, SUPPORTED, "w", "i", 3, "r", [FINDING])
    whole = Verdicts("1 of 1", "paired", [one], Answer("yes", ["a", "b"], ["c"]))
    write(whole, tmp_path / "verdicts.json")
    assert read(tmp_path / "verdicts.json") == whole


@pytest.mark.parametrize(
    ("of_paper", "here", "said"),
    [
        (SUPPORTED, SUPPORTED, "1 of the paper's 1 claims are decided."),
        (CONTRADICTED, CONTRADICTED, "1 of the paper's 1 claims are decided."),
        (UNDECIDED, UNDECIDED, "0 of the paper's 1 claims are decided."),
    ],
)
def test_the_headline_counts_what_is_decided(of_paper: str, here: str, said: str) -> None:
    assert headline([verdict(of_paper, here)]) == said


def test_what_stand_ins_decide_is_not_counted_as_the_papers() -> None:
    said = headline([verdict(UNDECIDED, SUPPORTED), verdict(UNDECIDED, UNDECIDED)])
    assert said == (
        "0 of the paper's 2 claims are decided. "
        "For the stand-ins that this study ran, and for nothing else, 1 is."
    )


def test_reading_verdicts_imports_neither_torch_nor_scipy() -> None:
    code = "import sys, looksam.verdicts; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
