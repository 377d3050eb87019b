"""Take the pictures of the README: JupyterLab with a race, and a network that trains.

The first, docs/lab.png, is of notebook 04; the second, docs/training_panel.webp, which
moves, is of the panel of notebook 07.
"""

import io
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from PIL import Image

from tools import browser

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "docs" / "lab.png"
TARGET = ROOT / "docs" / "training_panel.webp"
PICTURES, PAUSE, LAST = 60, 100, 2000  # their number, and milliseconds
WIDTH = 820  # pixels: room for the three plots beside each other
ROW = 26  # pixels, for the run that will be listed


def main():
    """Take both, and write the files."""
    path = browser.find_chromium()
    if path is None:
        sys.exit("No Chromium was found.")
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.running_chromium(path) as chromium,
        browser.running_lab(Path(folder), write_notebook(Path(folder))) as lab,
    ):
        save(take_pictures(open_panel(browser.new_page(chromium, *lab))))
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.running_chromium(path) as chromium,
        browser.running_lab(Path(folder), ROOT / "notebooks") as lab,
    ):
        take_lab(browser.new_page(chromium, *lab))
    for target in (LAB, TARGET):
        print(f"{target.name}: {target.stat().st_size >> 10} KiB")


def take_lab(page):
    """Run notebook 04, and let its optimizers race."""
    page.set_viewport_size({"width": 1280, "height": 1000})
    notebook = browser.open_and_run(page, "04_optimizers", "lab")
    race = notebook.locator(".live-panel").last
    race.get_by_role("button", name="Play").click()
    race.get_by_text("step 40 of 40").wait_for()
    race.evaluate("race => race.scrollIntoView({block: 'center'})")
    time.sleep(1)  # the scroll bar disappears
    shot = Image.open(io.BytesIO(page.screenshot()))
    shot.convert("RGB").quantize().save(LAB, optimize=True)


def write_notebook(folder):
    """Copy notebook 07 up to its first panel; return the copy's folder."""
    notebook = nbformat.read(ROOT / "notebooks" / "07_iris.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells]
    last = next(i for i, source in enumerate(sources) if "TrainingPanel(" in source)
    notebook.cells = notebook.cells[: last + 1]
    (folder / "source").mkdir()
    nbformat.write(notebook, folder / "source" / "record.ipynb")
    return folder / "source"


def open_panel(page):
    """Run that notebook, and return its panel."""
    panel = browser.open_and_run(page, "record").locator(".live-panel")
    panel.evaluate(f"panel => panel.style.width = '{WIDTH}px'")
    panel.evaluate("panel => panel.scrollIntoView({block: 'center'})")
    return panel


def take_pictures(panel):
    """Press Train, and return pictures of the panel; they can't come much faster."""
    clip = panel.bounding_box()
    clip["height"] += ROW
    panel.get_by_role("button", name="Train").click()
    shots = []
    for _ in range(PICTURES):
        due = time.perf_counter() + PAUSE / 1000
        shots.append(panel.page.screenshot(clip=clip))
        time.sleep(max(0, due - time.perf_counter()))
    return shots


def save(shots):
    """Write the moving picture."""
    first, *others = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
    durations = [PAUSE] * len(others) + [LAST]
    options = {"duration": durations, "loop": 0, "quality": 80, "method": 4}
    first.save(TARGET, save_all=True, append_images=others, **options)


if __name__ == "__main__":
    main()
