"""Our training loop beside its peers: one epoch of MNIST, in fresh processes."""

import statistics
import tempfile
from functools import partial
from importlib.metadata import version

from benchmarks import common
from benchmarks.implementations import IMPLEMENTATIONS, LEAST_ACCURACY

PACKAGES = ("scikit-learn", "skorch", "pytorch-ignite", "lightning", "keras")
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "torch",
    "KERAS_TORCH_DEVICE": "cpu",
    "PYTHONWARNINGS": "ignore",  # the libraries' advice, on what is chosen here
}


def measure(quick):
    """Train once with each implementation in every repeat."""
    versions = {name: version(name) for name in PACKAGES}  # or say what is missing
    images, runs = [2_000] if quick else [], {}
    with tempfile.TemporaryDirectory() as folder:
        for threads in common.THREADS[: 1 if quick else None]:
            own = {"OMP_NUM_THREADS": str(threads), "KERAS_HOME": folder}
            train = partial(train_once, images, **ENVIRONMENT, **own)
            tasks = {name: partial(train, name) for name in IMPLEMENTATIONS}
            runs[threads] = common.in_turn(tasks, 1 if quick else 3)
    return {"versions": versions, "runs": runs}


def train_once(images, name, repeat, **environment):
    """Take one measurement in a process of its own."""
    module = "benchmarks.implementations"
    return common.in_fresh_process(module, name, *images, **environment)


def seconds_of(runs, batch_size):
    """Return each implementation's seconds, the fastest first."""
    seconds = {
        name: [run["seconds"][str(batch_size)] for run in of_name]
        for name, of_name in runs.items()
    }
    return dict(sorted(seconds.items(), key=lambda item: statistics.median(item[1])))


def report(found):
    """Return one table for each number of threads; no target is set."""
    versions = ", ".join(
        f"{name} {number}" for name, number in found["versions"].items()
    )
    parts = [f"With {versions}."]
    for threads, runs in found["runs"].items():
        parts += [f"Threads: {threads}", table_of(runs)]
    return "\n\n".join(parts), []


def table_of(runs):
    """Return the table of one number of threads."""
    seconds = {size: seconds_of(runs, size) for size in LEAST_ACCURACY}
    head, rows = [""], {name: [name] for name in seconds[32]}
    for size, times in seconds.items():
        head += [f"seconds, batches of {size}", "times ours"]
        for name, row in rows.items():
            times_ours = common.ratios(times[name], times["ours"])
            row += [common.shown(times[name], 2), common.shown(times_ours, 2)]
    for name, row in rows.items():
        row.append(f"{statistics.median(run['peak_mb'] for run in runs[name]):.0f}")
    return common.table([*head, "peak MB"], rows.values())


def draw(found):
    """Draw seconds per epoch on one thread, one panel for each batch size."""
    import matplotlib.pyplot as plt

    from helpers.plotting import BLUE, GREY, set_style

    set_style()
    figure, axes = plt.subplots(1, len(LEAST_ACCURACY), sharey=True, figsize=(9, 3.8))
    order = list(seconds_of(found["runs"]["1"], 32))
    for ax, batch_size in zip(axes, LEAST_ACCURACY, strict=True):
        seconds = seconds_of(found["runs"]["1"], batch_size)
        medians = [statistics.median(seconds[name]) for name in order]
        colours = [BLUE if name == "ours" else GREY for name in order]
        ax.bar_label(ax.barh(order, medians, color=colours), fmt="%.2f s", padding=4)
        ax.set(xlabel="seconds per epoch", xlim=(0, 1.2 * max(medians)))
        ax.set_title(f"batches of {batch_size}")
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
    axes[0].invert_yaxis()  # for both: they share it
    axes[0].get_yticklabels()[order.index("ours")].set_fontweight("bold")
    common.save_picture(figure, "benchmark.png")
