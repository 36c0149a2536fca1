import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_tables import table
from study_files import ROOT, copied, edit, study
from test_tables import tabulated

from looksam.cli import main
from looksam.config import claimed, read_yaml
from looksam.errors import UserError
from looksam.judge import judge
from looksam.verdicts import UNDECIDED, Verdicts, read

CLAIMS = read_yaml(ROOT / "config/claims.yaml")


def paths(folder: Path) -> dict[str, Any]:
    """Arguments of the judge: a table of one network at scale mini, and the evaluations of its runs."""
    (folder / "evaluations").mkdir(exist_ok=True)
    request, runs = table({"sam": [0.9], "sam-5": [0.8], "looksam-5": [0.85], "vanilla": [0.7]}, scale="mini")
    cells = request.pop("cells")
    pq.write_table(pa.Table.from_pylist(runs), folder / "evaluations/table1.parquet")
    (folder / "claims.json").write_text(json.dumps(CLAIMS))
    return {
        "request": folder / "claims.json",
        "tables": [tabulated(folder, cells, runs, **request)],
        "evaluations": [folder / "evaluations/table1.parquet"],
        "verdicts": folder / "verdicts.json",
    }


def judged(folder: Path) -> Verdicts:
    made = paths(folder)
    judge(**made)
    return read(made["verdicts"])


def test_every_claim_of_the_paper_has_a_verdict(tmp_path: Path) -> None:
    assert [one.id for one in judged(tmp_path).claims] == [f"c{number}" for number in range(1, 13)]


def test_the_configs_claims_are_the_papers_twelve() -> None:
    assert list(CLAIMS["claims"]) == [f"c{number}" for number in range(1, 13)]


def test_each_open_claim_says_why(tmp_path: Path) -> None:
    assert all("Open, because " in one.why for one in judged(tmp_path).claims)


def test_one_seed_of_stand_ins_decides_nothing(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert {one.verdict for one in found.claims} == {one.here for one in found.claims} == {UNDECIDED}
    assert found.headline == "0 of the paper's 12 claims are decided."


def test_single_runs_have_an_interval_over_their_test_images(tmp_path: Path) -> None:
    c1 = judged(tmp_path).claims[0]
    assert c1.findings[0].number == "−5.0 pp"
    assert c1.findings[0].test == "bootstrap over test images, 10,000 resamples"


def test_judging_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    made = paths(tmp_path)
    judge(**made)
    first = made["verdicts"].read_bytes()
    judge(**made)
    assert made["verdicts"].read_bytes() == first


def test_the_command_judges_and_keeps_its_request(tmp_path: Path) -> None:
    made = paths(tmp_path)
    main(
        [
            "judge",
            str(made["request"]),
            *("--tables", *map(str, made["tables"])),
            *("--evaluations", *map(str, made["evaluations"])),
            *("--verdicts", str(made["verdicts"])),
        ]
    )
    assert len(read(made["verdicts"]).claims) == 12
    assert (tmp_path / "claims.made.json").read_text() == made["request"].read_text()


def test_a_study_without_the_papers_tables_is_judged_too(tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_text(json.dumps(CLAIMS))
    judge(tmp_path / "claims.json", [], [], tmp_path / "verdicts.json")
    assert all("is no part of this study" in one.why for one in read(tmp_path / "verdicts.json").claims)


def test_judging_imports_no_torch() -> None:
    code = "import sys, looksam.judge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_request_holds_the_claims_and_names_what_they_rest_on() -> None:
    request = study(scale="mini").requests()["results/claims.json"]
    assert request["claims"] == CLAIMS["claims"]
    assert {Path(path).stem for path in request["tables"]} == claimed(CLAIMS)
    assert "results/evaluations/table7.parquet" in request["evaluations"]


def test_what_the_study_does_not_have_is_not_asked_for() -> None:
    request = study(scale="mini", tables=["table7", "table10"]).requests()["results/claims.json"]
    assert request["tables"] == ["results/tables/table7.parquet"]


def test_a_claim_about_a_table_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/claims.yaml", lambda c: c["answer"].update(time=["table77"]))
    with pytest.raises(
        UserError, match=r"config/claims.yaml: unknown table 'table77'; known: evidence-adamw, "
    ):
        study(root)


def test_a_part_without_bounds_is_an_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/claims.yaml", lambda c: c["claims"]["c1"]["parts"][0].pop("above"))
    with pytest.raises(UserError, match=r"config/claims.yaml: claims.c1.parts.0"):
        study(root)


def every_part() -> list[dict[str, Any]]:
    return [part for claim in CLAIMS["claims"].values() for part in claim["parts"]]


@pytest.mark.parametrize("key", ["of", "against", "beside"])
def test_at_the_papers_scale_every_part_finds_its_cells(key: str) -> None:
    made = study(scale="paper")
    for part in every_part():
        for name in part["tables"]:
            coordinates = [cell.coordinates for cell in made.tables[name].cells if cell.runs]
            wanted = part.get(key, {}).items()
            assert any(wanted <= one.items() for one in coordinates), (name, part)
            assert part["metric"] in (*made.tables[name].spec["cell"], "cos_g_v_old")


def test_wherever_looksam_k_is_judged_sam_k_is_beside_it() -> None:
    for part in every_part():
        method = part["of"].get("method", "")
        if method.startswith("looksam-") and "against" in part:
            names = [str(part.get(key, {}).get("method")) for key in ("against", "beside")]
            control = method.removeprefix("look")
            if not any(name.startswith("looksam-") for name in names):
                assert control in names, part
