"""The published recipe for MNIST, and the way from it to the fast one of notebook 06.

Every repeat trains once with each of the changes, in turn and in one process, from
a seed of its own: 50,000 images, validated on 10,000 after each epoch. The results
are written to benchmarks/recipe.json.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
import torchvision
from peers import processor_name, write
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import ToTensor

from helpers.data import Split, TensorLoader, data_folder, load_mnist, mnist_is_here
from helpers.training import fit

RESULTS = Path(__file__).with_name("recipe.json")
PUBLISHED_ACCURACY = 0.972
loss_fn = nn.CrossEntropyLoss()


def make_model(seed):
    """Return the network of 101,770 weights."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def load_parts():
    """Return the training and the validation part, as tensors and as items."""
    x, y = load_mnist().train
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    items = torchvision.datasets.MNIST(data_folder(), transform=ToTensor())
    tensors, subsets = [], []
    for rows in order.split([50_000, 10_000]):
        tensors.append(Split(x[rows], y[rows]))
        subsets.append(Subset(items, rows.tolist()))
    return tensors, subsets


def published(subsets, seed):
    """Train as published: item by item, plain Adam, every loss read at once."""
    model = make_model(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    train_loader = DataLoader(subsets[0], batch_size=32, shuffle=True)
    val_loader = DataLoader(subsets[1], batch_size=32)
    for _ in range(5):
        model.train()
        losses, correct = [], 0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            for x, y in val_loader:
                logits = model(x)
                losses.append(loss_fn(logits, y).item())
                correct += (logits.argmax(1) == y).sum().item()
    return correct / len(subsets[1])


def from_memory(tensors, seed, fused=False):
    """Train the same steps through fit, on batches from memory."""
    model = make_model(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=fused)
    train_loader = TensorLoader(*tensors[0], shuffle=True, seed=seed)
    val_loader = TensorLoader(*tensors[1], batch_size=1000)
    history = fit(model, train_loader, val_loader, loss_fn, optimizer, epochs=5)
    return history[-1]["val_accuracy"]


def fast(tensors, seed, lr=0.03, epochs=2):
    """Train as notebook 06 does in the end."""
    model = make_model(seed)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=lr, betas=(0.7, 0.9), fused=True
    )
    train_loader = TensorLoader(*tensors[0], batch_size=512, shuffle=True, seed=seed)
    val_loader = TensorLoader(*tensors[1], batch_size=1000)
    scheduler = OneCycleLR(
        optimizer,
        lr,
        epochs=epochs,
        steps_per_epoch=len(train_loader),
        pct_start=0.2,
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    history = fit(
        model,
        train_loader,
        val_loader,
        loss_fn,
        optimizer,
        epochs=epochs,
        scheduler=scheduler,
    )
    return history[-1]["val_accuracy"]


def measure(repeats):
    """Return seconds and accuracies of every stage, one of each in every repeat."""
    tensors, subsets = load_parts()
    stages = {
        "as published": (published, subsets, 1, "highest"),
        "as published, two threads": (published, subsets, 2, "highest"),
        "+ batches from memory": (from_memory, tensors, 1, "highest"),
        "+ fused optimizer": (with_fused, tensors, 1, "highest"),
        "+ large batches, OneCycle": (fast, tensors, 1, "highest"),
        "+ two threads": (fast, tensors, 2, "highest"),
        "+ 16-bit multiplication": (fast, tensors, 2, "medium"),
    }
    for precision in ("highest", "medium"):
        torch.set_float32_matmul_precision(precision)
        fast(tensors, seed=0)  # a warm-up, and not a measure
    runs = {name: {"seconds": [], "accuracy": []} for name in stages}
    for seed in range(repeats):
        for name, (train, data, threads, precision) in stages.items():
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(precision)
            began = time.perf_counter()
            accuracy = train(data, seed)
            runs[name]["seconds"].append(time.perf_counter() - began)
            runs[name]["accuracy"].append(accuracy)
    return runs


def with_fused(tensors, seed):
    """Train from memory with the fused optimizer."""
    return from_memory(tensors, seed, fused=True)


def report(runs):
    """Return one line for each stage; ratios are taken within a repeat."""
    lines = [f"{'':27}{'seconds':>20}{'faster than as published':>27}{'accuracy':>10}"]
    for name, run in runs.items():
        pairs = zip(runs["as published"]["seconds"], run["seconds"], strict=True)
        ratios = [before / now for before, now in pairs]
        lines.append(
            f"{name:27}{shown(run['seconds'], 2):>20}{shown(ratios, 1):>27}"
            f"{statistics.mean(run['accuracy']):10.2%}"
        )
    two = runs["as published, two threads"]["seconds"], [*runs.values()][-1]["seconds"]
    ratios = [before / now for before, now in zip(*two, strict=True)]
    lines.append(
        f"The last beside the published loop on two threads: {shown(ratios, 1)}"
    )
    return "\n".join(lines)


def shown(values, digits):
    """Write a median with the lowest and the highest."""
    figures = statistics.median(values), min(values), max(values)
    middle, low, high = (f"{figure:.{digits}f}" for figure in figures)
    return f"{middle} ({low}–{high})"


def main():
    """Measure, print and write; fail where the fast recipe has lost accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    if not mnist_is_here():
        sys.exit("MNIST is not in the data folder, so there is nothing to measure.")
    runs = measure(repeats)
    machine = f"{processor_name()}, torch {torch.__version__}, {repeats} repeats"
    print(machine, report(runs), sep="\n")
    reached = statistics.mean([*runs.values()][-1]["accuracy"])
    if reached < PUBLISHED_ACCURACY:
        sys.exit(f"The fast recipe reached {reached:.2%}, less than the published one.")
    write(RESULTS, {"machine": machine, "stages": runs})


if __name__ == "__main__":
    main()
