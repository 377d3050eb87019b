"""Execute the notebooks and hold them to the project's rules.

`python tools/notebooks.py run [03 ...]` executes them and writes clean outputs.
`python tools/notebooks.py check [FILE ...]` reports what breaks the rules.
"""

import os
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
MAX_CELL_LINES = 20
CELL_METADATA = {"tags"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
MACHINE_PATH = re.compile(
    r"(?:/home/|/Users/|/root/|/tmp/|/var/folders/|\b[A-Z]:\\\\?Users\b)"
    + "|"
    + re.escape(str(ROOT))
)
# A decimal, a percentage, or a whole number of three digits and more.
NUMBER = r"\d+(?:[,\u202f ]\d{3})*(?:\.\d+)?(?:e-?\d+)?"
PROSE_NUMBER = re.compile(rf"(?<![\w.])[-−–]?({NUMBER})(\s?%)?(?![\w])")


def run(only):
    """Execute notebooks in fresh kernels, one after another, and write each back."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    names = {path for key in only or [""] for path in FOLDER.glob(f"{key}*.ipynb")}
    if not names:
        sys.exit(f"No notebook begins with {' or '.join(only)}.")
    from nbclient.exceptions import CellExecutionError

    for path in sorted(names):
        print(path.relative_to(ROOT), flush=True)
        try:
            write(path, execute(nbformat.read(path, as_version=4)))
        except CellExecutionError as error:
            sys.exit(f"{path.name} is left as it was. {error}")


def execute(notebook):
    """Return the notebook with the outputs of a fresh kernel and nothing else new."""
    from nbclient import NotebookClient

    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name=KERNEL["name"],
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    ).execute()
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def write(path, notebook):
    """Replace the file in one step, so that an interruption cannot leave half."""
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, path)


def check(path):
    """Return what is wrong with a notebook, one sentence each."""
    notebook = nbformat.read(path, as_version=4)
    problems = [f"{path.name}: {problem}" for problem in _check_whole(notebook)]
    cells = notebook.cells
    for i, cell in enumerate(cells):
        rules = _check_code(cell, cells[i + 1 :]) if cell.cell_type == "code" else []
        rules += _check_any(cell)
        problems += [f"{path.name}, cell {i}: {problem}" for problem in rules]
    problems += [
        f"{path.name}: the prose says {number}, and no code or output near it does"
        for number in unsupported_numbers(cells)
    ]
    return problems


def _check_whole(notebook):
    if notebook.metadata.get("kernelspec", {}).get("name") != KERNEL["name"]:
        yield f"the kernel's name is not {KERNEL['name']}"
    if "widgets" in notebook.metadata:
        yield "widget state is stored"
    titles = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("# ")
    ]
    if len(titles) != 1 or not notebook.cells[0].source.startswith("# "):
        yield "it does not begin with its one title"
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    if None not in counts and counts != list(range(1, len(counts) + 1)):
        yield "its cells were not run once each, in order, in a fresh kernel"


def _check_code(cell, later):
    problems = []
    tags = cell.metadata.get("tags", [])
    if cell.execution_count is None:
        problems.append("it was never executed")
    failed = any(output.output_type == "error" for output in cell.outputs)
    if failed and "raises-exception" not in tags:
        problems.append("it ends in an error and is not tagged raises-exception")
    if len(cell.source.splitlines()) > MAX_CELL_LINES:
        problems.append(f"it is longer than {MAX_CELL_LINES} lines")
    following = next((c.source for c in later if c.cell_type == "code"), "")
    asserts = re.search(r"^\s*assert\b", following, re.MULTILINE)
    if "nbval-ignore-output" in tags and not asserts:
        problems.append("its output is ignored and no assert follows")
    return problems


def _check_any(cell):
    problems = []
    if extra := set(cell.metadata) - CELL_METADATA:
        problems.append(f"it carries metadata: {', '.join(sorted(extra))}")
    if found := MACHINE_PATH.search(cell.source + _text_of(cell)):
        problems.append(f"it shows a machine's path: {found[0]}")
    return problems


def _text_of(cell):
    """Return the text that a code cell printed or showed."""
    parts = []
    for output in cell.get("outputs", []):
        parts += [output.get("text", ""), "\n".join(output.get("traceback", []))]
        parts += [
            data if isinstance(data, str) else ""
            for kind, data in output.get("data", {}).items()
            if kind.startswith("text/")
        ]
    return "\n".join(parts)


def unsupported_numbers(cells):
    """List the numbers in prose that no code or output of the same section has.

    A section runs from one H2 to the next; the numbers of a section without
    code (an introduction, a summary) may stand anywhere in the notebook. A
    number in prose may be a rounded form of one in the output, or its percentage.
    """
    sections = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    everywhere = _known_numbers(cells)
    missing = []
    for section in sections:
        known = _known_numbers(section) or everywhere
        for cell in section:
            if cell.cell_type == "markdown":
                missing += [
                    text
                    for text, number, digits, percent in _prose_numbers(cell.source)
                    if not any(
                        _agrees(number, digits, percent, candidate)
                        for candidate in known
                    )
                ]
    return missing


def _prose_numbers(text):
    """Yield the numbers that the rule covers: text, value, decimals, percent or not."""
    text = re.sub(r"\]\([^)]*\)|<[^>]+>|https?://\S+", " ", text)
    for match in PROSE_NUMBER.finditer(text):
        plain = re.sub(r"[,\u202f ]", "", match[1])
        percent = match[2] is not None
        if "." in plain or "e" in plain or percent or float(plain) >= 100:
            mantissa, _, exponent = plain.partition("e")
            decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
            yield match[0].strip(), float(plain), decimals, percent


def _known_numbers(cells):
    """Collect every number that the code cells contain, print or show."""
    text = "\n".join(
        cell.source + "\n" + _text_of(cell)
        for cell in cells
        if cell.cell_type == "code"
    )
    text = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text)
    return {
        float(number) for number in re.findall(r"\d*\.?\d+(?:e[-+]?\d+)?", text)
    } | {float(number) for number in re.findall(r"\d+\.?\d*(?:e[-+]?\d+)?", text)}


def _agrees(number, decimals, percent, candidate):
    scales = (1, 100) if percent else (1,)
    return any(
        abs(number - candidate * scale) <= 0.5001 * 10.0**-decimals
        if decimals > 0 or percent
        else number == candidate * scale
        for scale in scales
    )


def main(arguments):
    """Run the command named first."""
    command, *rest = arguments or [""]
    if command == "run":
        run(rest)
    elif command == "check":
        paths = [Path(name) for name in rest] or sorted(FOLDER.glob("*.ipynb"))
        problems = [problem for path in paths for problem in check(path)]
        sys.exit("\n".join(problems) or 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
