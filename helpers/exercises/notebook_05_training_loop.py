"""The exercises of notebook 05, the training loop."""

import math

import torch
from torch import nn

from helpers.exercises.base import Function, Value


class never_cleared(Value):
    """Where a weight goes if nobody clears its gradient."""

    number = "5.1"
    hints = (
        "The slope of 2w is 2 wherever w is. What stands in `w.grad` at the first "
        "step, at the second, at the third?",
        "`backward()` adds 2 to what is there, so the steps use 2, then 4, then 6. "
        "What does the tenth use, and how much is that together?",
        "Together they are 2 · (1 + 2 + … + 10); the rate is still to be applied, and "
        "the steps lead downhill from 5.",
    )
    right = (
        "The ten steps went more than five times as far as ten proper ones, and the "
        "factor grows with every step: a loop without clear gets wilder as it goes on."
    )

    def solution():
        # backward() adds 2 each time, so step number n uses 2 · n.
        total = sum(2 * n for n in range(1, 11))
        return 5 - 0.1 * total

    def mistake_cleared():
        """That is where w would be with all four beats; this loop leaves one out."""
        return 3.0

    def mistake_doubled():
        """You double the gradient in every step.

        Does backward add what has piled up once more, or only the slope at this point?
        """
        return 5 - 0.1 * 2 * (2**10 - 1)

    def mistake_nine():
        """You are one step short: even the first one has a gradient to use."""
        return -4.0

    def mistake_eleven():
        """You are one step too far: before the first backward there is no gradient."""
        return 5 - 0.1 * 2 * 66

    def mistake_uphill():
        """The amount is right.

        The direction isn't: a step goes against the gradient.
        """
        return 16.0

    def mistake_no_rate():
        """You subtract the gradients themselves. What does the learning rate do?"""
        return 5.0 - 110.0

    def mistake_distance():
        """That is how far w has moved; the question is where it ends up."""
        return 11.0


class wrong_winner(Value):
    """Answers for which the mean of batch accuracies prefers the worse model."""

    number = "5.2"
    hints = (
        "The batches hold 4, 4 and 2 images. In which of them does a single image "
        "count most in the mean of the three accuracies?",
        "Let A be right where images are dear, and B where they are cheap.",
        "An image in the last batch adds a half to the sum of the accuracies, and one "
        "in the first two only a quarter. So two of A's can outweigh three of B's.",
    )
    right = (
        "Both are honest means, and only one of them counts each image once. The "
        "smaller the last batch, the dearer its images."
    )

    def probe(answer):
        size = "two lists, A's and B's, of ten numbers each"
        kinds = "all of them are 1 or 0"
        better = "B is right more often than A"
        looks = "the mean of the batch accuracies is higher for A"
        try:
            lists = [torch.as_tensor(one).double() for one in answer]
        except (TypeError, ValueError, RuntimeError):
            lists = []
        if [one.shape for one in lists] != [(10,), (10,)]:
            return dict.fromkeys((size, kinds, better, looks, "a draw"), False)
        right = [int(one.sum()) for one in lists]
        # Times 12, the mean of the batch accuracies is a whole number.
        scores = [int(one[:8].sum() + 2 * one[8:].sum()) for one in lists]
        draws = (right[0] == right[1], scores[0] == scores[1])
        return {
            size: True,
            kinds: all(bool(((one == 0) | (one == 1)).all()) for one in lists),
            better: right[1] > right[0],
            looks: scores[0] > scores[1],
            "a draw": "yes" if any(draws) else "no",
        }

    def solution():
        # A: two right, both in the last batch: (0 + 0 + 1) / 3 = 0.33.
        a = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
        # B: three right, all in a batch of four: (3/4 + 0 + 0) / 3 = 0.25.
        b = [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
        return [a, b]

    def mistake_a_better():
        """A looks better, but it *is* better: it has more images right than B."""
        return [[1] * 10, [0] * 10]

    def mistake_b_looks_better():
        """B is right more often, and the mean of the batch accuracies says so too.

        Nobody is misled yet.
        """
        return [[0] * 10, [1] * 10]

    def mistake_swapped():
        """You have found what was asked for, with the two models swapped."""
        return [[1] * 3 + [0] * 7, [0] * 8 + [1] * 2]

    def mistake_same_number():
        """A looks better, but both are right equally often. B should be ahead."""
        return [[0] * 8 + [1] * 2, [1] * 2 + [0] * 8]

    def mistake_same_mean():
        """B is right more often, but by the mean of batch accuracies it is a draw.

        Nobody would prefer A yet.
        """
        return [[0] * 9 + [1], [1] * 2 + [0] * 8]


class tight_belt(Value):
    """What clipping far too tightly does, with SGD and with Adam."""

    number = "5.3"
    hints = (
        "Clipped every time, all gradients are about as long as the limit. How long is "
        "a step of plain SGD then?",
        "And a step of Adam? Look at its rule in notebook 04: the first average is "
        "divided by the root of the second.",
        "Make every gradient two thousand times smaller. What happens to Adam's two "
        "averages, and to the quotient?",
    )
    right = (
        "Adam divides by the typical size of its gradients, so it doesn't care for a "
        "common factor. A belt protects it from one batch *unlike the others*; set so "
        "low that it acts always, it changes SGD's rate and Adam's hardly at all."
    )

    def probe(answer):
        letter = answer.strip(" .():").upper() if isinstance(answer, str) else ""
        return {"it is a letter from A to E": letter in list("ABCDE"), "it": letter}

    def solution():
        # SGD's step is the gradient times the rate: two thousand times shorter now.
        # Adam divides a mean of gradients by the root of a mean of their squares.
        # Both shrink alike, and the quotient stays about what it was.
        return "C"

    def mistake_both_crawl():
        """Right for one of the two. The other has a division in its rule."""
        return "A"

    def mistake_both_learn():
        """The direction stays, as you say.

        But how long is a step, when the gradient is so short and the rate is what it
        was?
        """
        return "B"

    def mistake_the_other():
        """You have seen that they differ.

        Which of the two measures its gradient against the usual size of that gradient?
        """
        return "D"

    def mistake_catching_up():
        """The limit doesn't grow in the course of an epoch, so nobody catches up."""
        return "E"


class rate_at(Function):
    """A schedule: a straight climb, then half a cosine wave."""

    number = "5.4"
    hints = (
        "Two cases, `step < warm_up` and the rest. Step 0 has to climb already.",
        "For the second case, first find out how much of the way *after* the warm-up "
        "is done: 0 at step number `warm_up`, 1 at step number `steps`.",
        "The cosine of 0 is 1, and of π it is −1. Add 1 and halve, and it goes from "
        "1 to 0 while the share of the way goes from 0 to 1.",
    )
    right = (
        "A few lines of arithmetic, and this is how many a large model was trained. "
        "Without the warm-up it is `CosineAnnealingLR`."
    )

    def inputs():
        for step in (0, 3, 4, 6, 7):
            yield step, 8, 4, 1.0
        yield 10, 100, 20, 0.003
        yield 37, 100, 20, 0.003
        yield 99, 100, 20, 0.003
        yield 0, 10, 0, 0.1  # no warm-up
        yield 5, 10, 0, 0.1
        yield 0, 5, 1, 0.5

    def probe(answer, *given):
        result = answer(*given)
        return result.squeeze() if isinstance(result, torch.Tensor) else result

    def solution(step, steps, warm_up, highest):
        if step < warm_up:
            # + 1, so that step 0 isn't wasted on a rate of 0.
            return highest * (step + 1) / warm_up
        # The share of the way down that is behind us: 0 at the top, 1 at the end.
        done = (step - warm_up) / (steps - warm_up)
        wave = torch.tensor(torch.pi * done).cos()  # from 1 to -1
        return highest * (1 + wave) / 2

    def mistake_begins_at_zero(step, steps, warm_up, highest):
        """Your first step has rate 0.

        It costs as much as any other, and moves nothing.
        """
        if step < warm_up:
            return highest * step / warm_up
        return rate_at.solution(step, steps, warm_up, highest)

    def mistake_jumps(step, steps, warm_up, highest):
        """Your wave counts from step 0 on, so that the rate jumps after the climb.

        It should begin where the climb has ended.
        """
        if step < warm_up:
            return highest * (step + 1) / warm_up
        return highest * (1 + math.cos(math.pi * step / steps)) / 2

    def mistake_too_long(step, steps, warm_up, highest):
        """The wave begins in the right place, but takes too many steps to come down.

        How many are left after the warm-up?
        """
        if step < warm_up:
            return highest * (step + 1) / warm_up
        return highest * (1 + math.cos(math.pi * (step - warm_up) / steps)) / 2

    def mistake_last_at_zero(step, steps, warm_up, highest):
        """You come down too soon.

        Your last step has rate 0, and it should still do something.
        """
        if step < warm_up:
            return highest * (step + 1) / warm_up
        done = (step - warm_up) / max(1, steps - warm_up - 1)
        return highest * (1 + math.cos(math.pi * done)) / 2

    def mistake_straight(step, steps, warm_up, highest):
        """You come down in a straight line. A cosine begins and ends gently."""
        if step < warm_up:
            return highest * (step + 1) / warm_up
        return highest * (steps - step) / (steps - warm_up)

    def mistake_whole_wave(step, steps, warm_up, highest):
        """That is a whole wave: half-way the rate is 0, and then it climbs again."""
        if step < warm_up:
            return highest * (step + 1) / warm_up
        done = (step - warm_up) / (steps - warm_up)
        return highest * (1 + math.cos(2 * math.pi * done)) / 2

    def mistake_negative(step, steps, warm_up, highest):
        """Past the middle your rates are negative, and the optimizer walks uphill.

        A bare cosine ends at −1.
        """
        if step < warm_up:
            return highest * (step + 1) / warm_up
        done = (step - warm_up) / (steps - warm_up)
        return highest * math.cos(math.pi * done)

    def mistake_no_pi(step, steps, warm_up, highest):
        """The wave has hardly come down when the steps run out.

        Half a wave is how long for `cos`, which measures angles in radians?
        """
        if step < warm_up:
            return highest * (step + 1) / warm_up
        done = (step - warm_up) / (steps - warm_up)
        return highest * (1 + math.cos(done)) / 2

    def mistake_degrees(step, steps, warm_up, highest):
        """Your rates jump about: `cos` measures angles in radians, not in degrees."""
        if step < warm_up:
            return highest * (step + 1) / warm_up
        done = (step - warm_up) / (steps - warm_up)
        return highest * (1 + math.cos(180 * done)) / 2

    def mistake_quarter_wave(step, steps, warm_up, highest):
        """That is a quarter of a wave: it begins gently and ends steeply.

        Half a wave is as gentle at the end as at the top.
        """
        if step < warm_up:
            return highest * (step + 1) / warm_up
        done = (step - warm_up) / (steps - warm_up)
        return highest * math.cos(math.pi / 2 * done)

    def mistake_climbs_too_long(step, steps, warm_up, highest):
        """Your climb isn't over when the warm-up is.

        The last of its steps should have the rate `highest`.
        """
        if step < warm_up:
            return highest * (step + 1) / (warm_up + 1)
        return rate_at.solution(step, steps, warm_up, highest)


class _Network(nn.Module):
    """A small network that notes how it is used."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.modes, self.graphs, self.seen = [], [], []
        self.waiting = self.most_waiting = 0  # forwards without their backward

    def __repr__(self):
        return "a small network"

    def forward(self, x):
        logits = self.layer(x)
        if logits.requires_grad:
            logits.register_hook(self._backward)
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        self.modes.append(self.training)
        self.graphs.append(logits.requires_grad)
        self.seen.append(x.detach())
        return logits

    def _backward(self, _):
        self.waiting -= 1


class _SGD(torch.optim.SGD):
    """An optimizer that counts its steps."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.5, momentum=0.9)
        self.taken = 0
        self.register_step_post_hook(self._count)

    def _count(self, *_):
        self.taken += 1

    def __repr__(self):
        return "SGD"


class _Batches(list):
    """A loader of random batches of these sizes."""

    def __init__(self, *sizes):
        super().__init__(
            (torch.randn(size, 3), torch.randint(3, (size,))) for size in sizes
        )

    def __repr__(self):
        return "batches of " + ", ".join(str(len(x)) for x, _ in self)


def _holds_a_graph(result):
    """Tell whether there is a tensor with its graph anywhere in lists and dicts."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return any(_holds_a_graph(part) for part in result)
    return bool(getattr(result, "requires_grad", False))


def _train_and_validate(fault, model, train, val, loss_fn, optimizer, epochs):
    """Do it with a fault left in, or with all of them."""
    history = []
    model.train()
    for _ in range(epochs):
        if fault not in ("mode", "all"):
            model.train()
        model_means = []
        for loader in (train, val):
            if loader is val:
                model.eval()
            total = examples = 0
            with torch.set_grad_enabled(loader is train or fault in ("graph", "all")):
                for x, y in loader:
                    if loader is train and fault not in ("clear", "late", "all"):
                        optimizer.zero_grad()
                    loss = loss_fn(model(x), y)
                    if loader is train:
                        loss.backward()
                        if fault == "late":
                            optimizer.zero_grad()
                        optimizer.step()
                    if fault not in ("kept", "all"):
                        loss = loss.detach()
                    place = "val means" if loader is val else "train means"
                    means = fault in ("means", "all", place)
                    total = total + (loss if means else loss * len(x))
                    examples += 1 if means else len(x)
            model_means.append(total / examples)
        history.append(tuple(model_means))
    return history


class train_and_validate(Function):
    """A loop with five faults, and no error, to mend."""

    number = "5.5"
    hints = (
        "Go through the page heading by heading and hold each against the code: the "
        "four beats, the small print of `train_steps`, the mean, the two modes.",
        "What is the state of the model when the *second* epoch begins? And what "
        "besides the number is in `total`, once a loss has been added to it?",
        "Two of the faults are about sums: what a batch of 2 counts beside a batch of "
        "4, and what a sum of losses holds on to. Both occur twice, in training and in "
        "validation.",
        "Look for a beat that is missing, a `model.train()` that comes once, means of "
        "batches (twice), losses with their graphs (twice), and a missing `no_grad`.",
    )
    right = (
        "None of the five raises an error, and some of them hardly show in a curve. "
        "That is the case for a loop that is written once, with care, and left alone."
    )

    def inputs():
        for train, val, epochs in (
            ((4, 4, 2), (4, 1), 2),
            ((4, 4), (3, 3), 3),
            ((1, 5), (2, 6, 1), 1),
            ((3,), (7,), 2),
        ):
            model = _Network()
            loaders = _Batches(*train), _Batches(*val)
            yield (
                model,
                *loaders,
                nn.CrossEntropyLoss(),
                _SGD(model.parameters()),
                epochs,
            )

    def probe(answer, model, train_loader, val_loader, loss_fn, optimizer, epochs):
        history = answer(model, train_loader, val_loader, loss_fn, optimizer, epochs)
        if history is None:
            raise TypeError("it returns None; the last line, `return history`, is lost")
        in_val = [
            any(torch.equal(x, known) for known, _ in val_loader) for x in model.seen
        ]
        modes = list(zip(model.modes, in_val, strict=True))
        graphs = zip(model.graphs, in_val, strict=True)
        return {
            "in every epoch, it trains in training mode": (False, False) not in modes,
            "it validates in evaluation mode": (True, True) not in modes,
            "the losses in the history carry no graph": not _holds_a_graph(history),
            "validating records no graph": (True, True) not in graphs,
            "the history": history,
        }

    def solution(model, train_loader, val_loader, loss_fn, optimizer, epochs):
        history = []
        for _ in range(epochs):
            model.train()  # each time anew, since validating switches it off
            total = examples = 0
            for x, y in train_loader:
                optimizer.zero_grad()  # the missing beat
                loss = loss_fn(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)  # a number, without its graph
                examples += len(x)
            train_loss = total / examples  # the mean over examples, not batches

            model.eval()
            total = examples = 0
            with torch.no_grad():
                for x, y in val_loader:
                    total += loss_fn(model(x), y).item() * len(x)
                    examples += len(x)
            history.append((train_loss, total / examples))
        return history

    def mistake_as_it_was(*given):
        """That is the loop as it was. Begin with the beats: are there four?"""
        return _train_and_validate("all", *given)

    def mistake_clear(*given):
        """Nearly: one fault is left.

        Each gradient is still added to all that came before it.
        """
        return _train_and_validate("clear", *given)

    def mistake_late(*given):
        """Now the gradients are gone before anybody has used them.

        The beats have an order, and with this one the weights stand still.
        """
        return _train_and_validate("late", *given)

    def mistake_mode(*given):
        """Nearly: only the second epoch is wrong.

        The network trains in evaluation mode there; how does it get out of that?
        """
        return _train_and_validate("mode", *given)

    def mistake_means(*given):
        """Nearly: the losses are still means over batches.

        So an example in a small batch counts more than one in a large batch.
        """
        return _train_and_validate("means", *given)

    def mistake_val_means(*given):
        """Nearly: your training loss is a mean over examples now.

        Your validation loss isn't yet.
        """
        return _train_and_validate("val means", *given)

    def mistake_train_means(*given):
        """Nearly: your validation loss is a mean over examples now.

        Your training loss isn't yet.
        """
        return _train_and_validate("train means", *given)

    def mistake_kept(*given):
        """Nearly: a loss that goes into your sum takes its whole graph along.

        So the history keeps all the graphs alive.
        """
        return _train_and_validate("kept", *given)

    def mistake_graph(*given):
        """Nearly: validation records a graph for every batch.

        Nobody will ever call backward there, and evaluation mode doesn't prevent it.
        """
        return _train_and_validate("graph", *given)


def _train_in_parts(fault, model, loader, loss_fn, optimizer, parts):
    """Do it with a fault."""
    model.train()
    if fault != "cleared after":
        optimizer.zero_grad()
    graphs, total, sizes = 0, 0, []
    for number, (x, y) in enumerate(loader, start=1):
        if fault == "cleared each time":
            optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        by_batches = fault in ("sum of means", "by parts", "by batches")
        weighted = loss if by_batches else loss * len(x)
        if fault == "hoarded":
            graphs = graphs + weighted
        else:
            weighted.backward()
        total += loss.detach() * len(x)
        sizes.append(len(x))
        if number % parts == 0 or (number == len(loader) and fault != "rest"):
            if fault == "hoarded":
                graphs.backward()
            divisor = {
                "sum": 1, "sum of means": 1, "by parts": parts, "by batches": len(sizes)
            }.get(fault, sum(sizes))  # fmt: skip
            for p in model.parameters():
                p.grad /= divisor
            optimizer.step()
            last = fault == "last loss"
            yield loss.detach() if last else total / sum(sizes), sum(sizes)
            if fault != "never cleared":
                optimizer.zero_grad()
            graphs, total, sizes = 0, 0, []


class train_in_parts(Function):
    """Steps on large batches that never are in memory at once."""

    number = "5.6"
    hints = (
        "Notebook 02 has a sentence on batches that are too large for memory, under "
        "*Gradients add up*. So which of the four beats come once per batch, and which "
        "once per step?",
        "The gradient of the mean over all 10 examples of two batches is the *sum* "
        "over all 10, divided by 10. How do you get a batch's sum from its mean?",
        "Call backward on the batch's loss times its size. Before the step, divide "
        "each `p.grad` by the number of examples that have come together.",
        "The step comes when `parts` batches are done, or when the batch was the "
        "loader's last: count them with `enumerate(loader, start=1)`, compare the "
        "number with `len(loader)`, and start the sums anew after each `yield`.",
    )
    right = (
        "This is *gradient accumulation*, and many large models are trained with it. "
        "One limit: a layer that looks at its whole batch (you will meet BatchNorm in "
        "notebook 09) sees only one part at a time."
    )

    def inputs():
        for sizes, parts in (
            ((4, 4, 4, 2), 2),
            ((4, 2, 4, 1), 2),
            ((4, 4, 4, 4, 3), 3),
            ((2, 3, 1), 1),
            ((3, 1), 5),
            ((1, 6, 2, 2, 2, 5), 3),
        ):
            model = _Network()
            model.eval()
            optimizer = _SGD(model.parameters())
            if parts == 3:  # somebody has left gradients behind
                for p in model.parameters():
                    p.grad = torch.ones_like(p)
            yield model, _Batches(*sizes), nn.CrossEntropyLoss(), optimizer, parts

    def probe(answer, model, loader, loss_fn, optimizer, parts):
        steps = answer(model, loader, loss_fn, optimizer, parts)
        if not hasattr(steps, "__iter__"):
            raise TypeError("nothing to loop over comes back; its `yield` is missing")
        pairs, taken = [], []
        for pair in steps:
            pairs.append(pair)
            taken.append(optimizer.taken)
        largest = max(len(x) for x, _ in loader)
        return {
            "never more than one batch in the network": all(
                len(x) <= largest for x in model.seen
            ),
            "a batch's backward comes before the next batch's forward": (
                model.most_waiting <= 1
            ),
            "the network is in training mode": all(model.modes),
            "the losses it yields carry no graph": not _holds_a_graph(pairs),
            "what it yields": pairs,
            "the steps taken when each pair arrives": taken,
        }

    def solution(model, loader, loss_fn, optimizer, parts):
        model.train()
        total = examples = 0
        for number, (x, y) in enumerate(loader, start=1):
            if examples == 0:
                optimizer.zero_grad()  # once per step, so that the parts add up
            loss = loss_fn(model(x), y)
            (loss * len(x)).backward()  # the sum over examples; the graph is gone now
            total += loss.detach() * len(x)
            examples += len(x)
            if number % parts == 0 or number == len(loader):
                for p in model.parameters():
                    p.grad /= examples  # from the sum to the mean
                optimizer.step()
                yield total / examples, examples
                total = examples = 0

    def mistake_cleared_each_time(*given):
        """You clear before every batch.

        So only the last batch of each step has a say in it.
        """
        return _train_in_parts("cleared each time", *given)

    def mistake_never_cleared(*given):
        """The first step is right.

        In the second, the gradients of the first are still there.
        """
        return _train_in_parts("never cleared", *given)

    def mistake_cleared_after(*given):
        """You clear after each step.

        But what if somebody has left gradients behind before the first?
        """
        return _train_in_parts("cleared after", *given)

    def mistake_sum(*given):
        """Your gradient is a sum over the examples.

        One large batch would have given the mean, so your steps are far too long.
        """
        return _train_in_parts("sum", *given)

    def mistake_sum_of_means(*given):
        """You add up the gradients of the batches' mean losses.

        So a step gets longer with every batch in it, which in one large batch it would
        not.
        """
        return _train_in_parts("sum of means", *given)

    def mistake_by_parts(*given):
        """You divide by `parts`.

        That is right as long as all batches are equally large and the last step has all
        its parts; here neither is certain.
        """
        return _train_in_parts("by parts", *given)

    def mistake_by_batches(*given):
        """Each *batch* counts the same in your step.

        In one large batch each *example* would.
        """
        return _train_in_parts("by batches", *given)

    def mistake_rest(*given):
        """The batches left over at the end never get their step."""
        return _train_in_parts("rest", *given)

    def mistake_hoarded(*given):
        """The numbers are right, but all graphs of a step are in memory at once.

        That was to be avoided: when can each of them go?
        """
        return _train_in_parts("hoarded", *given)

    def mistake_joined(model, loader, loss_fn, optimizer, parts):
        """You join the batches before the forward.

        Right, and exactly what doesn't fit into memory.
        """
        model.train()
        for start in range(0, len(loader), parts):
            batches = loader[start : start + parts]
            x, y = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            yield loss.detach(), len(x)

    def mistake_all_at_once(*given):
        """The numbers are right, but you train to the end before you hand over any.

        The caller can't stop you.
        """
        return list(_train_in_parts("none", *given))

    def mistake_last_loss(*given):
        """The steps are right, but you yield the loss of the last batch.

        It should be the mean over all examples of the step.
        """
        return _train_in_parts("last loss", *given)
