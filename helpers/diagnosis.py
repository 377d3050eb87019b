r"""Silent bugs of a training set-up, found by trying it out and told in words.

A group of checks yields each check's name, whether it is suspicious, and the numbers
for its words, which stand here, the most serious first:

* used_up_loader: The loader is a {}, which is empty once it is read.
  Why: An iterator can be read once: the second epoch has no batches.
  Try: a DataLoader, or a list of the batches.
* not_finite: So many numbers are nan or infinite: {}.
  Why: One of them makes the loss nan and, after a step, all weights.
  Try: cleaning the data with x.isfinite(), and looking for log(0) and x / 0.
* other_models_optimizer: The optimizer holds none of the model's {} weights.
  Why: Its steps change weights that this model does not use.
  Try: making the optimizer from model.parameters(), when the model is complete.
* broadcast: Outputs {} are stretched to fit targets {}.
  Why: Each output is compared with other examples' targets, and learns a mean.
  Try: one shape for both, by y.unsqueeze(1) or model(x).squeeze(1).
* one_logit: A loss over classes gets outputs {}, of one class.
  Why: The probability of an only class is always 1: there is nothing to learn.
  Try: BCEWithLogitsLoss with float targets, or one output for each class.
* labels_outside: Among the targets are {}, which are no classes of {}.
  Why: They stop the training, or count as something else in silence.
  Try: class numbers from 0 to the number of outputs less one, or 0 and 1 for two.
* targets_ignored: The loss stays {:.4g} when the targets change places.
  Why: A loss that does not know whose target is whose cannot teach it.
  Try: loss_fn on two targets by hand, to find where they are lost.
* not_log_probabilities: The loss wants logarithms, but exp(outputs) sum to {:.3g}.
  Why: The right output just rises for ever, as no other needs to fall.
  Try: CrossEntropyLoss, or log_softmax at the end of the model.
* softmax_twice: The loss wants logits, and gets numbers from {:.2g} to {:.2g}.
  Why: Squeezed twice, no probability gets near 1, and gradients are small.
  Try: logits as the model's outputs, and softmax or sigmoid only for predictions.
* no_gradient: No gradient reaches {}.
  Why: What gets no gradient stays as it was made.
  Try: looking for detach, .data, no_grad, argmax, or a layer left unused.
* not_held: The optimizer does not hold {}.
  Why: No step changes them, as the optimizer does not know them.
  Try: making the optimizer last, or freezing them with requires_grad_(False).
* equal_weights: All {} units of a layer have the same weights.
  Why: Units that start alike and get one gradient stay alike for ever.
  Try: PyTorch's own initial weights, which are random.
* constant_inputs: All {} examples are the same.
  Why: From equal inputs a model can only learn the mean target.
  Try: looking at a batch: perhaps it is filled or indexed wrongly.
* same_rows: Of the validation rows, {:.0%} are in the training set.
  Why: The model can know them by heart, so validation looks too good.
  Try: splitting the data once, before any rows are repeated.
* examples_mixed: An output changes by {:.2g} with the other examples of its batch.
  Why: A prediction depends on which others happen to be there.
  Try: looking for a mean, softmax, reshape or attention over dimension 0.
* state_between_batches: Outputs change by {:.2g} once another batch went through.
  Why: Predictions depend on what was predicted before.
  Try: starting hidden states anew in forward, and keeping none on self.
* target_scale: Targets are about {:.3g} in size, and outputs {:.3g}.
  Why: The first steps go into the scale, and no usual learning rate fits.
  Try: (y - y.mean()) / y.std() for training, and undoing it in predictions.
* learning_rate_too_large: At {0:g}, one batch is not learned in 50 steps.
  Why: Each step jumps over the minimum.
  Try: a learning rate of {1:.2g} … {2:.2g}, at which it is.
* learning_rate_too_small: At {0:g}, one batch is not learned in 50 steps.
  Why: The weights hardly move, and training would take far too long.
  Try: a learning rate of {1:.2g} … {2:.2g}, at which it is.
* dead_relus: Of a layer's units, {:.0%} are 0 for all examples.
  Why: They pass no gradient, so that the weights before them never change.
  Try: looking for large negative biases, unscaled inputs, a large learning rate.
* exploding_gradient: A layer's gradient is {:.2g} times that of the outputs.
  Why: One step with it throws the weights far away.
  Try: PyTorch's initial weights, normalization, or clip_grad_norm_.
* vanishing_gradient: The first layer's gradient is {:.1g} of the last one's.
  Why: The first layers hardly learn.
  Try: ReLU in place of sigmoid or tanh, normalization, residuals, or fewer layers.
* sorted_labels: The label changes {} times in {} examples, where {:.0f} is usual.
  Why: Batches of one class teach that class, and unlearn the one before.
  Try: shuffle=True for the training loader.
* missing_classes: Of {} classes, {} are never a target.
  Why: They cannot be learned: a split or filter may have lost them.
  Try: y.unique(return_counts=True), and a split with stratify=y.
* unscaled_inputs: Inputs are about {:.2g}, one feature {:.2g} times as wide as usual.
  Why: Layers are made for inputs about 1 in size, each as wide as the others.
  Try: (x - x.mean(0)) / x.std(0) with the training set's numbers, or pixels / 255.
* loss_too_high: The loss starts at {:.3g}, where guessing would give {:.3g}.
  Why: A model that starts confident and wrong must first unlearn that.
  Try: scaled inputs, and smaller initial weights in the last layer.
* eval_mode: The model is in eval mode, and the mode matters ({}).
  Why: Dropout is off, and batch norm's statistics stay as they are.
  Try: model.train() at the start of each epoch.
* dropout_in_eval: In eval mode, {} was called.
  Why: Predictions change from call to call, and are worse than need be.
  Try: nn.Dropout, or F.dropout(x, p, training=self.training).
* mode_without_effect: With {}, outputs are the same in train and eval mode.
  Why: The layers are not in use, or the mode does not reach them.
  Try: calling them in forward, and letting train() and eval() do their work.
* same_order: The second epoch begins with the same {} examples as the first.
  Why: Every epoch repeats the same steps.
  Try: shuffle=True for the training loader.
* frozen_but_held: The optimizer holds {}, with requires_grad False.
  Why: They are not trained: perhaps they were meant to be.
  Try: requires_grad_(), or giving the optimizer only what is to be trained.
* leftover_gradients: There are gradients from before in {}.
  Why: The first step adds to them, if it does not begin with zero_grad.
  Try: optimizer.zero_grad() before each backward.
"""

import contextlib
import copy
import math
import re
import warnings
from collections import Counter
from functools import cached_property
from itertools import islice, takewhile
from time import perf_counter
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

from helpers.checkpoints import generators, random_states, set_random_states

WORDS = re.findall(r"(?m)^\* (\w+): (.+)\.$\s+Why: (.+)\s+Try: (.+)", __doc__)
BY_MODE = nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm


class Finding(NamedTuple):
    """One suspicion: the check's name, what it saw, why it matters, what to try."""

    check: str
    saw: str
    why: str
    try_this: str


def diagnose(model, loader, loss_fn, optimizer, val_loader=None) -> list[Finding]:
    """Look for silent bugs in a supervised training; print and return what is found.

    The most serious comes first; the module's docstring lists all. At most ten batches
    are read. The trials are made on copies: the model, the optimizer, the loaders'
    generators and the random states are left as they were, to the bit.
    """
    seen, reasons = {}, set()
    with contextlib.ExitStack() as undo:
        _put_back_later(undo, model, optimizer, loader, val_loader)
        setup = Setup(model, loader, loss_fn, optimizer, val_loader)
        for group in GROUPS:
            try:
                for name, *result in group(setup):
                    seen[name] = result
            except Exception as error:
                reasons.add(f"{error!s:.99}".partition("\n")[0].rstrip("."))
    checks = [(name, seen[name], *words) for name, *words in WORDS if name in seen]
    found = [
        Finding(name, *(text.format(*numbers) for text in words))
        for name, (is_there, *numbers), *words in checks
        if is_there
    ]
    for finding in found:
        print("{}: {}.\n  {}\n  Try: {}".format(*finding))
    if not found:
        print(f"Nothing suspicious, in {len(seen)} checks on {setup.count} batches.")
    if missing := [name for name, *_ in WORDS if name not in seen]:
        print(f"Not looked at: {', '.join(missing)} ({'; '.join(reasons)}).")
    return found


def _put_back_later(undo, model, optimizer, *loaders):
    """Note how all is: trials are on copies, but a loss may hold the model itself."""
    undo.enter_context(warnings.catch_warnings(action="ignore"))
    undo.enter_context(torch.enable_grad())
    for module in model.modules():
        undo.callback(setattr, module, "training", module.training)
    for tensor in (*model.parameters(), *model.buffers(), *_weights(optimizer)):
        undo.callback(tensor.data.copy_, tensor.data.clone())
        undo.callback(setattr, tensor, "grad", tensor.grad)
        if tensor.grad is not None:
            undo.callback(tensor.grad.data.copy_, tensor.grad.data.clone())
    for generator in (g for loader in loaders for g in generators(loader)):
        undo.callback(generator.set_state, generator.get_state())
    undo.callback(set_random_states, model, random_states(model))


def _weights(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


def _rate(group):
    return max(float(group.get(key, 0)) for key in ("lr", "initial_lr", "max_lr"))


def _first(loader, number):
    """Read a loader's first batches; of a DataLoader, a copy keeps the workers."""
    loader = copy.copy(loader) if isinstance(loader, DataLoader) else loader
    return list(islice(loader, number))


def _rows(loader, batches):
    """Return the inputs and targets behind a loader: all, or those had in a moment."""
    data, end = getattr(loader, "dataset", None), perf_counter() + 0.5
    if hasattr(data, "tensors"):
        return data.tensors
    if not hasattr(data, "__getitem__"):
        return [torch.cat(part) for part in zip(*batches, strict=True)]
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    items = [data[i] for i in takewhile(lambda _: perf_counter() < end, order.tolist())]
    parts = zip(*items, strict=True)
    return [torch.stack([torch.as_tensor(item) for item in part]) for part in parts]


def _size(values):
    return values.double().square().mean().sqrt().item()


def _kinds(rows):
    """Count how many rows of a weight differ from each other."""
    rows = rows.detach().flatten(1)
    return len((rows / (rows.abs().max() + 1e-30) * 1e3).round().unique(dim=0))


def _leaves(loss):
    """Return all weights that a loss was computed from, listed by a model or not."""
    nodes, todo = set(), [loss.grad_fn]
    while todo:
        if (node := todo.pop()) not in nodes | {None}:
            nodes.add(node)
            todo += [parent for parent, _ in node.next_functions]
    return {node.variable for node in nodes if hasattr(node, "variable")}


class Watch(TorchFunctionMode):
    """Note which units each ReLU lets through, and which calls drop at random."""

    def __init__(self):
        super().__init__()
        self.units, self.drops = [], []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call the function, and note what it did if its name is of interest."""
        result, name = function(*args, **(kwargs or {})), function.__name__.strip("_")
        if name in {"relu", "clamp", "clamp_min", "maximum"}:
            self.units.append((result != 0).flatten(1).any(0))
        how = dict(zip(("x", "p", "training"), args, strict=False)) | (kwargs or {})
        drops = "dropout" in name and how.get("training", True) and how.get("p", 1) > 0
        if drops or how.get("dropout_p") or name in {"bernoulli", "rand", "rand_like"}:
            self.drops.append(name)
        return result


class Setup:
    """What the checks look at, and how they try it."""

    def __init__(self, model, loader, loss_fn, optimizer, val_loader):
        self.model, self.loss_fn, self.optimizer = model, loss_fn, optimizer
        self.loader, self.val_loader = loader, val_loader
        self.random, self.count = random_states(model), 0

    @cached_property
    def pairs(self):
        """Return batches of one epoch, on the model's device."""
        if hasattr(self.loader, "__next__"):
            raise ValueError("the loader can be read only once")
        batches, device = _first(self.loader, 8), next(self.model.parameters()).device
        kinds = {" and ".join(type(part).__name__ for part in b) for b in batches}
        if kinds != {"Tensor and Tensor"}:
            raise TypeError(f"a batch holds {', '.join(kinds)}, not Tensor and Tensor")
        self.count = len(batches)
        return [(x.to(device), y.to(device)) for x, y in batches]

    @cached_property
    def first(self):
        """Return the first batch and the outputs for it."""
        x, y = self.pairs[0]
        return x, y, self.outputs(x)[0]

    def fresh(self):
        """Return copies that belong together, to train, and start all draws anew."""
        set_random_states(self.model, self.random)
        parts = copy.deepcopy((self.model, self.loss_fn, self.optimizer))
        parts[0].train()
        return parts

    @torch.no_grad()
    def outputs(self, *inputs, training=True, wild=False):
        """Return a copy's outputs for inputs in turn, with its own or wild weights."""
        model, found = self.fresh()[0], []
        model.train(training)  # which may return another model
        for p in model.parameters() if wild else ():
            p.normal_(0, 3)
        for x in inputs:
            set_random_states(self.model, self.random)
            found.append(model(x))
        return found

    def loss(self, out, y):
        """Return the loss as a number, or nan where it refuses."""
        try:
            return (
                math.nan if self.outside else copy.deepcopy(self.loss_fn)(out, y).item()
            )
        except Exception:
            return math.nan

    def same_loss(self, out, y, other_out, other_y):
        """Tell whether the loss makes no difference between two pairs."""
        two = self.loss(out, y), self.loss(other_out, other_y)
        return math.isclose(*two, rel_tol=1e-5, abs_tol=1e-7)

    def learn(self, model, loss_fn, x, y):
        """Return outputs and loss, after the backward pass."""
        if self.outside:  # on a GPU, they would end all work
            raise ValueError("the targets do not fit the outputs")
        out = model(x)
        loss = loss_fn(out, y)
        if loss.requires_grad and out.requires_grad:
            out.retain_grad()
            loss.backward()
        return out, loss

    def overfit(self, factor, steps=30):
        """Return by which share the loss falls when a copy trains on one batch."""
        model, loss_fn, optimizer = self.fresh()
        losses, (x, y, out) = [], self.first
        for group in optimizer.param_groups:
            group["lr"] = factor * _rate(group)
        for _ in range(steps):
            set_random_states(self.model, self.random)
            optimizer.zero_grad()
            losses.append(self.learn(model, loss_fn, x, y)[1].item())
            optimizer.step()
        guess = self.loss(out, self.mixed)  # to which a trained model must not return
        start = guess if losses[0] < guess / 2 else losses[0]
        fall = start - torch.tensor(losses[-9:]).median().item()
        return fall / (abs(start) + 1e-12)

    def names(self, test, model=None):
        """Say which parameters pass a test."""
        names = [n for n, p in (model or self.model).named_parameters() if test(p)]
        return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3)


def data(s):
    """Read batches, and compare them with each other."""
    once = [ld for ld in (s.loader, s.val_loader) if hasattr(ld, "__next__")]
    yield "used_up_loader", once, *(type(loader).__name__ for loader in once)
    first, again = s.pairs[0], _first(s.loader, 1)[0]
    same = all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(first, again, strict=True))
    yield "same_order", same and s.count > 1, len(first[0])
    x = torch.cat([x for x, _ in s.pairs])
    yield "constant_inputs", len(x) > 1 and (x == x[:1]).all(), len(x)


def repeats(s):
    """Compare the rows of training and validation."""
    train, val = [], []
    if s.val_loader is not None:
        pairs = (s.loader, s.pairs), (s.val_loader, _first(s.val_loader, 1))
        rows = [_rows(*pair)[0].flatten(1).cpu().float().numpy() for pair in pairs]
        train, val = ([row.tobytes() for row in part] for part in rows)
    times = Counter(train)
    own = sum(times[row] > 1 for row in train) / max(1, len(train))
    share = sum(row in times for row in val) / max(1, len(val))
    yield "same_rows", share > own + 0.05, share


def weights(s):
    """Compare the model's weights with those that the optimizer holds."""
    held, mine = {*_weights(s.optimizer)}, {*s.model.parameters()}
    stranger = held.isdisjoint(mine)
    yield "other_models_optimizer", stranger, len(mine)
    frozen = s.names(lambda p: not p.requires_grad and p in held)
    yield "frozen_but_held", frozen, frozen
    left = s.names(lambda p: p.grad is not None and p.grad.any())
    yield "leftover_gradients", left, left


def finite(s):
    """Look for nan and infinity in all there is."""
    x, y = _rows(s.loader, s.pairs)
    parts = {"inputs": x, "targets": y, "outputs": s.first[2]}
    parts |= dict(s.model.named_parameters())
    bad = {name: (~part.isfinite()).sum().item() for name, part in parts.items()}
    bad = {name: number for name, number in bad.items() if number}
    yield "not_finite", bad, bad


def fit(s):
    """Find what counts classes, before a loss that would break a GPU's work."""
    _, y, out = s.first
    s.outside, dims = [], (1, out.dim() - 1) if out.dim() > 1 else ()
    dims = [d for d in dims if out.numel() == y.numel() * out.shape[d] > y.numel()]
    s.dim = dims[0] if dims and not y.is_floating_point() else None
    zeros = [s.loss(o, torch.zeros_like(y)) for o in (out, 3 * out + 1)]
    shift = abs(s.loss(out.cpu(), y.cpu()) - s.loss(out.cpu() + 1, y.cpu()))
    constant = math.isclose(*zeros, abs_tol=1e-6) and not shift > 1e-5
    s.one = out.numel() == len(out) > 1 and constant
    yield "one_logit", s.one, (*out.shape,)
    if s.dim or (s.one and not y.is_floating_point()):
        legal = {
            *range(out.shape[s.dim or 1]),
            getattr(s.loss_fn, "ignore_index", -100),
        }
        s.outside = [*{*torch.cat([y.flatten() for _, y in s.pairs]).tolist()} - legal]


def probe(s):
    """Find out with made-up outputs what the loss wants."""
    _, y, out = s.first
    set_random_states(s.model, s.random)
    s.mixed = y.flatten()[torch.randperm(y.numel()).to(y.device)].view_as(y)
    z = torch.randn_like(out, dtype=torch.promote_types(out.dtype, torch.float32))
    z = z if math.isfinite(s.loss(z, y)) else z.sigmoid()
    dims = [d for d in {1, z.dim() - 1} if z.dim() > 1 and z.shape[d] > 1]
    s.wants_logits = any(s.same_loss(z, y, z + z.narrow(d, 0, 1), y) for d in dims)
    s.wants_targets = False
    if y.numel() == out.numel() and not s.wants_logits:
        target, yes = y.view_as(z).to(z.dtype), y > y.double().mean()
        best, *others = (s.loss(f * target, y) for f in (1, 0.9, 1.1))
        s.wants_targets = best <= min(others)
        z, yes = z * max(1, _size(y)) if s.wants_targets else z, yes.to(y.dtype)
        bits = yes.view_as(z).to(z.dtype)
        s.wants_logits = s.loss(8 * bits - 4, yes) < s.loss(bits, yes) and (
            s.loss(0 * bits - 4, 0 * yes) < s.loss(0 * bits, 0 * yes)
        )
    s.made_up = z
    yield from ()


def meaning(s):
    """Compare what the loss wants with what it gets."""
    (x, y, out), z = s.first, s.made_up
    bits = s.wants_logits and y.shape == out.shape
    wrong = y[(y < 0) | (y > 1)].tolist() if bits else s.outside if s.dim else []
    yield "labels_outside", wrong, wrong[:5], out.shape[s.dim] if s.dim else 2
    tied = False
    with contextlib.suppress(RuntimeError):
        wide, tall = torch.broadcast_tensors(z, y)
        dims = [d for d in range(wide.dim()) if 0 in (wide.stride(d), tall.stride(d))]
        both = [s.same_loss(z, y, o, tall) for o in (wide, wide.flip(dims))]
        tied = y.shape != z.shape and all(both)
    yield "broadcast", tied, (*out.shape,), (*y.shape,)
    mixed = len(y.unique()) > 1 and s.same_loss(z, y, z, s.mixed)
    yield "targets_ignored", mixed and not tied and not s.one, s.loss(z, y)
    linear = math.isclose(s.loss(2 * z, y), 2 * s.loss(z, y), rel_tol=1e-4)
    total = out.double().exp().sum(s.dim or 0).mean().item()
    wrong = s.dim and linear and abs(total - 1) > 0.05
    yield "not_log_probabilities", wrong, total
    low, high = torch.stack([out, *s.outputs(x, wild=True)]).aminmax()
    squeezed = s.wants_logits and low >= 0 and high <= 1
    yield "softmax_twice", squeezed, out.min().item(), out.max().item()


def labels(s):
    """Look at the targets as they come, and as they are in the whole data set."""
    y, every = (
        torch.cat([y for _, y in s.pairs]).cpu(),
        _rows(s.loader, s.pairs)[1].cpu(),
    )
    classes = s.first[2].shape[s.dim] if s.dim else 2 * s.wants_logits
    seen, share = every.unique(return_counts=True)
    lost = [*{*range(classes)} - {*seen.tolist()}] if y.numel() == len(y) else []
    enough = every.numel() > 20 * max(5, len(seen)) and not s.outside
    yield "missing_classes", lost and enough, classes, lost[:9]
    if y.is_floating_point():
        y, every = y > every.mean(), every > every.mean()
    share = every.unique(return_counts=True)[1] / every.numel()
    usual = len(y) * (1 - share.square().sum().item())
    changes = (y[1:] != y[:-1]).sum().item()
    found = y.numel() == len(y) and usual > 15 and changes < usual / 2
    yield "sorted_labels", found, changes, len(y), usual


def sizes(s):
    """Compare outputs, targets and the loss by size."""
    _, y, out = s.first
    big, own = _size(y), _size(out)
    s.far = s.wants_targets and (big > 20 * max(1, own) or 0 < big < min(1, own) / 50)
    yield "target_scale", s.far, big, own
    loss, guess, out = 0, 1, out.double()
    if s.dim and not s.outside:
        out, y = out.movedim(s.dim, -1).flatten(0, -2), y.flatten()
        loss, guess = F.cross_entropy(out[y >= 0], y[y >= 0]), math.log(out.shape[1])
    elif s.wants_logits and y.shape == out.shape:
        loss, guess = F.binary_cross_entropy_with_logits(out, y.double()), math.log(2)
    elif s.wants_targets:
        loss, guess = _size(out - y.view_as(out)) ** 2, 7 * big**2
    high = loss > 1.5 * guess + 0.5 * (not s.wants_targets)
    yield "loss_too_high", high, float(loss), guess


def modes(s):
    """Compare training with evaluation, and predictions with each other."""
    x, _, out = s.first
    with Watch() as watch:
        before, _, after = s.outputs(x, x.flip(0), x, training=False)
    yield "dropout_in_eval", watch.drops, *watch.drops[:1]
    found = [
        m for m in s.model.modules() if isinstance(m, BY_MODE) and vars(m).get("p", 1)
    ]
    found = [m for m in found if all(p.requires_grad for p in m.parameters())]
    kinds = ", ".join(sorted({type(m).__name__ for m in found}))
    same, zero = torch.allclose(out, before, 1e-5, 1e-7), s.names(lambda p: not p.any())
    yield "eval_mode", not s.model.training and (kinds or not same), kinds
    yield "mode_without_effect", kinds and same and not zero, kinds
    scale, change = _size(before) + 1e-6, (before - after).abs().max().item()
    yield "state_between_batches", change > 1e-4 * scale, change
    (among,) = s.outputs(x[-1:].expand_as(x).clone(), training=False)
    change = (before[-1] - among[-1]).abs().max().item()
    yield "examples_mixed", change > 1e-3 * scale, change


def gradients(s):
    """Go through the batches as in training, without a step."""
    model, loss_fn, optimizer = s.fresh()
    s.inputs, units, s.slope, held = {}, [], 0, {*_weights(optimizer)}
    for m in model.modules():
        if any(p.dim() > 1 for p in m.parameters(recurse=False)):
            m.register_forward_pre_hook(lambda m, x: s.inputs.setdefault(m, x) and None)
    for x, y in s.pairs:
        with Watch() as watch:
            out, loss = s.learn(model, loss_fn, x, y)
        units.append(watch.units[: len(units[0]) if units else None])
        s.slope += 0 if out.grad is None else out.grad.abs().sum().item()
    for p in (p for p in model.parameters() if p.grad is not None):
        p.grad = p.grad.to_dense() if p.grad.is_sparse else p.grad
    alive = [torch.stack(layer).any(0) for layer in zip(*units, strict=True)]
    dead = max((1 - a.double().mean().item() for a in alive), default=0)
    yield "dead_relus", dead > 0.8, dead
    zero = s.names(lambda p: not p.any())  # before such a layer, none is usual
    none = {
        p for p in held if p.grad is None or not (p.dim() < 2 or zero or p.grad.any())
    }
    lost = s.names(lambda p: p in none and p.requires_grad, model)
    yield "no_gradient", lost and not s.one, lost
    stray = {p for p in _leaves(loss) if p not in held}
    lost = s.names(lambda p: p in stray, model) or f"{len(stray)} not in the model"
    yield "not_held", stray and not held.isdisjoint(model.parameters()), lost


def layers(s):
    """Look at what the layers are given, in the order of their calls, and give back."""
    x = [*(x for args in s.inputs.values() for x in args), s.first[0]][0].detach()
    size, spreads = _size(x), x.double().reshape(len(x), -1).std(0)
    ratio = (spreads.max() / spreads[spreads > 0].median()).item()
    wild = 10 < size < math.inf or 0 < x.abs().max() < 0.02 or ratio > 100
    yield "unscaled_inputs", wild and x.is_floating_point(), size, ratio
    own = [
        next(p for p in m.parameters(recurse=False) if p.dim() > 1) for m in s.inputs
    ]
    own = [p for p in own if p.grad is not None]
    twins = [
        len(p) for p in own[:-1] if _kinds(p) == 1 and 1 < 2 * _kinds(p.grad) <= len(p)
    ]
    yield "equal_weights", twins, *twins[:1]
    norms = [p.grad.norm().item() for p in own if p.grad.any()] or [0]
    most = max(norms) / (s.slope + 1e-30)
    usual = max(1, size) * max(1, _size(s.first[1]) if s.wants_targets else 1)
    grown = most > 1e3 * usual or norms[0] > 200 * max(1, size) * norms[-1]
    yield "exploding_gradient", grown, most
    slopes = [_size(p.grad[p.grad != 0]) for p in own if p.grad.any()]
    least = slopes[0] / max(slopes[-1], s.slope / 300) if len(slopes) > 2 else 1
    yield "vanishing_gradient", least < 2e-4 and not twins, least


def rates(s):
    """Let copies learn one batch by heart, at several learning rates."""
    rate, fall = max(map(_rate, s.optimizer.param_groups)), s.overfit(1, 50)
    factors = [] if fall > 0.3 else [10.0**n for n in range(-6, 7)]
    good = [rate * factor for factor in factors if s.overfit(factor) > 0.6]
    low, high = min(good, default=rate), max(good, default=rate)
    yield "learning_rate_too_large", high < rate, rate, low, high
    slow = low > rate and not fall > 0.01
    yield "learning_rate_too_small", slow and not s.far, rate, low, high


GROUPS = (
    data,
    weights,
    fit,
    probe,
    meaning,
    finite,
    labels,
    repeats,
    sizes,
    modes,
    gradients,
    layers,
    rates,
)
