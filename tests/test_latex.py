"""LaTeX exports compile as they are; skipped where there is no pdflatex."""

import shutil
import subprocess
from pathlib import Path

import pytest
from test_report import RUNS, reported

from looksam.exports import latex

HOSTILE = r"\input{/etc/passwd} $x^2_i$ %&#{}~ [x] * é Ł ü 中 🙂 <script> ''\\ ^^M" + '\t\r\n\x07 "q" `'


def compiled(folder: Path, tex: Path) -> subprocess.CompletedProcess[str]:
    """pdflatex's word on a document of booktabs and this file alone."""
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n\\input{%s}\n\\end{document}\n"
    )
    (folder / "all.tex").write_text(document % tex)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: texlive-latex-recommended")
@pytest.mark.parametrize("start", ["", "[", "*"])
def test_a_table_of_hostile_names_compiles(tmp_path: Path, start: str) -> None:
    cells = [
        {"runs": [run["run"] for run in RUNS]},
        {"absent": start + HOSTILE, "row": 1},
        {"fact": start + HOSTILE, "row": 2},
    ]
    names = [start + HOSTILE + str(number) for number in range(3)]
    words = {"title": HOSTILE, "caption": HOSTILE, "row_header": HOSTILE, "column_header": HOSTILE}
    folder = reported(tmp_path, cells, rows=names, columns=[start + HOSTILE], **words)
    done = compiled(tmp_path, folder / "tables/table7.tex")
    assert done.returncode == 0, done.stdout[-2000:]


def test_an_accent_is_a_command() -> None:
    assert latex("é") == r"\'{e}"


def test_a_letter_that_no_font_has_stands_by_its_number() -> None:
    assert latex("中") == "U+4E2D"


def test_a_bracket_is_never_an_option() -> None:
    assert latex("[x]") == "{[}x]"
