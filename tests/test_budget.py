"""How much code `helpers` may hold, so that it can be read in one evening."""

import ast
import io
import statistics
import tokenize
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent.parent / "helpers"
BUDGET = {  # lines of code, without docstrings, comments and blank lines
    "training": 175,
    "data": 100,
    "checkpoints": 150,
    "plotting, graph": 280,
    "environment": 35,
}
LONGEST_FUNCTION, MEDIAN_FUNCTION = 25, 8
OUTSIDE = {"__init__", "widgets"}  # the panels have a budget of their own

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


def source_of(module):
    return (HELPERS / f"{module}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("part", BUDGET)
def test_part_keeps_within_its_budget(part):
    found = sum(len(code_lines(source_of(module))) for module in part.split(", "))
    assert found <= BUDGET[part], f"{part}: something must go for what came in"


def test_every_module_has_a_budget():
    modules = {path.stem for path in HELPERS.rglob("*.py")} - OUTSIDE
    assert modules == {module for part in BUDGET for module in part.split(", ")}


def test_functions_are_short():
    found = {
        f"{module}.{name}": size
        for part in BUDGET
        for module in part.split(", ")
        for name, size in functions(source_of(module))
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
