"""JupyterLab and Chromium, as a learner has them in front of them."""

import os
from pathlib import Path

import pytest

from tools import browser

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def chromium():
    """Return a running headless Chromium; skip where there is none.

    With BROWSER_TESTS=required, as in CI, a missing Chromium is a failure.
    """
    path = browser.find_chromium()
    if path is None:
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(browser.NONE)
        pytest.skip(browser.NONE)
    with browser.running_chromium(path) as running:
        yield running


@pytest.fixture(scope="session")
def lab_home(tmp_path_factory):
    """Return the folder of everything that belongs to the JupyterLab of the tests."""
    return tmp_path_factory.mktemp("jupyter")


@pytest.fixture(scope="session")
def lab(lab_home):
    """Start JupyterLab on copies of the notebooks; return its address and token."""
    with browser.running_lab(lab_home, ROOT / "notebooks") as running:
        yield running


@pytest.fixture(scope="session")
def screenshots():
    """Return the folder for screenshots, which git ignores."""
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
