"""The training loop in three small functions, each made of the one before.

`train_steps` takes optimizer steps, `train_epochs` turns them into one record
per epoch, and `fit` collects the records. The caller owns the loop: there are
no callbacks. Notebook 03 derives the first of them line by line.
"""

import copy
import functools
import math
import warnings
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
    train_loss_fn = _CheckedLoss(loss_fn, metrics if val_loader is not None else {})
    val_metrics = {"loss": _CheckedLoss(loss_fn)} | metrics

    def records():
        for epoch in range(start + 1, epochs + 1):
            began = perf_counter()
            steps = _Epoch(model, train_loader, train_loss_fn, optimizer)
            train_loss, lr = _run_steps(watch(steps), epoch, optimizer, scheduler)
            record = {"epoch": epoch, "train_loss": train_loss}
            if val_loader is not None:
                results = evaluate(model, val_loader, val_metrics)
                if not math.isfinite(results["loss"]):
                    place = f"in the validation after epoch {epoch}"
                    raise _not_finite(results["loss"], place, lr)
                record |= {f"val_{name}": value for name, value in results.items()}
            yield record | {"lr": lr, "seconds": perf_counter() - began}

    return records()


@functools.wraps(train_epochs, assigned=())
def fit(*args, **kwargs) -> list[Record]:
    """Train at once, with the arguments of `train_epochs`; return the history.

    Interrupting the kernel (or Ctrl-C) ends the training, not the program: the
    history so far is returned. Loop over `train_epochs` to be interrupted yourself.
    """
    history = []
    try:
        for record in train_epochs(*args, **kwargs):
            history.append(record)
    except KeyboardInterrupt:
        print(f"Interrupted. Finished epochs in the history: {len(history)}.")
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module, loader: Iterable, metrics: dict[str, Loss]
) -> dict[str, float]:
    """Return each metric's mean over every example, with the model in eval mode.

    A metric takes (logits, y) and returns its plain mean over the batch, so a
    loss with class weights is averaged by examples and not by weights. The
    model is left in the mode in which it came.
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
        raise ValueError(
            "The loader gave no batches, so there is nothing to evaluate: is the data "
            "set empty, smaller than one batch with drop_last, or a generator used up?"
        )
    return {name: _mean(values[name], sizes) for name in metrics}


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is at the target class."""
    rows_of_logits = logits.dim() == y.dim() + 1 and logits.shape[1] > 1
    if y.is_floating_point() or not rows_of_logits:
        raise ValueError(
            "accuracy compares rows of logits with class numbers; it was given "
            f"predictions {_describe(logits)} and targets {_describe(y)}. For a "
            "regression or a single logit, pass metrics={} or metrics of your own."
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
        value = float(value)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, self.epoch
            self._best_weights = copy.deepcopy(self.model.state_dict())
        return self.epoch - self.best_epoch >= self.patience

    def state_dict(self) -> dict:
        """Return all that it knows but the model, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "model"}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned, its patience included."""
        vars(self).update(state)

    def restore(self) -> None:
        """Load the best epoch's weights into the model."""
        if self._best_weights is None:
            raise RuntimeError("No epoch had a finite value: none can be restored.")
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


class _CheckedLoss:
    """A loss that says in one sentence what is wrong with targets that do not fit.

    What would go wrong in silence is looked for in the first batch alone, since
    all batches of a loader have the same form. The metrics are tried there too,
    so that one that does not fit is known before any training.
    """

    def __init__(self, loss_fn, metrics=None):
        self.loss_fn = loss_fn
        self.metrics = metrics or {}
        self.form_is_known = False

    def __call__(self, logits, y):
        if self.form_is_known:
            return self._explained(logits, y)
        self._refuse_form(logits, y)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size")
            loss = self._explained(logits, y)
        if loss.dim() > 0:
            raise ValueError(
                f"The loss must be one number, and it is of shape {tuple(loss.shape)}: "
                "take its mean() over the batch."
            )
        for metric in self.metrics.values():
            metric(logits.detach(), y)
        self.form_is_known = True
        return loss

    def _refuse_form(self, logits, y):
        if y.dim() == 0:
            raise ValueError(
                "The loader gives single examples, not batches: put the data set into "
                "a TensorLoader or a DataLoader."
            )
        if y.dtype == torch.float64 != logits.dtype and _is_from_torch(self.loss_fn):
            raise ValueError(
                f"Predictions are {_describe(logits)} and targets {_describe(y)}, as "
                "they come from NumPy: use y.float()."
            )

    def _explained(self, logits, y):
        try:
            return self.loss_fn(logits, y)
        except (RuntimeError, ValueError, IndexError, TypeError, UserWarning) as error:
            hint = _hint(logits, y)
            if hint is None:
                raise
            raise ValueError(
                f"The loss cannot compare predictions {_describe(logits)} with targets "
                f"{_describe(y)}: {hint}"
            ) from error


def _run_steps(steps, epoch, optimizer, scheduler):
    """Exhaust an epoch's steps; return the mean loss and the last learning rate."""
    losses, sizes, rates = [], [], []
    read = 0
    for loss, size in steps:
        losses.append(loss)
        sizes.append(size)
        rates.append(float(optimizer.param_groups[0]["lr"]))
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
    return _mean(losses, sizes), rates[-1]


def _require_finite(losses, rates, epoch, read):
    """Raise an error that names the first loss since `read` that is not finite."""
    finite = torch.stack(losses[read:]).isfinite().tolist()
    if not all(finite):
        step = read + finite.index(False)
        place = f"in epoch {epoch}, step {step + 1}"
        raise _not_finite(float(losses[step]), place, rates[step])


def _not_finite(loss, place, lr):
    return FloatingPointError(
        f"The loss became {loss} {place}, at learning rate {lr:g}. Try a rate ten "
        "times smaller, and look for nan or very large values in the data."
    )


def _mean(values, sizes):
    """Return the mean of batch means, each weighted by its number of examples."""
    if isinstance(values[0], Tensor):
        values = torch.stack(values).cpu()
    values = torch.as_tensor(values, dtype=torch.float64)
    weights = torch.tensor(sizes, dtype=torch.float64)
    return float(values @ weights / weights.sum())


def _is_from_torch(loss_fn):
    """Tell a loss of torch's own, which reads targets as they are, from a function."""
    own = ("torch.nn.functional", "torch.nn.modules.loss")
    return getattr(loss_fn, "__module__", None) in own


def _describe(tensor):
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _hint(logits, y):
    """Name the usual cause of a loss that cannot be computed, or None."""
    if {logits.dim(), y.dim()} == {1, 2} and logits.numel() == y.numel():
        return (
            "each would be compared with all others. Give them the same shape, for "
            "example with y.unsqueeze(1) or logits.squeeze(1)."
        )
    if logits.dim() == y.dim() == 2 and y.shape[1] == 1 < logits.shape[1]:
        return "class numbers are one per row, so use y.squeeze(1) and int64."
    if logits.dim() == y.dim() + 1 >= 2:
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
