"""Exports: a table as a file to quote from or compute with, in CSV, Markdown and LaTeX."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from looksam.files import replace_with
from looksam.tables import COLUMNS, Cell

LATEX = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # after a line's end LaTeX takes these for its options
    "[": "{[}",
    "*": "{*}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "→": r"$\to$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "α": r"$\alpha$",
    "ρ": r"$\rho$",
    "—": "---",
    "–": "--",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
}
# by combining mark, the command that puts it on a letter
ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327", "`'^~\"rvc", strict=True))


def export(page: Mapping[str, Any], legend: Mapping[str, Any], templates: Path, folder: Path) -> None:
    """Write `folder`/<table>.csv, .md and .tex of a page of the report; legend: what all pages share."""
    replace_with(folder / f"{page['name']}.csv", tidy(page["scale"], page["cells"]))
    for suffix, escape in (("md", markdown), ("tex", latex)):
        template = escaping(templates, escape).get_template(f"table.{suffix}.j2")
        replace_with(folder / f"{page['name']}.{suffix}", template.render(page, **legend))


def escaping(templates: Path, escape: Callable[[object], str]) -> Environment:
    """Jinja2 that passes every value through `escape`; its marks are << >> and <% %>: braces are LaTeX's."""
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        finalize=escape,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def latex(value: object) -> str:
    """Text as pdflatex prints it: a letter that its fonts lack stands as U+ and its number."""
    return "".join(LATEX.get(char) or latex_char(char) for char in str(value))


def latex_char(char: str) -> str:
    """A character that is no mark of LaTeX's."""
    if char.isascii():
        return char if char.isprintable() else " "
    base, *marks = list(unicodedata.normalize("NFD", char))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in ACCENTS:
        return f"\\{ACCENTS[marks[0]]}{{{base}}}"
    return f"U+{ord(char):04X}"


def markdown(value: object) -> str:
    """Text as Markdown prints it, within a row of a pipe table."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", str(value)).replace("\n", " ")


def tidy(scale: str, cells: Sequence[Cell]) -> str:
    """CSV with one row per cell and metric, numbers unrounded."""
    rows = io.StringIO()
    writer = csv.DictWriter(rows, ["scale", *COLUMNS], lineterminator="\n")
    writer.writeheader()
    for cell in cells:
        writer.writerow({"scale": scale, **asdict(cell), "runs": " ".join(cell.runs)})
    return rows.getvalue()
