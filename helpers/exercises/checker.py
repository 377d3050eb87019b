"""Look at a learner's answer, and say what it is: open, right, or which mistake."""

import copy
import functools
import inspect
import random
import re
from contextlib import contextmanager, suppress
from traceback import extract_tb, format_exception_only
from typing import NamedTuple

import numpy as np
import torch

from helpers.exercises.base import Value, find, mistakes, words
from helpers.exercises.compare import difference, kind
from helpers.exercises.progress import remember

GAP = re.compile(r"(?:^|=|:|return)\s*\.\.\.\s*(?:#.*)?$", re.MULTILINE)


def check(number: str, answer) -> None:
    """Print whether an answer is right and, if not, which mistake it looks like."""
    if exercise := find(number):
        right, text = verdict(exercise, answer)
        print(f"{exercise.number}: {text}")
        if right:
            remember(exercise.number)


def verdict(exercise, answer) -> tuple[bool | None, str]:
    """Return whether an answer is right (None while it is open), and words on it."""
    if _is_open(answer):
        return None, "open. Write your answer where the `...` stands."
    if not issubclass(exercise, Value) and not callable(answer):
        wrong = f"it is {kind(answer)}; give the function, without calling it."
    else:
        with _same_state_afterwards():
            wrong = _what_is_wrong(exercise, answer)
    if wrong is None:
        return True, f"right. {exercise.right}"
    stuck = f'Stuck? hint("{exercise.number}")'
    return False, f"not yet. {wrong[0].upper()}{wrong[1:]}\n{stuck}"


def _is_open(answer):
    """Tell whether an answer, or the source of a function or a class, has a `...`."""
    parts = list(answer.values()) if isinstance(answer, dict) else answer
    if isinstance(parts, list | tuple):
        return any(part is ... for part in parts)
    with suppress(OSError):  # no source
        sources = map(inspect.getsource, _functions(answer))
        return answer is ... or any(map(GAP.search, sources))


def _functions(answer):
    """Return what the learner wrote: a function, or the methods of a class."""
    members = vars(answer).values() if isinstance(answer, type) else [answer]
    return [inspect.unwrap(f) for f in members if inspect.isfunction(f)]


@contextmanager
def _same_state_afterwards():
    """Put the random states and the grad mode back as they were."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])


def _what_is_wrong(exercise, answer):
    """Return a sentence, or None for a right answer."""
    mine = _outcomes(exercise, lambda: _copy(answer), _functions(answer))
    right = _foreseen(exercise, exercise.solution)
    found = _first_difference(exercise, mine, right)
    if found is None:
        return None
    for mistake in mistakes(exercise):
        if not _first_difference(exercise, mine, _foreseen(exercise, mistake)):
            return f"{found} " * bool(mine[0].raised) + words(mistake)
    fixed = _constant(exercise, mine) > _constant(exercise, right)
    written = "the same comes out whatever goes in, as if the result were written in."
    return written if fixed and " is None" not in found else found


def _constant(exercise, outcomes):
    """Tell whether something comes out, and the same for every input."""
    first, *others = [outcome.parts.get(exercise.subject) for outcome in outcomes]
    return first is not None and not any(difference(first, each) for each in others)


def _first_difference(exercise, mine, right):
    """Return a sentence on the first input that makes a difference, or None."""
    for got, want in zip(mine, right, strict=False):
        found = difference(got.parts, want.parts, "", exercise.tolerance, exercise.tell)
        if got.raised != want.raised:
            found = got.raised + got.place or f"this should be raised: {want.raised}"
        if found:
            return f"{found}{want.given}."
    return None


class Outcome(NamedTuple):
    """What an answer made of an input: its result, and the input afterwards."""

    given: str
    parts: dict
    raised: str = ""
    place: str = ""


@functools.cache
def _foreseen(exercise, function):
    """Return the outcomes of a solution or a mistake."""
    is_value = issubclass(exercise, Value)
    return _outcomes(exercise, function if is_value else lambda: function)


def _outcomes(exercise, make, written=()):
    """Try an answer, made anew, on every input, each time with the same seed."""
    names = inspect.signature(exercise.solution).parameters
    _seed()
    outcomes = []
    for given in list(exercise.inputs()):
        _seed()
        inputs = dict(zip(names, given, strict=False))
        text = ", with " * bool(inputs) + ", ".join(map(_shown, inputs.items()))
        try:
            parts = {exercise.subject: exercise.probe(make(), *given)}
            if not exercise.may_change_inputs:
                parts |= {f"`{name}` after the call": v for name, v in inputs.items()}
            outcomes.append(Outcome(text, parts))
        except (Exception, KeyboardInterrupt) as error:
            outcomes.append(Outcome(text, {}, *_stumble(error, written)))
            if isinstance(error, KeyboardInterrupt):
                break
    return outcomes


def _seed(seed=20):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def _copy(answer):
    """Return a copy of a network, so that the learner's own stays as it is."""
    return copy.deepcopy(answer) if isinstance(answer, torch.nn.Module) else answer


def _stumble(error, written):
    """Return what was raised, and at which line of the learner's own."""
    files = {function.__code__.co_filename for function in written}
    frames = extract_tb(error.__traceback__)
    places = [f" in line {f.lineno}, `{f.line}`" for f in frames if f.filename in files]
    return format_exception_only(error)[0].partition("\n")[0], "".join(places[-1:])


def _shown(item):
    name, value = item
    text = " ".join(repr(value).split())
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"{name} = " + (text if len(text) < 70 else kind(value) + shape)
