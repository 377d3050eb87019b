"""Checkpoints: exact after any kill, and whole or untouched after any failure."""

import contextlib
import copy
import inspect
import multiprocessing
import os
import pickle
import random
import re
import shutil
import stat
import sys
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from helpers import checkpoints
from helpers.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from helpers.data import TensorLoader
from helpers.training import EarlyStopping, train_epochs

EPOCHS = 6
loss_fn = nn.CrossEntropyLoss()


def make_data(rows=120):
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(1))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 1).long()


def make_parts(seed=0, data_loader=False):
    """Return parts of which every one has a state, dropout's random masks included."""
    torch.manual_seed(seed)
    hidden = nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)
    model = nn.Sequential(nn.Linear(4, 16), *hidden, nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    loader = TensorLoader(*make_data(), batch_size=8, shuffle=True, seed=seed)
    if data_loader:
        generator = torch.Generator().manual_seed(seed)
        loader = DataLoader(loader.dataset, 8, shuffle=True, generator=generator)
    return {
        "model": model,
        "optimizer": optimizer,
        "train_loader": loader,
        "scheduler": OneCycleLR(optimizer, 0.05, total_steps=EPOCHS * len(loader)),
        "stopper": EarlyStopping(model, patience=3),
    }


def train(path, epochs=EPOCHS, keep=False, **options):
    """Resume from `path` if it is there, train on, and save after every epoch."""
    parts = make_parts(**options)
    model, optimizer, loader, scheduler, stopper = parts.values()
    history = load_checkpoint(path, **parts) if os.path.exists(path) else []
    val_loader = TensorLoader(*make_data(100), batch_size=50)
    done = {"epochs": epochs, "start": len(history), "scheduler": scheduler}
    for record in train_epochs(model, loader, val_loader, loss_fn, optimizer, **done):
        stopper(record["val_loss"])
        # Draws from the generators that all code shares, as real runs do.
        noise = random.random() + np.random.rand() + torch.rand(1).item()  # noqa: NPY002
        history.append(record | {"noise": noise})
        save_checkpoint(path, history, **parts)
        if keep:
            shutil.copy(path, f"{path}.{len(history)}")


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def contents(path):
    """Return all that a checkpoint holds, but for the times."""
    saved = torch.load(path, weights_only=True)
    for record in saved["history"]:
        record.pop("seconds", None)
    return saved


def assert_same(a, b):
    """Compare nested states bit for bit."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        assert_same([*a.values()], [b[key] for key in a])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for pair in zip(a, b, strict=True):
            assert_same(*pair)
    else:
        assert a == b


def run_to_the_end(path, started):
    """Be a process that trains; in a module so that a new process can import it."""
    torch.set_num_threads(1)
    seed_all(0)
    started.set()
    train(path)


def start_run(path):
    """Start training in a process of its own; return it once it has begun."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch._dynamo", "pytest"])
    else:
        context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=run_to_the_end, args=(path, started))
    process.start()
    assert started.wait(60)
    return process


def test_run_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    process, began = start_run(tmp_path / "whole.pt"), time.perf_counter()
    process.join(120)
    duration = time.perf_counter() - began
    reference = contents(tmp_path / "whole.pt")
    assert len(reference["history"]) == EPOCHS

    moments, kills = random.Random(7), 0
    while kills < 12:
        path, exitcode = tmp_path / f"run{kills}.pt", None
        while exitcode != 0:
            process = start_run(path)
            if kills % 2:  # within a save
                while process.is_alive() and not list(tmp_path.glob("*.part")):
                    time.sleep(0.0005)
                time.sleep(moments.uniform(0, 0.003))
            else:
                time.sleep(moments.uniform(0, duration))
            process.kill()
            process.join(60)
            exitcode = process.exitcode
            assert exitcode in (0, -9) or os.name != "posix"
            kills += exitcode != 0
        assert_same(contents(path), reference)
        assert list(tmp_path.glob("*.part")) == []


@pytest.fixture(
    scope="module", params=[False, True], ids=["TensorLoader", "DataLoader"]
)
def whole_run(request, tmp_path_factory):
    """Train without a break, keeping a copy of each epoch's checkpoint."""
    path, options = (
        tmp_path_factory.mktemp("whole") / "run",
        {"data_loader": request.param},
    )
    seed_all(0)
    train(path, keep=True, **options)
    return path, options


@pytest.mark.parametrize("stop_after", [1, 3, EPOCHS - 1])
def test_resumed_run_equals_uninterrupted(tmp_path, whole_run, stop_after):
    whole, options = whole_run
    path = shutil.copy(f"{whole}.{stop_after}", tmp_path / "run.pt")
    # Newly made with another seed: all that matters must come from the file.
    seed_all(99)
    train(path, seed=5, **options)
    assert_same(contents(path), contents(whole))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.pt"


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "run.pt"
    train(path, epochs=2)
    return path


@pytest.fixture
def saved(path, good_file):
    """Return the path of a good checkpoint."""
    return shutil.copy(good_file, path)


def test_reading_what_was_saved_for_other_uses(saved):
    content = torch.load(saved, weights_only=True)
    assert [*content["states"]] == [*make_parts()]
    assert [*content["random"]] == ["python", "numpy", "torch", "devices"]
    model = make_parts(seed=3)["model"]
    model.load_state_dict(content["states"]["model"])
    assert_same(model.state_dict(), content["states"]["model"])


class OwnBatches:
    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        order = torch.randperm(40, generator=self.generator)
        return iter([rows.tolist() for rows in order.split(8)])


def sampled_loader(kind, seed):
    data = TensorDataset(*make_data(40))
    generator = torch.Generator().manual_seed(seed)
    sampler = RandomSampler(data, generator=generator)
    options = {
        "single": {"batch_size": None, "sampler": sampler},
        "batches": {"batch_sampler": BatchSampler(sampler, 8, drop_last=False)},
        "own batches": {"batch_sampler": OwnBatches(generator)},
    }
    return DataLoader(data, **options[kind])


@pytest.mark.parametrize("kind", ["single", "batches", "own batches"])
def test_generator_of_a_sampler_is_saved_too(path, kind):
    first = make_parts() | {"train_loader": sampled_loader(kind, seed=1)}
    again = make_parts() | {"train_loader": sampled_loader(kind, seed=2)}
    list(first["train_loader"])
    save_checkpoint(path, [], **first)
    expected = [y for _, y in first["train_loader"]]
    load_checkpoint(path, **again)
    assert_same([y for _, y in again["train_loader"]], expected)


def test_generator_of_ones_own_is_a_part(path):
    mine = torch.Generator().manual_seed(4)
    save_checkpoint(path, [], **make_parts(), mine=mine)
    expected = torch.rand(3, generator=mine)
    load_checkpoint(path, **make_parts(), mine=mine)
    assert torch.equal(torch.rand(3, generator=mine), expected)


@pytest.mark.parametrize("name", ["cuda:1", "mps"])
def test_random_state_of_the_models_device_is_saved_too(path, monkeypatch, name):
    device, states = torch.device(name), [1]
    which = () if name == "mps" else (device,)  # as their functions are called
    module = SimpleNamespace(
        get_rng_state=lambda *asked: {which: states[-1]}[asked],
        set_rng_state=lambda state, *asked: states.append({which: state}[asked]),
    )
    monkeypatch.setattr(torch, "get_device_module", {device: module}.get)
    parts = make_parts()
    parts["model"].parameters = lambda: iter([SimpleNamespace(device=device)])
    save_checkpoint(path, [], **parts)
    states.append(2)
    load_checkpoint(path, **parts)
    assert states == [1, 2, 1]


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator here")
def test_dropout_on_an_accelerator_resumes_exactly(path):
    device = torch.accelerator.current_accelerator()
    parts = make_parts()
    parts["model"].to(device)
    save_checkpoint(path, [], **parts)
    expected = nn.functional.dropout(torch.ones(99, device=device))
    load_checkpoint(path, **parts)
    assert torch.equal(nn.functional.dropout(torch.ones(99, device=device)), expected)


def states(parts):
    """Return a copy of the states of all parts, and of the shared generators."""
    own = {n: p.state_dict() for n, p in parts.items() if hasattr(p, "state_dict")}
    loader = parts.get("train_loader")
    return copy.deepcopy(own) | {
        "loader": loader and loader.generator.get_state(),
        "torch": torch.get_rng_state(),
        "python": str(random.getstate()),
        "numpy": str(np.random.get_state()[1].tolist()),  # noqa: NPY002
    }


def refused(path, parts=None):
    """Return the sentence with which a file is refused, having changed nothing."""
    parts = parts or make_parts(seed=2)
    before = states(parts)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, **parts)
    assert_same(states(parts), before)
    assert re.fullmatch(re.escape(str(path)) + " [^\n]*[.]", str(error.value))
    return str(error.value)


def test_missing_file_is_refused(path):
    assert "there is no file" in refused(path)


def test_truncated_file_is_refused(saved):
    whole = saved.read_bytes()
    for share in (0, 0.01, 0.3, 0.7, 0.99, 0.9999):
        saved.write_bytes(whole[: int(len(whole) * share)])
        sentence = f"{saved} is cut short, damaged or not a checkpoint at all."
        assert refused(saved) == sentence


def test_changed_bit_is_refused_or_changes_nothing(saved):
    whole, expected = saved.read_bytes(), contents(saved)
    places, noticed = random.Random(3), 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        saved.write_bytes(damaged)
        if load_or_be_refused(saved):
            assert_same(contents(saved), expected)
        else:
            noticed += 1
    assert noticed > 20


def make_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no right to make a device here")


@pytest.mark.skipif(os.name != "posix", reason="such files are POSIX's")
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None), make_device])
@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_not_a_file_is_left_alone(tmp_path, monkeypatch, make, is_link):
    special = path = tmp_path / "special"
    make(special)
    if is_link:
        path = tmp_path / "run.pt"
        path.symlink_to(special)
    before = os.lstat(special)
    with pytest.raises(CheckpointError, match="it is a folder, a device or a pipe"):
        save_checkpoint(path, [], **make_parts())
    assert os.path.samestat(os.lstat(special), before)
    monkeypatch.setattr(checkpoints, "open", None, raising=False)  # would wait for ever
    assert "it is a folder, a device or a pipe" in refused(path)


@pytest.mark.skipif(os.name != "posix", reason="needs a right to make links")
def test_link_still_leads_to_the_newest_checkpoint(tmp_path, path):
    path.symlink_to(tmp_path / "new" / "disk" / "run.pt")
    train(path, epochs=2)
    assert path.is_symlink()
    assert len(contents(tmp_path / "new" / "disk" / "run.pt")["history"]) == 2


def test_file_of_other_parts_is_refused(saved):
    parts, more = make_parts(), {"mine": torch.Generator()}
    sgd = torch.optim.SGD(parts["model"].parameters())
    loader = DataLoader(TensorDataset(*make_data()), 8, shuffle=True)
    for other, difference in {
        "optimizer is SGD here, and AdamW in the file": {"optimizer": sgd},
        "train_loader is DataLoader here": {"train_loader": loader},
    }.items():
        with pytest.raises(CheckpointError, match=other):
            load_checkpoint(saved, **parts | difference)
    assert "scheduler is missing here" in refused(saved, parts | {"scheduler": None})
    assert "mine is Generator here, and missing" in refused(saved, parts | more)
    parts["model"].append(nn.Linear(3, 3))  # not among the optimizer's weights
    assert 'Missing key(s) in state_dict: "5.weight"' in refused(saved, parts)


@pytest.mark.parametrize("number_here", [0, 1])
def test_loader_with_or_without_a_generator_is_another(path, number_here):
    data, generators = TensorDataset(*make_data(40)), [None, torch.Generator()]
    loaders = [DataLoader(data, 8, shuffle=True, generator=g) for g in generators]
    there = {"train_loader": loaders[1 - number_here]}
    save_checkpoint(path, [], **make_parts() | there)
    with pytest.raises(CheckpointError, match="number of generators in train_loader"):
        load_checkpoint(path, **make_parts() | {"train_loader": loaders[number_here]})


def step_once(model, optimizer, shape):
    """Give an optimizer moments; return a run without other parts."""
    weight = next(model.parameters())
    model(torch.ones(shape, dtype=weight.dtype)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer, "train_loader": None}


def make_twins(*groups):
    """Return a run whose weights have equal shapes, in groups as given."""
    model = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(3)))
    groups = [{"params": [model[i].weight for i in group]} for group in groups]
    return step_once(model, torch.optim.Adam(groups), (2, 4))


@pytest.mark.parametrize(
    ("groups", "difference"),
    [
        ([[1, 0], [2]], "weight 0 in group 0 of optimizer is 1.weight (4, 4) here"),
        ([[2], [0, 1]], "weight 0 in group 0 of optimizer is 2.weight (4, 4) here"),
        ([[0, 1, 2]], "weight 2 in group 0 of optimizer is 2.weight (4, 4) here"),
        ([[0, 1]], "weight 0 in group 1 of optimizer is missing here"),
    ],
)
def test_moments_are_never_given_to_other_weights(path, groups, difference):
    save_checkpoint(path, [], **make_twins([0, 1], [2]))
    load_checkpoint(path, **make_twins([0, 1], [2]))
    assert difference in refused(path, make_twins(*groups))


def make_images_run(layout="contiguous_format", dtype=torch.float32, optimizer="Adam"):
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 2)).to(dtype)
    model = model.to(memory_format=getattr(torch, layout))
    optimizer = getattr(torch.optim, optimizer)(model.parameters())
    return step_once(model, optimizer, (8, 4, 3, 3))


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({}, {"layout": "channels_last"}),
        ({"layout": "channels_last"}, {}),
        ({}, {"dtype": torch.float64}),
        ({"dtype": torch.bfloat16}, {}),
    ],
)
def test_another_layout_or_type_of_numbers_is_refused(path, here, there):
    save_checkpoint(path, [], **make_images_run(**there))
    assert "model 0.weight is torch." in refused(path, make_images_run(**here))
    assert load_checkpoint(path, **make_images_run(**there)) == []


def test_optimizer_state_that_torch_would_round_is_refused(path):
    parts = make_images_run(dtype=torch.float64, optimizer="NAdam")
    save_checkpoint(path, [], **parts)
    difference = "mu_product is torch.float64.* here, and torch.float32"
    with pytest.raises(CheckpointError, match=difference):
        load_checkpoint(path, **parts)


def test_interrupted_load_takes_back_what_was_loaded(saved, monkeypatch):
    def interrupted(self, state):
        raise KeyboardInterrupt

    parts = make_parts(seed=2)
    before = states(parts)
    monkeypatch.setattr(EarlyStopping, "load_state_dict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_checkpoint(saved, **parts)
    assert_same(states(parts), before)


class Bomb:
    """A thing that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_pickle_does_not_run(tmp_path, path):
    crater = tmp_path / "crater"
    path.write_bytes(pickle.dumps(Bomb(crater)))
    assert "not a checkpoint" in refused(path)
    torch.save({"format": checkpoints.FORMAT, "history": Bomb(crater)}, path)
    assert "it holds io.open" in refused(path)
    assert not crater.exists()
    torch.load(path, weights_only=False)["history"].close()
    assert crater.exists()  # so the bomb was a real one


@pytest.mark.parametrize("number", [0, 1, "first", None])
def test_other_formats_are_refused_by_name(saved, number):
    weights = make_parts()["model"].state_dict()
    content = contents(saved) | {"format": number} if number is not None else weights
    torch.save(content, saved)
    assert f"format is 2 here, and {number} in the file" in refused(saved)


@pytest.mark.parametrize("position", [-1, 625, 10**6, "1", torch.tensor(9999)])
def test_position_outside_of_numpys_words_is_refused(saved, position):
    content = contents(saved)
    algorithm, words, _, *rest = content["random"]["numpy"]
    content["random"]["numpy"] = (algorithm, words, position, *rest)
    torch.save(content, saved)
    refused(saved)


def mutated(content, chance):
    """Return nested content with something replaced or removed at a random place."""
    nested = isinstance(content, dict | list | tuple) and len(content) > 0
    if not nested or chance.random() < 0.15:
        new = [None, -1, 10**6, 0.5, "text", [], {}, (), torch.ones(3), torch.ones(0)]
        return chance.choice(new)
    is_dict = isinstance(content, dict)
    items = dict(content) if is_dict else dict(enumerate(content))
    key = chance.choice([*items])
    if chance.random() < 0.1:
        del items[key]
    else:
        items[key] = mutated(items[key], chance)
    return items if is_dict else type(content)(items.values())


def load_or_be_refused(path):
    """Load a file that may be malformed; return whether that was possible."""
    seed_all(0)
    parts = make_parts(seed=2)
    before = states(parts)
    try:
        assert isinstance(load_checkpoint(path, **parts), list)
    except CheckpointError:
        assert_same(states(parts), before)
        return False
    # What was loaded must not crash the interpreter when it is used.
    random.random(), np.random.random(1000), torch.rand(1000)  # noqa: NPY002
    return True


def test_any_malformed_content_is_refused_or_loaded(saved):
    content, chance, refusals = contents(saved), random.Random(5), 0
    for _ in range(150):
        torch.save(mutated(content, chance), saved)
        refusals += not load_or_be_refused(saved)
    assert refusals > 50


def test_any_malformed_pickle_is_refused_or_loaded(saved):
    with zipfile.ZipFile(saved) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in files if name.endswith("data.pkl"))
    chance, refusals = random.Random(6), 0
    for _ in range(100):
        damaged = bytearray(files[name])
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with zipfile.ZipFile(saved, "w") as archive:  # with the right sums
            for other, data in (files | {name: damaged}).items():
                archive.writestr(other, data)
        refusals += not load_or_be_refused(saved)
    assert refusals > 25


@contextlib.contextmanager
def spared(path):
    """Assert that saving fails with one sentence, and the folder stays as it was."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises((CheckpointError, KeyboardInterrupt)) as error:
        yield error
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("room", [0, 100, 10_000])
def test_full_disk_spares_the_previous_checkpoint(saved, room):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with spared(saved) as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            save_checkpoint(saved, [], **make_parts())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in str(error.value)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_save_that_ends_early_spares_the_previous_checkpoint(saved, monkeypatch, error):
    def fsync(_):
        raise error

    monkeypatch.setattr(os, "fsync", fsync)
    with spared(saved):
        save_checkpoint(saved, [], **make_parts())


def test_files_of_others_are_left_alone(tmp_path):
    names = ["run1.pt.deadbeef.part", "run[1].pt.training.part", "run[1].pt.part"]
    for name in [*names, "run[1].pt.0123abcd.part"]:
        (tmp_path / name).write_text("the last one was left by a killed process")
    save_checkpoint(tmp_path / "run[1].pt", [], **make_parts())
    assert {path.name for path in tmp_path.iterdir()} == {*names, "run[1].pt"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            np.float64(0.5),
            "multiarray.scalar, not just tensors, text and plain numbers",
        ),
        (lambda: None, "lambda"),
        (Bomb("nowhere"), "it holds io.open"),
    ],
)
def test_what_could_not_be_loaded_again_is_not_saved(saved, value, reason):
    parts = make_parts()
    with spared(saved) as error:
        save_checkpoint(saved, [{"epoch": 1, "val_f1": value}], **parts)
    assert reason in str(error.value)
    parts["optimizer"].param_groups[0]["lr"] = value
    with spared(saved):
        save_checkpoint(saved, [], **parts)


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        ([1], "train_loader has no state: if it needs none, pass train_loader=None"),
        (
            DataLoader([1], num_workers=1, persistent_workers=True),
            "train_loader has persistent_workers, whose state can't be saved",
        ),
    ],
)
def test_part_whose_state_cannot_be_had_is_named(saved, loader, reason):
    with spared(saved) as error:
        save_checkpoint(saved, [], **make_parts() | {"train_loader": loader})
    assert reason in str(error.value)


def test_checkpoints_import_torch_and_numpy_alone():
    found = re.findall(r"(?m)^(?:import|from) (\w+)", inspect.getsource(checkpoints))
    assert {*found} - sys.stdlib_module_names == {"torch", "numpy"}
