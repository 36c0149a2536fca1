"""The page of the evidence, of invented runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_ledgers import study
from study_files import ROOT

from looksam.cli import main
from looksam.errors import UserError
from looksam.evidence_maps import MAPS
from looksam.evidence_page import evidence_page
from looksam.evidence_pictures import PICTURES
from looksam.ledger import Entry, write

CLAIMS, TEMPLATES = ROOT / "config/claims.yaml", ROOT / "reports/templates"
RULE = (ROOT / "workflow/rules/evidence.smk").read_text()


# measured at two batch sizes, two lags, of two seeds
COLUMNS = (
    "run,model,optimizer,batch_size,seed,phase,lr_divisor,lag,noise,drift,reuse,g_v_over_g,gains.0.7,gains.ls"
)
MEASURED = [
    f"invented,wrn,sgd,{batch},{seed},0.5,1,{lag},{'' if lag else 0.3},0.{7 - lag},0.{3 - lag},1.5,-0.01,0.1"
    for batch in (32, 128)
    for seed in (0, 1)
    for lag in (0, 1, 2)
]


def made(folder: Path, entries: list[Entry], measured: list[str] = MEASURED) -> str:
    """The page's text."""
    (folder / "evidence").mkdir(parents=True, exist_ok=True)
    write(entries, folder / "evidence/runs.csv")
    (folder / "evidence/premise.csv").write_text("\n".join([COLUMNS, *measured, ""]))
    files = (folder / "evidence/runs.csv", folder / "evidence/premise.csv", CLAIMS, TEMPLATES)
    evidence_page(*files, folder / "evidence.md")
    return (folder / "evidence.md").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(tmp_path_factory.mktemp("docs"), study())


def test_the_page_is_the_same_bytes_twice(tmp_path: Path) -> None:
    made(tmp_path / "a", study(3))
    made(tmp_path / "b", study(3))
    names = ["evidence.md", *(f"evidence/{name}.svg" for name in (*PICTURES, *MAPS))]
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_every_picture_that_it_shows_is_there(tmp_path: Path) -> None:
    text = made(tmp_path, study(3))
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(shown) == len(PICTURES) + len(MAPS)
    assert all((tmp_path / name).is_file() for name in shown)


def test_the_rule_names_every_picture() -> None:
    named = RULE.split("picture=")[1].split(",\n        ),")[0]
    assert re.findall(r'"([a-z-]+)"', named) == [*PICTURES, *MAPS]


def test_a_map_of_nothing_says_so(tmp_path: Path) -> None:
    assert "Not measured in this reading." in made(tmp_path, study(3), [])
    assert "Not measured in this reading." in (tmp_path / "evidence/premise-gains.svg").read_text()


def test_the_map_has_its_numbers_in_words(tmp_path: Path) -> None:
    made(tmp_path, study(3))
    assert (
        "batch 32: 0.30 at steps after the refresh 0"
        in (tmp_path / "evidence/premise-cosines.svg").read_text()
    )


def test_the_answer_comes_first(page: str) -> None:
    assert re.match(r"<!--.*-->\n# The evidence.*\n\n\*\*.*LookSAM-5.*SAM-5.*\*\*\n", page)


def test_invented_runs_are_called_so(page: str) -> None:
    assert "(scale invented)" in page


def test_every_condition_has_its_arms(page: str) -> None:
    assert page.count("| base, 1.2 x the steps | ") == 12


def test_every_primary_difference_has_its_n_and_its_power(page: str) -> None:
    rows = page.split("## The primary question")[1].split("##")[0].splitlines()
    cells = [line.split(" | ") for line in rows if "noise" in line]
    assert [(row[3], float(row[5]) > 0) for row in cells] == [("10", True)] * 12


def test_a_diverged_run_is_named(tmp_path: Path) -> None:
    gone = dict.fromkeys(("top1", "correct", "images"))
    entries = study(3)
    (place,) = [
        i
        for i, one in enumerate(entries)
        if (one.method, one.model, one.optimizer, one.label_noise, one.seed, one.trial)
        == ("looksam-5", "vit-tiny", "sgd", 0.0, 1, None)
    ]
    entries[place] = replace(entries[place], run="the-lost-one", diverged_at_step=7, **gone)
    text = made(tmp_path, entries)
    assert "1 runs diverged: `the-lost-one`." in text
    assert "not decided: 1 of 3 runs of LookSAM-5 diverged" in text


def test_searched_values_stand_with_their_trials(page: str) -> None:
    arms = [line.split(" | ") for line in page.splitlines() if line.startswith("| SAM-5 | ")]
    assert {tuple(row[-3:]) for row in arms if len(row) == 12} == {("2", "0", "82.00 |")}


def test_a_ledger_without_the_study_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no run of evidence-sgd"):
        made(tmp_path, [])


def test_the_command_renders_it(tmp_path: Path) -> None:
    made(tmp_path, study(3))
    (tmp_path / "evidence.md").unlink()
    (tmp_path / "page.json").write_text("{}")
    files = {"--runs": "evidence/runs.csv", "--premise": "evidence/premise.csv", "--page": "evidence.md"}
    given = [text for option, name in files.items() for text in (option, str(tmp_path / name))]
    given += ["--claims", str(CLAIMS), "--templates", str(TEMPLATES)]
    main(["evidence", str(tmp_path / "page.json"), *given])
    assert (tmp_path / "evidence.md").is_file()


def test_the_committed_page_is_what_the_committed_files_give(tmp_path: Path) -> None:
    committed = ROOT / "docs/evidence"
    if (committed / "runs.csv").exists():
        files = (committed / "runs.csv", committed / "premise.csv", CLAIMS, TEMPLATES)
        evidence_page(*files, tmp_path / "evidence.md")
    # the page is there where its files are, and nowhere else
    names = ["evidence.md", *(f"evidence/{name}.svg" for name in (*PICTURES, *MAPS))]
    for name in names:
        found = [told(root / name) for root in (ROOT / "docs", tmp_path) if (root / name).exists()]
        assert found in ([], found[:1] * 2), name


def told(path: Path) -> str:
    """A file's text; of a picture that a library draws, whose version may move a line, its words alone."""
    text = path.read_text()
    is_drawn = path.stem in MAPS
    return " ".join(re.findall(r"<title>.*?</title>|<desc>.*?</desc>", text)) if is_drawn else text
