"""The panels of the notebooks in JupyterLab: by key and pointer, and after a reload.

They are taken from the notebooks; what would take long before them is replaced.
"""

import math
import re

import nbformat
import pytest
from excerpts import count_panels, excerpt

from conftest import ROOT
from helpers.panels.base import SENTENCE
from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect

PANELS = {path.stem: count_panels(path) for path in ROOT.glob("notebooks/*.ipynb")}
# Notebook 07 is the last, as its panel looks for `make_model` whenever it trains.
NOTEBOOKS = sorted(
    filter(PANELS.get, PANELS), key=lambda name: (name[:2] == "07", name)
)

# What stands in for the heavy cells: little data, and networks trained in no time.
PREPARATIONS = {
    "00_start_here": """
import torch
from helpers.data import load_mnist

digits = load_mnist()
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
""",
    "04_optimizers": """
import torch
from torch import optim
from helpers import plotting

of_each = torch.randn(2000, 2) + 1
view = {"xlim": (-10, 3), "ylim": (-2, 2), "minimum": (0, 0)}
racers = ("SGD", "momentum", "RMSprop", "Adam")
paths = {racer: [(-9, 1.5), (-4, 0)] for racer in racers}
""",
    "05_training_loop": """
import torch
from sklearn.datasets import make_moons
from helpers.data import Split

x, y = make_moons(200, noise=0.2, random_state=0)
train = val = Split(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
model = torch.nn.Linear(2, 2)
""",
    "07_iris": """
import torch
from helpers.data import Split, load_iris

parts, runs = load_iris(), {}
names = ["sepal length (scaled)", "sepal width (scaled)"]
sepals_of = [Split(part.x[:, :2], part.y) for part in (parts.train, parts.val)]
""",
    "08_mnist": """
import torch
from helpers.data import TensorLoader, load_mnist
from helpers.training import fit

device, mnist = "cpu", load_mnist()
x_train, y_train = mnist.train.x[:10000], mnist.train.y[:10000]
x_val, y_val = mnist.train.x[-1000:], mnist.train.y[-1000:]
cnn = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 5, 3), torch.nn.Flatten(), torch.nn.Linear(256, 10)
)
optimizer = torch.optim.Adam(cnn.parameters(), lr=0.003)
loaders = TensorLoader(x_train, y_train), TensorLoader(x_val, y_val)
history = fit(cnn, *loaders, torch.nn.CrossEntropyLoss(), optimizer, epochs=2)
""",
    "09_convolutions": "cnn, mnist = cnn, mnist  # of the notebook before",
}
# Where each panel is: its notebook, and which one of the panels there.
PLACES = {
    "tangent": ("02_autograd", 0),
    "logits": ("03_losses", 0),
    "noise": ("04_optimizers", 0),
    "race": ("04_optimizers", 1),
    "regions": ("07_iris", 0),
    "training": ("08_mnist", 0),
    "drawing": ("09_convolutions", 0),
}
BESIDE = "print(6 * 7)"

# Whatever can have the focus, with the name that a screen reader says.
NAMES = """
panel => [...panel.querySelectorAll(
    "button, select, input, progress, canvas, [tabindex='0'], [contenteditable]")]
    .filter(e => e.checkVisibility() && e.getAttribute("aria-hidden") != "true")
    .map(e => e.getAttribute("aria-label") || e.innerText
        || e.closest("label")?.innerText || e.outerHTML)
"""


@pytest.fixture(scope="module")
def notebook(chromium, lab, lab_home):
    """Return an open notebook with the panels of all notebooks, on one kernel."""
    cells = [nbformat.v4.new_markdown_cell("# Panels")]
    for name in NOTEBOOKS:
        sources = excerpt(
            ROOT / "notebooks" / f"{name}.ipynb", PREPARATIONS.get(name, "")
        )
        cells += [nbformat.v4.new_code_cell(f"# {name}\n{s.strip()}") for s in sources]
    cells.append(nbformat.v4.new_code_cell(f"# beside\n{BESIDE}"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    new = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(new, lab_home / "notebooks" / "panels.ipynb")
    page = browser.new_page(chromium, *lab, has_touch=True)
    page.failures = []
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    return browser.open_and_run(page, "panels")


@pytest.fixture
def panel(notebook):
    """Return a function that finds a panel, and scrolls to it."""
    notebook.page.failures.clear()

    def find(kind):
        name, place = PLACES[kind]
        found = notebook.locator(".jp-CodeCell", has_text=f"# {name}")
        found = found.locator(".live-panel").nth(place)
        found.scroll_into_view_if_needed()
        found.locator(".panel-picture > *").first.wait_for()
        return found

    yield find
    assert notebook.page.failures == []


def changes(thing, action, read=lambda thing: thing.inner_text()):
    """Do something, and wait until what is read is something else."""
    before = read(thing)
    action()
    for _ in range(200):
        if read(thing) != before:
            return
        thing.page.wait_for_timeout(20)
    pytest.fail(f"Nothing has changed: {before[:200]}")


def button(panel, name):
    return panel.get_by_role("button", name=name, exact=True)


def words(panel):
    return panel.locator(".panel-words").first


def value(handle):
    return handle.get_attribute("aria-valuetext") or handle.get_attribute(
        "aria-valuenow"
    )


def drag(page, start, *places):
    page.mouse.move(*start)
    page.mouse.down()
    for place in places:
        page.mouse.move(*place)
    page.mouse.up()


def middle(node):
    box = node.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("kind", PLACES)
def test_everything_in_a_panel_has_a_name(panel, kind):
    names = panel(kind).evaluate(NAMES)
    assert len(names) > 1
    assert [name for name in names if "<" in name] == []


@pytest.mark.parametrize("kind", PLACES)
def test_panel_is_readable_wide_and_narrow_light_and_dark(panel, screenshots, kind):
    found, page = panel(kind), panel(kind).page
    for theme in ("Dark", "Light"):
        browser.choose(page, "Settings", "Theme", f"JupyterLab {theme}")
        is_light = str(theme == "Light").lower()
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", is_light)
        expect(page.locator("#jupyterlab-splash")).to_have_count(0)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            found.scroll_into_view_if_needed()
            page.wait_for_timeout(100)
            found.screenshot(path=screenshots / f"{kind}_{width}_{theme.lower()}.png")
            too_wide = "e => e.scrollWidth > e.clientWidth + 1"
            assert not found.locator(".panel-picture").evaluate(too_wide)
        page.set_viewport_size({"width": 1280, "height": 900})


def test_static_picture_is_hidden_while_the_panel_lives(notebook, panel):
    panel("tangent")
    live = notebook.page.locator(".live-panel")
    cell = notebook.locator(".jp-CodeCell", has=live, has_text="# 02_autograd")
    expect(cell.locator(".jp-RenderedImage img")).to_have_count(1)
    expect(cell.locator(".jp-RenderedImage img")).to_be_hidden()
    expect(cell.get_by_text(SENTENCE)).to_be_hidden()


def test_no_key_reaches_jupyterlab(notebook, panel):
    cells = notebook.locator(".jp-Cell")
    count = cells.count()
    for kind, selector in {
        "regions": "select",
        "tangent": ".noUi-handle",
        "drawing": ".panel-ink",
    }.items():
        focused = panel(kind).locator(selector).first
        focused.focus()
        for key in "abcxydd":
            notebook.page.keyboard.press(key)
        notebook.page.keyboard.press("Escape")
        expect(focused).to_be_focused()
    notebook.page.wait_for_timeout(200)
    assert cells.count() == count
    expect(notebook.locator(".jp-RawCell")).to_have_count(0)


def test_ball_is_dragged_along_the_curve_and_moved_by_keys(panel):
    tangent = panel("tangent")
    page, ball = tangent.page, tangent.get_by_role("slider", name="weight")
    x, y = middle(ball)
    drag(page, (x, y), (x + 40, y + 5), (x + 90, y - 30))
    expect(ball).to_be_focused()
    moved = middle(ball)
    assert moved[0] == pytest.approx(x + 90, abs=2)
    changes(words(tangent), lambda: page.keyboard.press("ArrowLeft"))
    assert middle(ball)[0] < moved[0]


def test_ball_rolls_and_its_trail_can_be_cleared(panel):
    tangent = panel("tangent")
    trail = tangent.locator(".panel-trail")
    changes(words(tangent), button(tangent, "One step").click)
    changes(trail, button(tangent, "Roll").click, lambda t: t.get_attribute("d"))
    expect(words(tangent)).to_contain_text(re.compile(r"× \(?−?0?\.?0"), timeout=9000)
    button(tangent, "Clear the trail").click()
    expect(trail).to_have_attribute("d", "")


def test_slider_of_an_explorer_changes_its_picture(panel):
    for kind in ("tangent", "noise"):
        found = panel(kind)
        handle = found.locator(".noUi-handle").first
        handle.focus()
        changes(words(found), lambda h=handle: h.press("ArrowRight"))
        assert value(handle) == found.locator(".widget-readout").first.inner_text()


def test_logits_are_dragged_and_moved_by_keys(panel):
    logits = panel("logits")
    page, bar = logits.page, logits.get_by_role("slider", name="logit of A")
    x, y = middle(bar)
    gauge = logits.locator(".panel-gauge strong")
    changes(gauge, lambda: drag(page, (x, y), (x, y - 30), (x + 3, y - 60)))
    assert float(value(bar)) > 4
    expect(bar).to_be_focused()
    changes(gauge, lambda: page.keyboard.press("ArrowDown"))
    changes(gauge, button(logits, "C").click)
    expect(button(logits, "C")).to_have_attribute("aria-pressed", "true")


def test_race_starts_where_one_clicks_and_can_be_paused_and_scrubbed(panel):
    race = panel("race")
    page, start = race.page, race.get_by_role("slider", name="start")
    scrubber = race.get_by_role("slider", name="step")
    expect(race.get_by_text("step 40 of 40")).to_have_count(1)
    x, y = middle(start)
    changes(start, lambda: page.mouse.click(x + 60, y + 20), value)
    changes(start, lambda: page.keyboard.press("ArrowUp"), value)
    scrubber.focus()
    page.keyboard.press("Home")
    expect(race.get_by_text("step 0 of 40")).to_have_count(1)
    button(race, "Play").click()
    expect(button(race, "Pause")).to_have_count(1)
    button(race, "Pause").click()
    expect(race.get_by_text(re.compile(r"step [1-9]\d? of 40"))).to_have_count(1)


def test_diverged_racer_says_so_and_the_view_stays(panel):
    race = panel("race")
    axis = race.locator("text.panel-text").all_inner_texts
    before = [text for text in axis() if text]
    rate = race.locator(".noUi-handle").first
    rate.focus()
    rate.press("End")
    race.get_by_role("slider", name="step").press("End")
    expect(race.get_by_text(re.compile("out of sight at step"))).not_to_have_count(0)
    assert [text for text in axis() if text] == before


def set_epochs(panel, key):
    handle = panel.locator(".noUi-handle").nth(1)
    handle.focus()
    handle.press(key)


def test_regions_move_and_curves_grow_while_it_trains(panel, screenshots):
    regions = panel("regions")
    canvas = regions.locator(".panel-square canvas")
    read = "e => e.toDataURL()"
    button(regions, "Train").click()
    for _ in range(3):
        changes(canvas, lambda: None, lambda c: c.evaluate(read))
    expect(
        regions.get_by_text(re.compile(r"epoch \d+ of 100, \d+ s left"))
    ).to_have_count(1)
    button(regions, "Pause").click()
    expect(regions.get_by_text(re.compile("waiting"))).to_have_count(1)
    regions.screenshot(path=screenshots / "regions_paused.png")
    progress = regions.locator("progress")
    before = progress.evaluate("e => e.value")
    button(regions, "Step").click()
    expect(progress).not_to_have_js_property("value", before)
    button(regions, "Stop").click()
    expect(regions.get_by_text(re.compile("stopped after"))).to_have_count(1)
    expect(button(regions, "Stop")).to_be_focused()


def test_runs_are_read_hidden_and_removed(panel):
    training = panel("training")
    set_epochs(training, "Home")
    button(training, "Train").click()
    expect(training.get_by_text(re.compile(r"finished in"))).to_have_count(1)
    names = training.locator(".panel-list li")
    expect(names).to_have_count(2)

    loss = training.get_by_role("group", name=re.compile("^loss"))
    loss.hover()
    expect(words(training)).to_contain_text(re.compile(r"Epoch [\d.]+ · .*validation"))
    loss.focus()
    changes(words(training), lambda: loss.press("ArrowLeft"))

    lines = training.locator("path.panel-line[d]:not(.panel-list path)")
    before = lines.count()
    names.last.get_by_role("checkbox").uncheck()
    expect(lines).not_to_have_count(before)
    names.last.get_by_role("checkbox").check()
    names.last.get_by_role("button").click()
    expect(names).to_have_count(1)
    expect(names.get_by_role("checkbox")).to_be_focused()
    expect(names.get_by_role("button")).to_have_count(0)  # the given run stays


def test_other_cells_run_while_a_panel_trains_and_stop_is_obeyed(notebook, panel):
    training = panel("training")
    set_epochs(training, "End")
    button(training, "Train").click()
    thin = training.locator(".panel-thin").last
    changes(thin, lambda: None, lambda line: line.get_attribute("d"))
    cell = notebook.locator(".jp-CodeCell", has_text="# beside")
    prompt = cell.locator(".jp-InputPrompt")

    def run_cell():
        cell.locator(".cm-content").click()
        notebook.page.keyboard.press("Control+Enter")

    done = re.compile(r"\[\d+\]")
    changes(
        prompt, run_cell, lambda p: p.inner_text() + str(done.search(p.inner_text()))
    )
    expect(prompt).to_have_text(done)
    button(panel("training"), "Stop").click()
    expect(training.get_by_text(re.compile("stopped after"))).to_have_count(1)


# Even a single layer recognises a round 0.
TURNS = [math.tau * step / 36 for step in range(37)]
ZERO = [(140 + 70 * math.sin(turn), 140 - 90 * math.cos(turn)) for turn in TURNS]


def places_in(square):
    box = square.bounding_box()
    return [(box["x"] + x, box["y"] + y) for x, y in ZERO]


def test_digit_is_drawn_and_answered_while_it_is_drawn(panel):
    pad = panel("drawing")
    page, square, said = pad.page, pad.locator(".panel-ink"), pad.locator(".panel-said")
    first, *others = places_in(square)
    page.mouse.move(*first)
    page.mouse.down()
    for place in others[:18]:
        page.mouse.move(*place)
    expect(said).to_contain_text("%")  # the button is still down
    box = square.bounding_box()
    page.mouse.move(box["x"] - 40, box["y"] + 200)  # out of the square, and back
    for place in others[18:]:
        page.mouse.move(*place)
    page.mouse.up()
    expect(pad.locator(".panel-maps canvas")).to_have_count(4)

    button(pad, "Clear").click()
    expect(said).to_contain_text("Draw a digit")
    draw_by_finger(page, places_in(square))
    expect(said.locator("strong")).to_have_text("0")
    ink = square.evaluate(INK)
    draw_by_finger(page, places_in(square))
    assert square.evaluate(INK) == pytest.approx(ink, rel=0.02)  # it does not blur

    choice = pad.locator(".panel-example").nth(2)
    label = choice.get_attribute("aria-label")[-1]
    choice.click()
    expect(said).to_contain_text(f"Its label is {label}.")


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


def test_digit_is_drawn_by_keyboard(panel):
    pad = panel("drawing")
    button(pad, "Clear").click()
    expect(pad.locator(".panel-said")).to_contain_text("Draw a digit")
    pad.locator(".panel-ink").focus()
    for key in ("Space", *["ArrowDown"] * 4, "Space"):
        pad.page.keyboard.press(key)
    expect(pad.locator(".panel-said")).to_contain_text("%")
    pad.page.keyboard.press("Delete")
    expect(pad.locator(".panel-said")).to_contain_text("Draw a digit")


INK = "e => e.getContext('2d').getImageData(0, 0, 280, 280).data.filter(v => v).length"


def test_second_view_shows_the_same(notebook, panel):
    tangent = panel("tangent")
    weight = value(tangent.get_by_role("slider", name="weight"))
    tangent.locator(".panel-words").click(button="right")
    page = notebook.page
    page.locator(
        ".lm-Menu-itemLabel", has_text="Create New View for Cell Output"
    ).click()
    view = page.locator(".jp-LinkedOutputView .live-panel")
    expect(view.get_by_role("slider", name="weight")).to_have_attribute(
        "aria-valuetext", weight
    )
    page.get_by_role("tab", name="Output View").locator(
        ".lm-TabBar-tabCloseIcon"
    ).click()


def test_panels_survive_a_reload_and_tell_of_a_dead_kernel(notebook, panel):
    page = notebook.page
    draw_by_finger(page, places_in(panel("drawing").locator(".panel-ink")))
    expect(panel("drawing").locator(".panel-said")).to_contain_text("%")
    ink = panel("drawing").locator(".panel-ink").evaluate(INK)
    weight = value(panel("tangent").get_by_role("slider", name="weight"))
    browser.choose(page, "File", "Save Notebook")
    page.wait_for_timeout(500)
    page.reload()
    notebook.get_by_role("heading", level=1).wait_for()
    ball = panel("tangent").get_by_role("slider", name="weight")
    expect(ball).to_have_attribute("aria-valuetext", weight)
    drawn = panel("drawing").locator(".panel-ink")
    expect(panel("drawing").locator(".panel-said")).to_contain_text("%")
    assert drawn.evaluate(INK) == pytest.approx(ink, rel=0.2)

    browser.choose(page, "Kernel", "Restart Kernel…")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    told = panel("tangent").get_by_text(
        "The kernel that answered this panel has ended."
    )
    expect(told).to_be_visible()

    page.reload()  # the widgets are gone, and the static pictures stand there
    notebook.get_by_role("heading", level=1).wait_for()
    browser.wait_until_idle(notebook)
    expect(notebook.get_by_text(SENTENCE).first).to_be_visible()
    expect(notebook.locator(".jp-RenderedImage img").first).to_be_visible()
    expect(notebook.get_by_text(SENTENCE)).to_have_count(sum(PANELS.values()))
    visible = notebook.locator(".jp-OutputArea-output").filter(visible=True)
    expect(visible.filter(has_text=re.compile("Error|Loading widget"))).to_have_count(0)
