"""What `python -m helpers` does: train a network, in one process or many; use it."""

import json
import math
import signal
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import nn, optim
from tqdm import tqdm

from helpers import checkpoints, data, distributed, training

# The usual number of epochs, learning rate and batch size
USUAL = {"mlp": (4, 0.03, 512), "cnn": (2, 0.01, 128), "iris": (60, 0.01, 16)}
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

    state_dict = dict.copy

    def load_state_dict(self, saved: dict) -> None:
        """Refuse to go on with others, but for the epochs and the processes."""
        may_differ = {name: self[name] for name in ("epochs", "processes")}
        checkpoints.compare(self, saved | may_differ)
        if self["processes"] != saved["processes"] and self["epochs"]:
            say(OTHERS.format(saved["processes"], self["processes"]))


def train(checkpoint=None, resume=False, history=None, device="auto", **given):
    """Train a network, and save it after each epoch; what isn't given is as usual.

    Example: python -m helpers train --model cnn --checkpoint cnn.pt
    """
    saved = settings_to_go_on_with(checkpoint, history, resume)
    settings = complete(saved | given)
    with distributed.process_group(device) as device:
        run(settings, device, checkpoint, history, goes_on=bool(saved))


def run(settings, device, checkpoint, history, goes_on):
    """Train and test; no replica of a model may be left when the processes part."""
    train_loader, val_loader, test_loader = make_loaders(settings, device)
    parts = make_parts(settings, train_loader, device)
    records = checkpoints.load_checkpoint(checkpoint, **parts) if goes_on else []
    begun = distributed.over_all({"epoch": len(records)}, train_loader)["epoch"]
    if not math.isclose(begun, len(records)):
        raise ValueError("All processes must see the same checkpoint, and do not.")
    model = distributed.replicate(parts["model"], train_loader)
    what = model, train_loader, val_loader, METRICS["loss"], parts["optimizer"]
    how = {"epochs": settings["epochs"], "start": len(records), "watch": progress}
    for record in training.train_epochs(*what, scheduler=parts["scheduler"], **how):
        records.append(distributed.averaged(record, train_loader, val_loader))
        save(records, parts, checkpoint, history)
        say(in_words(records[-1]))
    means = training.evaluate(model, test_loader, METRICS)
    say("test: " + in_words(distributed.over_all(means, test_loader)))


def settings_to_go_on_with(checkpoint, history, resume):
    """Return those of a run that goes on; a new one must not replace its files.

    Where processes are restarted, whatever is there is gone on with: several machines
    don't count the restarts alike.
    """
    if resume and checkpoint is None:
        raise ValueError("--resume goes on with a run in --checkpoint FILE: name it.")
    there = [path for path in (checkpoint, history) if path and Path(path).exists()]
    resume = resume or (checkpoint in there and distributed.may_restart())
    if there and not resume:
        raise ValueError(f"{there[0]} is there already: add --resume, or rename it.")
    return states_in(checkpoint)["settings"] if resume else {}


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
    kind = "iris" if settings["dataset"] == "iris" else settings["model"]
    if kind == "iris" and settings["model"] == "cnn":
        raise ValueError("The flowers of Iris are no pictures: use --model mlp.")
    usual = dict(zip(("epochs", "lr", "batch_size"), USUAL[kind], strict=True))
    usual |= {"optimizer": "adam", "schedule": "one-cycle", "seed": 0}
    settings = Settings(usual | settings, processes=distributed.world_size())
    if settings["epochs"] < 0 or not min(settings["lr"], settings["batch_size"]) > 0:
        raise ValueError("Epochs, learning rate and batch size must be above 0.")
    return settings


def make_loaders(settings, device):
    """Yield this process's share of the examples to train on, validate, and test."""
    splits = getattr(data, f"load_{settings['dataset'].replace('-', '_')}")()[:3]
    if settings["dataset"] != "iris":
        (x, y), test = splits
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
    a, b, c = (4, 16, 3) if settings["dataset"] == "iris" else (784, 128, 10)
    return nn.Sequential(nn.Flatten(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c))


def make_parts(settings, train_loader, device):
    """Return all that a checkpoint holds, by name."""
    model = make_model(settings).to(device)
    optimizer = OPTIMIZERS[settings["optimizer"]](model.parameters(), lr=settings["lr"])
    shape = SCHEDULES[settings["schedule"]]
    last = settings["epochs"] * len(train_loader) + 1
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda i: shape((i + 1) / last))
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    return parts | {"train_loader": train_loader, "settings": settings}


def read_image(path):
    """Read a picture, dark on light or light on dark, as light on dark."""
    with Image.open(path) as file:
        grey, opaque = file.convert("RGBA").convert("LA").split()
    grey = Image.composite(grey, Image.new("L", grey.size, "white"), opaque)
    return ImageOps.invert(grey) if grey.getpixel((0, 0)) > 127 else grey
