"""The page of the evidence: docs/evidence.md and its pictures, from the files that `looksam gather` wrote."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from looksam.config import read_yaml
from looksam.errors import UserError
from looksam.evidence import Findings, findings
from looksam.evidence_maps import MAPS, drawn_map
from looksam.evidence_pictures import PICTURES
from looksam.evidence_premise import premise_grid, read_premise
from looksam.evidence_summary import in_short
from looksam.evidence_tables import (
    arms_grid,
    by_condition,
    kept_grid,
    overview,
    reached_grid,
    retained_grid,
)
from looksam.evidence_words import headline, percent, sentences
from looksam.files import replace_with
from looksam.intervals import LEVEL
from looksam.ledger import Entry, read
from looksam.origins import Origin, described
from looksam.premise_summary import premise_sentences, premise_summary
from looksam.svg import standalone

TEMPLATE = "evidence.md.j2"


def evidence_page(runs: Path, premise: Path, claims: Path, templates: Path, page: Path) -> None:
    """Write `page` and its pictures, into the folder of its name: docs/evidence.md and docs/evidence/*.svg.

    runs, premise: as `looksam gather` wrote them. claims: config/claims.yaml. templates: with style.css.
    """
    entries = read(runs)
    found = findings(entries, read_yaml(claims)["evidence"])
    if not found.study:
        raise UserError(f"{runs} has no run of {', '.join(found.asked['tables'])}; gather the evidence study")
    style = (templates / "style.css").read_text(encoding="utf-8")
    measured = read_premise(premise)
    drawn = {name: draw(found) for name, draw in PICTURES.items()}
    drawn |= {name: drawn_map(name, measured) for name in MAPS}
    for name, svg in drawn.items():
        replace_with(page.with_suffix("") / f"{name}.svg", standalone(svg, style))
    web = Environment(
        loader=FileSystemLoader(templates), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    told = {**answers(found), **grids(found, entries), **origins(entries)}
    told |= {"premise": premise_grid(measured), "premise_summary": premise_summary(measured)}
    told["premise_sentences"] = premise_sentences(measured)
    replace_with(page, web.get_template(TEMPLATE).render(told))


def answers(found: Findings) -> dict[str, Any]:
    """What the page says first, and what was asked."""
    primary, asked = found.primary, found.asked
    return {
        "headline": headline(primary),
        "sentences": " ".join(sentences(primary)),
        "missed": percent(1 - asked["power"]),
        "summary": in_short(found),
        "target": found.gain.of,
        "base": found.gain.against,
        "margin": f"{asked['margin']:g}",
        "level": f"{100 * LEVEL:g} %",
        "rules": listed({name: pair[0].of for name, pair in found.rules.items()}),
        "controls": listed({name: pair[0].of for name, pair in found.controls.items()}),
        "not_run": ", ".join(found.not_run),
        "conditions": list(found.study),
        "beside": f"Rules of alpha and controls, each minus {primary.against}",
    }


def listed(labels: Mapping[str, str]) -> str:
    """Labels, each with the name that it goes by in the question where that is another."""
    return ", ".join(label if label == name else f"{label} ({name})" for name, label in labels.items())


def grids(found: Findings, entries: Sequence[Entry]) -> dict[str, Any]:
    """The page's tables."""
    trials = [one for one in entries if one.trial is not None]
    return {
        "primary": by_condition(found.primary),
        "overview": overview(found.families),
        "families": [by_condition(one) for one in found.families[1:]],
        "retained": retained_grid(found),
        "kept": kept_grid(found),
        "reached": reached_grid(found),
        "arms": [arms_grid(key, list(arms.values()), trials) for key, arms in found.study.items()],
    }


def origins(entries: Sequence[Entry]) -> dict[str, str]:
    """What the runs are, where they were trained, how long that took, and which diverged."""
    runs = [one for one in entries if one.trial is None]
    seeds = sorted(set(Counter((one.table, one.row, one.column) for one in runs).values()))
    data = dict.fromkeys(f"{one.train_images:,} images of {one.dataset}" for one in runs)
    models, scales = dict.fromkeys(one.model for one in runs), dict.fromkeys(one.scale for one in runs)
    lost = [one.run for one in runs if one.diverged]
    known = [
        Origin(one.device, one.torch, one.timm, f"{one.looksam} ({one.commit})", one.python, one.determinism)
        for one in entries
    ]
    hours = sum(one.seconds or 0.0 for one in entries) / 3600
    made_of = f"Made of {len(runs):,} runs, {' or '.join(map(str, seeds))} a cell, and "
    made_of += f"{len(entries) - len(runs):,} trials that chose learning rates, rhos and alphas"
    return {
        "made_of": f"{made_of} (scale {', '.join(scales)}).",
        "about": f"The runs are of {' and '.join(models)} on {' and '.join(data)}.",
        "environment": described(known, has_times=False),
        "hours": f"All trainings took {hours:.1f} hours, one after another.",
        "diverged": f"{len(lost)} runs diverged: {', '.join(f'`{run}`' for run in lost)}."
        if lost
        else "No run diverged.",
    }
