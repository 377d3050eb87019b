"""Say in words how a result differs from the right one."""

import numpy as np
import torch
from torch import nn


def difference(got, want, name="the result", tolerance=1e-4, tell=True):
    """Return a sentence on what differs first, or None; without `tell`, no answers."""
    if isinstance(want, nn.Module) and isinstance(got, nn.Module):
        states = (model.state_dict().items() for model in (got, want))
        got, want = ({f"{key} of {name}": t for key, t in state} for state in states)
    if kind(got) != kind(want):
        lost = " (is a `return` missing?)" * (got is None and name == "the result")
        return f"{name} is {kind(got)}{lost}, and should be {kind(want)}"
    if isinstance(want, str) and got.strip(" .").lower() != want.lower():
        return f"{name} is {got!r}" + f", not {want!r}" * tell
    if isinstance(want, list | tuple | dict):
        return _in_parts(got, want, name, tolerance, tell)
    if numbers(want) is not None:
        return _in_numbers(numbers(got), numbers(want), name, tolerance, tell)
    return None  # two of a kind that has no parts to compare


def kind(value):
    """Name what something is, as a learner would."""
    if numbers(value) is not None:
        return "a tensor" if getattr(value, "ndim", 0) else "a number"
    names = {"str": "text", "NoneType": "None", "tuple": "a list", "Size": "a list"}
    name = type(value).__name__
    return names.get(name, f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}")


def numbers(value):
    """Return a number, an array or a tensor as a tensor of wide floats, else None."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return value if value.is_complex() else value.double()
    if isinstance(value, bool | int | float | np.number | np.bool_ | np.ndarray):
        return torch.from_numpy(np.array(value, dtype=np.float64))
    return None


def _in_parts(got, want, name, tolerance, tell):
    """Compare lists item by item; and dicts by key, where True is a condition met."""
    named = isinstance(want, dict)
    if not named and len(got) != len(want):
        return f"{name} has {len(got)} items" + f", and should have {len(want)}" * tell
    for key in want if named else range(len(want)):
        mine = got.get(key) if named else got[key]
        if named and want[key] is True and mine is False:
            return f"this does not hold: {key}"
        part = key if named else f"item {key} of {name}"
        if found := difference(mine, want[key], part, tolerance, tell):
            return found
    return None


def _in_numbers(got, want, name, tolerance, tell):
    if got.shape != want.shape:
        shapes = [tuple(each.shape) for each in (got, want)]
        return f"{name} has shape {shapes[0]}" + f", and should have {shapes[1]}" * tell
    size = max([1e-3, *want[want.isfinite()].abs().tolist()])
    near = {"rtol": tolerance, "atol": tolerance * size, "equal_nan": True}
    if torch.allclose(got, want, **near):
        return None
    if not got[want.isfinite()].isfinite().all():
        return f"{name} is not finite: it holds nan or inf"
    if torch.allclose(got, -want, **near):
        return f"{name} has the wrong sign"
    times = (got / want)[want != 0].flatten()
    if len(times) > 1 and got.any() and torch.allclose(got, times[0] * want, **near):
        return f"everything in {name} is {times[0]:.3g} times what it should be"
    place = tuple((~torch.isclose(got, want, **near)).nonzero()[0].tolist())
    at = f" at {list(place)}" * bool(place)
    value, right = got[place].item(), want[place].item()
    if tell:
        return f"{name}{at} is {value:.5g}, and should be {right:.5g}"
    return f"{name}{at} is too {'large' if value > right else 'small'}"
