"""Every exercise: right answers pass, foreseen mistakes are told apart, help helps."""

import inspect
import itertools
import re
from importlib import import_module

import nbformat
import pytest
import torch
from torch import nn

from helpers.exercises.base import Value, exercises, mistakes, notebooks, words
from helpers.exercises.checker import _foreseen, verdict
from tools.notebooks import FOLDER

ALL = {n: e for file in notebooks().values() for n, e in exercises(file).items()}
each_exercise = pytest.mark.parametrize("exercise", ALL.values(), ids=ALL)


def as_answer(exercise, function):
    """Return what a learner would hand in who has written this."""
    return function() if issubclass(exercise, Value) else function


def others(exercise):
    """Return right answers written in another way."""
    file = notebooks()[int(exercise.number.partition(".")[0])]
    return import_module(f"right_answers.{file.stem}").ANSWERS[exercise.number]


@each_exercise
def test_solution_and_other_right_answers_are_right(exercise):
    assert len(others(exercise)) >= 2
    outcomes = _foreseen(exercise, exercise.solution)
    assert {o.raised.partition(":")[0] for o in outcomes} <= {"", "ValueError"}
    for answer in [as_answer(exercise, exercise.solution), *others(exercise)]:
        assert verdict(exercise, answer) == (True, f"right. {exercise.right}")


@each_exercise
def test_each_foreseen_mistake_gets_its_own_words(exercise):
    assert len(mistakes(exercise)) >= 4
    for mistake in mistakes(exercise):
        right, text = verdict(exercise, as_answer(exercise, mistake))
        assert right is False
        assert words(mistake) in text, (mistake.__name__, text)


@each_exercise
def test_hints_lead_and_do_not_tell(exercise):
    assert 2 <= len(exercise.hints) <= 4
    source = inspect.getsource(exercise.solution)
    lines = [line.strip() for line in source.splitlines()[1:]]
    told = [line.removeprefix("return ") for line in lines if not line.startswith("#")]
    everything = " ".join(exercise.hints)
    assert [line for line in told if len(line) > 8 and line in everything] == []


SILLY = [None, "text", 3.5, [], object(), torch.ones(2, 3), nn.Linear, nn.Linear(2, 2)]
SILLY += [lambda: 1, lambda *given: None, lambda *given: given[0], lambda *given: 1 / 0]


@each_exercise
def test_no_answer_makes_the_checker_stumble(exercise):
    for answer in SILLY:
        right, text = verdict(exercise, answer)
        assert right is False, answer
        assert text.startswith("not yet. "), text


def cells(number):
    """Return the cells of a notebook that check something, with their prose before."""
    (path,) = FOLDER.glob(f"{number:02}_*.ipynb")
    found = nbformat.read(path, as_version=4).cells
    return [
        (before, cell)
        for before, cell in itertools.pairwise(found)
        if cell.cell_type == "code" and "\ncheck(" in cell.source
    ]


@pytest.mark.parametrize("number", notebooks())
def test_notebook_asks_each_exercise_once_in_order_and_leaves_it_open(number):
    asked = []
    for prose, cell in cells(number):
        ((name, answer),) = re.findall(
            r'^check\("([\d.]+)", (\w+)\)$', cell.source, re.M
        )
        asked.append(name)
        exercise = ALL[name]
        assert [o.text for o in cell.outputs] == [
            f"{name}: {verdict(exercise, ...)[1]}\n"
        ]
        heading = rf"^### Exercise {re.escape(name)}: .+\n\n[●○]{{3}} \d+ minutes?\b"
        assert re.search(heading, prose.source, re.M), prose.source[:80]
        assert answer == (
            "answer" if issubclass(exercise, Value) else exercise.__name__
        )
    assert asked == list(exercises(notebooks()[number]))
    assert len(asked) >= 5


def test_there_are_fifty_five_exercises():
    assert len(ALL) >= 55
    print(
        f"{len(ALL)} exercises, {sum(map(len, map(mistakes, ALL.values())))} mistakes"
    )
