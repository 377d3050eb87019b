"""Build the course as a site: static pages, made from the notebooks as they are.

`python -m tools.pages [FOLDER]` writes to `site/`, or to another folder. Nothing is
executed. REPOSITORY_URL is where the project's files can be read on the web. Without
it, links to them become plain text.
"""

import os
import posixpath
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "docs" / "site"
REPOSITORY = os.environ.get("REPOSITORY_URL", "").rstrip("/")
PICTURES = {".jpg", ".png", ".svg", ".webp"}
PAGES = {  # files of the project that have a page under another name
    "README.md": "index.md",
    "docs/benchmarks.md": "benchmarks.md",
    "helpers": "reference.md",
    **{f"helpers/{p.name}": "reference.md" for p in (ROOT / "helpers").glob("*.py")},
}
LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(([^()\s#:]+)(#[^()\s]*)?\)")
TABLE_ROW = re.compile(r"^\| \[(.+?)\]\((notebooks/.+?)\.ipynb\) \| (.+) \|$", re.M)
LONG = 12  # lines of output that are shown without being asked for
WIDGET = re.compile(r"\w*\(.*|")  # what is left of a widget without its kernel
LIVE = {
    "DrawingPad": "you draw a digit here, and the network answers while you draw.",
    "LogitsPanel": "this picture is live: you drag the logits and watch the softmax.",
    "NoisePanel": "this picture is live: you choose the batch size and draw batches.",
    "RacePanel": "this picture is live: you choose the settings and start the race.",
    "TangentPanel": "this picture is live: you drag the ball, or let it roll.",
    "TrainingPanel": "this picture is live: sliders, Train and Stop.",
    "": "a live control stands here.",
}
# Of these, some pages have no picture made by matplotlib. The first was taken in
# JupyterLab, and the second is a frame of the README's moving picture.
STILLS = {"DrawingPad": "DrawingPad.png", "TrainingPanel": "TrainingPanel.webp"}
ALT = "Figure in the section “{}”. The text around it says what it shows."
HERE = "# in the folder of the course:"
RUN = """\
{.run-it}
To run this page, [get the course](../index.md#start) and open
`notebooks/%s` in JupyterLab.
"""


def main(arguments):
    """Build the site where it is wanted."""
    target = Path(arguments[0] if arguments else ROOT / "site").resolve()
    if target.exists() and any(target.iterdir()) and not is_site(target):
        sys.exit(f"{target} holds something else than a site. Move it away first.")
    with tempfile.TemporaryDirectory() as folder:
        sources, made = Path(folder, "sources"), Path(folder, "site")
        gather(sources)
        if status := run_sphinx(sources, made):
            sys.exit(status)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
    print(f"The site is in {target}: open index.html there.")


def is_site(folder):
    """Tell whether a folder was built by this tool, and may be replaced."""
    return (folder / "searchindex.js").is_file()


def run_sphinx(sources, target):
    """Turn the sources into pages; return the exit status. A warning is an error."""
    from sphinx.cmd.build import main as sphinx

    options = ["-q", "-W", "--keep-going", "-d", str(sources.parent / "doctrees")]
    return sphinx([*options, str(sources), str(target)])


def gather(target):
    """Write everything that Sphinx reads into a folder."""
    shutil.copytree(SOURCES, target)
    (target / "notebooks").mkdir()
    for path in sorted((ROOT / "notebooks").iterdir()):
        if path.suffix == ".ipynb":
            notebook = prepare(nbformat.read(path, as_version=4), path.name)
            nbformat.write(notebook, target / "notebooks" / path.name)
        elif path.suffix in PICTURES:
            shutil.copy(path, target / "notebooks")
    for path in (ROOT / "docs").iterdir():
        if path.suffix in PICTURES:
            shutil.copy(path, target)
    take_stills(target / "extra" / "panels")
    story = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    (target / "benchmarks.md").write_text(resolve_links(story, "docs"), "utf-8")
    rows = notebook_rows()
    sections = [f"## [{t}]({p}.ipynb)\n\n{list_sections(p)}" for p, t, _ in rows]
    parts = {
        "CLONE": f"git clone {REPOSITORY} course\ncd course" if REPOSITORY else HERE,
        "NOTEBOOKS": "\n".join(f"{title} <{page}>" for page, title, _ in rows),
        "TABLE": "\n".join(f"| [{t}]({page}.ipynb) | {w} |" for page, t, w in rows),
        "SECTIONS": "\n\n".join(sections),
        "MODULES": "\n\n".join(map(describe_module, helper_modules())),
    }
    for path in target.glob("*.md"):
        text = path.read_text("utf-8")
        for name, part in parts.items():
            text = text.replace(f"%{name}%\n", part + "\n" if part else "")
        path.write_text(text, "utf-8")


def take_stills(folder):
    """Add the README's moving picture, and its last frame, which stands still."""
    moving = ROOT / "docs" / "training_panel.webp"
    shutil.copy(moving, folder)
    with Image.open(moving) as picture:
        picture.seek(picture.n_frames - 1)
        picture.convert("RGB").save(folder / "TrainingPanel.webp", quality=85)


def notebook_rows():
    """Return of each notebook its page, its short title, and what one will do there.

    The README's table says it; a notebook that isn't there yet is named by its file.
    """
    readme = (ROOT / "README.md").read_text("utf-8")
    told = {page: (title, will) for title, page, will in TABLE_ROW.findall(readme)}
    rows = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        number, name = path.stem.split("_", 1)
        page = f"notebooks/{path.stem}"
        by_name = f"{number} {name.replace('_', ' ').capitalize()}", ""
        rows.append((page, *told.get(page, by_name)))
    return rows


def list_sections(page):
    """Return the titles of a notebook's sections as a list of links."""
    notebook = nbformat.read(ROOT / f"{page}.ipynb", as_version=4)
    prose = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    titles = re.findall(r"^## (.+)", without_code("\n".join(prose)), re.M)
    return "\n".join(
        f"- [{title}]({page}.ipynb#{anchor(title)})" for title in map(str.strip, titles)
    )


def without_code(prose):
    """Return Markdown without its blocks of code."""
    return re.sub(r"^```.*?^```", "", prose, flags=re.M | re.S)


def anchor(title):
    """Return a heading's anchor, as JupyterLab makes it, but without a percent sign."""
    return re.sub(r"[`*%]", "", title).replace(" ", "-")


def helper_modules():
    """Return the names of the modules that learners import."""
    helpers = ROOT / "helpers"
    files = [path.stem for path in helpers.glob("*.py") if path.stem[0] != "_"]
    packages = [path.parent.name for path in helpers.glob("*/__init__.py")]
    first = ["training", "data", "plotting", "exercises", "panels"]
    return [*first, *sorted({*files, *packages} - {*first})]


def describe_module(name):
    """Return the part of the reference that Sphinx fills from a module's docstrings."""
    package = (ROOT / "helpers" / name).is_dir()
    options = ["members:"] + ["imported-members:"] * package
    return "\n".join(
        [
            f"## `helpers.{name}`\n\n```{{eval-rst}}",
            f".. automodule:: helpers.{name}",
            *(f"   :{option}" for option in options),
            "```",
        ]
    )


def prepare(notebook, name):
    """Return a notebook as a page shows it."""
    section = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^#+ (.+)", without_code(cell.source), re.M)
            section = [section, *titles][-1]
            cell.source = resolve_links(cell.source, "notebooks")
        else:
            prepare_outputs(cell, section)
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(RUN % name))
    return notebook


def prepare_outputs(cell, section):
    """Put a sentence in a panel's place, fold long output, and describe figures."""
    is_live = any(map(is_widget, cell.outputs))
    cell.outputs = [output for output in cell.outputs if not is_widget(output)]
    has_figure = any(shows_figure(output) for output in cell.outputs)
    text = "\n".join(map(printed, cell.outputs))
    tags = cell.metadata.pop("tags", [])
    if text.count("\n") > LONG and not has_figure:
        tags = [*tags, "hide-output"]
    image = {"alt": ALT.format(re.sub(r"[`*$]", "", section))}
    cell.metadata = {"tags": tags, "mystnb": {"image": image}}
    if is_live:
        html = live_note(cell.source, has_figure)
        cell.outputs.append(nbformat.v4.new_output("display_data", {"text/html": html}))


def is_widget(output):
    """Tell whether an output is what a widget leaves in a file, or its stand-in."""
    data = output.get("data", {})
    if "panel-stand-in" in data.get("text/html", ""):
        return True
    is_text = set(data) == {"text/plain"} and output.output_type == "display_data"
    return is_text and WIDGET.fullmatch(data["text/plain"], re.S) is not None


def shows_figure(output):
    """Tell whether an output is a picture."""
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def printed(output):
    """Return the text of an output, an error's traceback included."""
    return output.get("text", "") + "\n".join(output.get("traceback", []))


def live_note(source, has_figure):
    """Return what stands in the place of a live panel."""
    kind = next((kind for kind in LIVE if kind and f"{kind}(" in source), "")
    note = f'<p class="live-panel">In JupyterLab, {LIVE[kind]}</p>'
    if has_figure or kind not in STILLS or "runs=runs" in source:
        return note
    alt = f"The panel {kind}, as it looks in JupyterLab."
    return f'<img class="panel" src="../panels/{STILLS[kind]}" alt="{alt}">\n{note}'


def resolve_links(text, folder):
    """Point the links to files of the project to their pages, or to the repository."""
    return LINK.sub(lambda match: _resolve(match, folder), text)


def _resolve(match, folder):
    label, target, anchor = match[1], match[2], match[3] or ""
    path = Path(os.path.normpath(ROOT / folder / target))
    if not path.exists() or not path.is_relative_to(ROOT):
        return match[0]  # no link, or a broken one, which Sphinx finds
    name = path.relative_to(ROOT).as_posix()
    is_copied = path.suffix == ".ipynb" or path.suffix in PICTURES
    page = name.removeprefix("docs/") if is_copied else PAGES.get(name)
    if page is not None:
        home = "notebooks" if folder == "notebooks" else "."
        return f"[{label}]({posixpath.relpath(page, home)}{anchor})"
    if REPOSITORY:
        return f"[{label}]({REPOSITORY}/blob/HEAD/{name}{anchor})"
    return label


if __name__ == "__main__":
    main(sys.argv[1:])
