"""What an exercise is made of, where it is found, and the help that it has."""

import importlib
import inspect
import textwrap
from pathlib import Path

_hints_given: dict[type, int] = {}


class Function:
    """An exercise that asks for the function of its name.

    It is data and plain functions. Each function whose name begins with `mistake`
    is a wrong answer that somebody will give; its docstring tells them so, and leaves
    the right one to them. `hints` go from a nudge to nearly the answer; `right` is
    something to notice afterwards.
    """

    number: str
    hints: tuple[str, ...]
    right: str
    tolerance = 1e-4  # of the largest number in a result
    may_change_inputs = False
    subject, tell = "the result", True  # may a message say what it should be?

    def inputs():
        """Yield the arguments to try, the page's example first; the seed is set."""
        yield ()

    def probe(answer, *given):
        """Return what is compared; here what the function makes of an input."""
        return answer(*given)


class Value(Function):
    """An exercise that asks for a value, which solution and mistakes return."""

    subject, tell = "your answer", False

    def probe(answer, *given):
        """Return what is compared: the value itself, or what it does to an input."""
        return answer


def notebooks() -> dict[int, Path]:
    """Return the files of exercises by the number of their notebook."""
    files = sorted(Path(__file__).parent.glob("notebook_*.py"))
    return {int(file.stem.split("_")[1]): file for file in files}


def exercises(file: Path) -> dict[str, type[Function]]:
    """Return a notebook's exercises by their numbers."""
    members = vars(importlib.import_module(f"helpers.exercises.{file.stem}")).values()
    return {e.number: e for e in members if getattr(e, "number", None)}


def find(number: str) -> type[Function] | None:
    """Return an exercise, or print which ones there are."""
    here = {}
    for notebook, file in notebooks().items():
        if str(number).startswith(f"{notebook}."):
            here = exercises(file)
    if str(number) not in here:
        known = ", ".join(here or [f"{n}.1 and so on" for n in notebooks()])
        print(f"There is no exercise {number}; there are {known}.")
    return here.get(str(number))


def mistakes(exercise: type[Function]) -> list:
    """Return the wrong answers foreseen."""
    return [f for name, f in vars(exercise).items() if name.startswith("mistake")]


def words(documented) -> str:
    """Return a docstring as one line."""
    return " ".join(inspect.getdoc(documented).split())


def hint(number: str) -> None:
    """Print the next hint."""
    if exercise := find(number):
        given = _hints_given[exercise] = _hints_given.get(exercise, 0) + 1
        if given <= len(exercise.hints):
            print(f"Hint {given} of {len(exercise.hints)}: {exercise.hints[given - 1]}")
        else:
            print(f'That was the last. solution("{exercise.number}") shows an answer.')


def solution(number: str) -> None:
    """Print a solution, with comments."""
    if exercise := find(number):
        source = textwrap.dedent(inspect.getsource(exercise.solution)).rstrip()
        if issubclass(exercise, Value):
            body = textwrap.dedent(source.partition("\n")[2])
            print("answer = ".join(body.rsplit("return ", 1)))
        else:
            print(source.replace("solution", exercise.__name__, 1))
