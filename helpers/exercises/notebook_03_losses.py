"""The exercises of notebook 03, losses."""

import math
import warnings

import torch
from torch import nn
from torch.nn import functional as F

from helpers.exercises.base import Function, Value


class untrained(Value):
    """The loss of a network that knows nothing."""

    number = "3.1"
    hints = (
        "Knowing nothing, it gives each of the hundred kinds the same probability.",
        "Cross-entropy is −log of the probability given to the label.",
    )
    right = (
        "And nine is about twice that, so she should look at the scale of her inputs "
        "before she trains. A first loss far from log K is the cheapest alarm there is."
    )
    tolerance = 5e-3

    def solution():
        # Each kind gets 1/100, and −log(1/100) = log(100).
        return math.log(100)

    def mistake_base():
        """That is the logarithm to base 10; PyTorch's is natural."""
        return 2.0

    def mistake_bits():
        """That is the logarithm to base 2; PyTorch's is natural."""
        return 6.644

    def mistake_probability():
        """That is the probability. The loss is a logarithm of it."""
        return 0.01

    def mistake_sign():
        """A loss of this kind is never negative."""
        return -4.605

    def mistake_ten():
        """That would be right for ten classes."""
        return 2.3026


class softmax(Function):
    """Probabilities from logits, row by row."""

    number = "3.2"
    hints = (
        "Three steps: exponentials, their sum along a row, and a division. Only the "
        "first can overflow.",
        "Adding the same number to all logits of a row changes nothing in the "
        "probabilities, and neither does subtracting one. Which makes exp() safe?",
        "Each row has a number of its own to subtract. With `keepdim=True` you get "
        "them as a column, which broadcasts against the table.",
    )
    right = (
        "The largest exponential of each row is now exp(0) = 1. So nothing can "
        "overflow, and no sum can be 0."
    )

    def inputs():
        yield (torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]),)
        yield (torch.randn(4, 3),)
        yield (torch.randn(1, 5),)
        yield (torch.randn(3, 2, dtype=torch.float64) - 5,)
        yield (torch.tensor([[100.0, 0.0], [95.0, 100.0]]),)
        yield (torch.tensor([[1000.0, 0.0, 999.0]]),)
        yield (torch.tensor([[-1000.0, -1000.0], [-1001.0, -1000.0]]),)
        yield (torch.tensor([[1000.0, 1000.0], [-1000.0, -1000.0]]),)

    def solution(logits):
        # Shifting a row leaves the ratios alone and keeps exp() finite.
        shifted = logits - logits.max(dim=1, keepdim=True).values
        powers = shifted.exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_columns(logits):
        """Your columns add up to 1. Each row is one example."""
        return logits.softmax(dim=0)

    def mistake_whole(logits):
        """The whole table adds up to 1, and each row should."""
        return logits.flatten().softmax(dim=0).reshape(logits.shape)

    def mistake_no_keepdim(logits):
        """One number per row has to meet a table: as a column, not as a row."""
        powers = logits.exp()
        return powers / powers.sum(dim=1)

    def mistake_overflow(logits):
        """Right for small logits, but exp() overflows for large ones."""
        return logits.exp() / logits.exp().sum(dim=1, keepdim=True)

    def mistake_one_shift(logits):
        """You shift all rows by the same number. Ask what is left of a low row then."""
        powers = (logits - logits.max()).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_mean(logits):
        """That helps, but not always: some logits may still lie far above the mean."""
        powers = (logits - logits.mean(dim=1, keepdim=True)).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_smallest(logits):
        """You make the smallest logit of each row 0. It's the others that overflow."""
        powers = (logits - logits.min(dim=1, keepdim=True).values).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_column_shift(logits):
        """Each column is shifted by a number of its own. Within a row, that changes
        the differences, and those are what counts."""
        powers = (logits - logits.amax(dim=0, keepdim=True)).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_in_place(logits):
        """The probabilities are right, but you have overwritten the logits, and whoever
        called you may need them."""
        logits -= logits.amax(dim=1, keepdim=True)
        return logits.exp() / logits.exp().sum(dim=1, keepdim=True)

    def mistake_clamp_both(logits):
        """Finite, but two logits beyond your limits come out the same, however far
        apart they were."""
        powers = logits.clamp(min=-80, max=80).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_clamp(logits):
        """Finite, but cutting large logits off changes the probabilities."""
        powers = logits.clamp(max=88).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def mistake_log(logits):
        """These are logarithms of probabilities."""
        return logits.log_softmax(dim=1)

    def mistake_no_exponential(logits):
        """You divide the logits by their sum. Logits may be negative, and 0 as well."""
        return logits / logits.sum(dim=1, keepdim=True)


class odds(Value):
    """The lowest loss of a network that cannot see its input."""

    number = "3.3"
    hints = (
        "All mails get the same two probabilities. Call the one of *fine* q. What does "
        "a mail that is fine cost, and what a spam? What is the mean cost?",
        "At rest the gradient is 0. For each mail it is what is, minus what should be; "
        "take the mean of that over all mails. Which q makes it 0?",
        "The best q is the share of mails that are fine. Put it into the mean cost.",
    )
    right = (
        "This number is called the entropy of the labels. Watch for it: a classifier "
        "whose loss comes to rest there has learned the odds, and nothing from its "
        "input. And it is right nine times out of ten."
    )
    tolerance = 2e-3

    def solution():
        # The best a blind network can do is to give each class its share. Nine in ten
        # of the mails then cost −log 0.9, and one in ten costs −log 0.1.
        fine, spam = -math.log(0.9), -math.log(0.1)
        return 0.9 * fine + 0.1 * spam

    def mistake_start():
        """That is where the loss starts. It can be lowered without seeing anything."""
        return math.log(2)

    def mistake_common():
        """That is the cost of a mail that is fine. The spam is in the mean as well."""
        return -math.log(0.9)

    def mistake_rare():
        """That is the cost of one spam. Most mails are cheaper."""
        return -math.log(0.1)

    def mistake_share():
        """That is the share of wrong answers, and the loss doesn't count those."""
        return 0.1

    def mistake_sure():
        """To get there it would have to be sure, and each spam would cost infinity."""
        return 0.0

    def mistake_equal():
        """You give both kinds of mail the same weight, as if they were equally many."""
        return -(math.log(0.9) + math.log(0.1)) / 2

    def mistake_rounded():
        """Right to two decimals. Three are asked for."""
        return 0.33

    def mistake_swapped():
        """You let the common mails cost much and the rare ones little."""
        return -(0.1 * math.log(0.9) + 0.9 * math.log(0.1))

    def mistake_one_minus_p():
        """That is the mean of 1 − p. Cross-entropy has a logarithm."""
        return 0.18

    def mistake_bits():
        """The logarithm is the natural one, not the one to base 2."""
        return 0.469

    def mistake_base_ten():
        """The logarithm is the natural one, not the one to base 10."""
        return 0.1412


class yes_no_loss(Function):
    """Binary cross-entropy from one column of logits, and whole-number labels."""

    number = "3.4"
    hints = (
        "What is the softmax of a single logit, whatever its value?",
        "Print the shape and the dtype of both arguments. Which does the loss want?",
        "Once sigmoid(200) has been rounded to 1, its size is forgotten. There is a "
        "loss that wants the logit itself.",
        "If only a batch of one is wrong: a plain `squeeze()` drops every dimension "
        "of size 1. You want to drop a certain one.",
    )
    right = (
        "The error named one fault. The silent ones would have cost more: every "
        "answer a sure *yes*, and no gradient where it was most wanted."
    )

    def inputs():
        yield torch.tensor([[0.5], [-1.0], [3.0]]), torch.tensor([1, 0, 0])
        yield torch.randn(6, 1), torch.randint(2, (6,))
        yield torch.randn(4, 3)[:, 1:2], torch.tensor([1, 1, 0, 0])
        yield torch.randn(1, 1), torch.tensor([1])
        yield torch.tensor([[20.0], [1.0]]), torch.tensor([0, 1])
        yield torch.tensor([[200.0]]), torch.tensor([0])
        yield torch.tensor([[-200.0], [200.0], [0.0]]), torch.tensor([1, 1, 0])

    def probe(answer, logits, y):
        result = answer(logits, y)
        made = isinstance(result, nn.BCEWithLogitsLoss)  # and never called
        return nn.BCEWithLogitsLoss() if made else result

    def solution(logits, y):
        # No softmax and no sigmoid: this loss wants logits. The column is dropped, so
        # that both have shape (N,), and the labels enter a formula, so they are floats.
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), y.float())

    def mistake_softmax(logits, y):
        """It runs, but your network says *yes* to everything, with probability 1."""
        return F.binary_cross_entropy(logits.softmax(dim=1).squeeze(1), y.float())

    def mistake_cross_entropy(logits, y):
        """A loss of 0 for everything: with one column, there is one class to choose."""
        return F.cross_entropy(logits, y.float().unsqueeze(1))

    def mistake_saturated(logits, y):
        """Right for small logits. For large ones, the sigmoid is rounded to 1 or 0."""
        return F.binary_cross_entropy(logits.sigmoid().squeeze(1), y.float())

    def mistake_naive(logits, y):
        """Right for small logits. For large ones you take the logarithm of a 0."""
        p = logits.sigmoid().squeeze(1)
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    def mistake_twice(logits, y):
        """One sigmoid too many: this loss applies its own."""
        p = logits.sigmoid().squeeze(1)
        return F.binary_cross_entropy_with_logits(p, y.float())

    def mistake_softmax_stays(logits, y):
        """The right loss, but it wants the logits as they are. You still put them
        through a softmax, which makes them all alike."""
        same = logits.softmax(dim=1).squeeze(1)
        return F.binary_cross_entropy_with_logits(same, y.float())

    def mistake_target_first(logits, y):
        """The two are in the wrong order: the prediction comes first."""
        return F.binary_cross_entropy_with_logits(y.float(), logits.squeeze(1))

    def mistake_not_called(logits, y):
        """`nn.BCEWithLogitsLoss(...)` only makes the loss, and takes settings. It's the
        second pair of brackets that calls it."""
        with warnings.catch_warnings(action="ignore"):
            return nn.BCEWithLogitsLoss(logits.squeeze(1), y.float())

    def mistake_given_back(logits, y):
        """What comes back is the loss as an object, which nobody has called yet."""
        return nn.BCEWithLogitsLoss()

    def mistake_broadcast(logits, y):
        """A column has met a row: each logit is compared with every label."""
        return (logits.clamp(min=0) - logits * y + (-logits.abs()).exp().log1p()).mean()

    def mistake_single(logits, y):
        """Right, but not for a single example. Look at the shape you have there."""
        return F.binary_cross_entropy_with_logits(logits.squeeze(), y.float())

    def mistake_whole_numbers(logits, y):
        """The labels enter a formula here, and so their dtype is the wrong one."""
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), y)

    def mistake_shapes(logits, y):
        """The labels have one dimension, and the logits have two."""
        return F.binary_cross_entropy_with_logits(logits, y.float())

    def mistake_no_mean(logits, y):
        """That is one loss for each example. The mean of them is asked for."""
        one_each = F.binary_cross_entropy_with_logits(
            logits.squeeze(1), y.float(), reduction="none"
        )
        return one_each

    def mistake_sum(logits, y):
        """That is the sum over the examples. The mean is asked for."""
        return yes_no_loss.solution(logits, y) * len(y)

    def mistake_reversed(logits, y):
        """You have yes and no the wrong way round. 1 is yes."""
        return yes_no_loss.solution(logits, 1 - y)


class counterexample(Value):
    """Right more often, and yet with the higher cross-entropy."""

    number = "3.5"
    hints = (
        "How much can one example cost? And how little does a network gain by being "
        "right, if it is only just right?",
        "Begin with `b`: let it be wrong as often as you like, but never sure.",
        "Now `a`: right in most rows, and in one row wrong and very sure of it.",
    )
    right = (
        "Accuracy counts mistakes; the loss charges for them by how sure they were. So "
        "on new images, a network that grows too sure of itself can have a rising loss "
        "and a rising accuracy at the same time."
    )

    def probe(answer):
        y = torch.tensor([0, 1, 2, 0])
        facts = dict.fromkeys(
            (
                "there are two tables of four rows and three columns",
                "all logits are finite",
                "no row has its largest logit twice",
                "`a` is right more often than `b`",
                "`a` has a higher cross-entropy than `b`",
            ),
            False,
        )
        form, finite, single, more_often, higher = facts
        try:
            a, b = map(_table, answer.values() if isinstance(answer, dict) else answer)
        except (TypeError, ValueError, RuntimeError):
            return facts
        facts[form] = a.shape == b.shape == (4, 3)
        if facts[form]:
            both = torch.cat([a, b])
            facts[finite] = bool(both.isfinite().all())
            first, second = both.topk(2, dim=1).values.T
            facts[single] = bool((first > second).all())
        if all(facts[key] for key in (form, finite, single)):
            named = [(logits.argmax(dim=1) == y).sum() for logits in (a, b)]
            losses = [F.cross_entropy(logits, y) for logits in (a, b)]
            facts[more_often] = bool(named[0] > named[1])
            facts[higher] = bool(losses[0] > losses[1])
        return facts

    def solution():
        # right three times, and sure; the last row is wrong, and sure as well
        a = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [0.0, 9.0, 0.0]]
        # wrong four times, but only just, so that each costs about log 3
        b = [[0.0, 0.1, 0.0], [0.1, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0]]
        return [a, b]

    def mistake_usual():
        """That is the usual case: more often right, and a lower loss. See what it
        costs to be wrong, and what makes it dearer."""
        a = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [0.0, 1.0, 0.0]]
        b = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
        return [a, b]

    def mistake_swapped():
        """Neither holds: `a` isn't right more often, and its loss isn't higher.
        Have you mixed up the two?"""
        return counterexample.solution()[::-1]

    def mistake_not_more_often():
        """The loss of `a` is the higher one, but `a` isn't right more often. Count the
        rows in which the largest logit stands at the label."""
        a = [[0.0, 9.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [0.0, 9.0, 0.0]]
        b = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
        return [a, b]

    def mistake_tie():
        """In one of the rows the largest logit stands twice, so it is left to chance
        which class the network names."""
        return [counterexample.solution()[0], [[0.0, 0.0, 0.0]] * 4]

    def mistake_infinite():
        """An infinite logit would make it too easy. It works with finite ones."""
        a = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [-math.inf, 9.0, 0.0]]
        return [a, counterexample.solution()[1]]

    def mistake_form():
        """The answer is a list of two tables, and each needs a row of three logits for
        each of the four examples."""
        return [[[9.0, 0.0, 0.0]], [[0.0, 0.1, 0.0]]]


def _table(logits):
    """Return logits given as a table, or as a list of rows, as one tensor."""
    if isinstance(logits, list | tuple):
        logits = torch.stack([torch.as_tensor(row) for row in logits])
    return torch.as_tensor(logits).detach().double()


class train_by_hand(Function):
    """Softmax regression by gradient descent, with the gradient written out."""

    number = "3.6"
    hints = (
        "In each step: the logits, the probabilities, the gradient with respect to the "
        "logits, from it those of weights and biases, and a step against each.",
        "With respect to the logits it is what is, minus what should be, divided by "
        "the number of examples, since the loss is a mean. Its shape: (N, classes).",
        "Call that G. The weights get it through a matrix product (notebook 02); only "
        "one order of the two factors gives the shape of the weights.",
        "A bias is added to the logits of every row, so its gradient is a sum, along "
        "the dimension that counts the examples.",
    )
    right = (
        "This is logistic regression, all of it. In a deeper network the last layer "
        "learns just like this, with what the layers before it put out as its x."
    )
    tolerance = 1e-3

    def inputs():
        x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0])
        yield x, y, 2, 1.0, 1
        yield torch.randn(6, 4), torch.tensor([0, 1, 2, 2, 1, 2]), 3, 0.5, 1
        yield torch.randn(5, 2), torch.tensor([3, 1, 1, 0, 1]), 4, 0.3, 12
        yield torch.randn(1, 3), torch.tensor([1]), 2, 1.0, 5
        x = torch.tensor([[900.0, 10.0], [20.0, 800.0], [500.0, 450.0]])
        yield x, torch.tensor([0, 1, 1]), 2, 0.1, 3

    def solution(x, y, classes, lr, steps):
        weights, biases = torch.zeros(x.shape[1], classes), torch.zeros(classes)
        should_be = F.one_hot(y, num_classes=classes)
        for _ in range(steps):
            is_now = (x @ weights + biases).softmax(dim=1)
            # with respect to the logits; divided by N, since the loss is a mean
            gradient = (is_now - should_be) / len(x)
            # back through the product and through the sum
            weights = weights - lr * (x.T @ gradient)
            biases = biases - lr * gradient.sum(dim=0)
        return weights, biases

    def mistake_sum(x, y, classes, lr, steps):
        """Your steps go the right way, but they belong to the sum of the losses."""
        return train_by_hand.solution(x, y, classes, lr * len(x), steps)

    def mistake_all_numbers(x, y, classes, lr, steps):
        """Your steps are too short. The loss is a mean of one number per example."""
        return train_by_hand.solution(x, y, classes, lr / classes, steps)

    def mistake_ascent(x, y, classes, lr, steps):
        """You climb: the loss gets higher with each step."""
        return train_by_hand.solution(x, y, classes, -lr, steps)

    def mistake_logits(x, y, classes, lr, steps):
        """You compare the logits with what should be. It is the probabilities that
        ought to look like that."""
        return _descend(x, y, classes, lr, steps, probabilities=lambda z: z)

    def mistake_columns(x, y, classes, lr, steps):
        """Your probabilities add up to 1 along the columns. Each row is an example."""
        return _descend(
            x, y, classes, lr, steps, probabilities=lambda z: z.softmax(dim=0)
        )

    def mistake_label(x, y, classes, lr, steps):
        """You subtract the label itself. Class 2 isn't twice as much as class 1: what
        should be is a probability for each class."""
        return _descend(x, y, classes, lr, steps, should_be=y)

    def mistake_label_as_a_column(x, y, classes, lr, steps):
        """You subtract the label, the same from each probability of its row. What
        should be is a probability for each class."""
        return _descend(x, y, classes, lr, steps, should_be=y.unsqueeze(1))

    def mistake_last_class(x, y, classes, lr, steps):
        """Right if the last class occurs among the labels. When it doesn't, how should
        `F.one_hot` know of it?"""
        return _descend(x, y, classes, lr, steps, should_be=F.one_hot(y))

    def mistake_overflow(x, y, classes, lr, steps):
        """Right, until the logits are large. You have mended that before."""
        return _descend(
            x,
            y,
            classes,
            lr,
            steps,
            probabilities=lambda z: z.exp() / z.exp().sum(dim=1, keepdim=True),
        )

    def mistake_no_biases(x, y, classes, lr, steps):
        """The weights learn, but the biases stay at 0. If you did give them a gradient,
        what does it add up over?"""
        return _descend(x, y, classes, lr, steps, bias_gradient=lambda g: 0 * g[0])

    def mistake_biases_twice(x, y, classes, lr, steps):
        """The biases move too little: their gradient is divided by N twice."""
        return _descend(x, y, classes, lr, steps, bias_gradient=lambda g: g.mean(dim=0))

    def mistake_biases_sum(x, y, classes, lr, steps):
        """The weights are right. The biases move too far: theirs is a mean as well."""
        n = len(x)
        return _descend(
            x, y, classes, lr, steps, bias_gradient=lambda g: n * g.sum(dim=0)
        )

    def mistake_one_forward(x, y, classes, lr, steps):
        """The first step is right, and the others repeat it. After a step the model
        says something else."""
        return train_by_hand.solution(x, y, classes, lr * steps, 1)

    def mistake_one_step(x, y, classes, lr, steps):
        """You stop after the first step. Is the `return` inside the loop?"""
        return train_by_hand.solution(x, y, classes, lr, min(steps, 1))

    def mistake_order(x, y, classes, lr, steps):
        """The right numbers, but the weights come first and the biases second."""
        return train_by_hand.solution(x, y, classes, lr, steps)[::-1]

    def mistake_weights_alone(x, y, classes, lr, steps):
        """Only the weights come back. The biases are asked for as well."""
        return train_by_hand.solution(x, y, classes, lr, steps)[0]


def _descend(
    x,
    y,
    classes,
    lr,
    steps,
    probabilities=lambda z: z.softmax(dim=1),
    bias_gradient=lambda g: g.sum(dim=0),
    should_be=None,
):
    """Train as `train_by_hand` does, with something else in a place or two."""
    weights, biases = torch.zeros(x.shape[1], classes), torch.zeros(classes)
    if should_be is None:
        should_be = F.one_hot(y, num_classes=classes)
    for _ in range(steps):
        is_now = probabilities(x @ weights + biases)
        gradient = (is_now - should_be) / len(x)
        weights = weights - lr * (x.T @ gradient)
        biases = biases - lr * bias_gradient(gradient)
    return weights, biases
