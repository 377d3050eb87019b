"""What a learner is told: nothing is lost, nothing crashes, and the words are true."""

import json
import os
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from helpers.exercises import check, hint, progress, solution
from helpers.exercises.base import Function, Value
from helpers.exercises.checker import verdict
from helpers.exercises.compare import difference


class doubled(Function):
    """A function of a tensor."""

    number = "1.0"
    hints = ("A nudge.", "Nearly the answer.")
    right = "So it is."

    def inputs():
        yield (torch.tensor([1.0, 2.0]),)
        yield (torch.randn(3, 2),)
        yield (torch.tensor([-1e4]),)

    def solution(x):
        return 2 * x

    def mistake_square(x):
        """You squared it."""
        return x**2

    def mistake_missing(x):
        """There is no such name."""
        return x.missing


class halves(Value):
    """A number."""

    number = "1.1"
    hints = ("A nudge.", "Nearly the answer.")
    right = "So it is."

    def solution():
        # Half of one.
        return 0.5

    def mistake_inverse():
        """That is the inverse."""
        return 2


class frozen_layer(Value):
    """A network, of which something is measured."""

    number = "1.2"
    hints = ("A nudge.", "Nearly the answer.")
    right = "So it is."

    def probe(answer):
        nn.init.zeros_(answer.weight)
        learns = any(p.requires_grad for p in answer.parameters())
        return {
            "no weight learns": not learns,
            "the number of weights": answer.weight.numel(),
        }

    def solution():
        return nn.Linear(2, 3).requires_grad_(False)


def told(exercise, answer):
    right, text = verdict(exercise, answer)
    assert right is False
    return text.removeprefix("not yet. ").removesuffix(
        f'\nStuck? hint("{exercise.number}")'
    )


def half_written(x):
    x = x.sum()
    return ...  # a comment


def only_dots(x): ...


def slices(x):
    return 2 * x[..., :]


class Unwritten:
    def method(self): ...


OPEN = [..., half_written, only_dots, Unwritten, [1, ...], (..., ...), {"a": ...}]


@pytest.mark.parametrize("answer", OPEN)
@pytest.mark.parametrize("exercise", [doubled, halves])
def test_open_answer_is_called_open_and_nothing_else(exercise, answer):
    words = "open. Write your answer where the `...` stands."
    assert verdict(exercise, answer) == (None, words)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: x + x,
        lambda other_name: other_name.double() * 2,
        lambda x: (2 * x).numpy(),
        lambda x: nn.Parameter(2 * x),
        lambda x, factor=2: torch.stack([x, factor * x])[1],
        slices,
    ],
)
def test_equivalent_functions_are_right(answer):
    assert verdict(doubled, answer) == (True, "right. So it is.")


HALF = [
    0.5,
    torch.tensor(0.5),
    np.float32(0.5),
    torch.tensor(0.5).half(),
    np.array(0.5),
]


@pytest.mark.parametrize("answer", HALF)
def test_equivalent_values_are_right(answer):
    assert verdict(halves, answer)[0]


def changes_its_input(x):
    return x.mul_(2).clone()


def stumbles(x):
    y = 2 * x
    return y.missing_method()


def interrupted(x):
    while True:
        raise KeyboardInterrupt


FIRST = "x = tensor([1., 2.])"
ANSWERS = [
    (lambda x: x**2, "You squared it."),
    (
        lambda x: None,
        f"The result is None (is a `return` missing?), and should be a "
        f"tensor, with {FIRST}.",
    ),
    (
        lambda x: (2 * x).tolist(),
        f"The result is a list, and should be a tensor, with {FIRST}.",
    ),
    (
        lambda x: 2 * x[:, None],
        f"The result has shape (2, 1), and should have (2,), with {FIRST}.",
    ),
    (lambda x: -2 * x, f"The result has the wrong sign, with {FIRST}."),
    (
        lambda x: 6 * x,
        f"Everything in the result is 3 times what it should be, with {FIRST}.",
    ),
    (
        lambda x: 2 * x + torch.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)),
        f"The result at [1] is 5, and should be 4, with {FIRST}.",
    ),
    (lambda x: x / 0, f"The result is not finite: it holds nan or inf, with {FIRST}."),
    (
        lambda x: torch.tensor([2.0, 4.0]),
        "The same comes out whatever goes in, as if the result were written in.",
    ),
    (
        changes_its_input,
        f"Everything in `x` after the call is 2 times what it should be, with {FIRST}.",
    ),
    (
        stumbles,
        "AttributeError: 'Tensor' object has no attribute 'missing_method' in line",
    ),
    (stumbles, f"`return y.missing_method()`, with {FIRST}."),
    (interrupted, "KeyboardInterrupt in line"),
    (interrupted, f"`raise KeyboardInterrupt`, with {FIRST}."),
    (lambda: 1, "TypeError"),
    (torch.ones(2), "It is a tensor; give the function, without calling it."),
    (lambda x: x.missing, "There is no such name."),
]


@pytest.mark.parametrize(("answer", "words"), ANSWERS)
def test_wrong_function_is_told_what_differs_first(answer, words):
    assert words in told(doubled, answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (2, "That is the inverse."),
        (0.4, "Your answer is too small."),
        (7, "Your answer is too large."),
        (-0.5, "Your answer has the wrong sign."),
        ("a half", "Your answer is text, and should be a number."),
        ([0.5], "Your answer is a list, and should be a number."),
        (torch.tensor([0.5]), "Your answer is a tensor, and should be a number."),
        (None, "Your answer is None, and should be a number."),
        (float("nan"), "Your answer is not finite: it holds nan or inf."),
        (object(), "Your answer is an object, and should be a number."),
    ],
)
def test_wrong_value_is_told_what_differs_and_not_what_is_right(answer, words):
    assert told(halves, answer) == words


def test_condition_that_does_not_hold_is_named():
    assert told(frozen_layer, nn.Linear(2, 3)) == (
        "This does not hold: no weight learns."
    )
    assert told(frozen_layer, nn.Linear(2, 4).requires_grad_(False)) == (
        "The number of weights is too large."
    )


@pytest.mark.parametrize(
    ("got", "want", "words"),
    [
        ([1, 2], (1, 2), None),
        ((1, 2), torch.Size([1, 2]), None),
        ([1, 2, 3], [1, 2], "it has 3 items, and should have 2"),
        ([1, 3], [1, 2], "item 1 of it is 3, and should be 2"),
        ({"a": 1}, {"b": 1}, "b is None, and should be a number"),
        ("Curve b.", "curve B", None),
        ("curve A", "curve B", "it is 'curve A', not 'curve B'"),
        (True, True, None),
        (torch.tensor([True, False]), torch.tensor([1, 0]), None),
        (float("inf"), float("inf"), None),
        (torch.ones(2), torch.zeros(2), "it at [0] is 1, and should be 0"),
        (torch.zeros(2), torch.ones(2), "it at [0] is 0, and should be 1"),
        (torch.tensor([1j]), torch.tensor([1j]), None),
        (nn.Linear(1, 1), nn.Linear(2, 1), "weight of it has shape (1, 1), and should"),
    ],
)
def test_difference_names_the_first_part_that_differs(got, want, words):
    found = difference(got, want, "it")
    assert found is None if words is None else words in found


def draws_and_leaves_grad_off(x):
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    raise ValueError


def states():
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    return torch.get_rng_state().tolist(), numpy_state, random.getstate()


def test_random_states_and_grad_mode_are_as_before():
    before = states()
    with torch.no_grad():
        verdict(doubled, draws_and_leaves_grad_off)
        assert not torch.is_grad_enabled()
    verdict(doubled, draws_and_leaves_grad_off)
    assert torch.is_grad_enabled()
    assert states() == before


def test_learners_network_stays_as_it_is():
    layer = nn.Linear(2, 3)
    weight = layer.weight.clone()
    verdict(frozen_layer, layer)
    assert torch.equal(layer.weight, weight)


@pytest.fixture
def solved(tmp_path, monkeypatch):
    """Return the file that keeps what is solved, which is not there yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "pytorch-by-hand" / "solved.json"


def test_solved_exercise_is_remembered_and_forgotten(solved, capsys):
    check("3.1", 4.605)
    check("3.1", 4.605)
    assert json.loads(solved.read_text()) == ["3.1"]
    assert list(solved.parent.iterdir()) == [solved]
    capsys.readouterr()
    progress()
    line = next(o for o in capsys.readouterr().out.splitlines() if o.startswith("03"))
    assert line.count("■") == 1
    assert " 1 of " in line
    progress(forget=True)
    assert "■" not in capsys.readouterr().out
    assert not solved.exists()


@pytest.mark.parametrize("answer", [..., 17.0])
def test_only_a_right_answer_is_remembered(answer, solved, capsys):
    check("3.1", answer)
    assert capsys.readouterr().out.startswith("3.1: ")
    assert not solved.exists()


@pytest.mark.parametrize("broken", ['["3.', "[1, 2]", "{}", "7", "\udcff", "null"])
def test_broken_file_is_no_obstacle(broken, solved, capsys):
    solved.parent.mkdir()
    solved.write_bytes(broken.encode(errors="surrogateescape"))
    progress()
    check("3.1", 4.605)
    assert "3.1" in json.loads(solved.read_text())
    assert "3.1: right." in capsys.readouterr().out


def test_file_is_replaced_in_one_step(solved, monkeypatch, capsys):
    check("3.1", 4.605)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    check("3.2", torch.nn.Softmax(dim=1))
    assert json.loads(solved.read_text()) == ["3.1"]
    out = capsys.readouterr().out
    assert "3.2: right." in out
    assert "No space left on device" in out


def test_hints_come_one_by_one(monkeypatch, capsys):
    monkeypatch.setattr("helpers.exercises.base.find", lambda number: doubled)
    for _ in range(3):
        hint("1.0")
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 2: A nudge.",
        "Hint 2 of 2: Nearly the answer.",
        'That was the last. solution("1.0") shows an answer.',
    ]


def test_solution_is_shown_as_the_learner_would_write_it(monkeypatch, capsys):
    for exercise in [doubled, halves]:
        monkeypatch.setattr("helpers.exercises.base.find", lambda number, e=exercise: e)
        solution(exercise.number)
    assert capsys.readouterr().out == (
        "def doubled(x):\n    return 2 * x\n# Half of one.\nanswer = 0.5\n"
    )


@pytest.mark.parametrize("number", ["3.99", "77.1", "x", None, 3])
def test_unknown_number_says_which_there_are(number, capsys):
    check(number, 1)
    assert capsys.readouterr().out.startswith(f"There is no exercise {number}; there ")


HANGING = textwrap.dedent("""
    import signal, threading, os, time
    from helpers.exercises import check

    def softmax(logits):
        while True:
            time.sleep(0.01)

    threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    check("3.2", softmax)
    print("and goes on")
""")


def test_function_that_hangs_can_be_interrupted(tmp_path):
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        timeout=120,
    )
    assert "KeyboardInterrupt in line 7, `time.sleep(0.01)`, with logits" in done.stdout
    assert done.stdout.endswith("and goes on\n")
    assert done.stderr == ""
