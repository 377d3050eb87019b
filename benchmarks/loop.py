"""What fit costs over the same loop written by hand.

Both train the 784-128-10 network at batch 32 on random images, in turn and in
one process, on equal models and equal data. Only ratios are meant to be
compared between machines.
"""

import argparse
import platform
import statistics
import time

import torch
from torch import nn

from helpers.data import TensorLoader
from helpers.training import fit

ROWS, BATCH_SIZE, LEARNING_RATE = 20_000, 32, 1e-3
loss_fn = nn.CrossEntropyLoss()


def make_data():
    """Return random images and labels, for training and for validation."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS + 2_000, 1, 28, 28, generator=generator)
    y = torch.randint(10, (len(x),), generator=generator)
    return x[:ROWS], y[:ROWS], x[ROWS:], y[ROWS:]


def make_parts():
    """Return a new model and its optimizer, the same each time."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    return model, torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)


def make_loaders(x, y, x_val, y_val):
    """Return the loaders that both loops use."""
    return (
        TensorLoader(x, y, batch_size=BATCH_SIZE, shuffle=True),
        TensorLoader(x_val, y_val, batch_size=1_000),
    )


def with_fit(*data):
    """Train for an epoch through fit."""
    model, optimizer = make_parts()
    fit(model, *make_loaders(*data), loss_fn, optimizer, epochs=1)
    return model


def by_hand(*data):
    """Train for an epoch in the plain loop, with the same losses and accuracy."""
    model, optimizer = make_parts()
    train_loader, val_loader = make_loaders(*data)
    losses = []
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    model.eval()
    val_loss = correct = 0.0
    with torch.no_grad():
        for x, y in val_loader:
            logits = model(x)
            val_loss += loss_fn(logits, y) * len(x)
            correct += (logits.argmax(1) == y).sum()
    float(sum(losses)), float(val_loss), float(correct)
    return model


def seconds(train, data):
    """Time one epoch."""
    began = time.perf_counter()
    train(*data)
    return time.perf_counter() - began


def main():
    """Time both in turn, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    data = make_data()

    weights = [list(train(*data).parameters()) for train in (with_fit, by_hand)]
    assert all(map(torch.equal, *weights)), "the two loops do not do the same"

    pairs = []
    for i in range(repeats):
        order = (with_fit, by_hand) if i % 2 else (by_hand, with_fit)
        times = {train: seconds(train, data) for train in order}
        pairs.append((times[with_fit], times[by_hand]))

    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    steps = ROWS / BATCH_SIZE
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, "
        f"{torch.get_num_threads()} threads, {repeats} repeats, batch {BATCH_SIZE}"
    )
    print(f"fit      {ours / steps * 1e6:6.1f} µs per step (median)")
    print(f"by hand  {theirs / steps * 1e6:6.1f} µs per step (median)")
    print(
        f"ratio    {statistics.median(ratios):.3f} (median of pairs; middle half "
        f"{ratios[repeats // 4]:.3f} to {ratios[-1 - repeats // 4]:.3f})"
    )


if __name__ == "__main__":
    main()
