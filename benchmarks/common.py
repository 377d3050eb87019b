"""What the benchmarks share: the network, the published loop, timing and tables."""

import gc
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
THREADS = (1, 2)
UNITS = {
    "asimd": "NEON",
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX",
}
loss_fn = nn.CrossEntropyLoss()


def make_network(seed=0):
    """Return the untrained network of 101,770 weights."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def make_parts(seed=0, fused=True):
    """Return the network and its optimizer."""
    network = make_network(seed)
    adam = torch.optim.Adam(network.parameters(), lr=0.001, fused=fused)
    return network, adam


def train_as_published(network, batches, optimizer):
    """Train for one epoch as most tutorials do; return the mean loss."""
    losses = []
    network.train()
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(network(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return statistics.fmean(losses)


def validate_as_published(network, batches):
    """Return the mean loss and the accuracy, taken as most tutorials do."""
    losses, right, total = [], 0, 0
    network.eval()
    with torch.no_grad():
        for x, y in batches:
            logits = network(x)
            losses.append(loss_fn(logits, y).item())
            right += (logits.argmax(1) == y).sum().item()
            total += len(x)
    return statistics.fmean(losses), right / total


def timed(function, *arguments):
    """Return the seconds that a call took, and what it returned."""
    gc.collect()
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result


def in_turn(tasks, repeats):
    """Call each task with the number of the repeat; return their results by name.

    Every second repeat goes through the tasks backwards, so that a machine that
    gets slower or faster favours none of them.
    """
    results = {name: [] for name in tasks}
    for repeat in tqdm(range(repeats), leave=False, disable=None):
        for name in list(tasks)[:: -1 if repeat % 2 else 1]:
            results[name].append(tasks[name](repeat))
    return results


def in_fresh_process(module, *arguments, **environment):
    """Run a module in a process of its own; return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    if done.returncode:
        sys.exit(f"{module} {' '.join(map(str, arguments))} failed, as said above.")
    return json.loads(done.stdout.splitlines()[-1])


def read_lines(path):
    """Return the lines of a file in which Linux describes itself; elsewhere none."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def peak_megabytes():
    """Return the most memory that this process has held; outside Linux, nan."""
    lines = [line for line in read_lines("/proc/self/status") if "VmHWM" in line]
    return int(lines[0].split()[1]) / 2**10 if lines else float("nan")


def machine():
    """Describe the machine in one line."""
    pairs = [line.partition(":") for line in read_lines("/proc/cpuinfo")]
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    flags = fields.get("flags", fields.get("Features", "")).split()
    units = [unit for flag, unit in UNITS.items() if flag in flags]
    return (
        f"{fields.get('model name', platform.processor())}, {os.cpu_count()} cores, "
        f"{', '.join(units) or 'vector units unknown'}, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def ratios(these, those):
    """Return these times as multiples of those, repeat by repeat."""
    return [a / b for a, b in zip(these, those, strict=True)]


def shown(values, digits):
    """Write a median with the lowest and the highest."""
    figures = statistics.median(values), min(values), max(values)
    middle, low, high = (f"{figure:.{digits}f}" for figure in figures)
    return f"{middle} ({low}–{high})"


def table(head, rows):
    """Return a Markdown table that can be read as plain text, too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *cells in (head, rule, *rows):
        padded = map(str.rjust, cells, widths[1:])
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *padded])} |")
    return "\n".join(lines)


def write(path, content):
    """Put bytes in their place at once, so that nobody reads half a file."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, path)


def save_picture(figure, name):
    """Put a figure into docs, and close it."""
    import matplotlib.pyplot as plt

    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=160)
    plt.close(figure)
    write(ROOT / "docs" / name, picture.getvalue())
