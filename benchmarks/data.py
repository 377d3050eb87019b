"""What loading MNIST costs: seconds, and memory above the import of its libraries.

As a program, `python -m benchmarks.data`, it loads once and prints what that took.
"""

import json
import statistics

from benchmarks import common
from helpers.data import load_mnist

MOST = 1  # second


def measure(quick):
    """Load MNIST in fresh processes."""
    runs = [
        common.in_fresh_process("benchmarks.data") for _ in range(1 if quick else 5)
    ]
    return {name: [run[name] for run in runs] for name in ("seconds", "megabytes")}


def load_once():
    """Return the seconds and the megabytes of loading MNIST in this process."""
    before = common.peak_megabytes()
    seconds, _ = common.timed(load_mnist)
    return {"seconds": seconds, "megabytes": common.peak_megabytes() - before}


def report(found):
    """Return the table, and what is missed."""
    seconds, megabytes = found["seconds"], found["megabytes"]
    row = ["load_mnist()", common.shown(seconds, 2), common.shown(megabytes, 0)]
    middle = statistics.median(seconds)
    missed = [f"{middle:.2f} s to load, not under {MOST}"] if middle >= MOST else []
    return common.table(["", "seconds", "MB above the imports"], [row]), missed


if __name__ == "__main__":
    print(json.dumps(load_once()))
