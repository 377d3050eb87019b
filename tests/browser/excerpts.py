"""The panels of a notebook without its heavy cells.

A panel's cell is taken from the notebook as it is, with the imports, functions and
classes of the notebook that it needs. Every other name comes from a preparation:
cheap code of the test's own, whose names also win over the notebook's.
"""

import ast
import builtins
import json
import re

PANEL = re.compile(r"^(\w+Panel|DrawingPad)\(", re.MULTILINE)


def excerpt(path, preparation):
    """Return a preparation, and each panel of a notebook after what it needs."""
    _, prepared = _names(preparation)
    cells, definitions = [preparation], {}
    for source in code_cells(path):
        if PANEL.search(source):
            try:
                needed = _needed(source, definitions, set(prepared))
                cells += ["\n\n".join(needed), source]
            except LookupError as error:
                raise LookupError(
                    f"A panel of {path.name} needs {error}, which is no import, "
                    "function or class there: define a cheap one in the preparation."
                ) from None
        definitions |= _definitions(source)
    return cells


def code_cells(path):
    """Return the source of each code cell of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def count_panels(path):
    """Return how many panels a notebook has."""
    return sum(PANEL.search(source) is not None for source in code_cells(path))


def _needed(source, definitions, known):
    """Return the definitions that some source needs, each after those it needs."""
    used, bound = _names(source)
    needed = []
    for name in sorted(used - bound - known):
        if name not in definitions:
            raise LookupError(name)
        known.add(name)
        needed += _needed(definitions[name], definitions, known)
        needed.append(definitions[name])
    return needed


def _definitions(source):
    """Return the source of each import, function and class of a cell, by its name."""
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found[statement.name] = ast.unparse(statement)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in list(statement.names):
                statement.names = [alias]
                found[alias.asname or alias.name] = ast.unparse(statement)
    return found


def _names(source):
    """Return the names that some source uses, and those that it binds anywhere."""
    used, bound = set(), set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=short):
                bound.add(short or name)
    return used - set(dir(builtins)), bound
