"""What a second process brings, what it costs, and what 512 would bring.

Run by torchrun, this module measures its process; by `python -m benchmarks`, it asks
one process and then two, fits a model of the cost to their answers, and draws it.
"""

import contextlib
import json
import statistics
import sys
import time

import numpy as np
import torch
import torch.distributed as dist

from benchmarks import common
from helpers.commands import make_model
from helpers.data import load_mnist
from helpers.distributed import ShardLoader, process_group, rank, replicate, world_size
from helpers.training import train_steps

MODELS = ("mlp", "cnn")
BATCH = 512  # of all processes together
ROWS = (32, 128, 512)  # of one process, to see what a row costs and what a step does
FLOATS = (1, 10_000, 100_000, 1_000_000, 10_000_000)
NUMBERS = [2**n for n in range(10)]


def measure(quick):
    """Ask one process, and two at once."""
    found = {}
    for number in (1, 2):
        options = ("--standalone", "--nproc-per-node", number, "-m")
        arguments = (*options, "benchmarks.processes", *["--quick"] * quick)
        run = ("torch.distributed.run", *arguments)
        found[number] = common.in_fresh_process(*run, OMP_NUM_THREADS="1")
    return {"processes": found}


def work(quick):
    """Measure what this process needs, as one of all."""
    repeats, before = 3 if quick else 15, megabytes()
    with process_group("cpu"):
        (x, y), _ = load_mnist()
        loader = ShardLoader(x, y, batch_size=BATCH, shuffle=True)
        del x, y
        found = {"megabytes": megabytes() - before, "rows": len(loader.tensors[0])}
        for kind in MODELS:
            found[kind] = {"step": step_seconds(kind, loader, repeats)}
            if world_size() == 1:
                rows = {n: row_seconds(kind, loader, n, repeats) for n in ROWS}
                weights = sum(p.numel() for p in network(kind).parameters())
                found[kind] |= {"rows": rows, "weights": weights}
        if world_size() > 1:
            found["reduce"] = {n: reduce_seconds(n, repeats) for n in FLOATS}
    if rank() == 0:
        print(json.dumps(found), flush=True)


def network(kind):
    """Return a new network of a kind."""
    return make_model({"dataset": "mnist", "model": kind, "seed": 0})


def step_seconds(kind, loader, repeats, steps=6):
    """Return seconds a step, with and without the reduction, in turn."""
    model = replicate(network(kind), loader)
    adam = torch.optim.Adam(model.parameters(), fused=True)
    batches = [batch for batch, _ in zip(loader, range(steps), strict=False)]
    apart = getattr(model, "no_sync", contextlib.nullcontext)
    tasks = {"together": contextlib.nullcontext, "apart": apart}

    def one(context, _repeat):
        with context():
            for _ in train_steps(model, batches, common.loss_fn, adam):
                pass

    one(contextlib.nullcontext, 0)
    found = {name: [] for name in tasks}
    for repeat in range(repeats):
        for name, context in tasks.items():
            found[name].append(common.timed(one, context, repeat)[0] / steps)
    return found


def row_seconds(kind, loader, rows, repeats):
    """Return seconds a step of one process, with so many rows."""
    batch = tuple(tensor[:rows] for tensor in loader.tensors)
    model = network(kind)
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def six():
        for _ in train_steps(model, [batch] * 6, common.loss_fn, adam):
            pass

    six()
    return [common.timed(six)[0] / 6 for _ in range(repeats)]


def reduce_seconds(floats, repeats):
    """Return seconds to sum so many numbers over all processes."""
    numbers, found = torch.ones(floats), []
    for _ in range(repeats + 3):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(numbers)
        found.append(time.perf_counter() - began)
    return found[3:]


def megabytes():
    """Return the memory that this process holds now; outside Linux, nan."""
    lines = [li for li in common.read_lines("/proc/self/status") if "VmRSS" in li]
    return int(lines[0].split()[1]) / 2**10 if lines else float("nan")


def costs(found):
    """Fit what a step costs each model, and what summing the gradients costs all."""
    alone, both = found["processes"]["1"], found["processes"]["2"]
    fitted = {}
    for kind in MODELS:
        rows = {int(n): statistics.median(s) for n, s in alone[kind]["rows"].items()}
        row, step = np.polyfit(list(rows), list(rows.values()), 1)
        cost = {"row": row, "step": max(step, 0.0)}
        scale = measured(found, kind)[0] / arithmetic(cost, 1)  # to the step itself
        fitted[kind] = {name: scale * value for name, value in cost.items()}
        fitted[kind]["bytes"] = 4 * alone[kind]["weights"]
    reduced = {int(n): statistics.median(s) for n, s in both["reduce"].items()}
    longest = max(reduced)
    prices = dict.fromkeys(("meeting", "waiting"), 0.0)
    prices["byte"] = (reduced[longest] - reduced[1]) / (4 * longest)
    prices["message"] = reduced[1] / 2  # two processes send each other two messages
    # What two need beyond that: to meet at all, and to wait for the slower one.
    work = [arithmetic(fitted[kind], 2) for kind in MODELS]
    rest = [
        measured(found, kind)[1] - seconds(fitted[kind], 2, prices) for kind in MODELS
    ]
    waiting, meeting = np.polyfit(work, rest, 1)
    prices |= {"meeting": max(meeting, 0.0), "waiting": max(waiting, 0.0)}
    mlp = fitted["mlp"]
    large = {"row": 1_000 * mlp["row"], "bytes": 1_000 * mlp["bytes"]}
    return fitted | {"1,000 × mlp": mlp | large}, prices


def arithmetic(cost, number):
    """Return seconds for the share of a batch that each of so many processes has."""
    return cost["step"] + cost["row"] * BATCH / number


def seconds(cost, number, prices):
    """Return what a step of a batch takes, if its gradient goes round in a ring."""
    work = arithmetic(cost, number)
    if number == 1:
        return work
    sent = 2 * (number - 1) / number * cost["bytes"] * prices["byte"]
    messages = 2 * (number - 1) * prices["message"]
    waiting = prices["waiting"] * work * np.log2(number)
    return work + sent + messages + prices["meeting"] + waiting


def times_as_fast(found):
    """Return for each model how many times as fast each number of processes is."""
    fitted, prices = costs(found)
    return {
        name: [seconds(c, 1, prices) / seconds(c, n, prices) for n in NUMBERS]
        for name, c in fitted.items()
    }


def measured(found, kind):
    """Return medians of a step: of one process, of two, of two that share nothing."""
    one, two = (found["processes"][number][kind]["step"] for number in ("1", "2"))
    steps = one["together"], two["together"], two["apart"]
    return [statistics.median(values) for values in steps]


def report(found):
    """Return the tables; nothing here is a promise."""
    alone, both = found["processes"]["1"], found["processes"]["2"]
    rows = [["examples held", f"{alone['rows']:,}", f"{both['rows']:,}"]]
    megabytes = (f"{part['megabytes']:.0f} MB" for part in (alone, both))
    rows.append(["memory for them", *megabytes])
    for kind in MODELS:
        one, two, apart = measured(found, kind)
        rows.append([f"{kind}: a step", f"{1e3 * one:.1f} ms", f"{1e3 * two:.1f} ms"])
        rows.append([f"{kind}: share of the reduction", "", f"{1 - apart / two:.0%}"])
    _, prices = costs(found)
    said = (
        f"A message takes {1e6 * prices['message']:.0f} µs, a gigabyte "
        f"{1e9 * prices['byte']:.1f} s, and meeting {1e3 * prices['meeting']:.1f} ms; "
        f"one of two waits {prices['waiting']:.0%} of its work for the other."
    )
    head = ["expected: times as fast as one", "2", "8", "64", "512"]
    places = [NUMBERS.index(int(number)) for number in head[1:]]
    expected = [
        [name, *(in_words(factors[place]) for place in places)]
        for name, factors in times_as_fast(found).items()
    ]
    tables = common.table(["each process", "of one", "of two"], rows), said
    return "\n\n".join((*tables, common.table(head, expected))), []


def in_words(times):
    """Return a factor as it is read in a table."""
    return f"{times:.1f}" if times >= 0.05 else "< 0.1"


def draw(found):
    """Draw how many times as fast each number of processes is, as the model has it."""
    import matplotlib.pyplot as plt

    from helpers.plotting import GREY, set_style

    set_style()
    figure, ax = plt.subplots(figsize=(7.5, 4.4))
    ax.plot(
        NUMBERS, NUMBERS, color=GREY, linestyle=":", label="as many times as processes"
    )
    for name, factors in times_as_fast(found).items():
        [line] = ax.plot(NUMBERS, factors, label=name)
        if name in MODELS:
            one, two, _ = measured(found, name)
            ax.plot(2, one / two, "o", color=line.get_color())
    ax.set(xscale="log", yscale="log", xlabel="processes", ylim=(0.1, 600))
    ax.set_xticks([1, 2, 8, 64, 512], labels=["1", "2", "8", "64", "512"])
    ax.set_yticks([0.1, 1, 10, 100], labels=["0.1", "1", "10", "100"])
    ax.set_ylabel("times as fast as one")
    ax.set_title(f"one batch of {BATCH} shared among all (dots: measured)")
    ax.minorticks_off()
    ax.legend()
    common.save_picture(figure, "processes.png")


if __name__ == "__main__":
    work("--quick" in sys.argv)
