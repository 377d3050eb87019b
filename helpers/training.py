"""The training loop in three small functions, each made of the one before.

`train_steps` takes optimizer steps, `train_epochs` turns them into one record
per epoch, and `fit` collects the records. The caller owns the loop: there are
no callbacks. Notebook 03 derives the first of them line by line.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Loss = Callable[[Tensor, Tensor], Tensor]
Record = dict[str, float]

STEPS_PER_READING = 256  # losses wait on the device and are read in groups of this size


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


def train_epochs(
    model: nn.Module,
    train_loader: Iterable,
    val_loader: Iterable | None,
    loss_fn: Loss,
    optimizer: Optimizer,
    *,
    epochs: int,
    start: int = 0,
    metrics: dict[str, Loss] | None = None,
    scheduler=None,
    watch: Callable[[Iterable], Iterable] = iter,
) -> Iterator[Record]:
    """Train epoch by epoch, yielding a record of plain numbers after each.

    A record holds `epoch`, `train_loss`, `val_loss`, one `val_<name>` for every
    metric (`val_accuracy` unless `metrics` says otherwise), the last learning
    rate used as `lr`, and `seconds`. The training loss is averaged while the
    model learns; the validation figures are taken after the epoch.

    `epochs` is the number to have done in the end and `start` the number done
    before, so `start=len(history)` resumes. `scheduler` is stepped after every
    batch; step a per-epoch one in the loop's body. `watch` wraps the steps of
    each epoch: `watch=tqdm` shows a progress bar.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1; {epochs} was given.")
    if not 0 <= start <= epochs:
        raise ValueError(
            f"start counts the epochs already done, from 0 to epochs={epochs}; "
            f"{start} was given."
        )
    if next(model.parameters(), None) is None:
        raise ValueError("The model has no parameters, so there is nothing to train.")
    metrics = {"accuracy": accuracy} if metrics is None else metrics
    val_metrics = {"loss": _ExplainedLoss(loss_fn)} | metrics
    train_loss_fn = _ExplainedLoss(loss_fn)

    def records():
        for epoch in range(start + 1, epochs + 1):
            began = perf_counter()
            steps = _Epoch(model, train_loader, train_loss_fn, optimizer)
            train_loss, lr = _run_steps(watch(steps), epoch, optimizer, scheduler)
            record = {"epoch": epoch, "train_loss": train_loss}
            if val_loader is not None:
                results = evaluate(model, val_loader, val_metrics)
                record |= {f"val_{name}": value for name, value in results.items()}
            yield record | {"lr": lr, "seconds": perf_counter() - began}

    return records()


def fit(*args, **kwargs) -> list[Record]:
    """Train at once, with the arguments of `train_epochs`; return the history.

    Interrupting the kernel ends the training and keeps the history so far.
    """
    history = []
    try:
        for record in train_epochs(*args, **kwargs):
            history.append(record)
    except KeyboardInterrupt:
        print(f"Interrupted: the history holds the {len(history)} finished epochs.")
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module, loader: Iterable, metrics: dict[str, Loss]
) -> dict[str, float]:
    """Return each metric's mean over every example, with the model in eval mode.

    A metric takes (logits, y) and returns its mean over the batch. The model
    is left in the mode in which it came.
    """
    device = next(model.parameters(), torch.empty(0)).device
    values, sizes = {name: [] for name in metrics}, []
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for x, y in loader:
            logits, y = model(x.to(device)), y.to(device)
            for name, metric in metrics.items():
                values[name].append(metric(logits, y))
            sizes.append(len(x))
    finally:
        for module, mode in modes:
            module.training = mode
    if not sizes:
        raise ValueError("The loader gave no batches, so there is nothing to evaluate.")
    return {name: _mean(values[name], sizes) for name in metrics}


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is at the target class."""
    if y.is_floating_point() or logits.dim() != y.dim() + 1:
        raise ValueError(
            "accuracy compares rows of logits with class numbers; it was given "
            f"predictions {_describe(logits)} and targets {_describe(y)}. "
            "For a regression, pass metrics={}."
        )
    return (logits.argmax(1) == y).float().mean()


class EarlyStopping:
    """Say when a value has stopped falling, and keep the weights of the best epoch.

    Call it with the validation loss after each epoch: it returns True once
    `patience` epochs in a row have not improved on the best by more than
    `min_delta`. `restore()` gives the model its best weights back. For a value
    that should rise, such as an accuracy, pass it negated.
    """

    def __init__(self, model: nn.Module, patience: int = 5, min_delta: float = 0.0):
        if patience < 1:
            raise ValueError(f"patience must be at least 1; {patience} was given.")
        self.model = model
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.inf
        self.best_epoch = 0
        self.epoch = 0
        self._best_weights = None

    def __call__(self, value: float) -> bool:
        """Take note of one epoch's value; return whether it is time to stop."""
        self.epoch += 1
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, self.epoch
            self._best_weights = copy.deepcopy(self.model.state_dict())
        return self.epoch - self.best_epoch >= self.patience

    def restore(self) -> None:
        """Load the best epoch's weights into the model."""
        if self._best_weights is None:
            raise RuntimeError("No epoch has been seen yet, so none can be restored.")
        self.model.load_state_dict(self._best_weights)


class _Epoch:
    """One epoch's steps, with a length where the loader has one (for progress bars)."""

    def __init__(self, model, loader, loss_fn, optimizer):
        self._loader = loader
        self._steps = train_steps(model, loader, loss_fn, optimizer)

    def __iter__(self):
        return self._steps

    def __len__(self):
        return len(self._loader)


class _ExplainedLoss:
    """A loss that says in one sentence what is wrong with targets that do not fit.

    What would go wrong in silence is looked for in the first batch alone, since
    all batches of a loader have the same form.
    """

    def __init__(self, loss_fn):
        self.loss_fn = loss_fn
        self.form_is_known = False

    def __call__(self, logits, y):
        if not self.form_is_known:
            _refuse_silent_mistakes(logits, y)
            self.form_is_known = logits.numel() > 1
        try:
            return self.loss_fn(logits, y)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ValueError(
                f"The loss cannot compare predictions {_describe(logits)} with targets "
                f"{_describe(y)}: {_hint(logits, y) or error}"
            ) from error


def _run_steps(steps, epoch, optimizer, scheduler):
    """Exhaust an epoch's steps; return the mean loss and the last learning rate."""
    losses, sizes, rates = [], [], []
    read = 0
    for loss, size in steps:
        losses.append(loss)
        sizes.append(size)
        rates.append(optimizer.param_groups[0]["lr"])
        if scheduler is not None:
            scheduler.step()
        if len(losses) - read == STEPS_PER_READING:
            _require_finite(losses, rates, epoch, read)
            read = len(losses)
    if not losses:
        raise ValueError(
            f"The training loader gave no batches in epoch {epoch}: is the data set "
            "empty, smaller than one batch with drop_last, or a generator already used?"
        )
    _require_finite(losses, rates, epoch, read)
    return _mean(losses, sizes), float(rates[-1])


def _require_finite(losses, rates, epoch, read):
    """Raise an error that names the first loss since `read` that is not finite."""
    finite = torch.stack(losses[read:]).isfinite().tolist()
    if not all(finite):
        step = read + finite.index(False)
        raise FloatingPointError(
            f"The loss became {float(losses[step])} in epoch {epoch}, step {step + 1}, "
            f"at learning rate {float(rates[step]):g}. Try a rate ten times smaller, "
            "and look for nan or very large values in the data."
        )


def _mean(values, sizes):
    """Return the mean of batch means, each weighted by its number of examples."""
    values = torch.stack([torch.as_tensor(value) for value in values])
    values = values.cpu().double()
    weights = torch.tensor(sizes, dtype=torch.float64)
    return float(values @ weights / weights.sum())


def _refuse_silent_mistakes(logits, y):
    """Raise an error for targets that a loss may accept and misread."""
    sizes = {logits.dim(), y.dim()}
    if sizes == {1, 2} and 1 < logits.numel() == y.numel():
        raise ValueError(
            f"Predictions {_describe(logits)} and targets {_describe(y)} would be "
            "compared all against all: give them the same shape, for example with "
            "y.unsqueeze(1) or logits.squeeze(1)."
        )
    if y.dtype == torch.float64 != logits.dtype:
        raise ValueError(
            f"Predictions are {_describe(logits)} and targets {_describe(y)}, as they "
            "come from NumPy: use y.float()."
        )


def _describe(tensor):
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _hint(logits, y):
    """Name the usual cause of a loss that cannot be computed, or None."""
    if logits.dim() == y.dim() == 2 and y.shape[1] == 1 < logits.shape[1]:
        return "class numbers are one per row, so use y.squeeze(1) and int64."
    if logits.dim() == y.dim() + 1:
        if y.dtype != torch.int64:
            return "class numbers must be int64, so use y.long()."
        classes = logits.shape[1]
        if not 0 <= y.min() <= y.max() < classes:
            return (
                f"class numbers must lie in 0 … {classes - 1}, and these run from "
                f"{y.min()} to {y.max()}."
            )
    if logits.shape == y.shape and not y.is_floating_point():
        return "these targets must be decimal numbers, so use y.float()."
    return None
