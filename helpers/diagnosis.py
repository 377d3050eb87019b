"""Silent bugs of a training set-up, found by trying it out and told in words.

Each method of `Checks` looks for one bug, the most serious first. It returns nothing
(or False, or an empty list) where all is well, and otherwise a list of what belongs
into the first line of its docstring. To add a check, add a method.
"""
# ruff: noqa: D401 - the docstrings of checks say what they saw

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

from helpers.checkpoints import generators, random_states, set_random_states

WORDS = re.compile(r"(.+)\.\s+Why: (.+)\s+Try: (.+)")


class Finding(NamedTuple):
    """One suspicion: the check's name, what it saw, why it matters, what to try."""

    check: str
    saw: str
    why: str
    try_this: str


@torch.enable_grad()
def diagnose(model, loader, loss_fn, optimizer, val_loader=None) -> list[Finding]:
    """Look for silent bugs in a supervised training; print and return what is found.

    The most serious comes first; the methods of `Checks` are all there is. At most ten
    batches are read, and single examples for half a second. The trials are made on
    copies: the model, the optimizer, the loaders' generators and the random states
    are left as they were, to the bit.
    """
    found, failed = [], {}
    names = [name for name in vars(Checks) if not name.startswith("_")]
    with contextlib.ExitStack() as undo, warnings.catch_warnings(action="ignore"):
        _put_back_later(undo, model, optimizer, loader, val_loader)
        checks = Checks(model, loader, loss_fn, optimizer, val_loader)
        for name in names:
            try:
                if seen := getattr(checks, name)():
                    words = WORDS.match(vars(Checks)[name].__doc__).groups()
                    found.append(Finding(name, *(text.format(*seen) for text in words)))
                    print("{}: {}.\n  {}\n  Try: {}".format(*found[-1]))
            except Exception as error:
                failed[name] = f"{error!s:.99}".partition("\n")[0].rstrip(".")
    if not found:
        count = len(names) - len(failed)
        print(f"Nothing suspicious, in {count} checks on {checks.count} batches.")
    if failed:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        print(f"Not looked at: {', '.join(failed)} ({reasons}).")
    return found


def _put_back_later(undo, model, optimizer, *loaders):
    """Note how all is: trials are on copies, but a loss may hold the model itself."""
    undo.callback(set_random_states, model, random_states(model))
    for generator in (g for loader in loaders for g in generators(loader)):
        undo.callback(generator.set_state, generator.get_state())
    for module in model.modules():
        undo.callback(setattr, module, "training", module.training)
    for tensor in (*model.parameters(), *model.buffers(), *_held(optimizer)):
        undo.callback(tensor.data.copy_, tensor.data.clone())
        undo.callback(setattr, tensor, "grad", tensor.grad)
        tensor.grad = copy.deepcopy(tensor.grad)


def _held(optimizer):
    return {p for group in optimizer.param_groups for p in group["params"]}


def _rate(group):
    """Return a learning rate, also one that a warm-up has not reached yet."""
    return max(float(group.get(key, 0)) for key in ("lr", "initial_lr", "max_lr"))


def _size(values):
    return values.double().square().mean().sqrt().item()


def _changed(before, after):
    """Return by how much outputs change, if it is more than rounding."""
    change = (before - after).abs().max().item()
    return change > 1e-3 * _size(before) and [change]


def _names(model, test):
    """Name the parameters that pass a test, if there are any."""
    names = [name for name, p in model.named_parameters() if test(p)]
    more = f" and {len(names) - 3} more" * (len(names) > 3)
    return names and [", ".join(names[:3]) + more]


def _rows(loader):
    """Return the inputs and targets behind a loader: all, or half a second's worth."""
    data, end = getattr(loader, "dataset", None), perf_counter() + 0.5
    if not hasattr(data, "__len__"):
        batches = islice(copy.copy(loader), 8)
        return [torch.cat(part) for part in zip(*batches, strict=True)]
    order = torch.randperm(len(data)).tolist()
    rows = [data[i] for i in takewhile(lambda _: perf_counter() < end, order)]
    return getattr(loader, "collate_fn", torch.utils.data.default_collate)(rows)


def _graph(loss):
    """Return the steps through which autograd would go back from a loss."""
    nodes, todo = {}, [loss.grad_fn]
    while todo:
        if (node := todo.pop()) and node not in nodes:
            nodes[node] = "met"
            todo += [before for before, _ in node.next_functions]
    return list(nodes)


class Trial:
    """A set-up for training, and what comes out when it is tried."""

    def __init__(self, model, loader, loss_fn, optimizer, val_loader):
        self.model, self.loss_fn, self.optimizer = model, loss_fn, optimizer
        self.loader, self.val_loader, self.count = loader, val_loader, 0
        self.rate = max(map(_rate, optimizer.param_groups))
        self.random, self.held = random_states(model), _held(optimizer)

    @cached_property
    def batches(self):
        """Batches of one epoch and, at the end, the first of another."""
        if self.used_up_loader():
            raise ValueError("the loader can be read only once")
        loader = copy.copy(self.loader)  # its workers end with it
        batches = [*islice(loader, 8), *islice(loader, 1)]
        if not all(isinstance(x, torch.Tensor) for batch in batches for x in batch):
            raise TypeError("a batch is not just tensors")
        self.count, device = len(batches) - 1, next(self.model.parameters()).device
        return [(x.to(device), y.to(device)) for x, y in batches]

    @property
    def x(self):
        """The inputs of the first batch."""
        return self.batches[0][0]

    @cached_property
    def y(self):
        """The targets of the first batch, if they are such that the loss takes them."""
        if self.one_logit() or self.labels_outside():  # on a GPU, all work would end
            raise ValueError("the targets do not fit the outputs")
        return self.batches[0][1]

    @cached_property
    def targets(self):
        """All targets of an epoch's batches in order."""
        return torch.cat([y.flatten() for _, y in self.batches[:-1]]).cpu()

    @cached_property
    def rows(self):
        """Inputs and targets of the whole training set, or of a random part."""
        return _rows(self.loader)

    def copies(self):
        """Return a model to train, a loss and an optimizer that belong together.

        What the model computed and kept, such as a hidden state, has no past there.
        """
        kept = [value for m in self.model.modules() for value in vars(m).values()]
        kept += [part for value in kept if isinstance(value, tuple) for part in value]
        made = {id(t): t.detach() for t in kept if getattr(t, "grad_fn", None)}
        parts = copy.deepcopy((self.model, self.loss_fn, self.optimizer), made)
        parts[0].train()
        return parts

    @torch.no_grad()
    def outputs(self, *inputs, training=False, wild=False, skip=0):
        """Return a model's outputs for inputs in turn, with its own or wild weights.

        Each time, all draws are the same, unless some are skipped.
        """
        model = self.copies()[0]
        model.train(training)  # which may return another model
        set_random_states(self.model, self.random)
        torch.rand(skip, device=self.x.device)
        for p in model.parameters() if wild else ():
            p.normal_(0, 3)
        return torch.stack([model(x) for x in inputs])

    @cached_property
    def out(self):
        """The outputs for the first batch in training."""
        return self.outputs(self.x, training=True)[0]

    def loss(self, out, y):
        """Return the loss as a number, or nan where it refuses."""
        with contextlib.suppress(Exception):
            return float(copy.deepcopy(self.loss_fn)(out, y))
        return math.nan

    def same_loss(self, out, y, other_out, other_y):
        """Tell whether the loss makes no difference between two pairs."""
        two = self.loss(out, y), self.loss(other_out, other_y)
        return math.isclose(*two, rel_tol=1e-5)

    @cached_property
    def wants(self):
        """What the loss wants, and for how many classes; made-up outputs tell.

        Over yes and no, an output of 4 is better for a 1 than 1 is, and -4 for a 0.
        Over numbers, the targets themselves are the best outputs. Of logits, only the
        differences matter, and one alone has no loss; logarithms are just added.
        """
        z, y = torch.rand_like(self.out.float()), self.batches[0][1]

        def loss(out, target):
            return self.loss(0 * z + out, 0 * y + target)

        if y.is_floating_point():
            if self.loss(z, y) == 0:
                return "logits", 1
            if loss(4, 1) < loss(1, 1) and loss(-4, 0) < loss(0, 0):
                return "yes or no", 2
            if y.numel() == z.numel():
                less, exact, more = (loss(f * y.view_as(z), y) for f in (0.9, 1, 1.1))
                if exact < min(less, more):
                    return "numbers", 0
        for dim, classes in enumerate(z.shape[1:], 1):
            if y.numel() * classes == z.numel():
                labels = torch.arange(y.numel()).view_as(y).to(y) % classes
                shifted = z + z.narrow(dim, 0, 1).flip(0)
                if self.same_loss(z, labels, shifted, labels):
                    return "logits", classes
                if self.loss(2 * z, labels) == 2 * self.loss(z, labels):
                    return "logarithms", classes
        return None, 0

    def left_out(self, label):
        """Tell whether the loss makes no use of outputs for this label."""
        z, y = torch.rand(self.out.shape), 0 * self.batches[0][1].cpu()
        half = len(y) // 2
        labels = torch.cat([y[:half], y[half:] + label])
        return self.same_loss(z, labels, torch.cat([z[:half], 1 - z[half:]]), labels)

    @cached_property
    def made_up(self):
        """Random outputs; where the loss is over numbers, they are like the targets."""
        z, y = torch.rand_like(self.out.float()), self.y
        return y.min() + z * (y.max() - y.min()) if self.wants[0] == "numbers" else z

    @cached_property
    def backward(self):
        """What is left after all batches went forward and backward, without a step.

        A copy of the model, the weights its optimizer holds, those that each loss was
        computed from, and for each batch and ReLU, which units were 0.
        """
        (model, loss_fn, optimizer), used, dead = self.copies(), [], []
        for i, (x, y) in enumerate([(self.x, self.y), *self.batches[1:]]):
            loss = loss_fn(model(x), y) / (i + 1)  # so that they do not cancel out
            nodes = _graph(loss)
            used.append({node.variable for node in nodes if hasattr(node, "variable")})
            relus = [node for node in nodes if node.name() == "ReluBackward0"]
            dead.append([(relu._saved_result == 0).all(0) for relu in relus])
            if loss.requires_grad:
                loss.backward()
        return model, _held(optimizer), set.intersection(*used), dead

    @cached_property
    def gradients(self):
        """The weights' names, themselves and their gradients."""
        named = self.backward[0].named_parameters()
        return [(n, p, p.grad.to_dense()) for n, p in named if p.grad is not None]

    def slopes(self, dims):
        """Return how large the gradients are, of weights with so many dimensions."""
        found = [_size(grad) for _, p, grad in self.gradients if p.dim() >= dims]
        return [size for size in found if size] or [1]

    @property
    def by_mode(self):
        """The kinds of layers that work in another way in eval mode."""
        found = [m for m in self.model.modules() if vars(m).get("p", 1)]
        found = [m for m in found if all(p.requires_grad for p in m.parameters())]
        kinds = sorted({type(m).__name__ for m in found})
        return ", ".join(kind for kind in kinds if re.search("Dropout|BatchNorm", kind))

    def overfit(self, rate, steps=50):
        """Return by which share the loss falls when a copy trains on one batch."""
        (model, loss_fn, optimizer), losses = self.copies(), []
        for group in optimizer.param_groups:
            group["lr"] = rate * _rate(group) / self.rate
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_fn(model(self.x), self.y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        fall = losses[0] - torch.tensor(losses[-9:]).median().item()
        guess = self.loss(self.out.roll(1, 0), self.y)  # a trained model is far below
        return fall / max(abs(losses[0]), guess)

    @cached_property
    def rates(self):
        """Rates at which one batch is learned, if at the present one it is not.

        Larger ones only count if the loss hardly falls at all.
        """
        fall = self.overfit(self.rate)
        rates = [] if fall > 0.3 else (10.0**n for n in range(-7, 2))
        rates = [rate for rate in rates if rate < self.rate or not fall > 0.01]
        return [rate for rate in rates if self.overfit(rate) > 0.6]


class Checks(Trial):
    """What is looked for, the most serious first."""

    def used_up_loader(self):
        """The loader is a {}, which is empty once it is read.

        Why: An iterator can be read once: the second epoch has no batches.
        Try: a DataLoader, or a list of the batches.
        """
        loaders = self.loader, self.val_loader or []
        data = [getattr(loader, "dataset", loader) for loader in loaders]
        return [type(part).__name__ for part in data if iter(part) is iter(part)]

    def not_finite(self):
        """So many numbers are nan or infinite: {}.

        Why: One of them makes the loss nan and, after a step, all weights.
        Try: cleaning the data with x.isfinite(), and looking for log(0) and x / 0.
        """
        parts = dict(zip(("inputs", "targets"), self.rows, strict=True))
        parts |= {"outputs": self.out, **dict(self.model.named_parameters())}
        bad = {name: (~part.isfinite()).sum().item() for name, part in parts.items()}
        return any(bad.values()) and [{name: n for name, n in bad.items() if n}]

    def other_models_optimizer(self):
        """The optimizer holds none of the model's {} weights.

        Why: Its steps change weights that this model does not use.
        Try: making the optimizer from model.parameters(), when the model is complete.
        """
        mine = list(self.model.parameters())
        return self.held.isdisjoint(mine) and [len(mine)]

    def broadcast(self):
        """Outputs {} are stretched to fit targets {}.

        Why: Each output is compared with other examples' targets, and learns a mean.
        Try: one shape for both, by y.unsqueeze(1) or model(x).squeeze(1).
        """
        z, y = self.made_up, self.y
        with contextlib.suppress(RuntimeError):  # where they cannot be stretched
            wide, tall = torch.broadcast_tensors(z, y)
            larger = wide.numel() > max(z.numel(), y.numel())
            if larger and self.same_loss(z, y, wide, tall):
                return [(*z.shape,), (*y.shape,)]

    def one_logit(self):
        """A loss over classes gets outputs {}, of one class.

        Why: The probability of an only class is always 1: there is nothing to learn.
        Try: BCEWithLogitsLoss with float targets, or one output for each class.
        """
        return self.wants == ("logits", 1) and [(*self.out.shape,)]

    def labels_outside(self):
        """Among the targets are {}, which are no classes of {}.

        Why: They stop the training, or count as something else in silence.
        Try: class numbers from 0 to the number of outputs less one, or 0 and 1 for two.
        """
        seen, most = self.targets.unique().tolist(), self.wants[1] - 1
        wrong = [label for label in seen if not 0 <= label <= most]
        wrong = most > 0 and [label for label in wrong[:5] if not self.left_out(label)]
        return wrong and [wrong, most + 1]

    def targets_ignored(self):
        """The loss stays {:.4g} when the targets change places.

        Why: A loss that does not know whose target is whose cannot teach it.
        Try: loss_fn on two targets by hand, to find where they are lost.
        """
        z, other = self.made_up, self.y.roll(1, 0)
        same = self.same_loss(z, self.y, z, other) and not torch.equal(self.y, other)
        return same and not self.broadcast() and [self.loss(z, self.y)]

    def not_log_probabilities(self):
        """The loss wants logarithms, but exp(outputs) sum to {:.3g}.

        Why: The right output just rises for ever, as no other needs to fall.
        Try: CrossEntropyLoss, or log_softmax at the end of the model.
        """
        total = self.out.double().exp().mean().item() * self.wants[1]
        return self.wants[0] == "logarithms" and abs(total - 1) > 0.05 and [total]

    def softmax_twice(self):
        """The loss wants logits, and gets numbers from {:.2g} to {:.2g}.

        Why: Squeezed twice, no probability gets near 1, and gradients are small.
        Try: logits as the model's outputs, and softmax or sigmoid only for predictions.
        """
        low, high = torch.cat([self.out, *self.outputs(self.x, wild=True)]).aminmax()
        squeezed = self.wants[0] in ("logits", "yes or no") and low >= 0 and high <= 1
        return squeezed and [self.out.min().item(), self.out.max().item()]

    def no_gradient(self):
        """No gradient reaches {}.

        Why: What gets no gradient stays as it was made.
        Try: looking for detach, .data, no_grad, argmax, or a layer left unused.
        """
        model, held, *_ = self.backward
        zero = _names(model, lambda p: not p.any())  # then a gradient of 0 is usual
        moved = {p for _, p, g in self.gradients if zero or p.dim() < 2 or g.any()}
        return _names(model, lambda p: p in held - moved and p.requires_grad)

    def not_held(self):
        """The optimizer does not hold {}.

        Why: No step changes them, as the optimizer does not know them.
        Try: making the optimizer last, or freezing them with requires_grad_(False).
        """
        model, held, used, _ = self.backward
        lost = used - held
        names = _names(model, lambda p: p in lost) or [f"{len(lost)} not in the model"]
        return lost and not self.other_models_optimizer() and names

    def equal_weights(self):
        """All units of {} have the same weights.

        Why: Units that start alike and get one gradient stay alike for ever.
        Try: PyTorch's own initial weights, which are random.
        """
        for name, p, grad in self.gradients:
            if p.dim() > 1 and (p == p.flatten()[0]).all():
                spread = min(grad.flatten(1).std(dim).max() for dim in (0, 1))
                if spread <= 1e-3 * grad.abs().max():
                    return [name]

    def constant_inputs(self):
        """All {} examples of a batch are the same.

        Why: From equal inputs a model can only learn the mean target.
        Try: looking at a batch: perhaps it is filled or indexed wrongly.
        """
        same = all((x == x[:1]).all() for x, _ in self.batches)
        return same and len(self.x) > 1 and [len(self.x)]

    def same_rows(self):
        """Of the validation rows, {:.0%} are in the training set.

        Why: The model can know them by heart, so validation looks too good.
        Try: splitting the data once, before any rows are repeated.
        """
        if self.val_loader is not None:
            both = self.rows[0], _rows(self.val_loader)[0]
            train, val = ([x.float().numpy().tobytes() for x in p.cpu()] for p in both)
            times, some = Counter(train), both[0][:999]
            measured = some.is_floating_point() and some.unique().numel() > len(some)
            chance = 0 if measured else sum(times[x] > 1 for x in train) / len(train)
            share = sum(row in times for row in {*val}) / len({*val})
            return share > chance + 0.05 and [share]

    def examples_mixed(self):
        """An output changes by {:.2g} with the other examples of its batch.

        Why: A prediction depends on which others happen to be there.
        Try: looking for a mean, softmax, reshape or attention over dimension 0.
        """
        alone = self.x[-1:].expand_as(self.x).clone()
        return _changed(self.outputs(self.x)[0][-1], self.outputs(alone)[0][-1])

    def state_between_batches(self):
        """Outputs change by {:.2g} once another batch went through.

        Why: Predictions depend on what was predicted before.
        Try: starting hidden states anew in forward, and keeping none on self.
        """
        before, _, after = self.outputs(self.x, self.x.flip(0), self.x)
        return not self.dropout_in_eval() and _changed(before, after)

    def target_scale(self):
        """Targets are about {:.3g} in size, and outputs {:.3g}.

        Why: The first steps go into the scale, and no usual learning rate fits.
        Try: (y - y.mean()) / y.std() for training, and undoing it in predictions.
        """
        big, own = _size(self.y), _size(self.out)
        far = big > 20 * max(1, own) or 0 < big < min(1, own) / 50
        return far and self.wants[0] == "numbers" and [big, own]

    def learning_rate_too_large(self):
        """At {0:g}, one batch is not learned in 50 steps.

        Why: Each step jumps over the minimum.
        Try: a learning rate of {1:.2g} … {2:.2g}, at which it is.
        """
        good = [rate for rate in self.rates if rate < self.rate]
        return good and [self.rate, good[0], good[-1]]

    def learning_rate_too_small(self):
        """At {0:g}, one batch is not learned in 50 steps.

        Why: The weights hardly move, and training would take far too long.
        Try: a learning rate of {1:.2g} … {2:.2g}, at which it is.
        """
        slow = self.rates and self.rates[0] > self.rate and not self.target_scale()
        return slow and [self.rate, self.rates[0], self.rates[-1]]

    def dead_relus(self):
        """Of a layer's units, {:.0%} are 0 for all examples.

        Why: They pass no gradient, so that the weights before them never change.
        Try: looking for large negative biases, unscaled inputs, a large learning rate.
        """
        layers = zip(*self.backward[-1], strict=True)
        dead = [torch.stack(layer).all(0).double().mean().item() for layer in layers]
        return max(dead, default=0) > 0.8 and [max(dead)]

    def exploding_gradient(self):
        """The first layer's gradient is {:.2g} times that of the last one.

        Why: One step with it throws the weights far away.
        Try: PyTorch's initial weights, normalization, or clip_grad_norm_.
        """
        times = self.slopes(dims=2)[0] / self.slopes(dims=2)[-1]
        return times > 100 and [times]

    def vanishing_gradient(self):
        """The first layer's gradient is {:.1g} of the last one's.

        Why: The first layers hardly learn.
        Try: ReLU in place of sigmoid or tanh, normalization, residuals, fewer layers.
        """
        share = self.slopes(dims=2)[0] / max(self.slopes(dims=1))
        return share < 2e-4 and [share]

    def sorted_labels(self):
        """The label changes {} times in {} examples, where {:.0f} is usual.

        Why: Batches of one class teach that class, and unlearn the one before.
        Try: shuffle=True for the training loader.
        """
        y, every = self.targets, self.rows[1]
        share = every.unique(return_counts=True)[1] / every.numel()
        usual = len(y) * (1 - share.square().sum().item())
        changes = (y[1:] != y[:-1]).sum().item()
        rare = changes < usual / 2 and usual > 15 and self.count > 1
        return rare and every.numel() == len(every) and [changes, len(y), usual]

    def missing_classes(self):
        """Of {} classes, {} are never a target.

        Why: They cannot be learned: a split or filter may have lost them.
        Try: y.unique(return_counts=True), and a split with stratify=y.
        """
        every, classes = self.rows[1], set(range(self.wants[1]))
        seen = set(every.unique().tolist())
        enough = len(every) == every.numel() > 20 * max(5, len(seen))
        return seen < classes and enough and [len(classes), sorted(classes - seen)[:9]]

    def unscaled_inputs(self):
        """Inputs are about {:.2g}, one feature {:.2g} times as wide as usual.

        Why: Layers are made for inputs about 1 in size, each as wide as the others.
        Try: (x - x.mean(0)) / x.std(0) with the training set's numbers; pixels / 255.
        """
        model, given = self.copies()[0], []
        for module in model.modules():
            if any(p.dim() > 1 for p in module.parameters(recurse=False)):
                module.register_forward_pre_hook(lambda _, args: given.extend(args))
        model(self.x)
        x = [*given, self.x][0].detach()  # for the first layer; the model may scale
        size, spreads = _size(x), x.double().reshape(len(x), -1).std(0)
        ratio = (spreads.max() / spreads[spreads > 0].median()).item()
        odd = 10 < size < math.inf or 0 < x.abs().max() < 0.02 or ratio > 100
        return odd and x.is_floating_point() and [size, ratio]

    def loss_too_high(self):
        """The loss starts at {:.3g}, where guessing would give {:.3g}.

        Why: A model that starts confident and wrong must first unlearn that.
        Try: scaled inputs, and smaller initial weights in the last layer.
        """
        loss, guess = self.loss(self.out, self.y), self.loss(0 * self.out, self.y)
        usual = 7 if self.wants[0] == "numbers" else 2
        return self.wants[0] and loss > usual * guess > 0 and [loss, guess]

    def eval_mode(self):
        """The model is in eval mode, and the mode matters ({}).

        Why: Dropout is off, and batch norm's statistics stay as they are.
        Try: model.train() at the start of each epoch.
        """
        return not self.model.training and self.by_mode and [self.by_mode]

    def dropout_in_eval(self):
        """In eval mode, outputs change by {:.2g} from call to call.

        Why: Predictions are partly luck, and worse than need be.
        Try: nn.Dropout, or F.dropout(x, p, training=self.training).
        """
        return _changed(self.outputs(self.x), self.outputs(self.x, skip=1))

    def mode_without_effect(self):
        """With {}, outputs are the same in train and eval mode.

        Why: The layers are not in use, or the mode does not reach them.
        Try: calling them in forward, and letting train() and eval() do their work.
        """
        both = [self.outputs(self.x, training=t, wild=True) for t in (True, False)]
        return self.by_mode and torch.allclose(*both, 1e-5, 1e-7) and [self.by_mode]

    def same_order(self):
        """The second epoch begins with the same {} examples as the first.

        Why: Every epoch repeats the same steps.
        Try: shuffle=True for the training loader.
        """
        same = all(map(torch.equal, self.batches[0], self.batches[-1]))
        return same and self.count > 1 and [len(self.x)]

    def frozen_but_held(self):
        """The optimizer holds {}, with requires_grad False.

        Why: They are not trained: perhaps they were meant to be.
        Try: requires_grad_(), or giving the optimizer only what is to be trained.
        """
        return _names(self.model, lambda p: not p.requires_grad and p in self.held)

    def leftover_gradients(self):
        """There are gradients from before in {}.

        Why: The first step adds to them, if it does not begin with zero_grad.
        Try: optimizer.zero_grad() before each backward.
        """
        return _names(self.model, lambda p: p.grad is not None and p.grad.any())
