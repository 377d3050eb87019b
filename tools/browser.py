"""JupyterLab and a headless Chromium, as tests and measurements need them."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from urllib.error import URLError

import nbformat

from tools import lab as lab_tool

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # only pages of this machine are opened
)
NONE = (
    "no Chromium was found, so the browser tests were skipped; on Debian and "
    "Ubuntu `apt install chromium` brings it"
)
PATIENCE = 5 * 60_000  # how long a page may take, in ms: a busy machine is no failure
ERRORS = "[data-mime-type='application/vnd.jupyter.stderr']"  # tracebacks, and warnings


def find_chromium():
    """Return the path of this machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def running_chromium(path):
    """Yield a browser."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield browser
        browser.close()


@contextlib.contextmanager
def running_lab(home, notebooks):
    """Serve copies of a folder's notebooks; yield the address and the token.

    All that JupyterLab reads and writes is in `home`.
    """
    # All cells are in the page, and not only those that would be on the screen.
    tracker = {"windowingMode": "none"}
    write_settings(home, "@jupyterlab/notebook-extension/tracker", tracker)
    _copy_without_outputs(notebooks, home / "notebooks")
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
    folders = [f"JUPYTER_{kind}_DIR" for kind in ("CONFIG", "DATA", "RUNTIME")]
    private = {name: str(home / name.lower()) for name in [*folders, "XDG_DATA_HOME"]}
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


def write_settings(home, name, values):
    """Write settings of an extension of that JupyterLab."""
    settings = home / "jupyter_config_dir" / "lab" / "user-settings"
    path = settings / f"{name}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def _copy_without_outputs(source, target):
    """Copy notebooks as they are before they were run, so that a run can be seen."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))
    for path in target.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)


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
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


def new_page(browser, address, token, **options):
    """Return a new page that is logged in, and empty."""
    size = {"width": 1280, "height": 900}
    page = browser.new_context(base_url=address, viewport=size, **options).new_page()
    page.set_default_timeout(PATIENCE)
    page.request.get(f"/api/status?token={token}")  # brings the cookie
    return page


def open_notebook(page, name, view="doc"):
    """Open a notebook, alone or in the whole of JupyterLab; return it when ready."""
    from playwright.sync_api import expect

    page.goto(f"/{view}/tree/{name}.ipynb")
    notebook = page.locator(".jp-NotebookPanel")
    notebook.get_by_role("heading", level=1).wait_for()
    wait_until_idle(notebook)
    expect(page.get_by_text(re.compile(r"\| Idle"))).to_have_count(1)
    return notebook


def open_and_run(page, name, view="doc"):
    """Open a notebook, run all its cells, and return it once the last has ended."""
    from playwright.sync_api import expect

    notebook = open_notebook(page, name, view)
    choose(page, "Run", "Run All Cells")
    prompt = notebook.locator(".jp-CodeCell").last.locator(".jp-InputPrompt")
    errors = notebook.locator(ERRORS)
    ended = prompt.filter(has_text=re.compile(r"\[\d+\]")).or_(errors).first
    expect(ended).to_be_attached()
    wait_until_idle(notebook)
    assert not errors.count(), errors.all_inner_texts()
    return notebook


def wait_until_idle(notebook):
    """Wait until the kernel has nothing to do."""
    from playwright.sync_api import expect

    status = notebook.locator(".jp-Notebook-ExecutionIndicator")
    expect(status).to_have_attribute("data-status", "idle")


def choose(page, menu, *items):
    """Choose an item of JupyterLab's menus."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    for item in items:
        page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()
