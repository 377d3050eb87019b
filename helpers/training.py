"""The training loop in small functions, each made of the one before.

`train_steps` takes optimizer steps, `train_epochs` turns them into one record
per epoch, and `fit` collects the records. The caller owns the loop: there are
no callbacks. Notebook 05 derives the first of them line by line. (Between the
first two stands `train_events`, for callers that wait between steps.)
"""

import contextlib
import copy
import re
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

import torch
from torch import Tensor, nn

CLASS_LOSSES = {"CrossEntropyLoss", "NLLLoss", "cross_entropy", "nll_loss"}

# Mistakes that PyTorch lets pass, or lets fail without a word on the cause.
NO_BATCHES = "The loader gave no batches: is it empty, or a generator that is used up?"
NO_PAIR = "Each batch must be a pair (x, y): let a generator pick the two you need."
NO_CLASSES = "accuracy needs rows of logits, and a class number for each row."
ONE_COLUMN = "One column of logits is yes or no: use BCEWithLogitsLoss, or two outputs."
ALL_WITH_ALL = "Shapes (N, 1) and (N,) compare each with all: use y.unsqueeze(1)."

# What a learner may not understand of an error of PyTorch's is said below it.
HINTS = {
    r"(?i)\bdouble\b.*\bfloat\b": "NumPy's decimals are float64: use .float() on them.",
    r"to be Long or Byte|type Long but": "Class numbers must be int64: use y.long().",
    r"multi-target not supported": "Class numbers are one per row: use y.squeeze(1).",
    r"Target -?\d+ is out of": "Classes run from 0 to the number of outputs less one.",
    r"than 1 value per channel": "BatchNorm needs more than 1: use drop_last=True.",
    r"on the same device": "Move the model, and a loss with weights, with .to(device).",
}


def train_steps(model, loader, loss_fn, optimizer):
    """Take one optimizer step per batch; yield the batch's loss and its size."""
    device = next(model.parameters()).device
    model.train()
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        yield loss.detach(), len(x)


def train_events(
    model, train_loader, val_loader, loss_fn, optimizer,
    *, epochs, start=0, metrics=None, scheduler=None, watch=iter,
):  # fmt: skip
    """Train, waiting wherever one can: whoever asks for the next event goes on.

    The events of an epoch are the loss of each step, None after each batch of the
    validation, and the epoch's record. The arguments are those of `train_epochs`.
    """
    _check_setup(model, loss_fn, optimizer, scheduler, metrics or {})
    for epoch in range(start + 1, epochs + 1):
        began, taken, means = perf_counter(), [], {}
        with _explained():
            batches = _pairs(watch(train_loader))
            for loss, size in train_steps(model, batches, _checked(loss_fn), optimizer):
                taken.append((loss, size, float(optimizer.param_groups[0]["lr"])))
                if scheduler is not None:
                    scheduler.step()
                yield loss
            train_loss, lr = _summary(taken, epoch, optimizer)
            if val_loader is not None:
                yield from _means(means, model, val_loader, {"loss": loss_fn}, metrics)
        record = {"epoch": epoch, "train_loss": train_loss}
        record |= {f"val_{name}": mean for name, mean in means.items()}
        yield record | {"lr": lr, "seconds": perf_counter() - began}


def train_epochs(
    model: nn.Module, train_loader: Iterable, val_loader: Iterable | None,
    loss_fn: Callable, optimizer: torch.optim.Optimizer, *, epochs: int, start: int = 0,
    metrics: dict[str, Callable] | None = None, scheduler=None, watch: Callable = iter,
) -> Iterator[dict[str, float]]:  # fmt: skip
    """Train epoch by epoch, yielding a record of plain numbers after each.

    A record holds `epoch`, `train_loss`, `val_loss`, one `val_<name>` for every
    metric, the last learning rate used as `lr`, and `seconds`. Without `metrics`,
    there is `val_accuracy` where the targets are class numbers. The training loss
    is averaged while the model learns; the others are taken after the epoch.

    `epochs` is the number to have done in the end and `start` the number done
    before, so `start=len(history)` resumes. `scheduler` is stepped after every
    batch; step a per-epoch one in the loop's body. `watch` wraps the batches of
    each epoch: `watch=tqdm` shows a progress bar.
    """
    parts = model, train_loader, val_loader, loss_fn, optimizer
    run = {"epochs": epochs, "start": start, "metrics": metrics}
    events = train_events(*parts, **run, scheduler=scheduler, watch=watch)
    return (event for event in events if isinstance(event, dict))


def fit(
    model: nn.Module, train_loader: Iterable, val_loader: Iterable | None,
    loss_fn: Callable, optimizer: torch.optim.Optimizer, *, epochs: int, start: int = 0,
    metrics: dict[str, Callable] | None = None, scheduler=None, watch: Callable = iter,
) -> list[dict[str, float]]:  # fmt: skip
    """Train at once, with the arguments of `train_epochs`; return the history."""
    parts = model, train_loader, val_loader, loss_fn, optimizer
    run = {"epochs": epochs, "start": start, "metrics": metrics}
    return list(train_epochs(*parts, **run, scheduler=scheduler, watch=watch))


def evaluate(model: nn.Module, loader: Iterable, metrics: dict[str, Callable]) -> dict:
    """Return each metric's mean over every example, with the model in eval mode.

    A metric takes (logits, y) and returns its plain mean over the batch, so a
    loss with class weights is averaged by examples and not by weights. The
    model is left in the mode in which it came.
    """
    means = {}
    tuple(_means(means, model, loader, {}, metrics))  # to its end
    return means


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is at the target class."""
    _refuse({NO_CLASSES: not _are_class_numbers(logits, y)})
    right = (logits.argmax(1) == y).float()
    return right.masked_fill(logits.isnan().any(1), torch.nan).mean()


class EarlyStopping:
    """Say when a value has stopped falling, and keep the weights of the best epoch.

    Call it with the validation loss after each epoch: it returns True once
    `patience` epochs in a row have not improved on the best by more than
    `min_delta`. `restore()` gives the model its best weights back. For a value
    that should rise, such as an accuracy, pass it negated.
    """

    def __init__(self, model: nn.Module, patience: int = 5, min_delta: float = 0.0):
        self.model, self.patience, self.min_delta = model, patience, min_delta
        self.epoch, self.best, self.best_epoch = 0, torch.inf, 0
        self.best_weights = None

    def __call__(self, value: float) -> bool:
        """Take note of one epoch's value; return whether it is time to stop."""
        self.epoch += 1
        if (value := float(value)) < self.best - self.min_delta:
            self.best, self.best_epoch = value, self.epoch
            self.best_weights = copy.deepcopy(self.model.state_dict())
        return self.epoch - self.best_epoch >= self.patience

    def state_dict(self) -> dict:
        """Return all that it knows but the model, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "model"}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned, its patience included."""
        vars(self).update(state)

    def restore(self) -> None:
        """Load the best epoch's weights into the model."""
        self.model.load_state_dict(self.best_weights)


@contextlib.contextmanager
def _explained():
    """Leave an error as it is, and add a sentence where it is sure to help."""
    try:
        yield
    except Exception as error:
        for message, hint in HINTS.items():
            if re.search(message, str(error)):
                error.add_note(hint)
        raise


def _summary(taken, epoch, optimizer):
    """Return an epoch's mean loss and last learning rate, if its numbers are sound."""
    _refuse({NO_BATCHES: not taken})
    losses, sizes, rates = zip(*taken, strict=True)
    finite = torch.stack(losses).isfinite().tolist()
    finite[-1] = finite[-1] and all(p.isfinite().all() for p in _weights(optimizer))
    if not all(finite):
        step = finite.index(False)
        raise FloatingPointError(
            f"Training diverged in epoch {epoch}, step {step + 1}, at learning rate "
            f"{rates[step]:g}: try a tenth of it, and look for nan in the data."
        )
    return _mean(losses, sizes), rates[-1]


def _means(means, model, loader, first, metrics):
    """Fill in each metric's mean over a loader, waiting after each of its batches."""
    device = next(model.parameters(), torch.empty(0)).device
    chosen = {name: _checked(m) for name, m in (first | (metrics or {})).items()}
    values, sizes = {}, []
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for x, y in _pairs(loader):
            with torch.no_grad():
                logits, y = model(x.to(device)), y.to(device)
                if metrics is None and _are_class_numbers(logits, y):
                    chosen["accuracy"] = accuracy
                for name, metric in chosen.items():
                    values.setdefault(name, []).append(metric(logits, y))
            sizes.append(len(x))
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
    _refuse({NO_BATCHES: not sizes})
    means |= {name: _mean(found, sizes) for name, found in values.items()}


def _mean(values, sizes):
    """Return the mean of batch means, each weighted by its number of examples."""
    values = torch.stack([torch.as_tensor(value) for value in values]).cpu().double()
    weights = torch.tensor(sizes, dtype=torch.float64)
    return float(values @ weights / weights.sum())


def _pairs(loader):
    """Yield the batches, each of which must be a pair of inputs and targets."""
    for batch in loader:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(NO_PAIR)
        yield batch


def _check_setup(model, loss_fn, optimizer, scheduler, metrics):
    """Refuse what would fail late, or learn nothing in silence."""
    trainable = {p for p in model.parameters() if p.requires_grad}
    stranger = "The optimizer holds none of this model's parameters: make a new one."
    plateau = 'Call scheduler.step(record["val_loss"]) in a loop over train_epochs.'
    _refuse({
        "loss_fn is a class: call it, as in nn.MSELoss().": type(loss_fn) is type,
        plateau: isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau),
        "No metric can be named loss: val_loss is that of loss_fn.": "loss" in metrics,
        "The model has nothing to train, or all of it is frozen.": not trainable,
        stranger: trainable.isdisjoint(_weights(optimizer)),
    })  # fmt: skip


def _checked(function):
    """Let a loss or metric of torch's own refuse what would go wrong in silence."""
    if not str(getattr(function, "__module__", "")).startswith("torch.nn."):
        return function
    by_class = getattr(function, "__name__", type(function).__name__) in CLASS_LOSSES

    def call(logits, y):
        if by_class and (logits.dim() < 2 or logits.shape[1] == 1):
            raise ValueError(ONE_COLUMN)
        if not by_class and logits.dim() != y.dim() and logits.numel() == y.numel() > 1:
            raise ValueError(ALL_WITH_ALL)
        return function(logits, y)

    return call


def _refuse(problems):
    """Raise an error for the first of the problems that is there."""
    for sentence, is_there in problems.items():
        if is_there:
            raise ValueError(sentence)


def _are_class_numbers(logits, y):
    """Tell whether each target is the number of one of several logits."""
    rows = isinstance(logits, Tensor) and logits.dim() == y.dim() + 1
    return rows and logits.shape[1] > 1 and not y.is_floating_point()


def _weights(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]
