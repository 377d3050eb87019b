"""The live panels, in every notebook that has one, as a learner uses them."""

import math
import re

import pytest

from tools import browser

expect = pytest.importorskip("playwright.sync_api").expect

NOTEBOOKS = ("01_autograd", "02_losses", "03_optimizers", "05_iris", "06_mnist")


def changes(image, action):
    """Do something, and wait until the picture is another one."""
    before = image.get_attribute("src")
    action()
    expect(image).not_to_have_attribute("src", before)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_panels_work(page, screenshots, name):
    notebook = browser.open_and_run(page, name)
    panels = notebook.locator(".live-panel")
    panels.first.wait_for()
    for number, panel in enumerate(panels.all()):
        panel.scroll_into_view_if_needed()
        image = panel.locator("img")
        # The picture that stands in elsewhere is not shown beside the panel itself.
        cell = panel.locator(
            "xpath=ancestor::div[contains(@class,'jp-OutputArea ')][1]"
        )
        expect(cell.locator(".jp-RenderedImage:visible")).to_have_count(0)
        if panel.get_by_role("button", name="Train").count():
            use_training_panel(panel, image)
        elif panel.locator("canvas").count():
            draw_a_zero(page, panel, image)
        else:
            use_explorer(panel, image)
        for theme in ("Dark", "Light"):
            browser.choose(page, "Settings", "Theme", f"JupyterLab {theme}")
            is_light = str(theme == "Light").lower()
            expect(page.locator("body")).to_have_attribute(
                "data-jp-theme-light", is_light
            )
            expect(page.locator("#jupyterlab-splash")).to_have_count(0)
            panel.screenshot(path=screenshots / f"{name}_{number}_{theme.lower()}.png")


def use_explorer(panel, image):
    handle = panel.get_by_role("slider").first
    value = panel.locator(".widget-readout").first
    before = value.inner_text()
    handle.focus()
    changes(image, lambda: handle.press("ArrowRight"))
    expect(value).not_to_have_text(before)


def use_training_panel(panel, image):
    train = panel.get_by_role("button", name="Train")
    stop = panel.get_by_role("button", name="Stop")
    rate = panel.get_by_role("slider").first
    rate.focus()
    rate.press("ArrowRight")

    epochs = panel.get_by_role("slider").nth(1)
    epochs.focus()
    epochs.press("End")  # the most epochs: long enough to be stopped
    changes(image, lambda: train.press("Enter"))  # to an empty frame
    changes(image, lambda: None)  # to curves
    expect(stop).to_be_enabled()
    expect(train).to_be_disabled()
    stop.press("Enter")
    expect(
        panel.get_by_text(re.compile(r"Stopped after \d+ of \d+ epochs"))
    ).to_have_count(1, timeout=2_000)
    expect(train).to_be_enabled()

    epochs.focus()
    epochs.press("Home")
    changes(image, lambda: train.click())
    expect(panel.get_by_text(re.compile("Finished in"))).to_have_count(1)
    expect(stop).to_be_disabled()


# Networks that have seen only the small digits recognise a round 0, too.
TURNS = [math.tau * step / 36 for step in range(37)]
ZERO = [(140 + 70 * math.sin(turn), 140 - 90 * math.cos(turn)) for turn in TURNS]


def draw_a_zero(page, panel, image):
    canvas = panel.locator("canvas").first
    box = canvas.bounding_box()
    places = [(box["x"] + x, box["y"] + y) for x, y in ZERO]
    changes(image, lambda: draw_by_finger(page, places))
    expect(panel.get_by_text("The model says 0")).to_have_count(1)
    changes(image, panel.get_by_role("button", name="Clear").click)
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
    browser = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        event = {"type": kind, "touchPoints": points}
        browser.send("Input.dispatchTouchEvent", event)

    touch("touchStart", places[0])
    for place in places[1:]:
        touch("touchMove", place)
    touch("touchEnd")
