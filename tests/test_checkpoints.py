"""Checkpoints: exact after any kill, and whole or untouched after any failure."""

import builtins
import contextlib
import errno
import io
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from helpers.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from helpers.data import TensorLoader
from helpers.training import EarlyStopping, train_epochs

EPOCHS = 12
loss_fn = nn.CrossEntropyLoss()


def make_data(rows=200):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, generator=generator)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 1).long()


def make_parts(width=64, seed=0, data_loader=False):
    """Return parts of which every one has a state, dropout's random masks included."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(width, 3),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x, y = make_data()
    if data_loader:
        generator = torch.Generator().manual_seed(seed)
        loader = DataLoader(
            TensorDataset(x, y), batch_size=8, shuffle=True, generator=generator
        )
    else:
        loader = TensorLoader(x, y, batch_size=8, shuffle=True, seed=seed)
    scheduler = lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=EPOCHS * len(loader)
    )
    return {
        "model": model,
        "optimizer": optimizer,
        "train_loader": loader,
        "scheduler": scheduler,
        "stopper": EarlyStopping(model, patience=3),
    }


def train(path, epochs=EPOCHS, **options):
    """Resume from `path` if it is there, train on, and save after every epoch."""
    parts = make_parts(**options)
    history = load_checkpoint(path, **parts) if os.path.exists(path) else []
    val_loader = TensorLoader(*make_data(100), batch_size=50)
    for record in train_epochs(
        parts["model"],
        parts["train_loader"],
        val_loader,
        loss_fn,
        parts["optimizer"],
        epochs=epochs,
        start=len(history),
        scheduler=parts["scheduler"],
    ):
        parts["stopper"](record["val_loss"])
        # Draws from the generators that all code shares, as real runs do.
        noise = random.random() + np.random.rand() + torch.rand(1).item()  # noqa: NPY002
        history.append(record | {"noise": noise})
        save_checkpoint(path, history, **parts)
    return parts, history


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def contents(path):
    """Return all that a checkpoint holds, but for the times."""
    saved = torch.load(path, weights_only=True)
    for record in saved["history"]:
        del record["seconds"]
    return saved


def assert_same(a, b, where=""):
    """Compare nested states bit for bit."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}/{i}")
    else:
        assert a == b, where


def run_to_the_end(path, started):
    """Be a process that trains; in a module so that a new process can import it."""
    import torch._dynamo  # the first step of an optimizer would load it

    torch.set_num_threads(1)
    seed_all(0)
    started.set()
    train(path)


def start_run(path):
    """Start training in a process of its own; return it once it has begun."""
    methods = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in methods else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["torch._dynamo", "pytest"])
    started = context.Event()
    process = context.Process(target=run_to_the_end, args=(path, started))
    process.start()
    assert started.wait(60)
    return process


def finish(process):
    process.join(120)
    assert process.exitcode == 0


def test_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    whole = tmp_path / "whole.pt"
    finish(start_run(whole))  # the first start is slow, and not a measure
    whole.unlink()
    process = start_run(whole)
    began = time.perf_counter()
    finish(process)
    duration = time.perf_counter() - began
    reference = contents(whole)
    assert reference["epoch"] == EPOCHS

    moments, killed, epochs_done = random.Random(7), 0, set()
    for attempt in range(60):
        path = tmp_path / f"run{attempt}.pt"
        process = start_run(path)
        time.sleep(moments.uniform(0, duration))
        process.kill()
        process.join(60)
        if process.exitcode == 0:
            continue  # it had finished before
        assert process.exitcode == -signal.SIGKILL or os.name != "posix"
        killed += 1
        epochs_done.add(contents(path)["epoch"] if path.exists() else 0)
        finish(start_run(path))
        assert_same(contents(path), reference)
        leftovers = [f.name for f in tmp_path.glob(f"{path.name}.*")]
        assert leftovers == []
        if killed >= 12:
            break
    assert killed >= 10
    assert len(epochs_done) > 3


def test_run_killed_again_and_again_still_ends_with_the_same_bits(tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "run.pt"
    finish(start_run(whole))
    moments, kills = random.Random(11), 0
    for _ in range(200):
        process = start_run(path)
        wanted = contents(path)["epoch"] + 1 if path.exists() else 1
        while process.is_alive():
            if path.exists() and contents(path)["epoch"] >= wanted:
                break
        time.sleep(moments.uniform(0, 0.005))
        process.kill()
        process.join(60)
        kills += process.exitcode != 0
        if contents(path)["epoch"] == EPOCHS:
            break
    assert kills >= 3
    assert_same(contents(path), contents(whole))


@pytest.mark.parametrize("data_loader", [False, True])
@pytest.mark.parametrize("stop_after", range(1, EPOCHS))
def test_resumed_run_equals_uninterrupted(tmp_path, stop_after, data_loader):
    seed_all(0)
    parts, history = train(tmp_path / "whole.pt", data_loader=data_loader)
    seed_all(0)
    train(tmp_path / "run.pt", epochs=stop_after, data_loader=data_loader)
    seed_all(99)
    # Newly made with another seed: all that matters must come from the file.
    resumed, its_history = train(tmp_path / "run.pt", seed=5, data_loader=data_loader)

    assert_same(contents(tmp_path / "run.pt"), contents(tmp_path / "whole.pt"))
    assert_same(resumed["model"].state_dict(), parts["model"].state_dict())
    assert len(its_history) == len(history) == EPOCHS


def test_reading_what_was_saved_for_other_uses(tmp_path):
    parts, _ = train(tmp_path / "run.pt", epochs=1)
    states = torch.load(tmp_path / "run.pt", weights_only=True)["states"]
    other = make_parts(seed=3)["model"]
    other.load_state_dict(states["model"])
    assert_same(other.state_dict(), parts["model"].state_dict())


def test_history_is_stored_as_plain_numbers(tmp_path):
    parts = make_parts()
    record = {
        "epoch": np.int64(1),
        "val_loss": torch.tensor(0.5),
        "val_f1": np.float32(0.25),
    }
    save_checkpoint(tmp_path / "run.pt", [record], **parts)
    (loaded,) = load_checkpoint(tmp_path / "run.pt", **parts)
    assert loaded == {"epoch": 1, "val_loss": 0.5, "val_f1": 0.25}
    assert [type(value) for value in loaded.values()] == [int, float, float]


def test_parts_that_are_none_have_no_state(tmp_path):
    parts = make_parts() | {"scheduler": None, "train_loader": None}
    save_checkpoint(tmp_path / "run.pt", [], **parts)
    assert load_checkpoint(tmp_path / "run.pt", **parts) == []


def test_generator_of_ones_own_is_a_part(tmp_path):
    mine = torch.Generator().manual_seed(4)
    save_checkpoint(tmp_path / "run.pt", [], **make_parts(), mine=mine)
    expected = torch.rand(3, generator=mine)
    mine.manual_seed(5)
    load_checkpoint(tmp_path / "run.pt", **make_parts(), mine=mine)
    assert torch.equal(torch.rand(3, generator=mine), expected)


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "runs" / "monday" / "run.pt"
    train(str(path), epochs=1)
    assert path.is_file()


@pytest.mark.skipif(os.name != "posix", reason="permissions in octal are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        train(tmp_path / "run.pt", epochs=1)
        (tmp_path / "plain").write_text("")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("run.pt", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.skipif(os.name != "posix", reason="needs a right to make links")
def test_link_still_leads_to_the_newest_checkpoint(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run.pt").symlink_to(tmp_path / "disk" / "run.pt")
    train(tmp_path / "run.pt", epochs=2)
    assert (tmp_path / "run.pt").is_symlink()
    assert contents(tmp_path / "disk" / "run.pt")["epoch"] == 2


@contextlib.contextmanager
def nothing_changes(parts):
    """Assert that a failed load leaves every part and random state as it was."""

    def states():
        buffer = io.BytesIO()
        torch.save([parts[n].state_dict() for n in ("model", "optimizer")], buffer)
        return (
            buffer.getvalue(),
            parts["train_loader"].generator.get_state().tolist(),
            parts["scheduler"].state_dict()["last_epoch"],
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            vars(parts["stopper"]).get("best"),
        )

    before = states()
    yield
    assert states() == before


def refused(path, parts=None):
    """Return the sentence with which a file is refused, having changed nothing."""
    parts = parts or make_parts(seed=2)
    with nothing_changes(parts), pytest.raises(CheckpointError) as error:
        load_checkpoint(path, **parts)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.fixture
def saved(tmp_path):
    """Return the path of a good checkpoint."""
    train(tmp_path / "run.pt", epochs=2)
    return tmp_path / "run.pt"


def test_missing_file_is_refused(tmp_path):
    assert "There is no checkpoint at" in refused(tmp_path / "run.pt")


def test_folder_is_refused(tmp_path):
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_truncated_file_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    assert "cut short" in refused(saved)


def test_single_changed_bit_is_noticed(saved):
    whole, step = bytearray(saved.read_bytes()), 997
    with zipfile.ZipFile(saved) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    start = largest.header_offset + 200
    for place in range(start, start + largest.file_size - 200, step):
        whole[place] ^= 1
        saved.write_bytes(whole)
        assert "damaged" in refused(saved)
        whole[place] ^= 1


def test_file_of_another_model_is_refused(saved):
    message = refused(saved, make_parts(width=32))
    assert "does not fit the model here" in message
    assert "size mismatch for 0.weight" in message


def test_file_of_another_optimizer_is_refused(saved):
    parts = make_parts()
    parts["optimizer"] = torch.optim.SGD(parts["model"].parameters(), lr=0.1)
    assert "optimizer is a SGD here, and its optimizer is a AdamW" in refused(
        saved, parts
    )


def test_file_of_an_optimizer_over_other_weights_is_refused(saved):
    parts = make_parts()
    parts["optimizer"] = torch.optim.AdamW(parts["model"][0].parameters())
    assert "does not fit the optimizer here" in refused(saved, parts)


def make_images_run(channels_last=False, dtype=torch.float32, optimizer="Adam"):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 2)).to(dtype)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = getattr(torch.optim, optimizer)(model.parameters())
    x, y = torch.randn(8, 4, 3, 3, dtype=dtype), torch.arange(8) % 2
    loader = TensorLoader(x, y, batch_size=4)
    list(train_epochs(model, loader, None, loss_fn, optimizer, epochs=1))
    return {"model": model, "optimizer": optimizer, "train_loader": loader}


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({}, {"channels_last": True}),
        ({"channels_last": True}, {}),
        ({}, {"dtype": torch.float64}),
        ({"dtype": torch.bfloat16}, {}),
    ],
)
def test_another_layout_or_type_of_numbers_is_refused(tmp_path, here, there):
    save_checkpoint(tmp_path / "run.pt", [], **make_images_run(**there))
    parts = make_images_run(**here)
    before = [p.clone() for p in parts["model"].parameters()]
    with pytest.raises(
        CheckpointError, match="does not fit the model here, and nothing was loaded"
    ):
        load_checkpoint(tmp_path / "run.pt", **parts)
    assert all(map(torch.equal, before, parts["model"].parameters()))
    same = make_images_run(**there)
    assert load_checkpoint(tmp_path / "run.pt", **same) == []


def test_optimizer_state_that_torch_would_round_is_refused(tmp_path):
    parts = make_images_run(dtype=torch.float64, optimizer="NAdam")
    save_checkpoint(tmp_path / "run.pt", [], **parts)
    with pytest.raises(
        CheckpointError, match=r"mu_product has .*float64.* here and .*float32.* there"
    ):
        load_checkpoint(tmp_path / "run.pt", **parts)


class OwnBatches:
    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        order = torch.randperm(40, generator=self.generator)
        return iter([rows.tolist() for rows in order.split(8)])


def sampled_loader(kind, generator):
    data = TensorDataset(*make_data(40))
    if kind == "weighted":
        sampler = WeightedRandomSampler([1.0] * 40, 40, generator=generator)
        return DataLoader(data, 8, sampler=sampler)
    sampler = RandomSampler(data, generator=generator)
    if kind == "random":
        return DataLoader(data, 8, sampler=sampler)
    if kind == "single":
        return DataLoader(data, batch_size=None, sampler=sampler)
    if kind == "own batches":
        return DataLoader(data, batch_sampler=OwnBatches(generator))
    return DataLoader(data, batch_sampler=BatchSampler(sampler, 8, drop_last=False))


@pytest.mark.parametrize(
    "kind", ["weighted", "random", "batches", "single", "own batches"]
)
def test_generator_of_a_sampler_is_saved_too(tmp_path, kind):
    parts = make_parts() | {"stopper": None, "scheduler": None}

    def seeded(seed):
        generator = torch.Generator().manual_seed(seed)
        return parts | {"train_loader": sampled_loader(kind, generator)}

    first, again = seeded(1), seeded(2)
    list(first["train_loader"])
    save_checkpoint(tmp_path / "run.pt", [], **first)
    expected = [y for _, y in first["train_loader"]]
    load_checkpoint(tmp_path / "run.pt", **again)
    found = [y for _, y in again["train_loader"]]
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("there_it_had_one", [False, True])
def test_loader_with_or_without_a_generator_is_another(tmp_path, there_it_had_one):
    data = TensorDataset(*make_data(40))
    without = make_parts() | {"train_loader": DataLoader(data, 8, shuffle=True)}
    generator = torch.Generator()
    own = DataLoader(data, 8, shuffle=True, generator=generator)
    pair = [without, make_parts() | {"train_loader": own}]
    there, here = reversed(pair) if there_it_had_one else pair
    save_checkpoint(tmp_path / "run.pt", [], **there)
    with pytest.raises(CheckpointError, match="random generators of its own"):
        load_checkpoint(tmp_path / "run.pt", **here)


def test_workers_that_stay_are_refused(tmp_path):
    data = TensorDataset(*make_data(40))
    loader = DataLoader(data, 8, num_workers=1, persistent_workers=True)
    path = tmp_path / "never.pt"
    with pytest.raises(CheckpointError, match="without persistent_workers"):
        save_checkpoint(path, [], **make_parts() | {"train_loader": loader})


def test_a_part_that_fails_late_takes_back_what_was_loaded(saved):
    content = torch.load(saved, weights_only=True)
    content["random"]["torch"] = torch.zeros(3, dtype=torch.uint8)
    torch.save(content, saved)
    seed_all(123)  # so that the states in the file are others
    assert "does not fit the random state here" in refused(saved)


def test_interrupted_load_takes_back_what_was_loaded(saved, monkeypatch):
    def interrupted(self, state):
        raise KeyboardInterrupt

    parts = make_parts(seed=2)
    with nothing_changes(parts):
        monkeypatch.setattr(EarlyStopping, "load_state_dict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_checkpoint(saved, **parts)


def test_parts_that_would_be_left_out_or_not_found_are_named(saved):
    parts = make_parts()
    with pytest.raises(CheckpointError, match="also holds the state of scheduler"):
        load_checkpoint(saved, **parts | {"scheduler": None})
    with pytest.raises(CheckpointError, match="mine is a Generator here"):
        load_checkpoint(saved, **parts, mine=torch.Generator())


class Bomb:
    """A thing that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_pickle_does_not_run(tmp_path):
    crater = tmp_path / "crater"
    for name, save in {
        "zip": torch.save,
        "old": lambda o, f: pickle.dump(o, f),
    }.items():
        path = tmp_path / name
        with open(path, "wb") as file:
            save({"format": 1, "history": Bomb(crater)}, file)
        message = refused(path)
        assert "could run code" in message if name == "zip" else "not a" in message
        assert not crater.exists()
    torch.load(tmp_path / "zip", weights_only=False)["history"].close()
    assert crater.exists()  # so the bomb was a real one


@pytest.mark.parametrize("number", [0, 2, "first"])
def test_other_formats_are_refused_by_name(saved, number):
    content = torch.load(saved, weights_only=True)
    torch.save(content | {"format": number}, saved)
    assert f"its format is {number}" in refused(saved)


@pytest.mark.parametrize(
    "change",
    [{"format": 1.0}, {"format": torch.ones(2)}, {"more": 1}, {"history": None}],
)
def test_malformed_content_is_refused(saved, change):
    content = torch.load(saved, weights_only=True) | change
    if change.get("history", 0) is None:
        del content["history"]
    torch.save(content, saved)
    assert "no checkpoint of format 1" in refused(saved)


def test_bare_state_dict_is_refused(saved):
    torch.save(make_parts()["model"].state_dict(), saved)
    assert "its format is not given" in refused(saved)


@contextlib.contextmanager
def failing_save(path, reason):
    """Assert that saving fails with one sentence and leaves the folder as it was."""
    parts, history = make_parts(), []
    parts["optimizer"].param_groups[0]["note"] = torch.zeros(1000)
    before = {f.name: f.read_bytes() for f in path.parent.glob("*")}
    with pytest.raises(CheckpointError, match=reason) as error:
        yield lambda: save_checkpoint(path, history, **parts)
    assert "\n" not in str(error.value)
    assert {f.name: f.read_bytes() for f in path.parent.glob("*")} == before


@pytest.mark.parametrize("room", [0, 100, 20_000])
def test_full_disk_spares_the_previous_checkpoint(saved, monkeypatch, room):
    class FullDisk(io.FileIO):
        def write(self, data):
            if self.tell() + len(memoryview(data)) > room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    real = builtins.open
    monkeypatch.setattr(
        builtins,
        "open",
        lambda f, mode="r", **k: (
            FullDisk(f, mode) if "x" in mode else real(f, mode, **k)
        ),
    )
    with failing_save(saved, "No space left on device") as save:
        save()
    monkeypatch.undo()
    assert contents(saved)["epoch"] == 2


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 100 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no disk can be mounted here; a stand-in is tested")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_really_full_disk_spares_the_previous_checkpoint(small_disk):
    path = small_disk / "run.pt"
    train(path, epochs=1)
    room = shutil.disk_usage(small_disk).free
    (small_disk / "other").write_bytes(bytes(max(0, room - 20_000)))
    with failing_save(path, "No space left on device") as save:
        save()
    assert contents(path)["epoch"] == 1


@pytest.fixture
def read_only_folder(saved):
    """Return a folder with a checkpoint, in which nothing can be made."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(saved, folder / "run.pt")
    folder.chmod(0o555)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="permissions in octal are POSIX's")
def test_read_only_folder_is_named_in_a_sentence(read_only_folder):
    path = read_only_folder / "run.pt"
    with failing_save(path, "Permission denied") as save:
        save()
    assert contents(path)["epoch"] == 2


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
def test_folder_that_cannot_be_flushed_does_not_matter(saved, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no flushing of folders here")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    train(saved, epochs=3)
    assert contents(saved)["epoch"] == 3


def test_files_of_others_are_left_alone(tmp_path):
    names = ["run1.pt.deadbeef.part", "run[1].pt.training.part", "run[1].pt.part"]
    for name in names:
        (tmp_path / name).write_text("mine")
    (tmp_path / "run[1].pt.0123abcd.part").write_text("left by a killed process")
    train(tmp_path / "run[1].pt", epochs=1)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted([*names, "run[1].pt"])


@pytest.mark.parametrize("value", [None, "12", [1.0], torch.ones(2), 1j])
def test_history_that_is_not_of_numbers_is_named(saved, value):
    before = saved.read_bytes()
    record = {"epoch": 3, "val_f1": value}
    with pytest.raises(CheckpointError, match="as val_f1 of epoch 3"):
        save_checkpoint(saved, [record], **make_parts())
    assert saved.read_bytes() == before


def test_history_may_hold_what_is_not_finite(tmp_path):
    parts = make_parts()
    record = {"epoch": 1, "val_loss": float("nan"), "best": float("inf")}
    save_checkpoint(tmp_path / "run.pt", [record], **parts)
    (loaded,) = load_checkpoint(tmp_path / "run.pt", **parts)
    assert repr(loaded) == repr(record)


def test_numbers_of_numpy_are_named_where_they_cannot_be_kept(tmp_path):
    parts = make_parts()
    parts["stopper"](np.float64(0.5))  # taken as a plain number
    save_checkpoint(tmp_path / "run.pt", [], **parts)
    parts["optimizer"].param_groups[0]["lr"] = np.float64(0.1)
    with pytest.raises(CheckpointError, match=r"numpy.*Python's own numbers"):
        save_checkpoint(tmp_path / "run.pt", [], **parts)


def test_interrupted_save_leaves_the_previous_checkpoint(saved, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(saved, [], **make_parts())
    assert [f.name for f in saved.parent.iterdir()] == ["run.pt"]
    assert saved.read_bytes() == before


class Stranger:
    """A state that plain numbers cannot hold."""

    def state_dict(self):
        return {"thing": Bomb("nowhere")}

    def load_state_dict(self, state):
        pass


class Unpicklable(Stranger):
    def state_dict(self):
        return {"thing": lambda: None}


@pytest.mark.parametrize("stranger", [Stranger(), Unpicklable()])
def test_what_could_not_be_loaded_again_is_not_saved(saved, stranger):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match=r"stranger has .* in its state"):
        save_checkpoint(saved, [], **make_parts(), stranger=stranger)
    assert [f.name for f in saved.parent.iterdir()] == ["run.pt"]
    assert saved.read_bytes() == before


def test_part_without_a_state_is_named(tmp_path):
    path = tmp_path / "never.pt"
    with pytest.raises(CheckpointError, match="train_loader is a list"):
        save_checkpoint(path, [], **make_parts() | {"train_loader": [1]})
    assert not path.exists()


def test_importing_checkpoints_loads_torch_and_numpy_alone():
    code = (
        "import sys, helpers.checkpoints; "
        "print([m for m in ('matplotlib', 'ipywidgets', 'torchvision', 'sklearn') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


accelerator = (
    torch.accelerator.current_accelerator().type
    if torch.accelerator.is_available()
    else None
)


@pytest.mark.skipif(accelerator is None, reason="no accelerator on this machine")
def test_dropout_on_an_accelerator_resumes_exactly(tmp_path):
    parts = make_parts()
    parts["model"].to(accelerator)
    save_checkpoint(tmp_path / "run.pt", [], **parts)
    expected = nn.functional.dropout(torch.ones(99, device=accelerator))
    load_checkpoint(tmp_path / "run.pt", **parts)
    again = nn.functional.dropout(torch.ones(99, device=accelerator))
    assert torch.equal(again, expected)
