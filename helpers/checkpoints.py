"""A training run in one file, saved after an epoch and resumed bit for bit."""

import contextlib
import copy
import glob
import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import torch

FORMAT = 2


class CheckpointError(ValueError):
    """What is wrong with a checkpoint, in a sentence."""


def save_checkpoint(
    path: str | Path, history: list[dict], *, model, optimizer, train_loader, **others
) -> None:
    """Save a run between two epochs, with all that `load_checkpoint` needs to go on.

    `others` names what else has a state: `scheduler=…`, `stopper=…`, a generator of
    your own. The random states that all cells share are saved too. A file already at
    `path` is replaced in one step, when the new one is complete and on the disk.

    The weights alone can be had for any other use:
    `torch.load(path, weights_only=True)["states"]["model"]`.
    """
    parts = _parts(model, optimizer, train_loader, others)
    with _one_sentence(f"{path} was not saved (a file that was there still is)"):
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError("it is a folder, a device or a pipe")
        content = {"format": FORMAT, "history": list(history), "kinds": _kinds(parts)}
        file = io.BytesIO()
        torch.save(content | _states(parts), file)
        file.seek(0)  # what cannot be loaded again must not take the file's place
        torch.load(file, map_location="cpu", weights_only=True)
        replace_file(Path(path).resolve(), file.getbuffer())


def load_checkpoint(
    path: str | Path, *, model, optimizer, train_loader, **others
) -> list[dict]:
    """Give every part the state in which it was saved; return the history so far.

    Pass the same parts as to `save_checkpoint`, newly made, and go on with
    `start=len(history)`. No code in the file is run. If anything does not fit,
    all parts stay as they are. The bits are the same on the same machine, with
    the same versions and number of threads.
    """
    parts = _parts(model, optimizer, train_loader, others)
    with _one_sentence(f"{path} was not loaded"):
        saved = read_checkpoint(path)
        compare(_kinds(parts), saved["kinds"])
        history = list(saved["history"])
        before = copy.deepcopy(_states(parts))
        try:
            _restore(parts, saved)
            # Torch takes over another type of numbers or memory layout in silence.
            now, then = _states(parts)["states"], saved["states"]
            compare(dict(_forms(now)), dict(_forms(then)))
        except BaseException:
            _restore(parts, before)
            raise
    return history


def read_checkpoint(path: str | Path) -> dict:
    """Return all that a file holds, whole and undamaged, without running code from it.

    Its "history" is the list of records, and its "states" are by the parts' names.
    """
    with _one_sentence(f"{path} was not loaded"):
        if not os.path.isfile(path):
            raise ValueError("there is no file, or it is a folder, a device or a pipe")
        with open(path, "rb") as file:
            if zipfile.is_zipfile(file) and zipfile.ZipFile(file).testzip() is None:
                file.seek(0)
                saved = torch.load(file, map_location="cpu", weights_only=True)
                compare({"format": FORMAT}, {"format": saved.get("format")})
                return saved
    raise CheckpointError(f"{path} is cut short, damaged or not a checkpoint at all.")


@contextlib.contextmanager
def _one_sentence(beginning):
    """Turn any error into one that gives its reason in a line."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".") or repr(error)
        if isinstance(error, pickle.UnpicklingError):  # it says how to run all the same
            found = str(error).partition("GLOBAL ")[2].split() or ["an unknown object"]
            reason = f"it holds {found[0]}, not just tensors, text and plain numbers"
        raise CheckpointError(f"{beginning}: {reason}.") from error


def _parts(model, optimizer, train_loader, others):
    """Name all that may have a state; what is None has none."""
    parts = {"model": model, "optimizer": optimizer, "train_loader": train_loader}
    return {k: part for k, part in (parts | others).items() if part is not None}


def _kinds(parts):
    """Describe in words what must be the same before any state is loaded."""
    models = [p for p in parts.values() if isinstance(p, torch.nn.Module)]
    names = {id(p): name for model in models for name, p in model.named_parameters()}
    kinds = {}
    for name, part in parts.items():
        # The weights of a model are compared when they are loaded.
        kinds[name] = "a model" if part in models else type(part).__qualname__
        kinds[f"the number of generators in {name}"] = len(generators(part))
        for i, group in enumerate(getattr(part, "param_groups", [])):
            for j, p in enumerate(group["params"]):
                weight = f"{names.get(id(p), 'not of a model')} {tuple(p.shape)}"
                kinds[f"weight {j} in group {i} of {name}"] = weight
    return kinds


def compare(here, saved):
    """Refuse to load where two descriptions differ."""
    for key in here | saved:
        mine, its = here.get(key, "missing"), saved.get(key, "missing")
        if mine != its:
            raise ValueError(f"{key} is {mine} here, and {its} in the file")


def _forms(state, name=""):
    """Describe the tensors in a state by type of numbers, shape and memory layout."""
    if isinstance(state, torch.Tensor):
        yield name, f"{state.dtype}, shape {(*state.shape,)}, strides {state.stride()}"
    for key, value in state.items() if isinstance(state, dict) else ():
        yield from _forms(value, f"{name} {key}".strip())


def _states(parts):
    """Return the states of all parts, and of the generators that all code shares."""
    states = {name: _state(name, part) for name, part in parts.items()}
    return {"states": states, "random": random_states(parts["model"])}


def random_states(model: torch.nn.Module) -> dict:
    """Return the states of the generators that all code shares, by Python's types."""
    algorithm, words, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (algorithm, words.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "devices": {d: m.get_rng_state(*which) for d, m, which in _devices(model)},
    }


def set_random_states(model: torch.nn.Module, shared: dict) -> None:
    """Take all generators that code shares back to what `random_states` returned."""
    if not 0 <= shared["numpy"][2] <= len(shared["numpy"][1]) == 624:
        raise ValueError("its random state of NumPy would be read beyond its end")
    np.random.set_state(shared["numpy"])  # noqa: NPY002
    random.setstate(shared["python"])
    torch.set_rng_state(shared["torch"])
    for device, module, which in _devices(model):
        if device in shared["devices"]:
            module.set_rng_state(shared["devices"][device], *which)


def _state(name, part):
    """Return the state of a part, or of the generators that a loader draws from."""
    if hasattr(part, "state_dict"):
        return part.state_dict()
    if getattr(part, "persistent_workers", False):
        raise ValueError(f"{name} has persistent_workers, whose state can't be saved")
    if not hasattr(part, "generator") and not isinstance(part, torch.Generator):
        raise ValueError(f"{name} has no state: if it needs none, pass {name}=None")
    return [generator.get_state() for generator in generators(part)]


def generators(part: object) -> list[torch.Generator]:
    """List a part that is a generator, or those of a loader and its samplers."""
    batches = getattr(part, "batch_sampler", None)
    places = [part, batches, *(getattr(p, "sampler", None) for p in (part, batches))]
    found = [getattr(place, "generator", place) for place in places]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def _restore(parts, saved):
    for name, part in parts.items():
        state = saved["states"][name]
        if hasattr(part, "state_dict"):
            part.load_state_dict(state)
        else:
            for generator, its_state in zip(generators(part), state, strict=True):
                generator.set_state(its_state)
    # Last, as a part that is loaded might draw numbers.
    set_random_states(parts["model"], saved["random"])


def _devices(model):
    """Yield the model's devices but the processor, with what holds their states."""
    for d in {p.device for p in model.parameters()}:
        if d.type != "cpu":
            yield str(d), torch.get_device_module(d), () if d.type == "mps" else (d,)


def replace_file(path, data):
    """Write a file beside `path`, and put it in its place when it is on the disk.

    Only one process can save to a path at a time: it removes what a killed one
    left, and with it the file of another that is still writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"):
        leftover.unlink(missing_ok=True)
    part = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
