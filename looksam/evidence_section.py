"""The report's section on the evidence study: its answer, the primary picture, and every difference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from looksam.evidence import findings
from looksam.evidence_page import origins
from looksam.evidence_pictures import primary
from looksam.evidence_summary import in_short
from looksam.evidence_tables import by_condition, overview
from looksam.evidence_words import headline, sentences
from looksam.ledger import read


def evidence_section(asked: Mapping[str, Any], runs: Path) -> dict[str, Any]:
    """What the template prints. asked: `evidence` of config/claims.yaml. runs: of `looksam gather`."""
    entries = read(runs)
    found = findings(entries, asked)
    one = found.primary
    return {
        "headline": headline(one),
        "sentences": sentences(one),
        "summary": in_short(found),
        "not_run": found.not_run,
        "grids": [by_condition(one), overview(found.families)],
        "picture": Markup(primary(found)),
        **origins(entries),
    }
