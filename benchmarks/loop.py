"""What fit costs over the same loop written by hand."""

import statistics
from functools import partial

import torch

from benchmarks import common
from helpers.data import Split, TensorLoader, load_mnist
from helpers.training import fit

MOST = 1.02  # times the loop by hand
IMAGES, PAIRS = 5_000, 151  # many short turns, as other processes disturb them
GROWTH = (5_000, 20_000, 60_000)


def measure(quick):
    """Time pairs of epochs on one thread and on two, and fit on more images."""
    images = load_mnist()
    data = first(images.train, 1_000 if quick else IMAGES), first(images.test, 2_000)
    weights = [train(*data).parameters() for train in (with_fit, by_hand)]
    assert all(map(torch.equal, *weights)), "the two loops do not do the same"
    tasks = {"fit": partial(seconds, with_fit, data)}
    tasks["by hand"] = partial(seconds, by_hand, data)
    pairs, growth = {}, {}
    for threads in common.THREADS:
        torch.set_num_threads(threads)
        pairs[threads] = common.in_turn(tasks, 2 if quick else PAIRS)
    torch.set_num_threads(1)
    for size in GROWTH[: 1 if quick else None]:
        growth[size] = seconds(with_fit, (first(images.train, size), data[1]))
    return {"steps": -(-len(data[0].x) // 32), "pairs": pairs, "growth": growth}


def first(split, size):
    """Return the first images and labels."""
    return Split(split.x[:size], split.y[:size])


def seconds(train, data, repeat=0):
    """Time one epoch."""
    return common.timed(train, *data)[0]


def make_loaders(train, val):
    """Return the loaders that both loops use."""
    train_loader = TensorLoader(*train, batch_size=32, shuffle=True)
    return train_loader, TensorLoader(*val, batch_size=1_000)


def with_fit(train, val):
    """Train for an epoch through fit."""
    network, adam = common.make_parts(fused=False)
    fit(network, *make_loaders(train, val), common.loss_fn, adam, epochs=1)
    return network


def by_hand(train, val):
    """Train for an epoch in the plain loop, with the same losses and accuracy."""
    network, adam = common.make_parts(fused=False)
    train_loader, val_loader = make_loaders(train, val)
    common.train_as_published(network, train_loader, adam)
    common.validate_as_published(network, val_loader)
    return network


def report(found):
    """Return the tables, and what is missed."""
    rows, missed = [], []
    for threads, pair in found["pairs"].items():
        times = common.ratios(pair["fit"], pair["by hand"])
        per_step = [statistics.median(runs) / found["steps"] for runs in pair.values()]
        cells = [f"{seconds * 1e6:.0f} µs" for seconds in per_step]
        rows.append([threads, *cells, common.shown(times, 3)])
        if statistics.median(times) > MOST:
            missed.append(f"threads {threads}: {common.shown(times, 3)}, not {MOST}")
    sizes = [
        [f"{int(size):,}", f"{seconds:.2f} s", f"{seconds / int(size) * 1e6:.1f} ms"]
        for size, seconds in found["growth"].items()
    ]
    head = ["threads", "per step with fit", "by hand", "times by hand"]
    heads = ["images", "an epoch with fit", "per 1,000 images"]
    return f"{common.table(head, rows)}\n\n{common.table(heads, sizes)}", missed
