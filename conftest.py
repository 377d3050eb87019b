"""Settings for every test and for the notebooks that pytest executes."""

import functools
import os
import tempfile

from nbval.plugin import IPyNbCell

from tools.outputs import Approximate, tolerance_of, without_progress_bars

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models are faster on one thread
# Threads that wait for each other leave the core to the tests that run beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# What the developer has solved stays as it is, and out of the notebooks' outputs.
NOTHING_SOLVED = tempfile.TemporaryDirectory()
os.environ["XDG_DATA_HOME"] = NOTHING_SOLVED.name


# They begin first, so that no processor core is left with one of them at the end.
LONGEST = ("tests/browser/", *(f"notebooks/{n}_" for n in ("09", "08", "06", "05")))


def pytest_collection_modifyitems(items):
    """Compare of each cell what counts, and within its tolerance if it has one."""
    items.sort(key=lambda item: [not item.nodeid.startswith(name) for name in LONGEST])
    for cell in items:
        if isinstance(cell, IPyNbCell):
            # PyTorch gives an error another class sometimes; its words are what counts.
            skipped = {"skip_compare": (*cell.parent.skip_compare, "ename")}
            compare = functools.partial(cell.compare_outputs, **skipped)
            cell.compare_outputs = functools.partial(_compare, compare)
            tolerance = tolerance_of(cell.cell.metadata.get("tags", []))
            if tolerance is not None:
                cell.sanitize = functools.partial(Approximate, tolerance=tolerance)


def _compare(compare_outputs, found, stored):
    return compare_outputs(without_progress_bars(found), stored)
