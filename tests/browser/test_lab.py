"""The start page in JupyterLab, as a learner comes to it."""

import pytest

from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect


def test_start_page_opens_runs_and_leads_to_the_first_notebook(
    chromium, lab, screenshots
):
    page = browser.new_page(chromium, *lab)
    page.goto("/")
    notebook = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.get_by_role("heading", name="Start here").wait_for()
    browser.wait_until_idle(notebook)
    expect(notebook.get_by_text("Everything is ready.")).to_have_count(0)

    picture = notebook.locator(".jp-MarkdownOutput img")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("e => e.naturalWidth") > 0

    browser.choose(page, "Run", "Run All Cells")
    expect(notebook.get_by_text("Everything is ready.")).to_have_count(1)
    browser.wait_until_idle(notebook)
    assert notebook.locator(browser.ERRORS).all_inner_texts() == []
    expect(page.locator(".Toastify__toast")).to_have_count(0)
    page.screenshot(path=screenshots / "start_page.png")

    notebook.get_by_role("link", name="01 Tensors", exact=True).first.click()
    page.get_by_role("heading", name="Tensors: sixty thousand digits").wait_for()
    page.screenshot(path=screenshots / "tensors.png")
