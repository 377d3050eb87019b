"""The notebooks' files, which a look at them must leave as they are."""

import pytest

from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect


def test_saving_an_opened_notebook_does_not_change_its_file(chromium, lab, lab_home):
    path = lab_home / "notebooks" / "06_data.ipynb"
    content, written = path.read_bytes(), path.stat().st_mtime_ns
    page = browser.new_page(chromium, *lab)
    browser.open_notebook(page, path.stem)
    dirty = page.locator(".lm-DockPanel-tabBar .jp-mod-dirty")
    expect(dirty).to_have_count(1)  # JupyterLab has changed the metadata
    browser.choose(page, "File", "Save Notebook")
    expect(dirty).to_have_count(0)
    page.context.close()
    assert path.stat().st_mtime_ns > written
    assert path.read_bytes() == content
