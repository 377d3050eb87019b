"""Execute the notebooks and hold them to the project's rules.

`python -m tools.notebooks run [04 ...]` executes them and writes clean outputs.
`python -m tools.notebooks check [FILE ...]` reports what breaks the rules.
"""

import json
import math
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat

from tools.outputs import TAG as APPROX
from tools.outputs import WIDGET, without_progress_bars

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
MAX_CELL_LINES = 20
CELL_METADATA = {"tags"}
METADATA = {  # as JupyterLab writes it, without the version of Python
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}
TAGS = {"nbval-ignore-output", "raises-exception"}
NBVAL_COMMENT = re.compile(r"^\s*#+\s*NBVAL_\w+", re.MULTILINE)
HOME_PATH = re.compile(r"/(?:home|Users|root|tmp)/|\b[A-Z]:\\|~/")
ABSOLUTE_PATH = re.compile(r"(?<![\w:/.<])/[\w.-]+/[\w./-]+|site-packages")
WHOLE = r"(?:\d{1,3}(?:[,\u202f]\d{3})+(?!\d)|\d+)"
NUMBER = rf"(?:{WHOLE}(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?"
PROSE_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>[-−])?(?P<number>{NUMBER})"
    r"(?P<percent>\s?(?:\\?%|percent\b))?"
)
KNOWN_NUMBER = re.compile(rf"(?<![\w.])(-?)({NUMBER})(\s?%)?")


def run(only):
    """Execute notebooks in fresh kernels, one after another, and write each back."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    names = {path for key in only or [""] for path in FOLDER.glob(f"{key}*.ipynb")}
    if not names:
        sys.exit(f"No notebook begins with {' or '.join(only)}.")
    from nbclient.exceptions import CellExecutionError

    with tempfile.TemporaryDirectory() as nothing_solved:
        os.environ["XDG_DATA_HOME"] = nothing_solved
        for path in sorted(names):
            print(path.relative_to(ROOT), flush=True)
            try:
                write(path, execute(nbformat.read(path, as_version=4)))
            except CellExecutionError as error:
                sys.exit(f"{path.name} is left as it was. {error}")


def execute(notebook):
    """Return the notebook with the outputs of a fresh kernel and nothing else new."""
    from nbclient import NotebookClient

    notebook.metadata = METADATA
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name=METADATA["kernelspec"]["name"],
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    ).execute()
    notebook.metadata = METADATA
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = without_progress_bars(cell.outputs)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)  # dead without its kernel
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
        rules = _check_code(cell) if cell.cell_type == "code" else []
        rules += _check_any(cell)
        problems += [f"{path.name}, cell {i}: {problem}" for problem in rules]
    problems += [
        f"{path.name}: the prose says {number}, and no code or output near it does"
        for number in unsupported_numbers(cells)
    ]
    return problems


def _check_whole(notebook):
    if notebook.metadata != METADATA:
        yield "its metadata is not what `make notebooks` writes"
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    prose = re.sub(r"^```.*?^```", "", prose, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^# ", prose, re.MULTILINE)
    if len(titles) != 1 or not notebook.cells[0].source.startswith("# "):
        yield "it does not begin with its one title"
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    if None not in counts and counts != list(range(1, len(counts) + 1)):
        yield "its cells were not run once each, in order, in a fresh kernel"


def _check_code(cell):
    problems = []
    tags = set(cell.metadata.get("tags", []))
    if cell.execution_count is None:
        problems.append("it was never executed")
    failed = any(output.output_type == "error" for output in cell.outputs)
    if failed and "raises-exception" not in tags:
        problems.append("it ends in an error and is not tagged raises-exception")
    if len(cell.source.splitlines()) > MAX_CELL_LINES:
        problems.append(f"it is longer than {MAX_CELL_LINES} lines")
    if unknown := {t for t in tags - TAGS if not APPROX.fullmatch(t)}:
        problems.append(f"it carries the tag {', '.join(sorted(unknown))}")
    if hidden := NBVAL_COMMENT.search(cell.source):
        problems.append(f"it says {hidden[0].strip()} where a tag should stand")
    if found := ABSOLUTE_PATH.search(_text_of(cell)):
        problems.append(f"it shows a machine's path: {found[0]}")
    return problems


def _check_any(cell):
    problems = []
    if extra := set(cell.metadata) - CELL_METADATA:
        problems.append(f"it carries metadata: {', '.join(sorted(extra))}")
    if found := HOME_PATH.search(cell.source + _text_of(cell)):
        problems.append(f"it shows a machine's path: {found[0]}")
    return problems


def _text_of(cell):
    """Return the text that a code cell printed or showed."""
    parts = []
    for output in cell.get("outputs", []):
        parts += [output.get("text", ""), output.get("evalue", "")]
        parts += output.get("traceback", [])
        parts += [
            data if isinstance(data, str) else json.dumps(data)
            for kind, data in output.get("data", {}).items()
            if not kind.startswith("image/")
        ]
    return "\n".join(parts)


def unsupported_numbers(cells):
    """List the numbers in prose that no code or output of the same section has.

    A section runs from one H2 to the next; the numbers of a section without
    code (an introduction, a summary) may stand anywhere in the notebook. A
    number in prose may be a rounded form of one in the output, or its percentage.
    The rule covers decimals, percentages and whole numbers from 100 on.
    """
    sections = [([], [])]
    for cell in cells:
        if cell.cell_type == "code":
            sections[-1][1].append(cell)
            continue
        first, *others = re.split(r"^(?=## )", cell.source, flags=re.MULTILINE)
        sections[-1][0].append(first)
        sections += [([prose], []) for prose in others]
    everywhere = _known_numbers([code for _, codes in sections for code in codes])
    return [
        match[0].strip()
        for prose, codes in sections
        for match in _covered_numbers("\n".join(prose))
        if not _is_supported(match, _known_numbers(codes) if codes else everywhere)
    ]


def _covered_numbers(text):
    text = re.sub(r"\]\([^)]*\)|</?[a-zA-Z][^>]*>|https?://\S+", " ", text)
    for match in PROSE_NUMBER.finditer(text):
        plain = _plain(match["number"])
        if "." in plain or "e" in plain or match["percent"] or float(plain) >= 100:
            yield match


def _plain(number):
    return re.sub(r"[,\u202f]", "", number)


def _known_numbers(cells):
    """Collect the numbers that code cells contain, print or show, and percentages."""
    text = "\n".join(
        re.sub(r"#.*", "", cell.source).replace("_", "") + "\n" + _text_of(cell)
        for cell in cells
    )
    return {
        (float(sign + _plain(number)), bool(percent))
        for sign, number, percent in KNOWN_NUMBER.findall(text)
    }


def _is_supported(match, known):
    """Tell whether a known number, rounded as in the prose, is the prose's number."""
    mantissa, _, exponent = _plain(match["number"]).partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    number = float(_plain(match["number"]))
    whole = decimals <= 0 and not match["percent"]
    slack = 0 if whole else 0.5001 * 10.0**-decimals
    for value, is_percentage in known:
        candidate = -value if match["sign"] else abs(value)
        if match["percent"] and not is_percentage:
            candidate = 100 * candidate if candidate <= 1 else math.nan
        if abs(number - candidate) <= slack:
            return True
    return False


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
