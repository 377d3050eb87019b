"""The training panel in JupyterLab, where what it promises is hard to keep."""

import re

import nbformat
import pytest

from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect

IMPORTS = """
import threading
import time
import torch
from torch import nn
from helpers.data import load_iris
from helpers.widgets import TrainingPanel

iris = load_iris()
seconds = 0  # that the last cell waits, when all cells run

def make_model():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))

def make_broken_model():
    raise RuntimeError("A long story. " * 20 + "The end.")
"""
CELLS = {
    "imports": IMPORTS.strip(),
    "panel": "TrainingPanel(make_model, iris.train, iris.val)",
    "broken": "display(TrainingPanel(make_broken_model, iris.train, iris.val))\n"
    'print("below the panel")',
    "count": 'print(sum(t.name == "training panel" for t in threading.enumerate()))',
    "wait": 'print("waiting", seconds)\ntime.sleep(seconds)\nseconds = 1000',
}


NAME_OF_FOCUSED = """
() => {
    const e = document.activeElement, row = e.closest(".widget-inline-hbox");
    return (row ? row.querySelector("label") : e).innerText.trim();
}
"""


@pytest.fixture
def notebook(page, lab_home, request):
    """Return a notebook with a panel, all of whose cells have run."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    cells.insert(0, nbformat.v4.new_markdown_cell("# A panel"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    new = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    name = request.node.name
    nbformat.write(new, lab_home / "notebooks" / f"{name}.ipynb")
    return browser.open_and_run(page, name)


@pytest.fixture
def panel(notebook):
    """Return its training panel."""
    return notebook.locator(".live-panel").first


def run_cell(notebook, name):
    """Run one cell; return it."""
    cell = notebook.locator(".jp-CodeCell").nth(list(CELLS).index(name))
    cell.locator(".cm-content").click()
    notebook.page.keyboard.press("Control+Enter")
    return cell


def button(panel, name):
    return panel.get_by_role("button", name=name)


def set_epochs(panel, key):
    slider = panel.get_by_role("slider").nth(1)
    slider.focus()
    slider.press(key)


def train_for_long(panel):
    """Begin a run that will not end by itself before the test does."""
    panel.get_by_label("batch size").select_option("8")
    set_epochs(panel, "End")
    button(panel, "Train").click()
    expect(panel.get_by_text("s left")).to_have_count(1)


def press_the_square_button(page):
    page.get_by_role("button", name=re.compile("Interrupt the kernel")).click()


def expect_usable(panel):
    expect(button(panel, "Train")).to_be_enabled()
    expect(button(panel, "Stop")).to_be_disabled()
    set_epochs(panel, "Home")
    button(panel, "Train").click()
    expect(panel.get_by_text("Finished in")).to_have_count(1)


def test_other_cells_run_while_it_trains(notebook, panel):
    train_for_long(panel)
    cell = run_cell(notebook, "count")
    expect(cell.locator(".jp-OutputArea-output")).to_have_text("1")
    expect(button(panel, "Stop")).to_be_enabled()
    button(panel, "Stop").click()
    expect(panel.get_by_text("Stopped after")).to_have_count(1)
    expect_usable(panel)


def test_running_the_cell_again_while_it_trains_leaves_one_run_alive(notebook, panel):
    train_for_long(panel)
    cell = run_cell(notebook, "panel")
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[6]:")
    expect(button(panel, "Train")).to_be_enabled()
    train_for_long(panel)
    cell = run_cell(notebook, "count")
    expect(cell.locator(".jp-OutputArea-output")).to_have_text("1")


def test_interrupting_the_kernel_between_cells_ends_the_run(page, panel):
    train_for_long(panel)
    press_the_square_button(page)
    expect(panel.get_by_text("Interrupted after")).to_have_count(1)
    expect_usable(panel)


def test_interrupting_a_cell_ends_the_run_too(page, notebook, panel):
    train_for_long(panel)
    cell = run_cell(notebook, "wait")
    expect(cell.get_by_text("waiting 1000")).to_have_count(1)
    press_the_square_button(page)
    expect(cell.locator(browser.ERRORS)).to_contain_text("KeyboardInterrupt")
    expect(panel.get_by_text("Interrupted after")).to_have_count(1)
    expect_usable(panel)


def test_values_typed_beyond_the_range_are_clamped(panel):
    for place, typed, shown in (
        (0, "1000", "10"),
        (0, "0", "0.000010"),
        (1, "-3", "1"),
    ):
        value = panel.locator(".widget-readout").nth(place)
        value.fill(typed)
        value.press("Enter")
        expect(value).to_have_text(shown)


def test_every_control_is_reached_and_used_by_keyboard(page, panel):
    panel.get_by_role("slider").first.focus()
    names = []
    for _ in range(10):
        names.append(page.evaluate(NAME_OF_FOCUSED))
        page.keyboard.press("Tab")
    settings = ["learning rate", "epochs", "optimizer", "batch size"]
    wanted = [*settings, "Train", "Clear"]  # Stop cannot be pressed now
    assert list(dict.fromkeys(name for name in names if name)) == wanted


def test_long_message_is_wrapped_and_not_cut(notebook):
    panel = notebook.locator(".live-panel").nth(1)
    button(panel, "Train").click()
    line = panel.locator(".panel-status")
    expect(line).to_contain_text("The end.")
    fits = line.evaluate(
        "e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight + 1"
    )
    assert fits


def test_panel_hides_its_stand_in_and_nothing_else(notebook):
    cell = notebook.locator(".jp-CodeCell").nth(list(CELLS).index("broken"))
    expect(cell.get_by_text("below the panel").last).to_be_visible()
    expect(cell.locator(".jp-RenderedImage:visible")).to_have_count(0)
