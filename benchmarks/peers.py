"""Our training loop beside its peers: seconds, memory, and growth with the data.

Each measurement is one epoch of MNIST in a fresh process, one process at a time,
with the implementations in a new random order in every repeat. Ratios are taken
within a repeat. The results are written to benchmarks/peers.json, and drawn from
there as docs/benchmark.png. Five repeats take about twenty minutes.
"""

import argparse
import itertools
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from report import growth, plural, report, table

HERE = Path(__file__).parent
CHILD = HERE / "implementations.py"
RESULTS = HERE / "peers.json"
PICTURE = HERE.parent / "docs" / "benchmark.png"

NAMES = (
    "ours",
    "by hand, in memory",
    "DataLoader over tensors",
    "published loop",
    "scikit-learn",
    "skorch",
    "Ignite",
    "Lightning",
    "Keras",
    "Ignite, our loader",
    "Lightning, our loader",
)
MODULES = {
    "skorch": "skorch",
    "pytorch-ignite": "ignite",
    "lightning": "lightning",
    "keras": "keras",
}
THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
BATCH_SIZES, THREADS = (32, 256), (1, 2)
GROWTH_AT = (32, 1)
FULL = (5_000, 10_000, 20_000, 40_000, 60_000)
QUICK = (1_000, 2_000)


def main():
    """Measure, report, and write the results; or draw them again."""
    options = read_options()
    if not options.chart:
        refuse_what_is_missing()
        sizes = QUICK if options.quick else FULL
        results = measure(sizes, 1 if options.quick else options.repeats)
        results |= {"table": table(results), "growth": growth(results)}
        print(report(results))
        if options.quick:
            return
        write(RESULTS, results)
    elif not RESULTS.is_file():
        sys.exit("There is no benchmarks/peers.json to draw: measure first.")
    from chart import draw

    draw(RESULTS, PICTURE)


def read_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="2,000 images, once, and nothing written"
    )
    parser.add_argument(
        "--chart", action="store_true", help="draw the chart from the JSON file again"
    )
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


def refuse_what_is_missing():
    """Exit in one sentence where a peer or the data is not here."""
    missing = [name for name, module in MODULES.items() if find_spec(module) is None]
    if missing:
        sys.exit(f"Not installed: {', '.join(missing)}. `make bench` installs them.")
    from helpers.data import mnist_is_here

    if not mnist_is_here():
        sys.exit("MNIST is not in the data folder, so there is nothing to measure.")


def measure(sizes, repeats):
    """Run every measurement; return them with what they were taken on."""
    threads = [t for t in THREADS if t <= max(1, os.cpu_count() or 1)]
    settings = list(itertools.product(BATCH_SIZES, threads))
    matmul, runs = {str(t): [] for t in threads}, []
    began, todo = time.monotonic(), repeats * len(settings)
    with tempfile.TemporaryDirectory() as folder:
        rounds = itertools.product(range(repeats), settings)
        for done, (repeat, (batch_size, threads)) in enumerate(rounds, start=1):
            if batch_size == BATCH_SIZES[0]:
                found = child(folder, "matmul", batch_size, threads, [])
                matmul[str(threads)].append(found["operations_per_second"])
            runs += one_round(folder, repeat, batch_size, threads, sizes)
            left = (time.monotonic() - began) / done * (todo - done) / 60
            print(
                f"Repeat {repeat + 1} of {repeats}, batch {batch_size}, "
                f"{plural(threads, 'thread')}: done. About {left:.0f} min left.",
                file=sys.stderr,
            )
    return describe() | {
        "repeats": repeats,
        "growth_at": GROWTH_AT,
        "matmul": matmul,
        "runs": runs,
    }


def one_round(folder, repeat, batch_size, threads, sizes):
    """Measure every implementation once, in an order of this round's own."""
    names = list(NAMES)
    random.Random(f"{repeat} {batch_size} {threads}").shuffle(names)
    place = {"repeat": repeat, "batch_size": batch_size, "threads": threads}
    sizes = sizes if (batch_size, threads) == GROWTH_AT else sizes[-1:]
    return [
        place
        | {"name": name, "sizes": sizes}
        | child(folder, name, batch_size, threads, sizes)
        for name in names
    ]


def child(folder, name, batch_size, threads, sizes):
    """Take one measurement in a process of its own."""
    environment = os.environ | dict.fromkeys(THREAD_LIMITS, str(threads))
    environment |= {
        "HELPERS_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "torch",
        "KERAS_TORCH_DEVICE": "cpu",
        "KERAS_HOME": folder,
    }
    arguments = map(str, (name, batch_size, threads, *sizes))
    done = subprocess.run(
        [sys.executable, CHILD, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if done.returncode != 0:
        sys.exit(f"The measurement of {name} failed, so nothing is compared.")
    return json.loads(done.stdout.splitlines()[-1])


def describe():
    """Return the machine and the versions."""
    packages = ("torch", "torchvision", "numpy", "scikit-learn", *MODULES)
    return {
        "machine": {
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "system": platform.system(),
        },
        "versions": {"Python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def processor_name():
    """Return the processor's name as the system tells it."""
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def write(path, results):
    """Put the results in their place at once, so that no half of a file is read."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


if __name__ == "__main__":
    main()
