"""The course as a site, in Chromium: opened from a folder, and from a server."""

import functools
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from conftest import ROOT
from tools import pages as tool

Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
expect = pytest.importorskip("playwright.sync_api").expect

BUILDER = ("sphinx", "myst_nb", "furo", "sphinx_copybutton", "latex2mathml")
NOTEBOOKS = [path.stem for path in sorted(ROOT.glob("notebooks/*.ipynb"))]
OTHERS = ["index", "contents", "reference", "benchmarks", "search"]
PAGES = [*OTHERS, *(f"notebooks/{name}" for name in NOTEBOOKS)]
# Rules of WCAG 2, level A and AA, and the order of headings. The contrast of text takes
# axe most of the time, so it is measured once for each look that text has on a page.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "rules": {"heading-order": {"enabled": True}, "color-contrast": {"enabled": False}},
}
ON_A_PHONE = {"runOnly": ["scrollable-region-focusable"]}
CONTRAST = {"runOnly": ["color-contrast"]}
MARK_LOOKS = """() => {
    const seen = new Set()
    const has_text = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    const is_clear = e => getComputedStyle(e).backgroundColor === "rgba(0, 0, 0, 0)"
    for (const e of document.querySelectorAll("body *")) {
        if (!has_text(e) || !e.checkVisibility()) continue
        let ground = e
        while (ground.parentElement && is_clear(ground)) ground = ground.parentElement
        const style = getComputedStyle(e)
        const look = [style.color, getComputedStyle(ground).backgroundColor,
            style.fontSize, style.fontWeight, style.opacity].join()
        if (!seen.has(look)) e.dataset.look = ""
        seen.add(look)
    }
}"""
# What is wider than its frame, so that one would have to scroll or it is cut off.
TOO_WIDE = """() => {
    const wide = e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
        && getComputedStyle(e).overflowX !== "visible" && !e.closest("pre, .highlight")
        && !e.closest(".sidebar-drawer, .toc-drawer, .visually-hidden, math, label")
    const out = e => e.getBoundingClientRect().right > innerWidth + 1
        && !e.closest("pre, .highlight, .sidebar-drawer, .toc-drawer")
    const name = e => `${e.localName}.${e.className}: ${e.textContent.slice(0, 40)}`
    const all = [...document.querySelectorAll("body, body *")]
    return all.filter(e => wide(e) || out(e)).map(name)
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site; return its folder."""
    if missing := [m for m in BUILDER if importlib.util.find_spec(m) is None]:
        reason = f"the site's builder is not installed: {', '.join(missing)}"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("site") / "some" / "course"
    command = [sys.executable, "-m", "tools.pages", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wide(chromium):
    """Return an empty tab of a laptop, light."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def watched(wide):
    """Return that tab, and a list that collects what goes wrong in it."""
    problems = []
    listeners = {
        "console": lambda m: m.type in ("error", "warning") and problems.append(m.text),
        "pageerror": lambda error: problems.append(str(error)),
        "requestfailed": lambda r: (
            r.failure != "net::ERR_ABORTED" and problems.append(f"failed: {r.url}")
        ),
        "response": lambda r: r.status >= 400 and problems.append(f"missing: {r.url}"),
        "request": lambda r: is_foreign(r.url) and problems.append(f"asked: {r.url}"),
    }
    for event, listener in listeners.items():
        wide.on(event, listener)
    yield wide, problems
    for event, listener in listeners.items():
        wide.remove_listener(event, listener)


def is_foreign(url):
    return urlsplit(url).scheme not in ("file", "data", "blob") and not url.startswith(
        "http://127.0.0.1:"
    )


@pytest.fixture(scope="module")
def server(site):
    """Serve the site in a sub-folder of a host; return its address."""
    home = site.parent.parent

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=home)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/{site.relative_to(home)}"
        running.shutdown()


class Links(HTMLParser):
    """The places that a page names, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors, self.loaded = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        places = [values[key] for key in ("href", "src", "srcset") if values.get(key)]
        self.targets += places
        if tag != "a":
            self.loaded += places


@pytest.fixture(scope="module")
def links(site):
    """Return the links of every page."""
    return {path: Links(path) for path in site.rglob("*.html")}


def test_every_page_is_there(site, links):
    found = {path.relative_to(site).with_suffix("").as_posix() for path in links}
    assert found == set(PAGES)


def test_no_link_and_no_picture_is_broken(links):
    broken = []
    for page, found in links.items():
        for target in found.targets:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = unquote(parts.fragment)
            known = links[path].anchors if path in links else ()
            if not path.is_file() or (anchor and anchor not in known):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_pages_and_their_styles_load_nothing_from_another_host(site, links):
    loaded = {place for found in links.values() for place in found.loaded}
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        loaded |= set(re.findall(r"(?:url\(|@import\s+[\"'])[\"']?([^\"')]+)", text))
    assert [place for place in loaded if re.match(r"(?:https?:)?//", place)] == []


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_without_a_complaint_and_can_be_read(site, watched, name):
    page, problems = watched
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.goto((site / f"{name}.html").as_uri())
    assert page.locator("h1").count() == 1
    missing = "all => all.filter(e => !e.naturalWidth).map(e => e.src)"
    assert page.locator("img").evaluate_all(missing) == []
    assert violations(page, RULES) == []
    assert problems == []


@pytest.mark.parametrize("name", PAGES)
def test_page_is_readable_on_a_phone_in_the_dark(site, watched, name):
    page, problems = watched
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.goto((site / f"{name}.html").as_uri())
    assert page.evaluate(TOO_WIDE) == []
    assert violations(page, ON_A_PHONE) == []
    assert problems == []


def violations(page, rules):
    """Return what axe-core finds wrong, in words."""
    page.evaluate(MARK_LOOKS)
    options = {"resultTypes": ["violations"], "preload": False}
    runs = (None, rules), ({"include": [["[data-look]"]]}, CONTRAST)
    return [
        f"{rule['id']}: {node['html'][:120]} {node['failureSummary']}"
        for place, wanted in runs
        for rule in Axe().run(page, place, options | wanted).response["violations"]
        for node in rule["nodes"]
    ]


def test_search_finds_momentum_without_a_server(site, watched):
    page, problems = watched
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").fill("momentum")
    page.keyboard.press("Enter")
    found = page.locator("#search-results a", has_text="Optimizers").first
    found.click()
    expect(page).to_have_url(re.compile(r"notebooks/04_optimizers\.html"))
    assert problems == []


def test_site_works_in_a_folder_of_a_host_and_its_search_shows_excerpts(
    server, watched
):
    page, problems = watched
    page.goto(f"{server}/search.html?q=momentum")
    expect(page.locator("#search-results .context").first).to_contain_text("momentum")
    page.goto(f"{server}/notebooks/02_autograd.html")
    page.get_by_role("link", name=re.compile(r"Next\s+Losses")).click()
    expect(page.locator("h1")).to_contain_text("Losses")
    page.get_by_role("link", name=re.compile(r"Previous\s+Autograd")).click()
    expect(page.locator("h1")).to_contain_text("Autograd")
    assert problems == []


def test_code_is_copied_as_it_stands(server, wide):
    wide.context.grant_permissions(["clipboard-read", "clipboard-write"])
    wide.goto(f"{server}/notebooks/00_start_here.html")
    cell = wide.locator(".cell_input").first
    cell.hover()
    cell.get_by_role("button", name="Copy").click()
    copied = wide.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == first_code(ROOT / "notebooks" / "00_start_here.ipynb")
    assert wide.locator(".cell_output button").count() == 0


def first_code(path):
    cells = nbformat.read(path, as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


def test_theme_follows_the_choice_and_figures_stay_on_white(server, wide):
    wide.set_viewport_size({"width": 1280, "height": 900})
    wide.emulate_media(color_scheme="light")
    wide.goto(f"{server}/notebooks/09_convolutions.html")
    style = "(e, name) => getComputedStyle(e)[name]"
    body, figure = wide.locator("body"), wide.locator(".cell_output img").first
    light = body.evaluate(style, "backgroundColor")
    switch = wide.get_by_role("button", name="Toggle Light / Dark").first
    for _ in range(3):  # dark, light, the system's
        if body.get_attribute("data-theme") != "dark":
            switch.click()
    assert body.evaluate(style, "backgroundColor") != light
    assert figure.evaluate(style, "backgroundColor") == "rgb(255, 255, 255)"
    wide.evaluate("localStorage.clear()")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_page_shows_what_the_notebook_holds(site, name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    html = (site / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    figures = re.findall(r"<img [^>]*_images/\w{64}\.[^>]+>", html)
    assert len(figures) == sum(map(tool.shows_figure, outputs))
    assert all("width" in tag and ' alt="Figure ' in tag for tag in figures)
    assert html.count('<div class="cell_input') == len(code)
    live = [cell for cell in code if any(map(tool.is_widget, cell.outputs))]
    assert html.count('<p class="live-panel">In JupyterLab, ') == len(live)
    assert html.count('class="run-it"') == 1
    article = html[html.index("<article") : html.index("</article>")]
    for rubbish in ("panel-stand-in", "VBox(", "it/s]", "%|", "<script"):
        assert rubbish not in article


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_formulas_are_written_out(site, name):
    html = (site / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
    formulas = re.findall(r"<math .*?</math>", html, flags=re.DOTALL)
    assert [formula for formula in formulas if "\\" in formula] == []
    prose = re.sub(r"<(pre|code|math)\b.*?</\1>", "", html, flags=re.DOTALL)
    assert not re.search(r"\$[^$<]+\$", prose[prose.index("<article") :])


def test_reference_describes_the_functions_that_learners_import(site):
    html = (site / "reference.html").read_text(encoding="utf-8")
    entry = r'<dt class="[^"]*" id="(helpers[^"]+)">.*?<dd><p>(.*?)</p>'
    described = dict(re.findall(entry, html, re.DOTALL))
    for name in ("training.fit", "plotting.plot_history", "diagnosis.diagnose"):
        assert described[f"helpers.{name}"]
    for name in ("check", "hint", "solution", "progress"):
        assert f'id="helpers.exercises.{name}"' in html


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(SystemExit, match="Move it away"):
        tool.main([str(tmp_path)])
    assert [path.name for path in Path(tmp_path).iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("source", "without", "with_repository"),
    [
        ("[a](02_autograd.ipynb#B-c)", None, None),
        ("[a](#B-c)", None, None),
        ("![a](training_loop.svg)", None, None),
        ("[a](https://b.org)", None, None),
        ("[a](missing.md)", None, None),
        ("`f[0](x)`", None, None),
        ("[a](../docs/benchmarks.md#b)", "[a](../benchmarks.md#b)", None),
        ("[a](../helpers/training.py)", "[a](../reference.md)", None),
        ("[a](../README.md)", "[a](../index.md)", None),
        ("[a](../Makefile)", "a", "[a](https://b.org/c/blob/HEAD/Makefile)"),
    ],
)
def test_links_lead_to_pages_or_to_the_repository(
    monkeypatch, source, without, with_repository
):
    monkeypatch.setattr(tool, "REPOSITORY", "")
    assert tool.resolve_links(source, "notebooks") == (without or source)
    monkeypatch.setattr(tool, "REPOSITORY", "https://b.org/c")
    wanted = with_repository or without or source
    assert tool.resolve_links(source, "notebooks") == wanted


def test_long_output_is_folded_and_short_output_is_not():
    for lines, folded in ((tool.LONG, False), (tool.LONG + 1, True)):
        cell = nbformat.v4.new_code_cell("print()")
        cell.outputs = [nbformat.v4.new_output("stream", text="line\n" * lines)]
        tool.prepare_outputs(cell, "")
        assert ("hide-output" in cell.metadata.tags) == folded
