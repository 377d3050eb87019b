"""A training run in one file, saved after an epoch and resumed bit for bit."""

import contextlib
import copy
import glob
import os
import pickle
import random
import re
import uuid
import zipfile
from pathlib import Path

import numpy as np
import torch

FORMAT = 1
KEYS = {"format", "epoch", "history", "kinds", "states", "random"}


class CheckpointError(Exception):
    """What is wrong with a checkpoint, in a sentence."""


def save_checkpoint(path, history, *, model, optimizer, train_loader, **others) -> None:
    """Save a run between two epochs, with all that `load_checkpoint` needs to go on.

    `others` names what else has a state: `scheduler=…`, `stopper=…`, a generator of
    your own. The random states that all cells share are saved too. A file already at
    `path` is replaced in one step, when the new one is complete and on the disk.

    The weights alone can be had for any other use:
    `torch.load(path, weights_only=True)["states"]["model"]`.
    """
    parts = _parts(model, optimizer, train_loader, others)
    history = [_plain(record) for record in history]
    content = {
        "format": FORMAT,
        "epoch": history[-1].get("epoch", len(history)) if history else 0,
        "history": history,
        "kinds": {name: _kind(part) for name, part in parts.items()},
        "states": {name: _state(name, part) for name, part in parts.items()},
        "random": _random_states(model),
    }
    try:
        _replace(Path(path).resolve(), content)
    except Exception as error:
        raise CheckpointError(
            f"The run could not be saved as {path}: {_why_not_saved(error, parts)}. A "
            "checkpoint that was there before still is."
        ) from error


def load_checkpoint(path, *, model, optimizer, train_loader, **others) -> list[dict]:
    """Give every part the state in which it was saved; return the history so far.

    Pass the same parts as to `save_checkpoint`, newly made, and go on with
    `start=len(history)`. No code in the file is run. If anything does not fit,
    all parts stay as they are. The bits are the same on the same machine, with
    the same versions and number of threads.
    """
    parts = _parts(model, optimizer, train_loader, others)
    saved = _read(path)
    _require_same_parts(path, saved["kinds"], parts)
    before = {name: copy.deepcopy(_state(name, part)) for name, part in parts.items()}
    random_before = _random_states(model)
    try:
        for name, part in parts.items():
            state = saved["states"][name]
            _restore(part, state)
            if name in ("model", "optimizer"):
                _require_same_form(part.state_dict(), state, name)
        name = "random state"
        _restore_random_states(saved["random"])
    except BaseException as error:
        for done, part in parts.items():
            with contextlib.suppress(Exception):
                _restore(part, before[done])
        _restore_random_states(random_before)
        if not isinstance(error, Exception):
            raise
        raise CheckpointError(
            f"{path} does not fit the {name} here, and nothing was loaded: "
            f"{_in_a_line(error)}."
        ) from error
    return saved["history"]


def _parts(model, optimizer, train_loader, others):
    """Name all that may have a state; what is None has none."""
    parts = {"model": model, "optimizer": optimizer, "train_loader": train_loader}
    return {k: part for k, part in (parts | others).items() if part is not None}


def _plain(record):
    """Return a record with Python's own numbers in place of any others."""
    plain = {}
    for name, value in record.items():
        with contextlib.suppress(AttributeError, RuntimeError, ValueError):
            value = value.item()
        if not isinstance(value, int | float):
            raise CheckpointError(
                f"The run was not saved: its history has a {type(value).__name__} as "
                f"{name} of epoch {record.get('epoch')}, and keeps numbers alone."
            )
        plain[name] = value
    return plain


def _kind(part):
    """Name a part's class, but for models: their weights are compared by name."""
    return "model" if isinstance(part, torch.nn.Module) else type(part).__qualname__


def _state(name, part):
    """Return the state of a part, or of the generators that a loader draws from."""
    if isinstance(part, torch.Generator):
        return part.get_state()
    if hasattr(part, "state_dict"):
        return part.state_dict()
    if not hasattr(part, "generator"):
        raise CheckpointError(
            f"{name} is a {type(part).__name__}, which has neither state_dict() nor a "
            f"generator to save. If it is the same in every epoch, pass {name}=None."
        )
    if getattr(part, "persistent_workers", False):
        raise CheckpointError(
            f"{name} keeps its workers from epoch to epoch, and with them a state that "
            "cannot be saved: make it without persistent_workers."
        )
    return [generator.get_state() for generator in _generators(part)]


def _generators(loader):
    """List the generators of a loader and of the samplers that it may have."""
    batches = getattr(loader, "batch_sampler", None)
    samplers = (getattr(loader, "sampler", None), batches)
    places = (loader, *samplers, getattr(batches, "sampler", None))
    found = [getattr(place, "generator", None) for place in places]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def _restore(part, state):
    if isinstance(part, torch.Generator):
        part.set_state(state)
    elif hasattr(part, "state_dict"):
        part.load_state_dict(state)
    else:
        generators = _generators(part)
        if len(generators) != len(state):
            raise ValueError(
                f"it had {len(state)} random generators of its own, and this one has "
                f"{len(generators)}"
            )
        for generator, its_state in zip(generators, state, strict=True):
            generator.set_state(its_state)


def _require_same_form(found, saved, where):
    """Refuse tensors that torch would take over in another type or memory layout."""
    if isinstance(saved, dict):
        for key in saved:
            _require_same_form(found[key], saved[key], f"{where}, {key}")
    elif isinstance(saved, torch.Tensor) and isinstance(found, torch.Tensor):
        forms = [(tuple(t.shape), t.dtype, t.stride()) for t in (found, saved)]
        if forms[0] != forms[1]:
            names = [f"shape {s}, {dtype}, strides {st}" for s, dtype, st in forms]
            raise ValueError(f"{where} has {names[0]} here and {names[1]} there")


def _random_states(model):
    """Return the states of the generators that all code shares."""
    algorithm, words, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (algorithm, words.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "devices": {
            str(device): torch.get_device_module(device).get_rng_state(*which)
            for device, which in _accelerators(p.device for p in model.parameters())
        },
    }


def _restore_random_states(states):
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    for device, which in _accelerators(map(torch.device, states["devices"])):
        with contextlib.suppress(AttributeError, RuntimeError):  # not on this machine
            state = states["devices"][str(device)]
            torch.get_device_module(device).set_rng_state(state, *which)


def _accelerators(devices):
    """List devices but the processor, each with what its module names it by."""
    others = {str(d): d for d in devices if d.type != "cpu"}.values()
    return [(d, () if d.type == "mps" else (d,)) for d in others]


def _replace(path, content):
    """Write a file beside `path`, see that it can be read, and put it in its place.

    Only one process can save to a path at a time: it removes what a killed one
    left, and with it the file of another that is still writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"):
        with contextlib.suppress(OSError):
            leftover.unlink()
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with open(part, "xb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        _read(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":  # the new name should outlive a power cut as well
        with contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _read(path):
    """Read a checkpoint, whole and of this format, without running code from it."""
    try:
        with open(path, "rb") as file:
            if not _is_whole(file):
                raise CheckpointError(
                    f"{path} is cut short, damaged or not a checkpoint at all."
                )
            file.seek(0)
            saved = torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint at {path}.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {_in_a_line(error)}.") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded, as it could run code: it holds {_foreign(error)}, "
            "and a checkpoint nothing but tensors, numbers and text."
        ) from error
    except (MemoryError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} could not be loaded: {_in_a_line(error)}."
        ) from error
    found = saved.get("format") if isinstance(saved, dict) else None
    if type(found) is not int or found != FORMAT or saved.keys() != KEYS:
        found = found if isinstance(found, int | str) else "not given"
        raise CheckpointError(
            f"{path} is no checkpoint of format {FORMAT}, the one that this version "
            f"reads: its format is {found}."
        )
    return saved


def _is_whole(file):
    """Check the sum of every part of the archive that torch writes."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except MemoryError:
        raise
    except Exception:
        return False


def _require_same_parts(path, kinds, parts):
    """Refuse to load when something would be left out, or be another thing."""
    given = {name: _kind(part) for name, part in parts.items()}
    if missing := kinds.keys() - given:
        raise CheckpointError(
            f"{path} also holds the state of {', '.join(sorted(missing))}: pass that "
            "too, or the run would not go on as it was."
        )
    for name, kind in given.items():
        if kinds.get(name) != kind:
            had = f"its {name} is a {kinds[name]}" if name in kinds else "it has none"
            raise CheckpointError(
                f"{path} does not fit: {name} is a {kind} here, and {had}."
            )


def _why_not_saved(error, parts):
    """Say in words why a file could not be written or not be read again."""
    # When a write fails, torch raises an error of its own about the system's.
    of_system = [e for e in (error, error.__context__) if isinstance(e, OSError)]
    if of_system:
        return _in_a_line(of_system[0])
    unreadable = isinstance(error.__cause__, pickle.UnpicklingError)
    if unreadable or isinstance(error, pickle.PickleError | AttributeError | TypeError):
        return (
            f"one of {', '.join(parts)} has {_foreign(error.__cause__ or error)} in "
            "its state, and a checkpoint holds nothing but tensors, text and Python's "
            "own numbers"
        )
    return _in_a_line(error)


def _foreign(error):
    """Name what torch refused to pickle or to unpickle."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else f"something else ({_in_a_line(error)})"


def _in_a_line(error):
    """Return the telling line of an error's message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip().rstrip(".") for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Error(s) in")]
    return telling[0] if telling else type(error).__name__
