import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = ["use-the-core.md", "add-a-method.md", "coming-from-other-packages.md"]
PAGES = [ROOT / "README.md", *(ROOT / "docs" / name for name in RUN)]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_code_block_of_the_documentation_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "documentation", "exec"), names)
    # each block builds something that a reader goes on with
    assert names.keys() & {"sharpness", "optimizer", "elementwise"}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "config/README.md"]
)
def test_a_link_to_a_file_finds_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
