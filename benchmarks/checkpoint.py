"""How long it takes to save and to load a run like that of notebook 10."""

import statistics
import tempfile
from functools import partial
from pathlib import Path

from torch.optim.lr_scheduler import OneCycleLR

from benchmarks import common
from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.data import TensorLoader, load_mnist
from helpers.training import fit

MOST = 50  # milliseconds to save


def measure(quick):
    """Save and load a run again and again."""
    x, y = (tensor[:10_000] for tensor in load_mnist().train)
    parts = make_run(x, y)
    model, adam, loader, scheduler = parts.values()
    options = {"epochs": 1, "scheduler": scheduler}
    history = fit(model, loader, None, common.loss_fn, adam, **options)
    found = {"save": [], "load": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        for _ in range(3 if quick else 50):
            save = partial(save_checkpoint, path, history, **parts)
            load = partial(load_checkpoint, path, **make_run(x, y))
            found["save"].append(1_000 * common.timed(save)[0])
            found["load"].append(1_000 * common.timed(load)[0])
        return found | {"megabytes": path.stat().st_size / 1e6}


def make_run(x, y):
    """Return all parts that have a state, newly made."""
    model, adam = common.make_parts()
    loader = TensorLoader(x, y, shuffle=True)
    parts = {"model": model, "optimizer": adam, "train_loader": loader}
    return parts | {"scheduler": OneCycleLR(adam, 0.01, total_steps=4 * len(loader))}


def report(found):
    """Return the table, and what is missed."""
    rows = [[name, common.shown(found[name], 1)] for name in ("save", "load")]
    middle = statistics.median(found["save"])
    missed = [f"{middle:.1f} ms to save, not under {MOST}"] if middle >= MOST else []
    return common.table([f"{found['megabytes']:.1f} MB", "ms"], rows), missed
