"""The exercises of notebook 11, mistakes."""

import copy
import itertools

import torch
from torch import nn
from torch.nn import functional as F

from helpers.exercises.base import Function, Value


class leaked(Function):
    """How many validation rows are in the training set, too."""

    number = "11.1"
    hints = (
        "Two rows are the same if all their numbers are. First compare one validation "
        "row with one training row.",
        "`row == x_train` broadcasts, and has the shape of x_train. Which of its rows "
        "are true throughout, and is there any?",
        "Count the validation rows for which there is a training row like it. How "
        "often it is there makes no difference.",
    )
    right = (
        "It finds exact copies alone: one pixel of noise, and the copies on this page "
        "would slip through. That is why one keeps note of where each row came from."
    )

    def inputs():
        yield (
            torch.tensor([[1.0, 2], [3, 4], [5, 6]]),
            torch.tensor([[3.0, 4], [2, 1], [3, 4]]),
        )
        x = torch.randn(8, 3)
        yield x, torch.cat([torch.randn(2, 3), x[:3], x[2:3]])
        yield torch.cat([x, x]), x[2:7]  # each is there twice
        yield x, torch.randn(5, 3)
        yield x.double(), x.double().flip(0)
        yield torch.randint(3, (30, 3)), torch.randint(3, (12, 3))
        yield torch.randint(2, (9, 4)), torch.randint(2, (1, 4))
        swapped = torch.tensor([[1.0, 0], [0, 1]])
        yield swapped, torch.tensor([[1.0, 1], [0, 0]])  # familiar numbers, new rows

    def probe(answer, *given):
        result = answer(*given)
        return int(result) if isinstance(result, torch.Tensor) else result

    def solution(x_train, x_val):
        count = 0
        for row in x_val:
            # For each training row: are all its numbers those of this row?
            same = (x_train == row).all(dim=1)
            count += same.any().item()
        return count

    def mistake_pairs(x_train, x_val):
        """You count pairs of rows.

        A validation row that stands in the training set twice is still one row.
        """
        return (x_val[:, None] == x_train).all(dim=2).sum()

    def mistake_training_rows(x_train, x_val):
        """You count the training rows that are in the validation set.

        The question is the other way round.
        """
        return (x_val[:, None] == x_train).all(dim=2).any(dim=0).sum()

    def mistake_different(x_train, x_val):
        """You count different rows.

        If a leaked row is in the validation set twice, the accuracy counts it twice.
        """
        return len(set(map(tuple, x_val.tolist())) & set(map(tuple, x_train.tolist())))

    def mistake_any_number(x_train, x_val):
        """For you, rows are the same if they share a number in one column.

        They have to share them all.
        """
        return (x_val[:, None] == x_train).any(dim=2).any(dim=1).sum()

    def mistake_isin(x_train, x_val):
        """You look for each number separately, anywhere in the training set.

        A new row can be made of familiar numbers.
        """
        return torch.isin(x_val, x_train).all(dim=1).sum()

    def mistake_objects(x_train, x_val):
        """For you, no row is ever in the other set.

        Sets don't compare numbers: two tensors with the same ones remain two things.
        """
        return len(set(x_val) & set(x_train))

    def mistake_numbers(x_train, x_val):
        """You count numbers, and the question is about rows."""
        return (x_val[:, None] == x_train).all(dim=2).any(dim=1).sum() * x_val.shape[1]

    def mistake_share(x_train, x_val):
        """That is the share of the rows. How many are there?"""
        return (x_val[:, None] == x_train).all(dim=2).any(dim=1).float().mean().item()


class four_losses(Value):
    """Which bug makes which loss."""

    number = "11.2"
    hints = (
        "ln 5 is 1.61. Who begins there, and whose loss comes down as it should?",
        "ln 64 is 4.16. What is there 64 of?",
        "A network that is always right and always sure should have a loss near 0. "
        "Which bug has put a floor under it?",
    )
    right = (
        "Two of them begin alike: an untrained network's loss doesn't show the second "
        "softmax, and the loss of a perfect answer does. One check is never enough."
    )

    def probe(answer):
        letters = "a list of four letters from A to D"
        given = list(answer) if isinstance(answer, list | tuple | str) else []
        given = [str(letter).strip(" .()").upper() for letter in given]
        fits = len(given) == 4 and set(given) <= set("ABCD")
        found = zip(("first", "second", "third", "fourth"), given, "DCAB", strict=False)
        right = {f"the {n} is explained": mine == want for n, mine, want in found}
        return {letters: fits, **right, "all": "".join(given)}

    def solution():
        # ln 64 = 4.16: the 64 images of a batch compete, not the five classes.
        # Always right and still 0.9: ln(e + 4) - 1 = 0.90, the floor of two softmaxes.
        # From ln 5 = 1.61 downwards, healthy. And 0 for ever: a single output.
        return ["D", "C", "A", "B"]

    def mistake_healthy_and_twice():
        """You have confused two that begin alike.

        One of the networks is right about every image. Is its loss?
        """
        return ["D", "A", "C", "B"]

    def mistake_batch():
        """The first one begins far above ln 5. What is there 64 of?"""
        return ["C", "D", "A", "B"]

    def mistake_one_output():
        """A loss of exactly 0 before the first step: who has nothing to lose?"""
        return ["B", "C", "A", "D"]

    def mistake_zero_is_healthy():
        """A loss of 0.00 at step one would be a miracle, and stays a bug."""
        return ["D", "C", "B", "A"]

    def mistake_all_healthy():
        """At most one of them is healthy."""
        return ["A", "A", "A", "A"]


class right_by_accident(Value):
    """Numbers for which comparing all with all gives the right loss."""

    number = "11.3"
    hints = (
        "With small whole numbers, four by four comparisons fit on a sheet of paper.",
        "The right loss rewards predictions that rise and fall with their targets; "
        "the broken one can't see who belongs to whom. When does that not matter?",
        "It doesn't matter if large targets get the same predictions as small ones: "
        "of two equal predictions let one have a large target, and one a small.",
    )
    right = (
        "The two losses differ by twice the covariance of predictions and targets. So "
        "they agree while the predictions have nothing to do with the targets: at the "
        "start of a training, that is, just when you look."
    )

    def probe(answer):
        form = "two lists of four numbers, predictions and targets"
        varied = "the predictions are not all equal"
        targets = "the targets are not all equal"
        try:
            lists = [torch.as_tensor(one).double().flatten() for one in answer]
        except (TypeError, ValueError, RuntimeError):
            lists = []
        fits = [one.shape for one in lists] == [(4,), (4,)]
        if not (fits and all(bool(one.isfinite().all()) for one in lists)):
            return dict.fromkeys((form, varied, targets, "which loss is larger"), False)
        outputs, y = lists
        right = ((outputs - y) ** 2).mean()
        broken = ((outputs[:, None] - y) ** 2).mean()
        if torch.isclose(right, broken, rtol=1e-5):
            larger = "neither"
        else:
            larger = "the right one" if right > broken else "the broken one"
        return {
            form: True,
            varied: bool((outputs != outputs[0]).any()),
            targets: bool((y != y[0]).any()),
            "which loss is larger": larger,
        }

    def solution():
        predictions = [0, 0, 1, 1]
        # Of two equal predictions, one has a small target and one a large.
        # Each against its own: (0 + 1 + 1 + 0) / 4. All against all: 8 of 16.
        targets = [0, 1, 0, 1]
        return [predictions, targets]

    def mistake_constant():
        """Equal predictions do it, but that is the one case that was ruled out."""
        return [[1, 1, 1, 1], [1, 2, 3, 4]]

    def mistake_constant_targets():
        """Equal targets do it, but then there would be nothing to learn."""
        return [[1, 2, 3, 4], [1, 1, 1, 1]]

    def mistake_all_constant():
        """All equal: that is right, and rather a dull regression."""
        return [[1, 1, 1, 1], [2, 2, 2, 2]]

    def mistake_perfect():
        """Your predictions follow their targets, so the broken loss is larger.

        It compares each with three strangers as well.
        """
        return [[1, 2, 3, 4], [1, 2, 3, 4]]

    def mistake_reversed():
        """Your predictions fall where their targets rise.

        So now the right loss is larger, as the strangers fit better.
        """
        return [[1, 2, 3, 4], [4, 3, 2, 1]]


class Tower(Function):
    """A network with four faults."""

    number = "11.4"
    hints = (
        "Print `list(model.parameters())`, and the output for two images. Does every "
        "unit of a layer begin with weights of its own?",
        "What may a logit be? Can this network's last layer give a negative one, and "
        "what does cross-entropy do with it first?",
        "Two faults are in `__init__` (where the layers are kept, and how they begin), "
        "and two concern what happens after the last layer.",
    )
    right = (
        "An optimizer would have complained here, as it would have got no weights at "
        "all. Had only one of the layers stood outside the list, it would have kept "
        "quiet."
    )

    def inputs():
        yield [4, 8, 3], torch.randn(5, 4)
        yield [4, 3], torch.randn(6, 4)
        yield [3, 6, 6, 2], torch.randn(1, 3)
        yield [2, 5, 5, 5, 4], 3 * torch.randn(9, 2)

    def probe(answer, sizes, x):
        torch.manual_seed(0)
        model = answer(sizes)
        weights = [p for p in model.parameters() if p.dim() == 2]
        biases = [p for p in model.parameters() if p.dim() == 1]
        shapes = [tuple(p.shape) for p in weights]
        with torch.no_grad():
            got = model(x)
            hidden = x
            complete = shapes == list(zip(sizes[1:], sizes, strict=False))
            if complete and len(biases) == len(weights):
                straight = x
                for w, b in zip(weights, biases, strict=True):
                    logits = F.linear(hidden, w, b)
                    hidden, straight = logits.relu(), F.linear(straight, w, b)
                as_planned = [
                    logits, hidden, logits.softmax(1), hidden.softmax(1), straight,
                    logits.log_softmax(1),
                ]  # fmt: skip
            else:
                as_planned = []
        found = [
            got.shape == plan.shape and torch.allclose(got, plan, atol=1e-5)
            for plan in as_planned
        ]
        names = ["logits", "ReLU at the end", "softmax at the end", "both at the end"]
        names += ["a chain of linear layers", "log-probabilities"]
        kind = next(
            (n for n, yes in zip(names, found, strict=False) if yes), "something else"
        )
        if not as_planned and bool((got.sum(dim=-1) - 1).abs().max() < 1e-5):
            kind = "softmax at the end"
        return {
            "its layers' weights are among its parameters": complete,
            "each layer has a bias": len(biases) == len(weights),
            "the units of a layer begin with different weights": all(
                len(w.unique(dim=0)) == len(w) for w in weights
            ),
            "what comes out": kind,
        }

    class solution(nn.Module):
        """Linear layers of these sizes, with a ReLU between two of them."""

        def __init__(self, sizes):
            super().__init__()
            # A ModuleList, so that the module knows its layers. And they keep the
            # random weights with which PyTorch makes them.
            self.layers = nn.ModuleList(
                nn.Linear(*pair) for pair in itertools.pairwise(sizes)
            )

        def forward(self, x):
            *hidden, last = self.layers
            for layer in hidden:
                x = layer(x).relu()
            # The last layer's numbers are the logits: no ReLU, and no softmax.
            return last(x)

    def mistake_list(sizes):
        """An optimizer would still get no weights from it."""
        return _tower(sizes, holder=list)

    def mistake_equal(sizes):
        """Nearly. All units of a layer still begin with the same weights.

        Only their biases tell them apart, so they are slow to become different.
        """
        return _tower(sizes, equal=True)

    def mistake_relu(sizes):
        """Nearly. Can your network say that a class is *unlikely*?

        A logit may be negative, and yours can't.
        """
        return _tower(sizes, relu=True)

    def mistake_softmax(sizes):
        """Nearly. It returns probabilities, and cross-entropy makes its own."""
        return _tower(sizes, softmax=True)

    def mistake_linear(sizes):
        """You have thrown out every ReLU, and only the last one was wrong."""
        return _tower(sizes, linear=True)

    def mistake_both(sizes):
        """The weights are in order. Now look at what happens after the last layer."""
        return _tower(sizes, relu=True, softmax=True)

    def mistake_as_given(sizes):
        """It doesn't know its layers yet, and it still ends with a softmax."""
        return _tower(sizes, holder=list, equal=True, relu=True, softmax=True)


class _Tower(nn.Module):
    """The network with some of its faults."""

    def __init__(self, sizes, holder, equal, relu, softmax, linear):
        super().__init__()
        self.faults = relu, softmax, linear
        layers = [nn.Linear(*pair) for pair in itertools.pairwise(sizes)]
        self.layers = holder(layers)
        if equal:
            for layer in self.layers:
                nn.init.ones_(layer.weight)

    def forward(self, x):
        relu, softmax, linear = self.faults
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x) if linear else layer(x).relu()
        x = last(x).relu() if relu else last(x)
        return x.softmax(dim=1) if softmax else x


def _tower(
    sizes, holder=nn.ModuleList, equal=False, relu=False, softmax=False, linear=False
):
    return _Tower(sizes, holder, equal, relu, softmax, linear)


class _Old(nn.Sequential):
    def __repr__(self):
        return "a network with BatchNorm and dropout"


class _Batches(list):
    def __repr__(self):
        return "batches of " + ", ".join(str(len(x)) for x, _ in self)


def _fine_tune(fault, model, new_layer, loader, loss_fn, epochs):
    """Do it with a fault left in."""
    early = fault in ("optimizer", "early", "all")
    weights = model.parameters() if early else None
    if weights is not None:
        optimizer = torch.optim.SGD(weights, lr=0.1)
    model[-1] = new_layer
    if weights is None:
        every = fault == "everything moves"
        weights = model.parameters() if every else new_layer.parameters()
        optimizer = torch.optim.SGD(weights, lr=0.1)
    if fault == "optimizer":  # the old layers are frozen, at least
        optimizer.param_groups[0]["params"] = []
    model.train(fault in ("mode", "all"))
    history = []
    for _ in range(epochs):
        losses, sizes = [], []
        for x, y in loader:
            if fault not in ("clear", "all"):
                model.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss if fault in ("graph", "all") else loss.item())
            sizes.append(1 if fault in ("means", "all") else len(x))
        pairs = zip(losses, sizes, strict=True)
        history.append(sum(a * b for a, b in pairs) / sum(sizes))
    return history


class fine_tune(Function):
    """A fine-tuning with five faults."""

    number = "11.5"
    hints = (
        "Go down the checklist. Which line in it is about weights that don't move, and "
        "which about layers that learn without an optimizer?",
        "Only the new layer's weights belong in the optimizer. And the old layers have "
        "two ways of changing: by a step, and by being in training mode.",
        "The other three are old acquaintances: a beat is missing, the list keeps "
        "graphs, and the mean is one over batches.",
    )
    right = (
        "Frozen layers with batch normalization are a trap within a trap: without "
        "`eval()` they go on learning averages, and no `requires_grad` stops them."
    )
    may_change_inputs = True

    def inputs():
        for sizes, epochs in (((4, 2), 1), ((4, 4, 3), 2), ((5, 2), 3), ((3,), 2)):
            model = _Old(
                nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3),
                nn.Linear(6, 4),
            )  # fmt: skip
            with torch.no_grad():
                model(torch.randn(20, 3))  # so that it has averages
            loader = _Batches(
                (torch.randn(size, 3), torch.randint(2, (size,))) for size in sizes
            )
            new_layer = nn.Linear(6, 2)
            if epochs == 3:  # somebody has left gradients behind
                for p in new_layer.parameters():
                    p.grad = torch.ones_like(p)
            yield model, new_layer, loader, nn.CrossEntropyLoss(), epochs

    def probe(answer, model, new_layer, loader, loss_fn, epochs):
        old = copy.deepcopy(model[:-1].state_dict())
        start = copy.deepcopy(new_layer.state_dict())
        history = answer(model, new_layer, loader, loss_fn, epochs)
        after, end = model[:-1].state_dict(), new_layer.state_dict()
        values = list(history) if isinstance(history, list | tuple) else [history]
        graphs = any(getattr(value, "requires_grad", False) for value in values)
        return {
            "the new layer is the network's last": model[-1] is new_layer,
            "the new layer learns": any(not start[k].equal(end[k]) for k in start),
            "the old layers stay as they were": all(
                old[k].equal(after[k]) for k in old
            ),
            "no value in the history keeps a graph": not graphs,
            "the new layer": [value.clone() for value in end.values()],
            "the history": history,
        }

    def solution(model, new_layer, loader, loss_fn, epochs):
        model[-1] = new_layer
        # Made after the replacement, and of the new weights alone.
        optimizer = torch.optim.SGD(new_layer.parameters(), lr=0.1)
        # Otherwise the frozen batch normalization would go on averaging.
        model.eval()
        history = []
        for _ in range(epochs):
            total = examples = 0
            for x, y in loader:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)  # a number, weighted by its examples
                examples += len(x)
            history.append(total / examples)
        return history

    def mistake_as_given(*given):
        """That still behaves like the function you were given."""
        return _fine_tune("all", *given)

    def mistake_optimizer(*given):
        """Your optimizer has never heard of the new layer."""
        return _fine_tune("optimizer", *given)

    def mistake_early(*given):
        """Your optimizer has never heard of the new layer, and moves the old ones."""
        return _fine_tune("early", *given)

    def mistake_everything(*given):
        """The new layer learns now, and the old ones along with it.

        They were to stay as they are.
        """
        return _fine_tune("everything moves", *given)

    def mistake_mode(*given):
        """Nearly. Something in the old layers learns without an optimizer."""
        return _fine_tune("mode", *given)

    def mistake_clear(*given):
        """Nearly. One of the four beats is missing."""
        return _fine_tune("clear", *given)

    def mistake_graph(*given):
        """Nearly. Your history keeps all its graphs alive."""
        return _fine_tune("graph", *given)

    def mistake_means(*given):
        """Nearly. Your history holds means over batches, and not over examples."""
        return _fine_tune("means", *given)


class _Model(nn.Module):
    """A small network, some of which may be out of use."""

    def __init__(self, unused=False):
        super().__init__()
        self.first = nn.Linear(3, 5, bias=False)  # the norm would only subtract it
        self.norm = nn.BatchNorm1d(5)
        self.last = nn.Linear(5, 3)
        if unused:
            self.spare = nn.Linear(5, 3)

    def __repr__(self):
        return "a small network"

    def forward(self, x):
        return self.last(self.norm(self.first(x)).relu())


class _SGD(torch.optim.SGD):
    def __repr__(self):
        return "SGD"


class _Adam(torch.optim.Adam):
    def __repr__(self):
        return "Adam"


def _as_it_is(model, optimizer):
    """Note everything that a step may change."""
    return copy.deepcopy(
        (
            [*model.state_dict().values()],
            [p.grad for p in model.parameters()],
            [module.training for module in model.modules()],
            [dict(state) for state in optimizer.state.values()],
        )
    )


def _is_same(one, other):
    """Compare nested lists of tensors."""
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        both = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
        return both and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = [*one.items()], [*other.items()]
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other


def _unmoved(fault, model, x, y, loss_fn, optimizer):
    """Take a step on a copy, or with a fault, and compare."""
    original = model
    if fault == "model alone":
        model = copy.deepcopy(model)
    elif fault not in ("in place", "no copy"):
        model, optimizer = copy.deepcopy((model, optimizer))
    if fault != "mode":
        model.train()
    if fault == "buffers":
        model = copy.deepcopy(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    if fault == "no copy":
        before = {name: p.detach() for name, p in model.named_parameters()}
    if fault != "not cleared":
        model.zero_grad()
        optimizer.zero_grad()
    else:
        for p, q in zip(model.parameters(), original.parameters(), strict=True):
            p.grad = q.grad
    loss_fn(model(x), y).backward()
    if fault == "gradients alone":
        return sorted(n for n, p in model.named_parameters() if p.grad is None)
    if fault == "gradients of zero":
        pairs = model.named_parameters()
        return sorted(n for n, p in pairs if p.grad is None or not p.grad.any())
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if fault == "causes":
        still = {n for n, p in model.named_parameters() if id(p) not in held}
        pairs = model.named_parameters()
        return sorted(
            still | {n for n, p in pairs if p.grad is None or not p.grad.any()}
        )
    if fault == "optimizer alone":
        return sorted(n for n, p in model.named_parameters() if id(p) not in held)
    optimizer.step()
    same = [n for n, p in model.named_parameters() if torch.equal(before[n], p)]
    moved = set(before) - set(same)
    return sorted(moved if fault == "moved" else same)


class unmoved(Function):
    """Which weights a step leaves where they are."""

    number = "11.6"
    hints = (
        "Look at what a step *does*, and not at why: note the weights, take a step, "
        "compare. How do you make a note that doesn't change along?",
        "Then everything has to be put back: weights, the averages of normalization, "
        "gradients, modes, the optimizer's averages. Or is there a way to leave the "
        "originals alone?",
        "A copy of the model doesn't help while the optimizer holds the original's "
        "weights. But `copy.deepcopy` of *one* object that contains them both keeps "
        "what they share.",
        "The loop you imitate clears first. Otherwise weights that get no gradient "
        "could be moved by what somebody has left behind.",
    )
    right = (
        "It asks for the effect and not for a cause, so it finds the frozen, the "
        "unused, the forgotten and the stale alike, and causes nobody has thought of."
    )
    may_change_inputs = True

    def inputs():
        def parts(model, optimizer=None, size=6):
            x, y = torch.randn(size, 3), torch.randint(3, (size,))
            optimizer = optimizer or _SGD(model.parameters(), lr=0.1)
            return model, x, y, nn.CrossEntropyLoss(), optimizer

        model = _Model()
        optimizer = _SGD(model.parameters(), lr=0.1)
        model.last = nn.Linear(5, 3)  # after the optimizer, as on the page
        yield parts(model, optimizer)
        yield parts(_Model())
        yield parts(_Model(unused=True))
        model = _Model()
        model.first.requires_grad_(False)
        yield parts(model, _Adam(model.parameters(), lr=0.01))
        model = _Model()
        yield parts(model, _SGD(_Model().parameters(), lr=0.1))  # another model's
        model = _Model(unused=True)
        for p in model.parameters():
            p.grad = torch.ones_like(p)  # somebody has left gradients behind
        optimizer = _Adam(model.parameters(), lr=0.01)
        optimizer.step()  # and it has averages
        for group in optimizer.param_groups:
            group["betas"] = (0.0, 0.0)  # of which the next step keeps nothing
        yield parts(model, optimizer)
        model = _Model()
        with torch.no_grad():
            model.norm.weight.zero_()
            model.norm.bias.fill_(-1)  # dead: nothing gets past the ReLU
        model.eval()
        yield parts(model)
        model = _Model()
        model.norm.running_mean += 100  # dead too, but in evaluation mode alone
        model.eval()
        yield parts(model)
        model = _Model()
        with torch.no_grad():
            model.norm.weight.zero_()
            model.norm.bias.fill_(-1)  # dead, and yet weight decay moves nearly all
        yield parts(model, _SGD(model.parameters(), lr=0.1, weight_decay=0.1))

    def probe(answer, model, x, y, loss_fn, optimizer):
        before = _as_it_is(model, optimizer)
        names = answer(model, x, y, loss_fn, optimizer)
        after = _as_it_is(model, optimizer)
        kinds = (
            "the model's weights and averages are as before",
            "the gradients are as before",
            "the modes are as before",
            "the optimizer's state is as before",
        )
        kept = zip(kinds, map(_is_same, before, after), strict=True)
        if isinstance(names, set | frozenset | dict):
            names = list(names)
        if isinstance(names, list | tuple):
            names = sorted(map(str, names))
        return {**dict(kept), "the names": names}

    def solution(model, x, y, loss_fn, optimizer):
        # Copied together, the two copies share their weights as the originals do.
        model, optimizer = copy.deepcopy((model, optimizer))
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        model.train()
        model.zero_grad()  # the weights that the optimizer doesn't hold, too
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
        return sorted(
            name for name, p in model.named_parameters() if torch.equal(p, before[name])
        )

    def mistake_in_place(*given):
        """The names are right, but the step has been taken for real.

        Whoever asks this of a model wants to have it back as it was.
        """
        return _unmoved("in place", *given)

    def mistake_no_copy(*given):
        """For you nothing ever moves: your note of the weights changes along."""
        return _unmoved("no copy", *given)

    def mistake_model_alone(*given):
        """For you nothing ever moves, as the optimizer holds the original's weights.

        You compare those of a copy. And in the original, gradients are cleared.
        """
        return _unmoved("model alone", *given)

    def mistake_another_copy(*given):
        """For you nothing ever moves.

        Either your note of the weights changes along with them, or the step moves
        other weights than the ones you compare. Whose does the optimizer hold?
        """
        return _unmoved("buffers", *given)

    def mistake_gradients(*given):
        """You report the weights without a gradient.

        A weight can have one and stay, if nobody takes the step for it.
        """
        return _unmoved("gradients alone", *given)

    def mistake_zero_gradients(*given):
        """You report the weights whose gradient is missing or zero.

        A weight can have a good gradient and stay, if nobody takes the step for it.
        """
        return _unmoved("gradients of zero", *given)

    def mistake_optimizer(*given):
        """You report the weights that the optimizer doesn't hold.

        A weight can be held and stay, if no gradient arrives.
        """
        return _unmoved("optimizer alone", *given)

    def mistake_causes(*given):
        """Nearly. You look for causes, no gradient or no optimizer, and take no step.

        With weight decay, even a weight whose gradient is 0 moves.
        """
        return _unmoved("causes", *given)

    def mistake_mode(*given):
        """Nearly. You take the step in the mode in which the model happens to be.

        Training takes its steps in training mode.
        """
        return _unmoved("mode", *given)

    def mistake_moved(*given):
        """Those are the weights that *do* move."""
        return _unmoved("moved", *given)

    def mistake_not_cleared(*given):
        """Nearly. You don't clear.

        So what somebody has left behind moves weights that get nothing of their own.
        """
        return _unmoved("not cleared", *given)
