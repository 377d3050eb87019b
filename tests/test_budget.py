"""How much code `helpers` may hold, so that it can be read in one evening."""

import ast
import io
import statistics
import tokenize
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent.parent / "helpers"
BUDGET = {  # lines of code, without docstrings, comments and blank lines
    "training.py": 175,
    "data.py": 100,
    "checkpoints.py": 150,
    "plotting.py, graph.py": 280,
    "distributed.py, commands.py, __main__.py": 249,  # 220 were planned
    "diagnosis.py": 343,  # 200 were planned
    "environment.py": 35,
    "exercises/checker.py, exercises/compare.py": 180,
    "exercises/__init__.py, exercises/base.py, exercises/progress.py": 90,
    "panels/*.py": 400,
    "panels/web/*.js": 700,
}
LONGEST_FUNCTION, MEDIAN_FUNCTION = 25, 8
EXERCISES = set(HELPERS.glob("exercises/notebook_*.py"))  # content, read one by one
OUTSIDE = {HELPERS / "__init__.py", *EXERCISES}

NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def code_lines(source):
    """Return the numbers of the lines that hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and ast.get_docstring(node) is not None:
            text = node.body[0]
            lines -= set(range(text.lineno, text.end_lineno + 1))
    return lines


def functions(source):
    """Return each function's name and its lines of code."""
    lines = code_lines(source)
    return [
        (node.name, sum(node.lineno <= line <= node.end_lineno for line in lines))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, Function)
    ]


def files(part):
    return [path for pattern in part.split(", ") for path in HELPERS.glob(pattern)]


def count(path):
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return len(code_lines(source))
    lines = (line.strip() for line in source.splitlines())
    return sum(line != "" and not line.startswith(("//", "/*")) for line in lines)


@pytest.mark.parametrize("part", BUDGET)
def test_part_keeps_within_its_budget(part):
    found = sum(map(count, files(part)))
    assert 0 < found <= BUDGET[part], f"{part}: something must go for what came in"


def test_every_module_has_a_budget():
    modules = {*HELPERS.rglob("*.py"), *HELPERS.rglob("*.js")} - OUTSIDE
    assert modules == {path for part in BUDGET for path in files(part)}


def test_functions_are_short():
    found = {
        f"{path.name}: {name}": size
        for path in set(HELPERS.rglob("*.py")) - OUTSIDE
        for name, size in functions(path.read_text(encoding="utf-8"))
    }
    assert {n: s for n, s in found.items() if s > LONGEST_FUNCTION} == {}
    assert statistics.median(found.values()) <= MEDIAN_FUNCTION


SAMPLE = '''
"""A module's docstring."""

# a comment
def f(a,
      b):
    """A docstring
    of two lines."""
    text = """two
    lines"""

    return text  # with a comment
'''


def test_only_code_counts():
    assert sorted(code_lines(SAMPLE)) == [5, 6, 9, 10, 12]
    assert functions(SAMPLE) == [("f", 5)]
