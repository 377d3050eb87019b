"""The exercises of notebook 04, optimizers."""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional as F

from helpers.exercises.base import Function, Value


class largest_rate(Value):
    """The learning rate beyond which nothing holds."""

    number = "4.1"
    hints = (
        "Each direction has a factor of its own. Which of the two is in danger first?",
        "Find the slope along y, and from it the number that a step multiplies y by. "
        "Between which two values must that number lie?",
    )
    right = (
        "The flat direction has no say in it, and pays for it: even at this rate, a "
        "step takes x only 2.5 % of its way."
    )
    tolerance = 2e-3

    def solution():
        # The slope of 4y² is 8y, so a step multiplies y by 1 − 8 lr,
        # and that must stay above −1.
        return 2 / 8

    def mistake_flat():
        """That is the limit along x alone. By then y has long left the picture."""
        return 20.0

    def mistake_old_limit():
        """That is the limit for $y^2$, the walls you know. These bend more sharply."""
        return 1.0

    def mistake_best():
        """At this rate y lands on the bottom in one step. Larger ones arrive too."""
        return 1 / 8

    def mistake_slope():
        """Did you take 4y for the slope of $4y^2$? Differentiate once more."""
        return 2 / 4

    def mistake_upside_down():
        """A valley that bends more sharply bears less, and you let it bear more."""
        return 4.0


class fifty_steps(Value):
    """Adam's way under a gradient that never changes."""

    number = "4.2"
    hints = (
        "What is the average of numbers that are all the same, once the cold start "
        "is repaired?",
        "The repaired size of the gradient is 6 at every step, and so is the "
        "repaired mean. Only the sign of their quotient could ever change.",
    )
    right = (
        "Nothing in it depends on the 6. Under a gradient that never changes, a weight "
        "moves by the learning rate in each step, be the gradient large or small."
    )

    def solution():
        # Mean and size agree, so each of the 50 steps is 0.01 long, and downhill.
        return 2.0 - 50 * 0.01

    def mistake_sgd():
        """That is where plain SGD would be: its steps follow the gradient's size."""
        return 2.0 - 50 * 0.01 * 6

    def mistake_uphill():
        """The distance is right, the direction is not."""
        return 2.0 + 50 * 0.01

    def mistake_distance():
        """That is how far the weight has moved. Where does it stand?"""
        return 50 * 0.01

    def mistake_one_step():
        """That is where it stands after the first step."""
        return 2.0 - 0.01

    def mistake_rmsprop():
        """That is RMSprop, whose cold start makes the first steps too long."""
        return 2.0 - sum(0.01 / math.sqrt(1 - 0.99**t) for t in range(1, 51))

    def mistake_cold():
        """That is Adam without its repair, and so with steps that are too long."""
        cold = [(1 - 0.9**t) / math.sqrt(1 - 0.999**t) for t in range(1, 51)]
        return 2.0 - 0.01 * sum(cold)


def _network(*sizes):
    """Return a small network."""
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _something(result):
    """Return a result, if there is one."""
    if result is None:
        raise TypeError("nothing came back (is a `return` missing?)")
    return result


class train(Function):
    """A loop with momentum, mended."""

    number = "4.3"
    hints = (
        "Say the four beats, and put a finger on each line as you say it. Which one "
        "comes too early?",
        "Where does an optimizer with momentum keep its speeds, and how long does "
        "that thing live here?",
        "What hangs on to a loss that is still a tensor? Notebook 02 knows how to "
        "take just its number.",
    )
    right = (
        "Whatever has a memory, as an optimizer with momentum does, must be made "
        "outside of the loop that uses it."
    )

    def inputs():
        yield _network(3, 1), torch.randn(8, 3), torch.randn(8, 1), 5
        yield _network(2, 4, 1), torch.randn(6, 2), torch.randn(6, 1), 8
        yield _network(3, 2), torch.randn(1, 3), torch.randn(1, 2), 2
        x, y = torch.ones(2, 1).double(), torch.rand(2, 1).double()
        yield _network(1, 1).double(), x, y, 3
        yield _network(2, 1), torch.randn(4, 2), torch.randn(4, 1), 0
        used, x = _network(2, 3, 1), torch.randn(5, 2)
        used(x).sum().backward()
        yield used, x, torch.randn(5, 1), 4

    def probe(answer, *given):
        losses = _something(answer(*given))
        kept = losses if isinstance(losses, list | tuple) else []
        free = not any(getattr(loss, "requires_grad", False) for loss in kept)
        return {
            "no loss in the list hangs on to its computation graph": free,
            "the list of losses": losses,
        }

    def solution(model, x, y, steps):
        # One optimizer for the whole run: a new one would have no speed yet.
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(steps):
            # Clear first, since nobody knows what the model brought along.
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            # The number alone; the tensor would keep its graph alive.
            losses.append(loss.item())
        return losses

    def mistake_as_given(model, x, y, steps):
        """The weights still don't move, and the losses still carry their graphs."""
        return [F.mse_loss(model(x), y) for _ in range(steps)]

    def mistake_stands_still(model, x, y, steps):
        """The weights don't move: when the step comes, there are no gradients left."""
        return [F.mse_loss(model(x), y).item() for _ in range(steps)]

    def mistake_graph(model, x, y, steps):
        """The weights are right. The losses that you keep are not yet numbers.

        Each is still a tensor with a graph behind it, and so the memory in use grows
        with every step.
        """
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            losses.append(F.mse_loss(model(x), y))
            losses[-1].backward()
            optimizer.step()
        return losses

    def mistake_new_each_time(model, x, y, steps):
        """The weights move, but no better than plain SGD would move them.

        Whatever remembers the speed doesn't live long enough to use it.
        """
        losses = []
        for _ in range(steps):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def mistake_never_cleared(model, x, y, steps):
        """Nobody clears the gradients, and each step takes all earlier ones along."""
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def mistake_cleared_once(model, x, y, steps):
        """You clear what the model brought along, and then never again.

        From the second step on, each takes the gradients of this run's earlier steps
        along.
        """
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        optimizer.zero_grad()
        losses = []
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def mistake_cleared_last(model, x, y, steps):
        """Right for a fresh model.

        One that arrives with gradients of an earlier `backward()` takes them along in
        its first step.
        """
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    def mistake_loss_afterwards(model, x, y, steps):
        """The weights are right. Your list holds the losses after each step.

        It was to hold those from before.
        """
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
            losses.append(F.mse_loss(model(x), y).item())
        return losses


def _walk(start, lr, beta):
    """Return the first three positions of momentum on the parabola."""
    second = start - lr * 2 * start
    return [start, second, second - lr * (2 * second + beta * 2 * start)]


class settings(Function):
    """A learning rate and a β, found in the path they made."""

    number = "4.4"
    hints = (
        "Write down the first two steps with letters. What is the speed before the "
        "first one?",
        "The speed starts at 0, so the first step is plain SGD and contains only one "
        "of the two unknowns.",
        "With the rate known, the second step tells you the second speed. Part of it "
        "is the gradient where the weight stands by then; the rest is β times what?",
    )
    right = (
        "Two steps pin down two unknowns. A third would have told you whether it was "
        "SGD with momentum at all."
    )

    def inputs():
        yield ([1.0, 0.8, 0.46],)
        rates = torch.rand(3, 2, dtype=torch.float64).tolist()
        for start, (lr, beta) in zip((1.0, -3.0, 0.02), rates, strict=True):
            yield (_walk(start, lr + 0.02, beta),)
        yield (_walk(2.0, 0.25, 0.0),)
        yield (_walk(4.0, 0.5, 0.75),)
        yield (_walk(-500.0, 1.25, 0.5),)

    def probe(answer, *given):
        found = _something(answer(*given))
        if isinstance(found, int | float):
            raise TypeError("one number came back, and two are asked for")
        if isinstance(found, dict):
            raise TypeError("return just the two numbers, first the rate, then β")
        lr, beta = found
        return {"the learning rate": lr, "the β": beta}

    def solution(path):
        start, second, third = path
        # The first step knows no speed: lr times the gradient, 2x.
        lr = (start - second) / (2 * start)
        # The second goes lr times (its own gradient + β times the first speed).
        speed = (second - third) / lr
        beta = (speed - 2 * second) / (2 * start)
        return lr, beta

    def mistake_slope(path):
        """Your β is right and your rate twice too large. What is the slope of x²?"""
        lr = (path[0] - path[1]) / path[0]
        return lr, ((path[1] - path[2]) / lr - path[1]) / path[0]

    def mistake_from_one(path):
        """Right for a start at 1. But a path may start anywhere except at 0."""
        lr = (path[0] - path[1]) / 2
        return lr, ((path[1] - path[2]) / lr - 2 * path[1]) / 2

    def mistake_averaged(path):
        """These would be the settings if the speed were an average.

        PyTorch's form has no (1 − β) in front of the gradient.
        """
        lr = (path[0] - path[1]) / (2 * path[0])
        beta = ((path[1] - path[2]) / lr - 2 * path[1]) / (2 * path[0])
        return lr / (1 - beta), beta

    def mistake_order(path):
        """You return β first. The learning rate was to come first."""
        lr = (path[0] - path[1]) / (2 * path[0])
        return ((path[1] - path[2]) / lr - 2 * path[1]) / (2 * path[0]), lr

    def mistake_uphill(path):
        """Your rate is negative, so it would go uphill. Which way does a step go?"""
        lr = (path[0] - path[1]) / (2 * path[0])
        return -lr, ((path[1] - path[2]) / lr - 2 * path[1]) / (2 * path[0])

    def mistake_ratio(path):
        """The rate is right. For β you divide one step by the other.

        That would do if the second were nothing but what is left of the first.
        """
        lr = (path[0] - path[1]) / (2 * path[0])
        return lr, (path[1] - path[2]) / (path[0] - path[1])

    def mistake_old_gradient(path):
        """The rate is right. For β you count the gradient of the start a second time.

        By the second step the weight stands elsewhere.
        """
        lr = (path[0] - path[1]) / (2 * path[0])
        return lr, ((path[1] - path[2]) / lr - 2 * path[0]) / (2 * path[0])

    def mistake_speed(path):
        """The rate is right. For β you divide a distance by a speed.

        Between the two lies the learning rate.
        """
        lr = (path[0] - path[1]) / (2 * path[0])
        return lr, (path[1] - path[2] - lr * 2 * path[1]) / (2 * path[0])


class Optimizer:
    """The one of the page."""

    def __init__(self, parameters, lr):
        self.parameters = list(parameters)
        self.lr = lr

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        with torch.no_grad():
            for i, p in enumerate(self.parameters):
                if p.grad is not None:
                    p -= self.lr * self.direction(i, p)


class Lion(Function):
    """An optimizer written from a description."""

    number = "4.5"
    hints = (
        "`Momentum` and `AdamW` on this page have all the parts: a memory for each "
        "weight tensor, and a decay added to the direction.",
        "There are two mixtures of the same two things, the old memory and the "
        "gradient: one is for the direction, the other is kept.",
        "Work out the direction while the memory is still the old one, and keep it in "
        "a variable; renew the memory; then return.",
    )
    right = (
        "But for the decay, every weight moves by exactly the learning rate, up or "
        "down. And there is one memory per weight, where Adam carries two along."
    )

    def inputs():
        usual, close = (0.9, 0.99), (0.9, 0.5)
        first = [torch.tensor([3.0, -0.001])], [torch.tensor([-1.0, -0.001])]
        yield [torch.tensor([5.0, -2.0])], 1.0, usual, 0.0, first
        yield [torch.randn(6)], 0.01, usual, 0.0, [[torch.randn(6)] for _ in range(30)]
        yield [torch.randn(2, 5)], 0.1, close, 0.5, torch.randn(12, 1, 2, 5)
        yield [torch.randn(4), torch.randn(4)], 0.02, close, 0.1, torch.randn(9, 2, 4)
        wide = torch.randn(8, 1, 3, dtype=torch.float64) * 1e4
        yield [torch.randn(3, dtype=torch.float64)], 1.0, (0.5, 0.9), 0.2, wide
        yield [torch.tensor(5.0)], 0.1, usual, 0.1, torch.zeros(2, 1)

    def probe(answer, parameters, lr, betas, weight_decay, gradients):
        optimizer = answer(parameters, lr=lr, betas=betas, weight_decay=weight_decay)
        for row in gradients:
            for p, gradient in zip(parameters, row, strict=True):
                p.grad = gradient.clone()
            optimizer.step()
        weights = [p.detach().clone() for p in parameters]
        return {f"the list of weights after {len(gradients)} steps": weights}

    class solution(Optimizer):
        """Found by a program, by Chen and others (2023)."""

        def __init__(self, parameters, lr, betas=(0.9, 0.99), weight_decay=0.0):
            super().__init__(parameters, lr)
            self.betas = betas
            self.weight_decay = weight_decay
            # One memory for each weight tensor.
            self.means = [torch.zeros_like(p) for p in self.parameters]

        def direction(self, i, p):
            b1, b2 = self.betas
            # The direction comes first, from the memory of the steps before …
            mixture = b1 * self.means[i] + (1 - b1) * p.grad
            # … and only then is the memory renewed.
            self.means[i] = b2 * self.means[i] + (1 - b2) * p.grad
            return mixture.sign() + self.weight_decay * p

    class mistake_order(solution):
        """You renew the memory before you mix it with the gradient.

        So this step's gradient counts twice in the direction.
        """

        def direction(self, i, p):
            b1, b2 = self.betas
            self.means[i] = b2 * self.means[i] + (1 - b2) * p.grad
            mixture = b1 * self.means[i] + (1 - b1) * p.grad
            return mixture.sign() + self.weight_decay * p

    class mistake_one_beta(solution):
        """What you keep is the mixture made for the direction.

        The memory is renewed with a β of its own.
        """

        def direction(self, i, p):
            b1, _ = self.betas
            self.means[i] = b1 * self.means[i] + (1 - b1) * p.grad
            return self.means[i].sign() + self.weight_decay * p

    class mistake_swapped(solution):
        """You have the two numbers of `betas` the wrong way round."""

        def direction(self, i, p):
            b2, b1 = self.betas
            mixture = b1 * self.means[i] + (1 - b1) * p.grad
            self.means[i] = b2 * self.means[i] + (1 - b2) * p.grad
            return mixture.sign() + self.weight_decay * p

    class mistake_memory_alone(solution):
        """Your direction is the sign of the memory.

        The gradient of this step has a share of its own in it, and a larger one than
        the memory gives it.
        """

        def direction(self, i, p):
            _, b2 = self.betas
            self.means[i] = b2 * self.means[i] + (1 - b2) * p.grad
            return self.means[i].sign() + self.weight_decay * p

    class mistake_gradient_alone(solution):
        """Your direction is the sign of the latest gradient alone.

        What became of all the earlier ones?
        """

        def direction(self, i, p):
            return p.grad.sign() + self.weight_decay * p

    class mistake_no_sign(solution):
        """Your steps are of all sizes.

        Lion's have but one, as long as no weight decays.
        """

        def direction(self, i, p):
            b1, b2 = self.betas
            mixture = b1 * self.means[i] + (1 - b1) * p.grad
            self.means[i] = b2 * self.means[i] + (1 - b2) * p.grad
            return mixture + self.weight_decay * p

    class mistake_no_decay(solution):
        """Right as long as the decay is 0.

        With another one the weights should shrink as well, and yours don't.
        """

        def direction(self, i, p):
            self.weight_decay = 0.0
            return super().direction(i, p)

    class mistake_decay_inside(solution):
        """You add the decay before you take the sign, which swallows it.

        The decay of AdamW depends on nothing but the weight's own size.
        """

        def direction(self, i, p):
            b1, b2 = self.betas
            mixture = b1 * self.means[i] + (1 - b1) * p.grad
            self.means[i] = b2 * self.means[i] + (1 - b2) * p.grad
            return (mixture + self.weight_decay * p).sign()

    class mistake_decay_in_gradient(solution):
        """You add the decay to the gradient, as `torch.optim.Adam` does.

        So it gets into the memory too, and the sign swallows what is left of it.
        """

        def direction(self, i, p):
            b1, b2 = self.betas
            gradient = p.grad + self.weight_decay * p
            mixture = b1 * self.means[i] + (1 - b1) * gradient
            self.means[i] = b2 * self.means[i] + (1 - b2) * gradient
            return mixture.sign()

    class mistake_shared(solution):
        """Right for one weight tensor. Several of them share one memory here.

        So they mix up each other's gradients.
        """

        def direction(self, i, p):
            return super().direction(0, p)


class astray(Value):
    """Gradients that lead RMSprop uphill."""

    number = "4.6"
    hints = (
        "SGD adds the gradients up, so a single one can outweigh all the others. How "
        "far can a single one get RMSprop, however large it is?",
        "Let one kind of batch be rare, with a huge gradient, and the others common, "
        "with small ones of the other sign.",
        "After a huge gradient RMSprop's steps are tiny until it is forgotten, and it "
        "remembers roughly the last hundred. The small ones must outlast that.",
    )
    right = (
        "What is rare and large gets too few votes, since its size is divided away. "
        "With gradients of this kind Reddi, Kale and Kumar showed in 2018 that the "
        "proof in Adam's paper has a hole."
    )

    def probe(answer):
        gradients = [float(gradient) for gradient in answer]
        finite = all(map(math.isfinite, gradients))
        fits = 1 <= len(gradients) <= 1000
        weight = square = 0.0
        for step in range(10_000 * (fits and finite)):
            gradient = gradients[step % len(gradients)]
            square = 0.99 * square + 0.01 * gradient * gradient
            weight -= 0.01 * gradient / (math.sqrt(square) + 1e-8)
        total = math.fsum(gradients) if finite else 0.0
        if abs(total) <= 1e-9 * sum(map(abs, gradients)):
            total = 0.0  # but for rounding
        words = {-1: "up", 0: "nowhere", 1: "down"}
        return {
            "there are at most 1,000 gradients, and at least one": fits,
            "all gradients are finite": finite,
            "some gradients are positive and some are negative": (
                finite and fits and min(gradients) < 0 < max(gradients)
            ),
            "where plain SGD moves the weight": words[(total > 0) - (total < 0)],
            "where RMSprop moves the weight (by more than 1)": (
                words[(weight < -1) - (weight > 1)]
            ),
        }

    def solution():
        # The mean is barely positive, thanks to one gradient in a thousand. Its step
        # is a tenth at most, however large it is. When it is forgotten, the others
        # have a size of 1 again, and each goes 0.01 the other way.
        return [1000.0] + 999 * [-1.0]

    def mistake_one_sign():
        """All your gradients have the same sign, and RMSprop never turns a sign round.

        Somebody has to pull the other way.
        """
        return 10 * [1.0]

    def mistake_agree():
        """Both move down.

        Dividing by the usual size changes the outcome only where some gradients are far
        from usual, and for long enough.
        """
        return [10.0] + 9 * [-1.0]

    def mistake_negative_mean():
        """RMSprop goes up, but so does SGD, and rightly: your mean is negative."""
        return [100.0] + 199 * [-1.0]

    def mistake_zero_mean():
        """RMSprop goes up.

        Your mean is exactly 0, though, so that no direction is the wrong one: a little
        more is needed to make SGD go down.
        """
        return [500.0] + 500 * [-1.0]

    def mistake_mirrored():
        """The two disagree, so the idea is there.

        But SGD goes up and RMSprop down, and it was to be the other way round.
        """
        return [-1000.0] + 999 * [1.0]

    def mistake_balanced():
        """Your gradients cancel for both optimizers, and the weight goes nowhere."""
        return [1.0, -1.0]

    def mistake_too_little():
        """SGD goes down, and RMSprop gets no further than 1 in either direction.

        It doesn't agree any more, but it isn't led astray yet.
        """
        return [1.0001, -1.0]
