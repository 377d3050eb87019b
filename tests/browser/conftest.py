"""JupyterLab and Chromium, as a learner has them in front of them."""

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest

from tools import lab as lab_tool

ROOT = Path(__file__).parent.parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # only pages of this machine are opened
)


@pytest.fixture(scope="session")
def chromium():
    """Return a running headless Chromium; skip where there is none.

    With BROWSER_TESTS=required, as in CI, a missing Chromium is a failure.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        message = (
            "no Chromium was found, so the browser tests were skipped; on Debian and "
            "Ubuntu `apt install chromium` brings it"
        )
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_home(tmp_path_factory):
    """Return the folder of everything that belongs to the JupyterLab of the tests."""
    return tmp_path_factory.mktemp("jupyter")


@pytest.fixture(scope="session")
def lab_settings(lab_home):
    """Return the folder of that JupyterLab's settings."""
    settings = lab_home / "jupyter_config_dir" / "lab" / "user-settings"
    tracker = settings / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)
    # All cells are in the page, and not only those that would be on the screen.
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    return settings


@pytest.fixture(scope="session")
def lab(lab_home, lab_settings):
    """Start JupyterLab on copies of the notebooks; return its address and token."""
    home = lab_home
    copy_without_outputs(ROOT / "notebooks", home / "notebooks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    options = [
        "--no-browser",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    private = {name: str(home / name.lower()) for name in folders}
    with open(home / "log.txt", "w") as log:
        server = subprocess.Popen(
            lab_tool.command(home / "notebooks", options),
            stdout=log,
            stderr=log,
            env=os.environ | private,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api?token={token}", server, home / "log.txt")
        yield address, token
    finally:
        server.terminate()
        server.wait(timeout=30)


def copy_without_outputs(source, target):
    """Copy notebooks as they are before they were run, so that a run can be seen."""
    target.mkdir()
    for path in source.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, target / path.name)


def _wait_for(url, server, log):
    """Return as soon as the server answers; fail with its log if it does not."""
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture
def screenshots():
    """Return the folder for screenshots, which git ignores."""
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def page(chromium, lab):
    """Return a new browser page, at the address that JupyterLab opens first."""
    address, token = lab
    context = chromium.new_context(
        base_url=address, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"/?token={token}")
    yield page
    context.close()
