import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "looksam_digits.py"


def test_the_example_is_under_60_lines():
    assert len(EXAMPLE.read_text().splitlines()) < 60


def test_the_example_learns_and_looksam_5_takes_a_second_pass_every_fifth_step():
    pytest.importorskip("sklearn")
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True)
    told = re.findall(r"accuracy ([\d.]+)%, (\d+) gradient passes in (\d+) steps", done.stdout)
    (_, plain, steps), (_, looksam, same) = told
    assert steps == same
    assert (int(plain), int(looksam)) == (int(steps), int(steps) + math.ceil(int(steps) / 5))
    # both reach some 95 %; this only tells learning from none
    assert all(float(accuracy) > 90 for accuracy, _, _ in told)
