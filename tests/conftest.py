"""What tests share: a browser and the pages that it shows, made once."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# before torch is imported: torch_tpu, installed where there is no TPU, lets a backward pass hang
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

# a shell that starts the tests in the background has them ignore SIGINT, and with them what they interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with hostile names and known numbers."""
    from page_studies import by_hand

    return by_hand(tmp_path_factory.mktemp("by_hand"))


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as large as the paper's."""
    from page_studies import of_the_paper

    return of_the_paper(tmp_path_factory.mktemp("paper"))


@pytest.fixture(params=["by_hand", "paper"])
def html(request: pytest.FixtureRequest) -> Path:
    """Each of both pages."""
    found: Path = request.getfixturevalue(request.param)
    return found
