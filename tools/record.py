"""Record the moving picture of the README: regions that form while a network trains.

It is written to docs/training_panel.webp, from the panel of notebook 07.
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
TARGET = ROOT / "docs" / "training_panel.webp"
PICTURES, PAUSE, LAST = 60, 100, 2000  # their number, and milliseconds
WIDTH = 820  # pixels: room for the three plots beside each other
ROW = 26  # pixels, for the run that will be listed


def main():
    """Record, and write the file."""
    path = browser.find_chromium()
    if path is None:
        sys.exit("No Chromium was found.")
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.running_chromium(path) as chromium,
        browser.running_lab(Path(folder), write_notebook(Path(folder))) as lab,
    ):
        save(take_pictures(open_panel(browser.new_page(chromium, *lab))))
    print(f"{TARGET.name}: {TARGET.stat().st_size >> 10} KiB")


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
