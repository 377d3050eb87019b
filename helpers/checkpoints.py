"""A training run in one file, saved after an epoch and resumed bit for bit."""

import copy
import os
import pickle
import random
import re
import uuid
import zipfile
from numbers import Integral
from pathlib import Path

import numpy as np
import torch

FORMAT = 1


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
        # When a write fails, torch raises an error of its own about the system's.
        of_system = [e for e in (error, error.__context__) if isinstance(e, OSError)]
        reason = (
            of_system[0].strerror
            if of_system
            else f"one of {', '.join(parts)} has {_foreign(error)} in its state, and a "
            "checkpoint holds nothing but tensors, numbers and text"
        )
        raise CheckpointError(
            f"The run could not be saved as {path}: {reason}. A checkpoint that was "
            "there before still is."
        ) from error


def load_checkpoint(path, *, model, optimizer, train_loader, **others) -> list[dict]:
    """Give every part the state in which it was saved; return the history so far.

    Pass the same parts as to `save_checkpoint`, newly made, and go on with
    `start=len(history)`. No code in the file is run. If anything does not fit,
    all parts stay as they are.
    """
    parts = _parts(model, optimizer, train_loader, others)
    saved = _read(path)
    _require_same_parts(path, saved["kinds"], parts)
    before = {name: copy.deepcopy(_state(name, part)) for name, part in parts.items()}
    try:
        for name, part in parts.items():
            _restore(part, saved["states"][name])
        name = "random state"
        _restore_random_states(saved["random"], model)
    except Exception as error:
        for done, part in parts.items():
            _restore(part, before[done])
        detail = str(error).strip().splitlines()[:2][-1].strip().rstrip(".")
        raise CheckpointError(
            f"{path} was saved with another {name}, and nothing was loaded: {detail}."
        ) from error
    return saved["history"]


def _parts(model, optimizer, train_loader, others):
    """Name all that may have a state; what is None has none."""
    parts = {"model": model, "optimizer": optimizer, "train_loader": train_loader}
    return {k: part for k, part in (parts | others).items() if part is not None}


def _plain(record):
    return {
        name: int(value) if isinstance(value, Integral) else float(value)
        for name, value in record.items()
    }


def _kind(part):
    """Name a part's class, but for models: their weights are compared by name."""
    return "model" if isinstance(part, torch.nn.Module) else type(part).__qualname__


def _state(name, part):
    if isinstance(part, torch.Generator):
        return part.get_state()
    if hasattr(part, "state_dict"):
        return part.state_dict()
    if hasattr(part, "generator"):
        return None if part.generator is None else part.generator.get_state()
    raise TypeError(
        f"{name} is a {type(part).__name__}, which has neither state_dict() nor a "
        f"generator to save. If it is the same in every epoch, pass {name}=None."
    )


def _restore(part, state):
    if isinstance(part, torch.Generator):
        part.set_state(state)
    elif hasattr(part, "state_dict"):
        part.load_state_dict(state)
    elif state is not None:
        part.generator.set_state(state)


def _random_states(model):
    """Return the states of the generators that all code shares."""
    algorithm, words, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (algorithm, words.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "devices": {
            kind: torch.get_device_module(kind).get_rng_state()
            for kind in _accelerators(model)
        },
    }


def _restore_random_states(states, model):
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    for kind in _accelerators(model) & states["devices"].keys():
        torch.get_device_module(kind).set_rng_state(states["devices"][kind])


def _accelerators(model):
    return {p.device.type for p in model.parameters()} - {"cpu"}


def _replace(path, content):
    """Write a file beside `path`, see that it can be read, and put it in its place.

    Only one process can save to a path at a time: it removes what a killed one
    left, and with it the file of another that is still writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{path.name}.????????.part"):
        leftover.unlink(missing_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with open(part, "xb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        torch.load(part, weights_only=True, mmap=True)
        os.replace(part, path)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


def _read(path):
    """Read a checkpoint, whole and of this format, without running code from it."""
    try:
        with open(path, "rb") as file:
            with zipfile.ZipFile(file) as archive:
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            file.seek(0)
            saved = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint at {path}.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded, as it could run code: it holds {_foreign(error)}, "
            "and a checkpoint nothing but tensors, numbers and text."
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"{path} is cut short, damaged or not a checkpoint at all."
        ) from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        found = saved.get("format") if isinstance(saved, dict) else None
        raise CheckpointError(
            f"{path} is no checkpoint of format {FORMAT}, the one that this version "
            f"reads: its format is {'not given' if found is None else found}."
        )
    return saved


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


def _foreign(error):
    """Name what torch refused to pickle or to unpickle."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else f"something else ({str(error).splitlines()[0]})"
