"""The Python blocks of a documentation page, for the tests that run them."""

import re
from pathlib import Path


def blocks(page: str, section: str) -> list[str]:
    """What docs/`page` shows as Python under the heading `section`."""
    text = (Path(__file__).parent.parent / "docs" / page).read_text()
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return re.findall(r"```python\n(.*?)```", sections[section], flags=re.DOTALL)
