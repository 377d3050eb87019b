"""How soon the live panels answer, in JupyterLab in Chromium, and what they cost.

Times are taken between what a user does and what the browser has put on the screen.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat

from benchmarks import common
from tools import browser

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
EXPLORERS = ("01_autograd", "02_losses", "03_optimizers")
LIMITS = dict.fromkeys(EXPLORERS, 100) | {
    "first point": 500,
    "stop": 300,
    "cell, idle": 1000,
    "cell, training": 1000,
}  # milliseconds that we want to stay below

IMPORTS = """
import json
import statistics
import time
import torch
from torch import nn
from helpers import plotting, widgets
from helpers.data import Split, load_iris, load_mnist
from helpers.training import fit

plotting.set_style()
iris, mnist = load_iris(), load_mnist()
(x, y), part = mnist.train, 5 * len(mnist.train.x) // 6
sets = {
    "iris": (iris.train, iris.val, 4, 400),
    "mnist": (Split(x[:part], y[:part]), Split(x[part:], y[part:]), 784, 5),
}
log = {}

def make_model(inputs):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 10)
    )

def make_panel(name):
    train, val, inputs, epochs = sets[name]
    return widgets.TrainingPanel(
        lambda: make_model(inputs), train, val, epochs=epochs,
        learning_rate=0.001, batch_size=32,
    )

train_epochs = widgets.train_epochs

def noting_train_epochs(*arguments, **options):
    for record in train_epochs(*arguments, **options):
        if record["epoch"] == 1:
            log["first_epoch"] = 1000 * time.time()
        yield record

widgets.train_epochs = noting_train_epochs
"""
# The same training as in the panel, on one thread and with nothing to look at.
COSTS = """
threads = torch.get_num_threads()
for name in sets:
    pairs, shares = [], []
    for _ in range(REPEATS):
        panel = make_panel(name)
        drawings, ends = [], []
        draw, end = panel._draw_growth, panel._end
        def timed_draw(now):
            draw(now)
            drawings.append(time.perf_counter() - now)
        def timed_end(message):
            ends.append(time.perf_counter())
            end(message)
        panel._draw_growth, panel._end = timed_draw, timed_end
        with torch.random.fork_rng():
            model, train_loader, val_loader, *others = panel._make_arguments()
        torch.set_num_threads(1)
        began = time.perf_counter()
        fit(model, train_loader, val_loader.loader, *others, epochs=panel.epochs.value)
        alone = time.perf_counter() - began
        torch.set_num_threads(threads)
        panel.start()
        panel.thread.join()
        seconds = ends[0] - panel._began
        pairs.append(seconds / alone)
        shares.append(sum(drawings) / seconds)
    log[name] = {"beside": pairs, "drawing": shares}
"""
CELLS = {
    "imports": IMPORTS,
    "iris": 'make_panel("iris")',
    "mnist": 'make_panel("mnist")',
    "short": '"done"',
    "costs": COSTS,
    "log": "print(json.dumps(log))",
}

# In the page: note when a picture is on the screen, and when a key was pressed.
WATCH = """
panel => {
    window.shown = [];
    const note = () => window.shown.push(Date.now());
    panel.querySelector("img").addEventListener(
        "load", () => requestAnimationFrame(() => setTimeout(note)));
    document.addEventListener("keydown", () => window.pressed = Date.now(), true);
}
"""
STOP = """
async panel => {
    const stop = [...panel.querySelectorAll("button")].find(
        button => button.innerText.trim() == "Stop");
    const began = performance.now();
    stop.click();
    while (!stop.disabled) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}
"""


def measure(quick):
    """Return all measurements, in milliseconds and as ratios."""
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = browser.find_chromium()
        if path is None:
            print("No Chromium was found, so the panels are not measured.")
            sys.exit()
        with (
            browser.running_chromium(path) as chromium,
            browser.running_lab(home, NOTEBOOKS) as lab,
        ):
            write_notebook(home / "notebooks" / "measure.ipynb", repeats)
            results = {}
            for name in EXPLORERS:
                page = browser.new_page(chromium, *lab)
                panel = browser.open_and_run(page, name).locator(".live-panel")
                results[name] = explore(page, panel, repeats)
                page.context.close()
            page = browser.new_page(chromium, *lab)
            notebook = browser.open_and_run(page, "measure")
            return results | train(page, notebook, repeats)


def write_notebook(path, repeats):
    """Write the notebook that trains."""
    cells = [nbformat.v4.new_markdown_cell("# Measure")]
    for source in CELLS.values():
        source = source.replace("REPEATS", str(repeats)).strip()
        cells.append(nbformat.v4.new_code_cell(source))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


def wait_for(page, condition):
    """Wait for something to be true in the page."""
    page.wait_for_function(condition, polling=5)


def explore(page, panel, repeats):
    """Move a slider by keyboard; return how long each new picture took."""
    handle = panel.get_by_role("slider").first
    panel.evaluate(WATCH)
    handle.focus()
    times = []
    for turn in range(10 * repeats):
        page.evaluate("window.shown = []")
        handle.press("ArrowRight" if turn % 20 < 10 else "ArrowLeft")
        wait_for(page, "window.shown.length > 0")
        times.append(page.evaluate("window.shown[0] - window.pressed"))
    return times


def train(page, notebook, repeats):
    """Train in both panels; return what was measured."""
    panels = notebook.locator(".live-panel")
    results = {"first point": [], "stop": [], "cell, idle": [], "cell, training": []}
    for panel in panels.all():
        panel.evaluate(WATCH)
    for _ in range(repeats):
        results["cell, idle"].append(run_cell(notebook, "short"))
        results["first point"].append(first_point(page, notebook, panels.nth(0)))
        panel = panels.nth(1)
        panel.get_by_role("button", name="Train").click()
        panel.get_by_text("s left").wait_for()
        results["cell, training"].append(run_cell(notebook, "short"))
        results["stop"].append(panel.evaluate(STOP))
        assert panel.get_by_text("Stopped after 0 of").count(), "an epoch was over"
    run_cell(notebook, "log")
    text = cell_at(notebook, "log").locator(".jp-OutputArea-output").inner_text()
    return results | json.loads(text)


def first_point(page, notebook, panel):
    """Return how long after the first epoch's end its point was on the screen.

    The first picture after Train shows an empty frame, the second the first point.
    """
    page.evaluate("window.shown = []")
    panel.get_by_role("button", name="Train").click()
    wait_for(page, "window.shown.length > 1")
    shown = page.evaluate("window.shown[1]")
    panel.evaluate(STOP)
    run_cell(notebook, "log")
    text = cell_at(notebook, "log").locator(".jp-OutputArea-output").inner_text()
    return shown - json.loads(text)["first_epoch"]


def cell_at(notebook, name):
    """Return a code cell."""
    return notebook.locator(".jp-CodeCell").nth(list(CELLS).index(name))


def run_cell(notebook, name):
    """Run a cell; return how long that took, until its number was on the screen."""
    cell = cell_at(notebook, name)
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    cell.locator(".cm-content").click()
    began = notebook.page.evaluate("Date.now()")
    notebook.page.keyboard.press("Control+Enter")
    ended = prompt.evaluate(
        """async (prompt, before) => {
            const done = () => /\\[\\d+\\]/.test(prompt.innerText)
                && prompt.innerText != before;
            while (!done()) await new Promise(requestAnimationFrame);
            return Date.now();
        }""",
        before,
    )
    return ended - began


def report(found):
    """Return the table, and a sentence on each panel that trains; no target is set."""
    rows = []
    for name, limit in LIMITS.items():
        times = found[name]
        late = sum(time > limit for time in times)
        middle, most = statistics.median(times), max(times)
        cells = f"{middle:.0f} ms", f"{most:.0f} ms", f"{late} of {len(times)}"
        rows.append([name, *cells, f"{limit} ms"])
    parts = [common.table(["", "median", "most", "too late", "wished for"], rows)]
    for name, title in (("iris", "Iris"), ("mnist", "MNIST")):
        drawing, beside = found[name]["drawing"], found[name]["beside"]
        parts.append(
            f"{title}: drawing takes {statistics.median(drawing):.1%} of the training "
            f"time, at most {max(drawing):.1%}; the panel takes "
            f"{common.shown(beside, 2)} times as long as `fit`."
        )
    return "\n\n".join(parts), []
