"""The rules that hold the notebooks, and the proof that each rule can fail."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.notebooks import FOLDER, METADATA, check, execute

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert check(path) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_between_notebooks_lead_somewhere(path):
    for cell in [c for c in read(path).cells if c.cell_type == "markdown"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", cell.source):
            assert (FOLDER / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_imports_stand_in_one_cell_but_for_what_was_derived(path):
    cells = [c.source for c in read(path).cells if c.cell_type == "code"]
    kinds = (ast.Import, ast.ImportFrom)
    importing = [
        cell
        for cell in cells
        if any(isinstance(n, kinds) for n in ast.parse(cell).body)
    ]
    derived = [c for c in importing[1:] if "from helpers." in c or "00_" in path.name]
    assert importing[1:] == derived


def test_ignored_outputs_are_timings_alone():
    ignored = {
        f"{path.stem}: {cell.source.splitlines()[-1]}"
        for path in NOTEBOOKS
        for cell in read(path).cells
        if "nbval-ignore-output" in cell.metadata.get("tags", [])
    }
    shown = "no workers {1000 * alone:.0f} ms, two workers {1000 * with_workers:.0f} ms"
    assert ignored == {f'06_data: print(f"{shown}")'}


def sound_notebook():
    """Return a small notebook that keeps every rule."""
    cells = [
        new_markdown_cell("# Title\n\nA sum of 1,234.5, and 50 % of it."),
        new_code_cell("total = 1234.5", execution_count=1),
        new_code_cell(
            "print(total / 2)",
            execution_count=2,
            metadata={"tags": ["nbval-ignore-output"]},
            outputs=[
                new_output("stream", name="stdout", text="617.25, or 0.5, or 0.617\n")
            ],
        ),
        new_code_cell("assert total > 0", execution_count=3),
    ]
    return new_notebook(cells=cells, metadata=METADATA)


def problems_of(notebook, tmp_path):
    path = tmp_path / "sample.ipynb"
    nbformat.write(notebook, path)
    return check(path)


def test_sound_notebook_is_accepted(tmp_path):
    assert problems_of(sound_notebook(), tmp_path) == []


def unexecuted(notebook):
    notebook.cells[1].execution_count = None


def failed(notebook):
    error = new_output("error", ename="ValueError", evalue="bad", traceback=[])
    notebook.cells[1].outputs = [error]


def foreign_kernel(notebook):
    notebook.metadata.kernelspec.name = "my-env"


def python_version(notebook):
    notebook.metadata.language_info.version = "3.11.7"


def widget_state(notebook):
    notebook.metadata.widgets = {"state": {}}


def long_cell(notebook):
    notebook.cells[1].source = "total = 1234.5\n" * 21


def machine_path(notebook):
    notebook.cells[2].outputs[0].text += "saved in /home/ada/model.pt"


def path_in_traceback(notebook):
    error = new_output(
        "error", ename="E", evalue="", traceback=["File /Users/ada/x.py"]
    )
    notebook.cells[1].outputs = [error]
    notebook.cells[1].metadata["tags"] = ["raises-exception"]


def unsupported_decimal(notebook):
    notebook.cells[0].source += " It is 1234.6."


def unsupported_percentage(notebook):
    notebook.cells[0].source += " Or 51 %."


def unsupported_spelling(notebook):
    notebook.cells[0].source += " It took 20.2s, or .1307, or 28 percent of 1e+5."


def hidden_in_angle_brackets(notebook):
    notebook.cells[0].source += " Here a < 0.5514 and b > 3.3."


def wrong_sign(notebook):
    notebook.cells[0].source += " It fell to −617.25."


def digits_of_a_name(notebook):
    notebook.cells[1].source = "total = 1234.5  # 77.5\nx77 = torch.float32"
    notebook.cells[0].source += " Some 32 % and 77.5."


def section_in_the_middle_of_a_cell(notebook):
    text = "No code here.\n\n## Last\n\nIt is 1234.5."
    notebook.cells.append(new_markdown_cell(text))
    notebook.cells.append(new_code_cell("print()", execution_count=4))


def unsupported_count(notebook):
    notebook.cells[0].source += " There are 60,000 of them."


def path_of_the_data(notebook):
    notebook.cells[2].outputs[0].text += "read /srv/course/data"


def path_on_windows(notebook):
    notebook.cells[2].outputs[0].text += "C:\\course\\x.py"


def unknown_tag(notebook):
    notebook.cells[1].metadata["tags"] = ["nbval-skip"]


def tolerance_without_number(notebook):
    notebook.cells[1].metadata["tags"] = ["approx"]


def hidden_marker(notebook):
    notebook.cells[1].source = "# NBVAL_IGNORE_OUTPUT\ntotal = 1234.5"


def no_title(notebook):
    notebook.cells[0].source = "Only text."


def two_titles(notebook):
    notebook.cells[0].source += "\n\n# Another"


def run_by_hand(notebook):
    notebook.cells[3].execution_count = 7


def timestamps(notebook):
    notebook.cells[1].metadata["execution"] = {"iopub.status.busy": "2026-01-01"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (unexecuted, "cell 1: it was never executed"),
        (failed, "cell 1: it ends in an error and is not tagged raises-exception"),
        (foreign_kernel, "its metadata is not what `make notebooks` writes"),
        (python_version, "its metadata is not what `make notebooks` writes"),
        (widget_state, "its metadata is not what `make notebooks` writes"),
        (long_cell, "cell 1: it is longer than 20 lines"),
        (machine_path, "cell 2: it shows a machine's path: /home/"),
        (path_in_traceback, "cell 1: it shows a machine's path: /Users/"),
        (path_of_the_data, "cell 2: it shows a machine's path: /srv/course/data"),
        (path_on_windows, "cell 2: it shows a machine's path: C:"),
        (unknown_tag, "cell 1: it carries the tag nbval-skip"),
        (tolerance_without_number, "cell 1: it carries the tag approx"),
        (hidden_marker, "cell 1: it says # NBVAL_IGNORE_OUTPUT"),
        (unsupported_spelling, "the prose says 20.2"),
        (unsupported_spelling, "the prose says .1307"),
        (unsupported_spelling, "the prose says 28 percent"),
        (unsupported_spelling, "the prose says 1e+5"),
        (hidden_in_angle_brackets, "the prose says 0.5514"),
        (wrong_sign, "the prose says −617.25"),
        (digits_of_a_name, "the prose says 32 %"),
        (digits_of_a_name, "the prose says 77.5"),
        (section_in_the_middle_of_a_cell, "the prose says 1234.5"),
        (unsupported_decimal, "the prose says 1234.6"),
        (unsupported_percentage, "the prose says 51 %"),
        (unsupported_count, "the prose says 60,000"),
        (no_title, "it does not begin with its one title"),
        (two_titles, "it does not begin with its one title"),
        (run_by_hand, "not run once each, in order"),
        (timestamps, "cell 1: it carries metadata: execution"),
    ],
)
def test_broken_rule_is_reported(spoil, words, tmp_path):
    notebook = sound_notebook()
    spoil(notebook)
    problems = problems_of(notebook, tmp_path)
    assert any(words in problem for problem in problems), problems


def test_number_from_another_section_is_not_near_enough(tmp_path):
    notebook = sound_notebook()
    notebook.cells += [
        new_markdown_cell("## Next\n\nStill 617.25."),
        new_code_cell("x = 1", execution_count=4),
    ]
    assert problems_of(notebook, tmp_path) == [
        "sample.ipynb: the prose says 617.25, and no code or output near it does"
    ]


def test_rounded_numbers_in_prose_are_accepted(tmp_path):
    notebook = sound_notebook()
    notebook.cells[
        0
    ].source += " Half is about 617.3, that is 0.50, or 6.2e-1 thousand."
    assert problems_of(notebook, tmp_path) == []


def test_comment_in_a_fenced_block_is_no_second_title(tmp_path):
    notebook = sound_notebook()
    notebook.cells[0].source += "\n\n```\n# a comment\n```"
    assert problems_of(notebook, tmp_path) == []


def test_checking_as_a_command_fails_on_a_broken_rule(tmp_path):
    notebook = sound_notebook()
    unexecuted(notebook)
    path = tmp_path / "sample.ipynb"
    nbformat.write(notebook, path)
    done = subprocess.run(
        [sys.executable, "-m", "tools.notebooks", "check", path],
        capture_output=True,
        text=True,
        cwd=FOLDER.parent,
    )
    assert done.returncode == 1
    assert "cell 1: it was never executed" in done.stderr


def test_execution_writes_clean_outputs():
    notebook = sound_notebook()
    notebook.metadata.kernelspec.name = "my-env"
    timestamps(notebook)
    widget_state(notebook)
    notebook.cells[2].source = "print(total)\n" + BAR + "print('done')"

    clean = execute(notebook)

    assert clean.metadata == METADATA
    assert [c.metadata for c in clean.cells[1:3]] == [
        {},
        {"tags": ["nbval-ignore-output"]},
    ]
    assert [o.text for o in clean.cells[2].outputs] == ["1234.5\ndone\n"]


BAR = "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass\n"
PRINTED = "epoch 5: accuracy 97.35%, loss 1,234.5"
STORED = [  # what a cell has stored that prints the line above, and whether it passes
    ("epoch 5: accuracy 97.80%, loss 1,240.1", ["approx-0.5%"], True),
    ("epoch 5: accuracy 98.35%, loss 1,234.5", ["approx-0.5%"], False),
    ("epoch 5: precision 97.35%, loss 1,234.5", ["approx-0.5%"], False),
    ("epoch 5: accuracy 97.35%, loss 1,234.5, 7", ["approx-0.5%"], False),
    ("epoch 5: accuracy 97.36%, loss 1,234.5", [], False),
    (PRINTED, [], True),
]


def tolerant_notebook():
    """Return a notebook whose cells have stored not quite what they print."""
    cells = []
    for stored, tags, _ in STORED:
        output = new_output("stream", name="stdout", text=stored + "\n")
        source = f"{BAR}print({PRINTED!r})"
        cell = new_code_cell(source, outputs=[output], execution_count=1)
        cell.metadata["tags"] = tags
        cells.append(cell)
    return new_notebook(cells=cells, metadata=METADATA)


def notebook_with_errors():
    """Return a notebook that has stored two errors of another class than it raises."""
    notebook = new_notebook(metadata=METADATA)
    for said in ("why", "because"):
        error = new_output("error", ename="RuntimeError", evalue=said, traceback=[])
        cell = new_code_cell("raise NotImplementedError('why')", execution_count=1)
        cell.outputs, cell.metadata["tags"] = [error], ["raises-exception"]
        notebook.cells.append(cell)
    return notebook


def spoilt_notebook():
    """Return the beginning of a real notebook, with a digit and a word changed."""
    notebook = read(FOLDER / "02_autograd.ipynb")
    changes = {"nudging a: 6.001": "nudging a: 6.002", "dy/da = 6": "dy/dz = 6"}
    for old, new in changes.items():
        place = next(i for i, c in enumerate(notebook.cells) if old in text_of(c))
        (output,) = notebook.cells[place].outputs
        output.text = output.text.replace(old, new)
    notebook.cells = notebook.cells[: place + 1]
    return notebook


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def test_nbval_rejects_a_changed_digit_and_a_changed_word(tmp_path):
    nbformat.write(tolerant_notebook(), tmp_path / "tolerant.ipynb")
    nbformat.write(notebook_with_errors(), tmp_path / "errors.ipynb")
    nbformat.write(spoilt_notebook(), tmp_path / "spoilt.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "-p", "conftest", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PY_COLORS": "0", "PYTHONPATH": str(FOLDER.parent)},
    )
    assert done.returncode == 1, done.stdout
    failed = re.findall(r"FAILED (\w+)\.ipynb::Cell (\d+)", done.stdout)
    wrong = [("tolerant", str(i)) for i, (*_, ok) in enumerate(STORED) if not ok]
    spoilt = [("errors", "1"), ("spoilt", "1"), ("spoilt", "3")]
    assert sorted(failed) == [*spoilt, *wrong], done.stdout


def function_in(source, name):
    """Return a function's syntax tree, or None where the source has none."""
    found = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    return next(found, None)


def test_derived_train_steps_is_the_one_in_helpers():
    cells = [c.source for c in read(FOLDER / "05_training_loop.ipynb").cells]
    (derived,) = (c for c in cells if c.startswith("def train_steps("))
    source = (FOLDER.parent / "helpers" / "training.py").read_text(encoding="utf-8")
    assert ast.dump(function_in(derived, "train_steps")) == ast.dump(
        function_in(source, "train_steps")
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_file_is_small_enough_to_review(path):
    assert Path(path).stat().st_size < 1_500_000
