"""JupyterLab as a learner uses it: the start page, and the panels of each notebook."""

import math
import re

import nbformat
import pytest
from excerpts import count_panels, excerpt

from conftest import ROOT
from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect

PANELS = {path.stem: count_panels(path) for path in ROOT.glob("notebooks/*.ipynb")}
NOTEBOOKS = [name for name, count in sorted(PANELS.items()) if count]

# What stands in for the heavy cells: little data, and networks trained in no time.
PREPARATIONS = {
    "03_optimizers": """
from torch import optim

view = {"xlim": (-10, 3), "ylim": (-2, 2), "minimum": (0, 0)}
""",
    "05_iris": """
import torch
from helpers.data import Split, TensorLoader, load_iris
from helpers.training import fit

parts = load_iris()
# So many flowers that the longest run does not end before the test does.
many = Split(parts.train.x.repeat(40, 1), parts.train.y.repeat(40))
parts = parts._replace(train=many)
model = torch.nn.Linear(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loaders = TensorLoader(*parts.train), TensorLoader(*parts.val)
loss_fn = torch.nn.CrossEntropyLoss()
runs = {"a line": fit(model, *loaders, loss_fn, optimizer, epochs=2)}
""",
    "06_mnist": """
import torch
from helpers.data import TensorLoader, load_mnist
from helpers.training import fit

device, mnist = "cpu", load_mnist()
x_train, y_train = mnist.train.x[:10000], mnist.train.y[:10000]
x_val, y_val = mnist.train.x[-1000:], mnist.train.y[-1000:]
cnn = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
optimizer = torch.optim.Adam(cnn.parameters(), lr=0.003)
loaders = TensorLoader(x_train, y_train), TensorLoader(x_val, y_val)
history = fit(cnn, *loaders, torch.nn.CrossEntropyLoss(), optimizer, epochs=2)
""",
}
# Cells beside a training panel.
FURTHER = {
    "broken": """
def make_broken_model():
    raise RuntimeError("A long story. " * 20 + "The end.")

display(TrainingPanel(make_broken_model, parts.train, parts.val))
print("below the panel")
""",
    "count": """
import threading
print(sum(t.name == "training panel" for t in threading.enumerate()))
""",
    "wait": """
import time
print("waiting")
time.sleep(1000)
""",
}

NAME_OF_FOCUSED = """
() => {
    const e = document.activeElement, row = e.closest(".widget-inline-hbox");
    return (row ? row.querySelector("label") : e).innerText.trim();
}
"""


@pytest.fixture(scope="module")
def notebook(chromium, lab, lab_home):
    """Return an open notebook with a section for each real one that has panels.

    They share a kernel, so a test runs the whole section that it needs.
    """
    sections = {name: [source] for name, source in FURTHER.items()}
    for name in NOTEBOOKS:
        path = ROOT / "notebooks" / f"{name}.ipynb"
        sections[name] = excerpt(path, PREPARATIONS.get(name, ""))
    cells = [nbformat.v4.new_markdown_cell("# Panels")]
    for name, sources in sections.items():
        cells += [nbformat.v4.new_code_cell(f"# {name}\n{s.strip()}") for s in sources]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    new = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(new, lab_home / "notebooks" / "panels.ipynb")
    return browser.open_notebook(browser.new_page(chromium, *lab), "panels")


@pytest.fixture
def panel(notebook):
    """Return a new training panel."""
    return run_section(notebook, "05_iris").locator(".live-panel")


def run_section(notebook, name):
    """Run the cells of a section; return them."""
    cells = cells_of(notebook, name)
    for cell in cells.all():
        begin(cell)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))
        assert cell.locator(browser.ERRORS).all_inner_texts() == []
    return cells


def cells_of(notebook, name):
    return notebook.locator(".jp-CodeCell", has_text=f"# {name}")


def begin(cell):
    """Begin to run a cell."""
    before = cell.locator(".jp-InputPrompt").inner_text()
    cell.locator(".cm-content").click()
    cell.page.keyboard.press("Control+Enter")
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text(before)


def changes(image, action):
    """Do something, and wait until the picture is another one."""
    before = image.get_attribute("src")
    action()
    expect(image).not_to_have_attribute("src", before)


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

    notebook.get_by_role("link", name="01 Autograd", exact=True).click()
    page.get_by_role("heading", name="Autograd: gradients you can check").wait_for()
    page.screenshot(path=screenshots / "autograd.png")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_panels_work(notebook, screenshots, name):
    panels = run_section(notebook, name).locator(".live-panel")
    expect(panels).to_have_count(PANELS[name])
    for number, panel in enumerate(panels.all()):
        panel.scroll_into_view_if_needed()
        image = panel.locator("img")
        if panel.get_by_role("button", name="Train").count():
            use_training_panel(panel, image)
        elif panel.locator("canvas").count():
            draw_a_zero(notebook.page, panel, image)
        else:
            use_explorer(panel, image)
        panel.screenshot(path=screenshots / f"{name}_{number}.png")


def use_explorer(panel, image):
    handle = panel.get_by_role("slider").first
    value = panel.locator(".widget-readout").first
    before = value.inner_text()
    assert panel.locator(".panel-status").inner_text() == ""  # no error is told
    handle.focus()
    changes(image, lambda: handle.press("ArrowRight"))
    expect(value).not_to_have_text(before)
    expect(panel.locator(".panel-status")).to_have_text("")


def use_training_panel(panel, image):
    train, stop = button(panel, "Train"), button(panel, "Stop")
    rate = panel.get_by_role("slider").first
    rate.focus()
    rate.press("ArrowRight")

    set_epochs(panel, "End")  # the most: long enough to be stopped
    changes(image, lambda: train.press("Enter"))  # to an empty frame
    changes(image, lambda: None)  # to curves
    expect(stop).to_be_enabled()
    expect(train).to_be_disabled()
    stop.press("Enter")
    stopped = panel.get_by_text(re.compile(r"Stopped after \d+ of \d+ epochs"))
    expect(stopped).to_have_count(1, timeout=2_000)
    expect_usable(panel)


# Even a single layer recognises a round 0.
TURNS = [math.tau * step / 36 for step in range(37)]
ZERO = [(140 + 70 * math.sin(turn), 140 - 90 * math.cos(turn)) for turn in TURNS]


def draw_a_zero(page, panel, image):
    canvas = panel.locator("canvas").first
    box = canvas.bounding_box()
    places = [(box["x"] + x, box["y"] + y) for x, y in ZERO]
    changes(image, lambda: draw_by_finger(page, places))
    expect(panel.get_by_text("The model says 0")).to_have_count(1)
    changes(image, button(panel, "Clear").click)
    expect(panel.get_by_text("Draw a digit")).to_have_count(1)
    changes(image, lambda: draw_by_mouse(page, places))
    expect(panel.get_by_text("The model says 0")).to_have_count(1)


def draw_by_mouse(page, places):
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def draw_by_finger(page, places):
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        event = {"type": kind, "touchPoints": points}
        session.send("Input.dispatchTouchEvent", event)

    touch("touchStart", places[0])
    for place in places[1:]:
        touch("touchMove", place)
    touch("touchEnd")


def test_panels_are_there_in_both_themes(notebook, screenshots):
    page, names = notebook.page, ("02_losses", "05_iris")
    panels = [run_section(notebook, name).locator(".live-panel") for name in names]
    for theme, is_light in (("Dark", "false"), ("Light", "true")):
        browser.choose(page, "Settings", "Theme", f"JupyterLab {theme}")
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", is_light)
        expect(page.locator("#jupyterlab-splash")).to_have_count(0)
        for name, panel in zip(names, panels, strict=True):
            expect(panel.locator("img")).to_be_visible()
            panel.screenshot(path=screenshots / f"{name}_{theme.lower()}.png")


def button(panel, name):
    return panel.get_by_role("button", name=name)


def set_epochs(panel, key):
    slider = panel.get_by_role("slider").nth(1)
    slider.focus()
    slider.press(key)


def train_for_long(panel):
    """Begin a run that will not end by itself before the test does."""
    set_epochs(panel, "End")
    button(panel, "Train").click()
    expect(panel.get_by_text("s left")).to_have_count(1)


def press_the_square_button(page):
    page.get_by_role("button", name=re.compile("Interrupt the kernel")).click()


def expect_usable(panel):
    """Train for an epoch."""
    expect(button(panel, "Train")).to_be_enabled()
    expect(button(panel, "Stop")).to_be_disabled()
    set_epochs(panel, "Home")
    button(panel, "Train").click()
    expect(panel.get_by_text("Finished in")).to_have_count(1)


def test_other_cells_run_while_a_panel_trains(notebook, panel):
    train_for_long(panel)
    output = run_section(notebook, "count").locator(".jp-OutputArea-output")
    expect(output).to_have_text("1")
    button(panel, "Stop").click()
    expect(panel.get_by_text("Stopped after")).to_have_count(1)


def test_interrupting_the_kernel_between_cells_ends_the_run(notebook, panel):
    train_for_long(panel)
    press_the_square_button(notebook.page)
    expect(panel.get_by_text("Interrupted after")).to_have_count(1)
    expect_usable(panel)


def test_interrupting_a_cell_ends_the_run_too(notebook, panel):
    train_for_long(panel)
    cell = cells_of(notebook, "wait")
    begin(cell)
    expect(cell.get_by_text("waiting", exact=True)).to_have_count(1)
    press_the_square_button(notebook.page)
    expect(cell.locator(browser.ERRORS)).to_contain_text("KeyboardInterrupt")
    expect(panel.get_by_text("Interrupted after")).to_have_count(1)
    expect_usable(panel)


def test_every_control_is_reached_by_keyboard(notebook, panel):
    panel.get_by_role("slider").first.focus()
    names = []
    for _ in range(10):
        names.append(notebook.page.evaluate(NAME_OF_FOCUSED))
        notebook.page.keyboard.press("Tab")
    settings = ["learning rate", "epochs", "optimizer", "batch size"]
    wanted = [*settings, "Train", "Clear"]  # Stop cannot be pressed now
    assert list(dict.fromkeys(name for name in names if name)) == wanted


def test_long_message_is_wrapped_and_only_the_stand_in_hidden(notebook, panel):
    cell = run_section(notebook, "broken")
    expect(cell.get_by_text("below the panel", exact=True)).to_be_visible()
    expect(cell.locator(".jp-RenderedImage")).to_have_count(1)
    expect(cell.locator(".jp-RenderedImage:visible")).to_have_count(0)

    button(cell, "Train").click()
    line = cell.locator(".panel-status")
    expect(line).to_contain_text("The end.")
    fits = line.evaluate(
        "e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight + 1"
    )
    assert fits
