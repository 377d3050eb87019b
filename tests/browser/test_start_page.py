import re

import pytest

from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect


def test_start_page_opens_runs_and_leads_to_the_first_notebook(page, screenshots):
    notebook = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.get_by_role("heading", name="Start here").wait_for()
    status = notebook.locator(".jp-Notebook-ExecutionIndicator")
    expect(status).to_have_attribute("data-status", "idle")
    expect(notebook.get_by_text("Everything is ready.")).to_have_count(0)

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    prompts = notebook.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.last).to_have_text(re.compile(r"\[3\]:"))
    expect(notebook.get_by_text("Everything is ready.")).to_have_count(1)
    expect(notebook.locator(".jp-OutputArea img")).to_have_count(1)
    expect(notebook.locator(browser.ERRORS)).to_have_count(0)
    expect(page.locator(".Toastify__toast")).to_have_count(0)
    page.screenshot(path=screenshots / "start_page.png")

    notebook.get_by_role("link", name="01 Autograd", exact=True).click()
    page.get_by_role("heading", name="Autograd: gradients you can check").wait_for()
    page.screenshot(path=screenshots / "autograd.png")
