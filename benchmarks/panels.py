"""How soon the live panels answer, in JupyterLab in Chromium, and what they cost.

Times are taken between what a user does and what the browser has put on the screen.
"""

import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import nbformat

from benchmarks import common
from tools import browser

DRAGGED = {
    "tangent, slider": ".noUi-handle",
    "tangent, ball": ".panel-ball",
    "race, slider": ".noUi-handle",
    "race, start": "svg [role=slider]",
}
KEYS = ("ArrowRight", "ArrowLeft")
EXPLORERS = ("tangent", "logits", "race", "noise")
WISHES = dict.fromkeys(EXPLORERS, 30)  # milliseconds at most, or pictures at least
WISHES |= {f"{name}, training": None for name in EXPLORERS}
WISHES |= {"first loss": 150, "stop": 300, "cell": 1000, "cell, training": 1000}
WISHES |= dict.fromkeys(DRAGGED, 40) | {"pictures, training": 10}

IMPORTS = """
import json
from time import perf_counter
import torch
from torch import nn
from helpers.data import Split, TensorLoader, load_mnist
from helpers.panels import *
from helpers.training import fit

x, y = load_mnist().train
train, val = Split(x[:50_000], y[:50_000]), Split(x[50_000:], y[50_000:])

def make_model():
    layers = nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    return nn.Sequential(nn.Flatten(), *layers)

torch.optim.Adam(make_model().parameters())  # the first of a process takes seconds
"""
RACE = """
view = {"xlim": (-10, 3), "ylim": (-2, 2), "minimum": (0, 0)}
RacePanel(lambda x, y: 0.02 * x**2 + y**2, start=(-9.0, 1.5), **view)
"""
TRAINING = """
options = {"epochs": 5, "learning_rate": 0.001, "batch_size": 32}
panel = TrainingPanel(make_model, train, val, **options)
advance = panel._advance

async def timed_advance(run):
    began = perf_counter()
    await advance(run)
    seconds["panel"].append(perf_counter() - began)

panel._advance = timed_advance
panel
"""
FIT = """
began = perf_counter()
model, loader = make_model(), TensorLoader(*train, batch_size=32, shuffle=True)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
val_loader = TensorLoader(*val, batch_size=500)
fit(model, loader, val_loader, nn.CrossEntropyLoss(), optimizer, epochs=1)
seconds["fit"].append(perf_counter() - began)
"""
PANELS = {
    "imports": IMPORTS,
    "tangent": "TangentPanel(lambda w: w**2 / 2 + torch.sin(2 * w), start=-1.5)",
    "logits": 'LogitsPanel({"A": 1, "B": 2, "C": 4}, true_class="B")',
    "race": RACE,
    "noise": "NoisePanel(torch.randn(2000, 2))",
    "training": 'seconds = {"panel": [], "fit": []}' + TRAINING,
}
CELLS = PANELS | {
    "short": '"done"',
    "one epoch": 'panel.epochs.value = 1; seconds["panel"].clear()',
    "fit": FIT,
    "seconds": "print(json.dumps(seconds))",
}

# Note when something was pressed, and when marks that show the kernel's numbers have
# been painted. Panels draw before a frame, so the next task comes after its painting.
WATCH = """
() => {
    const soon = {priority: "user-blocking"};
    const marks = ".panel-bar, .panel-cloud, .panel-line, .panel-step, .panel-thin";
    for (const type of ["keydown", "click"]) document.addEventListener(
        type, event => window.pressed = event.timeStamp, true);
    for (const panel of document.querySelectorAll(".live-panel")) {
        const observer = new MutationObserver(changes => {
            if (changes.some(change => change.target.matches(marks)))
                scheduler.postTask(() => {
                    panel.shown.push(performance.now());
                    panel.noted?.();
                }, soon);
        });
        observer.observe(panel, {subtree: true, attributeFilter: ["d", "class"]});
    }
}
"""
STOP = """
async panel => {
    const find = name => [...panel.querySelectorAll("button")].find(
        button => button.innerText.trim() == name);
    const began = performance.now();
    find("Stop").click();
    while (!find("Train")) await new Promise(requestAnimationFrame);
    await new Promise(setTimeout);
    return performance.now() - began;
}
"""
FIRST = """
async panel => {
    if (!panel.shown.length) await new Promise((noted, failed) => {
        panel.noted = noted;
        setTimeout(failed, 60_000, "no picture came");
    });
    return panel.shown[0] - window.pressed;
}
"""
# Chromium, too, passes on the moves of a mouse once for each frame.
MOVE = """
async (node, [x, clientY]) => {
    const panel = node.closest(".live-panel"), began = performance.now();
    const fixed = {clientY, pointerId: 1, buttons: 1, bubbles: true};
    panel.shown = [];
    for (let passed = 0; passed < 2000;) {
        passed = await new Promise(requestAnimationFrame) - began;
        const clientX = x + 80 * Math.sin(passed / 640) ** 2;
        for (const type of ["pointermove", "mousemove"])
            node.dispatchEvent(new PointerEvent(type, {clientX, ...fixed}));
    }
    return panel.shown.length / 2;
}
"""
RUN_TIME = """
async (prompt, [before, began]) => {
    while (!/\\[\\d+\\]/.test(prompt.innerText) || prompt.innerText == before)
        await new Promise(requestAnimationFrame);
    return performance.now() - began;
}
"""


def measure(quick):
    """Return the times in milliseconds, the pictures a second, and the cost."""
    path = browser.find_chromium()
    if path is None:
        print("No Chromium was found, so the panels are not measured.")
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_notebook(home / "source" / "measure.ipynb")
        with (
            browser.running_chromium(path) as chromium,
            browser.running_lab(home, home / "source") as lab,
        ):
            page = browser.new_page(chromium, *lab)
            session = Session(page, browser.open_notebook(page, "measure"))
            return session.measure(repeats=1 if quick else 3)


def write_notebook(path):
    """Write the notebook with all panels."""
    cells = [nbformat.v4.new_markdown_cell("# Measure")]
    cells += [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


class Session:
    """An open notebook, and what a user does in it."""

    def __init__(self, page, notebook):
        self.page, self.notebook = page, notebook
        self.found = {name: [] for name in WISHES}
        self.training = self.panel("training")

    def measure(self, repeats):
        """Return all measurements."""
        for name in PANELS:
            self.run(name)
        self.panel("race").get_by_role("button", name="Play").wait_for()  # it is over
        self.page.evaluate(WATCH)
        for _ in range(repeats):
            self.measure_quiet()
            self.measure_training()
        return self.found | {"seconds": self.compare(repeats)}

    def measure_quiet(self):
        """Press, drag, and run a cell while nothing else goes on."""
        for name in EXPLORERS:
            self.found[name] += self.explore(name)
        for name, place in DRAGGED.items():
            handle = self.panel(name.split(",")[0]).locator(place).first
            self.found[name].append(self.drag(handle))
        self.found["cell"].append(self.run("short"))

    def measure_training(self):
        """Do the same while a network trains, and stop in the middle of an epoch."""
        for name in EXPLORERS:
            self.found["first loss"].append(self.train())
            self.found[f"{name}, training"] += self.explore(name)
            self.found["stop"].append(self.stop())
        self.train()
        pictures = self.training.evaluate(MOVE, [0, 0])  # there is nothing to drag
        self.found["pictures, training"].append(pictures)
        self.found["cell, training"].append(self.run("short"))
        self.stop()

    def explore(self, name):
        """Press a button, or a key on a slider; return how long each picture took."""
        panel, taken = self.panel(name), []
        for turn in range(10):
            press = partial(self.page.keyboard.press, KEYS[turn % 2])
            if name == "logits":
                press = panel.get_by_role("button", name="AC"[turn % 2]).click
            else:
                panel.locator(".noUi-handle").first.focus()
            taken.append(self.time_to_picture(panel, press))
            self.page.wait_for_timeout(100 + 13 * turn)
        return taken

    def train(self):
        """Press Train; return the time until the first loss was on the screen."""
        press = self.training.get_by_role("button", name="Train").click
        return self.time_to_picture(self.training, press)

    def stop(self):
        """Press Stop; return the time until one could train again."""
        taken = self.training.evaluate(STOP)
        self.training.get_by_text("stopped after").wait_for(timeout=1000)
        return taken

    def time_to_picture(self, panel, press):
        """Return the milliseconds from what a user does to the changed picture."""
        panel.evaluate("panel => panel.shown = []")
        press()
        return panel.evaluate(FIRST)

    def drag(self, handle):
        """Drag to and fro; return how many changed pictures a second there were."""
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        place = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        self.page.mouse.move(*place)
        self.page.mouse.down()
        rate = handle.evaluate(MOVE, place)
        self.page.mouse.up()
        self.page.wait_for_timeout(500)
        return rate

    def compare(self, repeats):
        """Train for an epoch without the panel and in it, in turn; return seconds."""
        self.run("one epoch")
        for _ in range(repeats):
            self.run("fit")
            self.train()
            self.training.get_by_text("finished in").wait_for()
        self.run("seconds")
        output = self.cell("seconds").locator(".jp-OutputArea-output")
        return json.loads(output.inner_text())

    def panel(self, name):
        """Return a panel."""
        return self.cell(name).locator(".live-panel")

    def cell(self, name):
        """Return a code cell."""
        return self.notebook.locator(".jp-CodeCell").nth(list(CELLS).index(name))

    def run(self, name):
        """Run a cell; return the milliseconds until its number was on the screen."""
        prompt = self.cell(name).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        self.cell(name).locator(".cm-content").click()
        began = self.page.evaluate("performance.now()")
        self.page.keyboard.press("Control+Enter")
        return prompt.evaluate(RUN_TIME, [before, began])


def report(found):
    """Return the table, and a sentence on what a panel costs; no target is set."""
    rows = []
    for name, wish in WISHES.items():
        is_rate = name in DRAGGED or name.startswith("pictures")
        values, unit = sorted(found[name], reverse=is_rate), "/s" if is_rate else "ms"
        chosen = statistics.median(values), values[int(0.9 * len(values))], values[-1]
        cells = [f"{value:.0f} {unit}" for value in chosen]
        rows.append([name, *cells, f"{wish} {unit}" if wish else ""])
    head = ["time, or pictures a second", "median", "90 %", "worst", "wished for"]
    cost = common.shown(common.ratios(*found["seconds"].values()), 2)
    sentence = (
        f"In the panel, an epoch of MNIST takes {cost} times as long as with `fit`; "
        "wished for is at most 1.1."
    )
    return f"{common.table(head, rows)}\n\n{sentence}", []
