import csv
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from test_tables import CELL, PLANNED, TIMED, evaluation, tabulated

from looksam.errors import UserError
from looksam.provenance import Provenance
from looksam.report import report
from looksam.verdicts import Answer, Finding, Verdict, Verdicts, write

TEMPLATES = Path(__file__).parent.parent / "reports" / "templates"
RUNS = [evaluation("a", 0.970), evaluation("b", 0.972), evaluation("c", 0.974), evaluation("lost", None)]
PRINTED = {"value": "96.5", "status": "printed", "note": ""}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """Tags that were opened and not closed in order, attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def verdicts(folder: Path) -> Path:
    """A file of verdicts that decide nothing, there being no claims."""
    write(Verdicts("", "", [], Answer("", [], [])), folder / "verdicts.json")
    return folder / "verdicts.json"


def reported(folder: Path, cells: list[dict[str, Any]], **request: Any) -> Path:
    """The folder of the report of one table."""
    runs = RUNS if any(cell.get("runs") for cell in cells) else []
    table = tabulated(folder, cells, runs, **request)
    html = folder / "reports" / "all_tables.html"
    report([table], verdicts(folder), TEMPLATES, html, folder / "reports" / "tables")
    return folder / "reports"


def page(folder: Path, cells: list[dict[str, Any]], **request: Any) -> str:
    return (reported(folder, cells, **request) / "all_tables.html").read_text(encoding="utf-8")


def body(html: str) -> str:
    """What the table's cells say before one is opened, spaces made one."""
    found = re.search(r"<tbody>(.*?)</tbody>", html, flags=re.DOTALL)
    assert found
    closed = re.sub(r"</summary>.*?</details>", "", found[1], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", closed).split())


def test_a_cell_shows_mean_deviation_and_seeds(tmp_path: Path) -> None:
    assert body(page(tmp_path, [{"runs": ["a", "b", "c"]}])) == "ResNet-18 97.2 ± 0.2 n=3"


def test_partial_divergence_is_counted(tmp_path: Path) -> None:
    assert "1 of 3 diverged" in body(page(tmp_path, [{"runs": ["a", "b", "lost"]}]))


def test_a_diverged_cell_says_so(tmp_path: Path) -> None:
    assert body(page(tmp_path, [{"runs": ["lost"]}])) == "ResNet-18 diverged 1 of 1"


def test_an_absent_cell_says_why(tmp_path: Path) -> None:
    html = page(tmp_path, [{"absent": "no SAM at 65536"}])
    assert body(html) == "ResNet-18 — a"
    assert '<li id="table7-a"><sup>a</sup> no SAM at 65536</li>' in html


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9, "0.00025 h"), (3.6, "0.0010 h"), (5400.0, "1.50 h"), (36e5, "1000 h")]
)
def test_small_times_do_not_become_zero(tmp_path: Path, seconds: float, shown: str) -> None:
    table = tabulated(
        tmp_path, [{"metric": "training_hours", "runs": ["a"]}], [evaluation("a", 0.5, seconds)]
    )
    report([table], verdicts(tmp_path), TEMPLATES, tmp_path / "page.html", tmp_path)
    assert shown in body((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_the_paper_stands_beside_ours_without_difference_for_stand_ins(tmp_path: Path) -> None:
    shown = body(page(tmp_path, [{"runs": ["a", "b", "c"], "published": PRINTED}]))
    assert shown.endswith("paper 96.5")


@pytest.mark.parametrize(
    ("paper", "difference"), [("96.5", "+0.7 pp"), ("97.5", "−0.3 pp"), ("97.2", "0.0 pp")]
)
def test_a_difference_is_shown_at_the_scale_of_the_paper(tmp_path: Path, paper: str, difference: str) -> None:
    cells = [{"runs": ["a", "b", "c"], "published": {**PRINTED, "value": paper}}]
    assert body(page(tmp_path, cells, scale="paper")).endswith(f"paper {paper} {difference}")


def test_an_unrecovered_value_shows_no_number(tmp_path: Path) -> None:
    published = {"value": "88.8", "status": "unrecovered", "note": "cell lost"}
    html = page(tmp_path, [{"runs": ["a", "b", "c"], "published": published}], scale="paper")
    assert body(html).endswith("paper lost")
    assert "88.8" not in html


def test_a_repaired_value_is_marked_and_its_note_told(tmp_path: Path) -> None:
    published = {"value": "96.8", "status": "repaired", "note": "decimal point lost"}
    html = page(tmp_path, [{"runs": ["a"], "published": published}])
    assert body(html).endswith("paper 96.8 †")
    assert "<p>The published value, repaired: decimal point lost</p>" in html


INDEPENDENT = {"value": "96.8", "status": "independent", "note": "Others 2024, Table 1"}


def test_a_number_of_an_independent_re_run_is_told_as_its_and_not_as_the_papers(tmp_path: Path) -> None:
    html = page(tmp_path, [{"runs": ["a", "b", "c"], "published": INDEPENDENT}], scale="cifar")
    assert body(html).endswith("re-run 96.8 # +0.4 pp")
    assert "paper 96.8" not in html
    assert "<dt>independent <b>#</b></dt><dd>of an independent re-run, and not the paper" in html
    assert "<p>The published value, independent: Others 2024, Table 1</p>" in html


@pytest.mark.parametrize("suffix", ["md", "tex"])
def test_an_export_tells_a_number_of_an_independent_re_run_as_its(tmp_path: Path, suffix: str) -> None:
    folder = reported(tmp_path, [{"runs": ["a", "b", "c"], "published": INDEPENDENT}], scale="cifar")
    text = (folder / "tables" / f"table7.{suffix}").read_text(encoding="utf-8")
    assert r"re-run 96.8\# (+0.4 pp)" in text
    assert r"\# independent: of an independent re-run, and not the paper" in text
    assert "paper 96" not in text


def test_a_fact_is_headed_by_its_name_in_words(tmp_path: Path) -> None:
    html = page(tmp_path, [{"metric": "peak_lr", "fact": "3e-3"}], columns=["peak_lr"], metrics=["peak_lr"])
    assert '<th scope="col">peak lr</th>' in html


def test_a_fact_that_differs_shows_both(tmp_path: Path) -> None:
    published = {"value": "200", "status": "conflict", "note": "the text says 300"}
    html = page(tmp_path, [{"metric": "epochs", "fact": "300", "published": published}])
    assert body(html) == "ResNet-18 300 paper 200 ¶"


def test_a_fact_that_the_paper_prints_too_stands_beside_it(tmp_path: Path) -> None:
    cells = [{"metric": "epochs", "fact": "300", "published": {**PRINTED, "value": "300"}}]
    assert body(page(tmp_path, cells)) == "ResNet-18 300 paper 300"


def test_a_table_of_facts_is_of_no_scale(tmp_path: Path) -> None:
    html = page(tmp_path, [{"metric": "epochs", "fact": "300"}], scale="", scale_title="")
    assert 'class="scale' not in html
    assert "<em" not in html


def test_a_reduced_scale_warns_on_top_and_at_the_table(tmp_path: Path) -> None:
    html = page(tmp_path, [{"absent": "x"}])
    assert '<p class="scale warning"><strong>Scale: mini</strong>' in html
    assert "these are not ImageNet numbers" in html
    assert '<em class="warning">scale mini</em>' in html


def test_the_scale_of_the_paper_does_not_warn(tmp_path: Path) -> None:
    assert 'class="scale warning"' not in page(tmp_path, [{"absent": "x"}], scale="paper")


def test_each_run_is_linked(tmp_path: Path) -> None:
    assert '<a href="../results/runs/a/run.json">a</a>' in page(tmp_path, [{"runs": ["a"]}])


def test_markup_in_a_name_is_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    html = page(tmp_path, [{"absent": name}], rows=[name], columns=[name], title=name, caption=name)
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert html.count("<script") == 1


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    html = page(tmp_path, [{"runs": ["a"], "k": 5, "descent": "g_v"}], plot=["against-k"])
    found = Page(html)
    links = [value for name, value in found.attributes if name in ("src", "href", "xlink:href", "action")]
    assert all(link.startswith(("#", "../results/")) for link in links)
    assert not {"link", "img", "iframe"} & set(found.tags)
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_the_page_is_well_formed_and_its_ids_are_unique(tmp_path: Path) -> None:
    found = Page(page(tmp_path, [{"runs": ["a"], "k": 5, "descent": "g_v"}], plot=["against-k"]))
    assert found.open == []
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_a_plot_stands_under_its_table(tmp_path: Path) -> None:
    cells = [{"runs": ["a"], "k": 5, "descent": "g_v"}, {"runs": ["b"], "k": 5, "descent": "g_s"}]
    html = page(tmp_path, cells, plot=["against-k"], table="figure4")
    assert "<span>Figure 4:</span>" in html
    assert html.index("</table>") < html.index("<svg")


def test_what_a_plot_refers_to_is_in_it(tmp_path: Path) -> None:
    cells = [{"runs": ["a"], "k": 5, "descent": "g_v"}, {"runs": ["b"], "k": 5, "descent": "g_s"}]
    html = page(tmp_path, cells, plot=["against-k"], table="figure4")
    marks = set(re.findall(r'<use xlink:href="#([^"]*)"', html))
    assert len(marks) >= 2  # a tick of each axis, and a mark of each line
    for name in marks | set(re.findall(r"url\(#([^)]*)\)", html)):
        assert html.count(f' id="{name}"') == 1


def test_an_unknown_plot_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown plot 'pie'; known: against-k"):
        page(tmp_path, [{"absent": "x"}], plot=["pie"])


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    cells = [{"runs": ["a", "b"], "k": 5, "descent": "g_v", "published": PRINTED}]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        reported(folder, cells, plot=["against-k"])
    files = [path.relative_to(first) for path in sorted(first.rglob("*")) if path.is_file()]
    assert [path.suffix for path in files if path.parent.name == "tables"] == [".csv", ".md", ".tex"]
    assert all((first / path).read_bytes() == (second / path).read_bytes() for path in files)


def test_the_csv_is_tidy_and_unrounded(tmp_path: Path) -> None:
    folder = reported(tmp_path, [{"runs": ["a", "c"], "published": PRINTED}])
    (row,) = csv.DictReader((folder / "tables" / "table7.csv").read_text(encoding="utf-8").splitlines())
    assert (row["scale"], row["value"], row["runs"], row["published"]) == ("mini", "0.972", "a c", "96.5")


def test_markdown_rows_have_as_many_columns_as_the_table(tmp_path: Path) -> None:
    cells = [{"runs": ["a"]}, {"column": 1, "absent": "x | y"}]
    folder = reported(tmp_path, cells, columns=["a|b", "c"])
    lines = (folder / "tables" / "table7.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [4, 4, 4]


def test_latex_specials_are_escaped(tmp_path: Path) -> None:
    folder = reported(tmp_path, [{"runs": ["a", "b"]}], rows=["a_b & 50%"])
    tex = (folder / "tables" / "table7.tex").read_text(encoding="utf-8")
    assert r"a\_b \& 50\%" in tex
    assert r"97.1 $\pm$ 0.1 (n=2)" in tex
    assert r"\toprule" in tex


def test_every_export_says_the_scale(tmp_path: Path) -> None:
    folder = reported(tmp_path, [{"absent": "x"}]) / "tables"
    assert all("mini" in path.read_text(encoding="utf-8") for path in folder.iterdir())


def test_a_table_says_what_its_rows_and_columns_are(tmp_path: Path) -> None:
    html = page(tmp_path, [{"absent": "x"}])
    assert "<caption>Table 7: Accuracy on CIFAR-10</caption>" in html
    assert '<th scope="colgroup" colspan="1">method</th>' in html
    assert '<th scope="col">model</th>' in html
    assert '<th scope="row">ResNet-18</th>' in html


HOURS = [
    {"metric": "training_hours", "runs": ["a"]},
    {"metric": "training_hours", "runs": ["b"], "column": 1},
]
TWO_DEVICES = [evaluation("a", 0.5), evaluation("b", 0.5, device="NVIDIA H100", type="cuda")]


def of_two_devices(folder: Path, metric: str) -> Path:
    """The folder of the report of a table of two cells, whose runs are from different devices."""
    cells = [cell | {"metric": metric} for cell in HOURS]
    table = tabulated(folder, cells, TWO_DEVICES, columns=["SAM", "LookSAM"], metrics=[metric])
    report([table], verdicts(folder), TEMPLATES, folder / "all_tables.html", folder / "tables")
    return folder


def test_every_format_says_where_the_runs_were_trained(tmp_path: Path) -> None:
    folder = reported(tmp_path, [{"runs": ["a"]}])
    files = [folder / "all_tables.html", *(folder / "tables").iterdir()]
    assert len(files) == 4
    assert all("AMD EPYC, 1 thread" in path.read_text(encoding="utf-8") for path in files)


def test_every_format_says_that_cells_come_from_different_devices(tmp_path: Path) -> None:
    folder = of_two_devices(tmp_path, "top1")
    pages = [folder / "all_tables.html", *folder.glob("tables/*.md"), *folder.glob("tables/*.tex")]
    assert all("Cells come from 2 devices" in path.read_text(encoding="utf-8") for path in pages)
    rows = list(csv.DictReader((folder / "tables/table7.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["device"] for row in rows] == ["AMD EPYC, 1 thread", "NVIDIA H100"]


def test_times_of_different_devices_stand_with_their_device(tmp_path: Path) -> None:
    html = (of_two_devices(tmp_path, "training_hours") / "all_tables.html").read_text(encoding="utf-8")
    assert "NVIDIA H100" in body(html)
    assert "Times from different devices do not compare." in html


def test_accuracies_of_different_devices_stand_without(tmp_path: Path) -> None:
    html = (of_two_devices(tmp_path, "top1") / "all_tables.html").read_text(encoding="utf-8")
    assert "NVIDIA H100" not in body(html)


def test_a_time_is_not_subtracted_from_that_of_the_papers_device(tmp_path: Path) -> None:
    cells = [{"metric": "training_hours", "runs": ["a"], "published": {**PRINTED, "value": "2.5"}}]
    assert body(page(tmp_path, cells, scale="paper")).endswith("paper 2.5")


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("top5", 0.98765, "98.8"),
        ("loss", 0.1234, "0.12"),
        ("sharpness", -0.00123, "−0.0012"),
        ("hessian_eigenvalue", 123.456, "123"),
        ("gradients_per_step", 1.2, "1.20"),
        ("images_per_second", 5262.4, "5262 images/s"),
    ],
)
def test_a_number_is_shown_in_its_digits(tmp_path: Path, metric: str, value: float, shown: str) -> None:
    table = tabulated(
        tmp_path,
        [{"metric": metric, "runs": ["a"]}],
        [evaluation("a", 0.5) | {metric: value}],
        metrics=[metric],
    )
    report([table], verdicts(tmp_path), TEMPLATES, tmp_path / "page.html", tmp_path)
    assert body((tmp_path / "page.html").read_text(encoding="utf-8")) == f"ResNet-18 {shown} n=1"


def test_an_eigenvalue_that_has_not_converged_says_so(tmp_path: Path) -> None:
    attempt = evaluation("a", 0.5) | {"hessian_converged": False}
    table = tabulated(tmp_path, [{"metric": "hessian_eigenvalue", "runs": ["a"]}], [attempt])
    report([table], verdicts(tmp_path), TEMPLATES, tmp_path / "page.html", tmp_path)
    for path in (tmp_path / "page.html", tmp_path / "table7.md", tmp_path / "table7.tex"):
        assert "1 of 1 not converged" in path.read_text(encoding="utf-8")


METHODS = ["base", "SAM", "SAM-4"]


def with_planned(folder: Path, *more: dict[str, Any], **request: Any) -> Path:
    """The folder of the report of a table whose third row has planned seconds, and `more` cells."""
    cells = [{**CELL, **cell, "row": row} for row, cell in enumerate(PLANNED)]
    metrics = ["top1", "seconds_per_epoch"]
    table = tabulated(folder, [*more, *cells], TIMED, rows=METHODS, metrics=metrics, **request)
    report([table], verdicts(folder), TEMPLATES, folder / "all_tables.html", folder / "tables")
    return folder


def test_a_planned_time_is_marked_on_the_page_and_measured_ones_are_not(tmp_path: Path) -> None:
    html = (with_planned(tmp_path) / "all_tables.html").read_text(encoding="utf-8")
    assert body(html) == "base 2.00 s n=1 SAM 4.00 s n=1 SAM-4 2.50 s planned"
    assert html.count('<div class="ours planned"><b>2.50</b>') == 1


def test_every_text_marks_the_planned_time_and_says_what_it_rests_on(tmp_path: Path) -> None:
    folder = with_planned(tmp_path)
    for suffix in ("md", "tex"):
        text = (folder / f"tables/table7.{suffix}").read_text(encoding="utf-8")
        assert text.count("2.50 s (planned)") == text.count("(planned)") == 1
        assert "calibrated on the 2 times that this table measures, on AMD EPYC, 1 thread." in text
    html = (folder / "all_tables.html").read_text(encoding="utf-8")
    assert "calibrated on the 2 times that this table measures, on AMD EPYC, 1 thread." in html


def test_in_the_csv_a_planned_time_is_in_a_column_of_its_own(tmp_path: Path) -> None:
    text = (with_planned(tmp_path) / "tables/table7.csv").read_text(encoding="utf-8")
    *measured, planned = csv.DictReader(text.splitlines())
    assert [(row["status"], row["value"], row["planned"]) for row in measured] == [
        ("done", "2.0", ""),
        ("done", "4.0", ""),
    ]
    assert (planned["status"], planned["value"]) == ("planned", "")
    assert float(planned["planned"]) == pytest.approx(2.5)


def test_the_accuracy_of_what_was_not_run_is_empty_beside_its_planned_time(tmp_path: Path) -> None:
    top1 = {"row": 2, "absent": "not run at this scale"}
    html = (with_planned(tmp_path, top1) / "all_tables.html").read_text(encoding="utf-8")
    assert body(html).endswith("SAM-4 — a 2.50 s planned")
    assert "<sup>a</sup> not run at this scale</li>" in html


def test_a_planned_time_is_compared_with_nothing(tmp_path: Path) -> None:
    html = (with_planned(tmp_path, scale="paper") / "all_tables.html").read_text(encoding="utf-8")
    assert body(html).endswith("2.50 s planned")


def test_a_page_without_planned_times_does_not_speak_of_them(tmp_path: Path) -> None:
    assert "planned" not in page(tmp_path, [{"runs": ["a"]}]).split("</style>")[1]


RIVALS = [
    {"column": column, "runs": runs, "coordinates": {"method": method}}
    for column, (method, runs) in enumerate({"SAM": ["a", "b"], "LookSAM-5": ["c", "d"]}.items())
]


def rivals(folder: Path, *of_looksam: float) -> Path:
    """The folder of the report of SAM at 97.0 and 97.2, and LookSAM-5 with these numbers."""
    runs = [*RUNS[:2], *(evaluation(run, number) for run, number in zip("cd", of_looksam, strict=True))]
    table = tabulated(folder, RIVALS, runs, columns=["SAM", "LookSAM-5"], compare=["method"])
    report([table], verdicts(folder), TEMPLATES, folder / "all_tables.html", folder)
    return folder


def test_the_best_is_bold_in_every_format(tmp_path: Path) -> None:
    folder = rivals(tmp_path, 0.90, 0.901)
    assert '<div class="ours done best"><b>97.1 ± 0.1</b>' in (folder / "all_tables.html").read_text("utf-8")
    assert "**97.1 ± 0.1** (n=2)" in (folder / "table7.md").read_text("utf-8")
    assert r"\textbf{97.1 $\pm$ 0.1} (n=2)" in (folder / "table7.tex").read_text("utf-8")


def test_a_difference_that_seeds_carry_is_told_and_not_grey(tmp_path: Path) -> None:
    html = (rivals(tmp_path, 0.90, 0.901) / "all_tables.html").read_text("utf-8")
    assert "vs best −7.0 pp (" in body(html)
    assert 'uncarried"' not in html


def test_a_difference_that_seeds_do_not_carry_is_grey_and_has_a_sign(tmp_path: Path) -> None:
    folder = rivals(tmp_path, 0.96, 0.975)
    html = (folder / "all_tables.html").read_text("utf-8")
    assert '<div class="ours done uncarried"><b>96.8 ± 1.1</b>' in html
    assert "≈ best −0.3 pp (" in body(html)
    assert "*96.8 ± 1.1* (n=2)<br>≈ best" in (folder / "table7.md").read_text("utf-8")
    tex = (folder / "table7.tex").read_text("utf-8")
    assert r"\notcarried{96.8 $\pm$ 1.1} (n=2)\\{\scriptsize $\approx$ best" in tex


def test_with_the_table_stands_how_its_cells_are_compared(tmp_path: Path) -> None:
    folder = rivals(tmp_path, 0.96, 0.975)
    for name in ("all_tables.html", "table7.md", "table7.tex"):
        text = (folder / name).read_text("utf-8")
        assert "Welch" in text
        assert "two-sided, level 5" in text


def provenance(run: str, **more: Any) -> Provenance:
    """Where a run comes from."""
    about: dict[str, Any] = {
        "run": run,
        "seed": 0,
        "settings": {"method.k": "5", "seed": "0"},
        "code": "c" * 64,
        "commit": "0123abc",
        "packages": {"torch": "2.14"},
        "device": "AMD EPYC",
        "determinism": "bitwise",
        "shards": "results/shards/digits",
        "data_sha256": "d" * 64,
        "log": f"results/logs/train/{run}.log",
        "seconds": 185.0,
        "command": f"snakemake results/runs/{run}/model.safetensors",
        "stale": "",
    }
    return Provenance(**about | more)


def traced(folder: Path, *origins: Provenance) -> str:
    """The page of a cell with the runs a and b, which come from there."""
    table = tabulated(folder, [{"runs": ["a", "b"]}], RUNS)
    told = {one.run: one for one in origins}
    report([table], verdicts(folder), TEMPLATES, folder / "page.html", folder, told)
    return (folder / "page.html").read_text(encoding="utf-8")


def test_a_cell_opens_to_each_seeds_number_and_leads_to_its_run(tmp_path: Path) -> None:
    html = traced(tmp_path, provenance("a"), provenance("b", seed=1))
    assert '<summary>n=2</summary><ul><li><a href="#run-a">seed 0</a> 97.0</li>' in html
    assert '<tr id="run-a">' in html


def test_what_all_runs_share_is_said_once(tmp_path: Path) -> None:
    html = traced(tmp_path, provenance("a"), provenance("b", seed=1))
    for fact in ("c" * 64, "0123abc", "d" * 64, "results/logs/train/RUN.log", "RUN/model.safetensors"):
        assert html.count(fact) == 1


def test_in_what_runs_differ_is_a_column(tmp_path: Path) -> None:
    html = traced(tmp_path, provenance("a"), provenance("b", seed=1, settings={"method.k": "2"}))
    assert '<th scope="col">method.k</th>' in html
    assert "<td>1</td><td>2</td><td>3 min 5 s</td>" in html


def test_a_run_that_is_not_of_the_present_code_is_marked_in_its_cell_and_on_top(tmp_path: Path) -> None:
    html = traced(tmp_path, provenance("a"), provenance("b", stale="trained by other code"))
    assert "! 1 of 2 not of the present code or data" in body(html)
    assert '<td class="stale">trained by other code</td>' in html


def test_a_run_of_two_tables_is_listed_with_the_first(tmp_path: Path) -> None:
    tables = []
    for name in ("table1", "table2"):
        (tmp_path / name).mkdir()
        tables.append(tabulated(tmp_path / name, [{"runs": ["a"]}], RUNS, table=name))
    report(tables, verdicts(tmp_path), TEMPLATES, tmp_path / "page.html", tmp_path)
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert html.count('id="run-a"') == 1
    assert "1 run of this table is listed with Table 1." in html


def judged(folder: Path) -> str:
    """The page of a study that answers and has decided one claim."""
    numbers = ("+0.1 pp", "−0.2 to +0.4", 3)
    finding = Finding("table7", "LookSAM-5 minus SAM", *numbers, "supported", "Student's t")
    decided = ("not decided", "supported", "Shown.", "", 3, "above −0.5 pp")
    verdict = Verdict("c1", "as good <b>", "Table 7", *decided, [finding])
    answer = Answer("It keeps it.", ["By +0.1 pp."], ["More seeds."])
    write(Verdicts("0 of 1 are decided.", "Each by its interval.", [verdict], answer), folder / "v.json")
    table = tabulated(folder, [{"runs": ["a"]}], RUNS)
    report([table], folder / "v.json", TEMPLATES, folder / "page.html", folder)
    return (folder / "page.html").read_text(encoding="utf-8")


def test_the_page_answers_before_anything_else(tmp_path: Path) -> None:
    html = judged(tmp_path)
    said = ["Scale: mini", "It keeps it.", "By +0.1 pp.", "0 of 1 are decided.", "More seeds.", "Contents"]
    places = [html.index(text, html.index("<body>")) for text in said]
    assert places == sorted(places)


def test_a_claim_says_what_is_decided_of_the_papers_and_of_the_stand_ins_and_why(tmp_path: Path) -> None:
    html = judged(tmp_path)
    found = html[html.index('<tr id="claim-c1">') :].partition("</tr>")[0]
    text = " ".join(re.sub(r"<[^>]*>", " ", found).split())
    assert text.startswith(
        "c1 as good &lt;b&gt; Table 7 ○ not decided ✓ supported Shown. Asked: above −0.5 pp."
    )
    assert "LookSAM-5 minus SAM: +0.1 pp (−0.2 to +0.4), supported. Student&#39;s t; table7" in text


def test_the_policy_allows_the_pages_own_script_alone(tmp_path: Path) -> None:
    html = page(tmp_path, [{"runs": ["a"]}])
    script = html[html.index("<script>") + 8 : html.index("</script>")]
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}';" in html


def test_a_cell_is_sorted_by_its_number(tmp_path: Path) -> None:
    assert '<td data-value="0.971">' in page(tmp_path, [{"runs": ["a", "b"]}])
