"""An exercise in JupyterLab: left open, answered wrongly, then rightly, and kept."""

import re

import nbformat
import pytest
from excerpts import code_cells

from conftest import ROOT
from tools import browser
from tools.notebooks import METADATA

expect = pytest.importorskip("playwright.sync_api").expect

IMPORTS = "from helpers.exercises import check, progress"
BOXES = re.compile(r"03 losses +(\S+)")


def answer_with(page, cell, answer):
    """Write an answer in place of the `...`, as a learner does, and run the cell."""
    source = cell.locator(".cm-content")
    source.click()
    text = source.inner_text()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(re.sub("answer = .*", f"answer = {answer}", text))
    page.keyboard.press("Shift+Enter")


def restart_and_run_all(page):
    browser.choose(page, "Kernel", "Restart Kernel and Run All Cells…")
    page.get_by_role("button", name="Confirm Kernel Restart").click()


def test_answer_is_judged_and_outlives_the_kernel(chromium, lab, lab_home, screenshots):
    (asked,) = (
        source
        for source in code_cells(ROOT / "notebooks" / "03_losses.ipynb")
        if 'check("3.1"' in source
    )
    cells = [nbformat.v4.new_code_cell(s) for s in (IMPORTS, asked, "progress()")]
    cells.insert(0, nbformat.v4.new_markdown_cell("# An exercise"))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.write(notebook, lab_home / "notebooks" / "exercise.ipynb")
    page = browser.new_page(chromium, *lab)
    notebook = browser.open_and_run(page, "exercise")
    exercise, table = (notebook.locator(".jp-CodeCell").nth(i) for i in (1, 2))
    expect(exercise.get_by_text("3.1: open.")).to_be_visible()
    before = BOXES.search(table.locator("pre").last.inner_text())[1]
    assert "■" not in before

    answer_with(page, exercise, "2.0")
    expect(exercise.get_by_text("3.1: not yet.")).to_be_visible()
    expect(exercise.get_by_text('Stuck? hint("3.1")')).to_be_visible()
    answer_with(page, exercise, "4.605")
    expect(exercise.get_by_text("3.1: right.")).to_be_visible()
    answer_with(page, exercise, "...")
    expect(exercise.get_by_text("3.1: open.")).to_be_visible()

    restart_and_run_all(page)
    expect(table.get_by_text(before.replace("□", "■", 1))).to_be_visible()
    page.screenshot(path=screenshots / "exercise.png")
