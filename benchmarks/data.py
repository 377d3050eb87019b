"""What loading MNIST costs: seconds, and memory above the import of its libraries."""

import os
import statistics
import subprocess
import sys

from helpers.data import mnist_is_here

MEASURE = """
import resource, time
import torchvision, torchvision.datasets
from helpers.data import load_mnist

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before, began = peak(), time.perf_counter()
assert load_mnist().name == "MNIST", "the files are damaged"
print(time.perf_counter() - began, peak() - before)
"""


def main(repeats=5):
    """Load MNIST in fresh processes; print the medians."""
    if not mnist_is_here():
        sys.exit("MNIST is not in the data folder, so there is nothing to measure.")
    runs = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"HELPERS_OFFLINE": "1"},
        )
        runs.append([float(number) for number in done.stdout.split()])
    seconds, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(f"load_mnist: {seconds:.2f} s, peak {memory / unit:.0f} MB above the import")


if __name__ == "__main__":
    main()
