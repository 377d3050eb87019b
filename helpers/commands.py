"""What `python -m helpers` does: train a network, in one process or many; use it."""

import json
import math
import os
import signal
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from helpers import checkpoints, data, distributed, training

USUAL = {
    ("mnist", "mlp"): {"epochs": 4, "lr": 0.03, "batch_size": 512},
    ("mnist", "cnn"): {"epochs": 2, "lr": 0.01, "batch_size": 128},
    ("iris", "mlp"): {"epochs": 60, "lr": 0.01, "batch_size": 16},
}
OPTIMIZERS = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}
SCHEDULES = {  # the learning rate's factor after a share t of the steps
    "one-cycle": lambda t: t / 0.2 if t < 0.2 else (1 - t) / 0.8,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
    "none": lambda t: 1.0,
}
CLOTHES = "T-shirt, trousers, pullover, dress, coat, sandal, shirt, sneaker, bag, boot"
METRICS = {"loss": nn.CrossEntropyLoss(), "accuracy": training.accuracy}
GO_ON = "What was saved by --checkpoint goes on with the same command and --resume."
OTHERS = "It was saved by {} processes, not {}: sums are rounded in another order now."


class Settings(dict):
    """What makes a run what it is: saved with it, and the same when it goes on."""

    def state_dict(self) -> dict:
        """Return all of them, and how many processes use them."""
        return self | {"processes": distributed.world_size()}

    def load_state_dict(self, saved: dict) -> None:
        """Refuse to go on with others, but for the number of epochs."""
        here = self.state_dict() | {"epochs": saved["epochs"]}
        checkpoints.compare(here, saved | {"processes": here["processes"]})
        if here["processes"] != saved["processes"] and self["epochs"]:
            say(OTHERS.format(saved["processes"], here["processes"]))


def train(checkpoint=None, resume=False, history=None, device="auto", **given):
    """Train a network, and save it after each epoch; what isn't given is as usual.

    Example: python -m helpers train --model cnn --checkpoint cnn.pt
    """
    resume = goes_on(checkpoint, history, resume)
    saved = states_in(checkpoint)["settings"] if resume else {}
    settings = complete(saved | given)
    with distributed.process_group(device) as device:
        train_loader, val_loader, test_loader = make_loaders(settings, device)
        parts = make_parts(settings, train_loader, device)
        records = checkpoints.load_checkpoint(checkpoint, **parts) if resume else []
        compare_beginnings(records, train_loader)
        model = distributed.replicate(parts["model"], train_loader)
        what = model, train_loader, val_loader, METRICS["loss"], parts["optimizer"]
        how = {"epochs": settings["epochs"], "scheduler": parts["scheduler"]}
        how |= {"start": len(records), "watch": progress}
        for record in training.train_epochs(*what, **how):
            records.append(distributed.averaged(record, train_loader, val_loader))
            save(records, parts, checkpoint, history)
            say(in_words(records[-1]))
        means = training.evaluate(model, test_loader, METRICS)
        say("test: " + in_words(distributed.over_all(means, test_loader)))


def goes_on(checkpoint, history, resume):
    """Tell whether a run goes on; a new one must not replace the files of another."""
    if resume and checkpoint is None:
        raise ValueError("--resume goes on with a run in --checkpoint FILE: name it.")
    there = [path for path in (checkpoint, history) if path and os.path.exists(path)]
    if there and not (resume or distributed.restarts()):
        raise ValueError(f"{there[0]} is there already: add --resume, or rename it.")
    return resume or checkpoint in there


def compare_beginnings(records, loader):
    """Refuse to train if not all processes begin after the same epoch."""
    mean = distributed.over_all({"epochs": len(records)}, loader)["epochs"]
    if abs(mean - len(records)) > 1e-6:
        raise ValueError("All processes must see the same checkpoint, and do not.")


def evaluate(checkpoint, device="auto"):
    """See how a saved network does on its test set.

    Example: python -m helpers evaluate cnn.pt
    """
    train(checkpoint, resume=True, device=device, epochs=0)


def predict(checkpoint, image):
    """See what a saved network takes a picture for, and how sure it is.

    Example: python -m helpers predict cnn.pt my_seven.png
    """
    from helpers.panels.drawing import like_mnist

    states = states_in(checkpoint)
    dataset = states["settings"]["dataset"]
    if dataset == "iris":
        raise ValueError("A network for flowers takes four numbers, not a picture.")
    model = make_model(states["settings"]).eval()
    model.load_state_dict(states["model"])
    names = range(10) if dataset == "mnist" else CLOTHES.split(", ")
    with torch.no_grad():
        shares = model(like_mnist(read_image(image))).softmax(1)[0]
    for share, i in zip(*shares.topk(3), strict=True):
        print(f"{names[i]}: {share:.1%}")


def say(line):
    """Print a line, in one process of all."""
    if distributed.rank() == 0:
        print(line, flush=True)


def in_words(means):
    """Put means into one line."""
    return ", ".join(f"{name.replace('_', ' ')} {v:.4g}" for name, v in means.items())


def progress(batches):
    """Show how far an epoch is, if somebody is watching; let Ctrl-C wait for a step."""
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append("to stop"))
    try:
        for batch in tqdm(batches, leave=False, disable=distributed.rank() > 0 or None):
            yield batch
            if asked:
                raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def save(records, parts, checkpoint, history):
    """Replace the files by newer ones, in one process of all."""
    if distributed.rank() == 0 and checkpoint:
        checkpoints.save_checkpoint(checkpoint, records, **parts)
    if distributed.rank() == 0 and history:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        checkpoints.replace_file(Path(history), lines.encode())


def states_in(checkpoint):
    """Return what is saved in a checkpoint of `train`."""
    states = checkpoints.read_checkpoint(checkpoint)["states"]
    if "settings" not in states:
        raise ValueError(f"{checkpoint} was not made by `python -m helpers train`.")
    return states


def complete(given):
    """Return all settings: those given, and the usual for the rest."""
    settings = {"dataset": "mnist", "model": "mlp"} | given
    usual = USUAL.get((settings["dataset"].removeprefix("fashion-"), settings["model"]))
    if usual is None:
        raise ValueError("The flowers of Iris are no pictures: use --model mlp.")
    others = {"optimizer": "adam", "schedule": "one-cycle", "seed": 0}
    settings = Settings(others | usual | settings)
    if settings["epochs"] < 0 or not min(settings["lr"], settings["batch_size"]) > 0:
        raise ValueError("Epochs, learning rate and batch size must be above 0.")
    return settings


def make_loaders(settings, device):
    """Yield this process's share of the examples to train on, validate, and test."""
    if settings["dataset"] == "iris":
        splits = data.load_iris()[:3]
    else:
        load = getattr(data, f"load_{settings['dataset'].replace('-', '_')}")
        (x, y), test = load()
        splits = (x[:50_000], y[:50_000]), (x[50_000:], y[50_000:]), test
    how = {name: settings[name] for name in ("batch_size", "seed")} | {"device": device}
    for split in splits:
        yield distributed.ShardLoader(*split, shuffle=split is splits[0], **how)


def make_model(settings):
    """Return a new network, the same for the same seed."""
    torch.manual_seed(settings["seed"])
    if settings["model"] == "cnn":
        first = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        second = nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(1568, 10))
    sizes = (4, 16, 3) if settings["dataset"] == "iris" else (784, 128, 10)
    layers = nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:])
    return nn.Sequential(nn.Flatten(), *layers)


def make_parts(settings, train_loader, device):
    """Return all that a checkpoint holds, by name."""
    model = make_model(settings).to(device)
    optimizer = OPTIMIZERS[settings["optimizer"]](model.parameters(), lr=settings["lr"])
    shape = SCHEDULES[settings["schedule"]]
    last = settings["epochs"] * len(train_loader) + 1
    scheduler = LambdaLR(optimizer, lambda step: shape((step + 1) / last))
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    return parts | {"train_loader": train_loader, "settings": settings}


def read_image(path):
    """Read a picture, dark on light or light on dark, as light on dark."""
    with Image.open(path) as file:
        picture = file.convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    grey = picture.convert("L")
    return ImageOps.invert(grey) if grey.getpixel((0, 0)) > 127 else grey
