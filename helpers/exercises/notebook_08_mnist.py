"""The exercises of notebook 08, MNIST."""

import copy
import functools
import statistics

import torch
from torch import nn

from helpers.exercises.base import Function, Value


def held(facts, tests, given=None):
    """Return the facts as conditions, of which only the first broken one counts.

    The tests are functions, so that those after it needn't be possible any more.
    What was given tells the outcomes apart that break the same condition.
    """
    for fact, test in zip(facts, tests, strict=True):
        if not test():
            return dict.fromkeys(facts, True) | {fact: False, "what is given": given}
    return dict.fromkeys(facts, True)


class steps(Value):
    """How many optimizer steps two recipes take."""

    number = "8.1"
    tolerance = 1e-6  # one step more or less would be wrong
    hints = (
        "One step for each batch, and an epoch goes through all training images. How "
        "many of those are there, once the validation images are put aside?",
        "Neither 32 nor 512 divides that number. What becomes of the images that are "
        "left over at the end of an epoch?",
    )
    right = (
        "The fast recipe takes forty times fewer steps. But it looks at images only "
        "two and a half times less often: the rest of its speed is that one step on "
        "512 images costs much less than sixteen steps on 32."
    )

    def probe(answer):
        return answer.tolist() if hasattr(answer, "tolist") else answer

    def solution():
        # The last batch of an epoch is a smaller one, and it is a step like the rest.
        usual = 5 * 1563  # 1562 batches of 32, and one of 16
        fast = 2 * 98  # 97 batches of 512, and one of 336
        return [usual, fast]

    def mistake_rounded_down():
        """The images left over at the end of an epoch get a step, too."""
        return [7810, 194]

    def mistake_fractions():
        """A step is taken or it isn't. There are no fractions of one."""
        return [7812.5, 195.3125]

    def mistake_rounded_once():
        """Nearly. Every epoch ends with a batch of its own, so round every epoch."""
        return [7813, 196]

    def mistake_one_epoch():
        """That is one epoch of each."""
        return [1563, 98]

    def mistake_all_images():
        """You count images that are never trained on: a sixth was put aside."""
        return [9375, 236]

    def mistake_five_epochs():
        """The fast recipe of bar 8 has fewer epochs than the usual one."""
        return [7815, 490]

    def mistake_order():
        """The two are in the wrong order: the usual recipe comes first."""
        return [196, 7815]

    def mistake_images():
        """That is how many images go through the network. Count the steps."""
        return [250_000, 100_000]


class sweep(Value):
    """How often luck alone separates three runs from three others."""

    number = "8.2"
    tolerance = 0.03  # for those who simulate
    hints = (
        "Forget the accuracies and keep the order: six runs in a row, from worst to "
        "best. If only luck decides, every order is as likely as any other.",
        "Write a U for each run of the usual recipe and an F for each of the fast one. "
        "How many different words of three U and three F are there? And how many of "
        "them are what you are looking for?",
        "A simulation finds it, too: shuffle six numbers, give three to each, compare "
        "the smallest of one with the largest of the other. And then the reverse.",
    )
    right = (
        "So three runs against three, however clean the victory, leave one chance in "
        "ten that it was luck. With five against five it is less than one in a hundred."
    )

    def solution():
        # Which three of the six places belong to the usual recipe? There are 20
        # choices, all equally likely, and in 2 of them (the three best, the three
        # worst) the recipes lie apart.
        return 2 / 20

    def mistake_one_side():
        """Either recipe may be the one on top, and you count only one of the two."""
        return 1 / 20

    def mistake_percent():
        """That is a percentage. Asked for is a number between 0 and 1."""
        return 10

    def mistake_pairs():
        """You compare run with run, in three pairs.

        But every run of one recipe must be above every run of the other.
        """
        return 2 * 0.5**3

    def mistake_pairs_one_side():
        """Three pairs won by one recipe: neither is it enough that each run beats
        one other, nor may only one of the recipes win.
        """
        return 0.5**3

    def mistake_nine_coins():
        """There are nine comparisons, but they aren't nine tosses of a coin.

        A run that beats the best of the others has beaten them all.
        """
        return 2 * 0.5**9

    def mistake_nine_coins_one_side():
        """You toss a coin for each of nine comparisons, but they hang together.

        (And which recipe is on top doesn't matter.)
        """
        return 0.5**9

    def mistake_orders():
        """There are 720 orders of six runs, and more than two of them qualify.

        Among themselves, the runs of one recipe may stand in any order.
        """
        return 2 / 720

    def mistake_even():
        """A half would be right for one run of each."""
        return 0.5


class Card:
    """A graphics card in miniature, with a clock of its own.

    `costs` are the seconds of its calls, the first of which is a slow one. It may be
    busy with something else to begin with.
    """

    def __init__(self, costs, busy=0.0):
        self.costs, self.busy_until, self.now = iter(costs), busy, 0.0

    def work(self):
        """Take on a call, and return at once (nearly)."""
        self.now += 0.01
        self.busy_until = max(self.now, self.busy_until) + next(self.costs, 1.0)

    def wait(self):
        """Return when there is nothing left to do."""
        self.now = max(self.now, self.busy_until)

    def clock(self):
        """Return the time."""
        return self.now


class Button:
    """A function of a card's, with a name to show."""

    def __init__(self, function):
        self.function, self.__name__ = function, function.__name__

    def __call__(self):
        """Press it."""
        return self.function()

    def __repr__(self):
        return f"the card's {self.__name__}()"


class seconds_per_call(Function):
    """Mend a stopwatch for a device that runs ahead."""

    number = "8.3"
    hints = (
        "Follow it with a pencil, for a card that needs 2 seconds for each call. What "
        "does the clock say when work() returns?",
        "Before a stopwatch is started, the card must have nothing left to do, and "
        "neither may it when the stopwatch is read. Where does that take a wait()?",
        "The call that isn't counted comes before the loop, and it has to be over "
        "when the loop begins.",
    )
    right = (
        "On a real card, `wait` is `torch.accelerator.synchronize` and `clock` is "
        "`time.perf_counter`. Many a miraculous speed-up on the internet is a missing "
        "wait."
    )

    def inputs():
        cards = [
            ([9.0, 2.0, 2.0, 2.0], 0.0),
            ([5.0, 0.3, 0.2, 4.0, 0.25, 0.35], 0.0),
            ([3.0, 0.5], 7.0),
            ([6.0, 1.0, 3.0], 0.0),
            ([2.0, 0.1, 0.4, 0.2, 0.8], 20.0),
            ([0.001, 0.002, 0.004, 0.003], 0.0),
        ]
        for costs, busy in cards:
            card = Card(costs, busy)
            buttons = [Button(f) for f in (card.work, card.wait, card.clock)]
            yield (*buttons, len(costs) - 1)

    def solution(work, wait, clock, times):
        import statistics

        work()  # the slow one, which isn't counted
        taken = []
        for _ in range(times):
            wait()  # whatever came before is not to be billed
            began = clock()
            work()
            wait()  # work() returns at once, and the card goes on
            taken.append(clock() - began)
        return statistics.median(taken)

    def mistake_runs_ahead(work, wait, clock, times):
        """You time how long it takes to *ask* for the work.

        The clock is read while the card is still busy.
        """
        work()
        wait()
        taken = []
        for _ in range(times):
            began = clock()
            work()
            taken.append(clock() - began)
            wait()
        return statistics.median(taken)

    def mistake_first_counted(work, wait, clock, times):
        """The first call is the slow one, and it is among those that you count."""
        wait()
        taken = []
        for _ in range(times):
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return statistics.median(taken)

    def mistake_first_and_queue_counted(work, wait, clock, times):
        """You count the slow first call, and whatever the card had to do before it."""
        taken = []
        for _ in range(times):
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return statistics.median(taken)

    def mistake_not_over(work, wait, clock, times):
        """The uncounted call is still going on when your stopwatch starts.

        So the first timing pays for it, and for everything before it.
        """
        work()
        taken = []
        for _ in range(times):
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return statistics.median(taken)

    def mistake_mean(work, wait, clock, times):
        """Each call is timed as it should be.

        But you take their mean, and a single hiccup of the machine spoils it.
        """
        work()
        wait()
        began = clock()
        for _ in range(times):
            work()
            wait()
        return (clock() - began) / times

    def mistake_all_at_once(work, wait, clock, times):
        """You time all the calls together.

        That hides what it costs to hand them over, and a single hiccup spoils it.
        """
        work()
        wait()
        began = clock()
        for _ in range(times):
            work()
        wait()
        return (clock() - began) / times

    def mistake_quickest(work, wait, clock, times):
        """Each call is timed as it should be. Asked for is not the quickest one."""
        work()
        taken = []
        for _ in range(times):
            wait()
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return min(taken)

    def mistake_lower_median(work, wait, clock, times):
        """Nearly: of an even number of timings, you take the lower of the middle two.

        (torch.median does that.) The median lies half-way between them.
        """
        work()
        taken = []
        for _ in range(times):
            wait()
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return torch.tensor(taken).median().item()

    def mistake_upper_median(work, wait, clock, times):
        """Nearly: of an even number of timings, you take the upper of the middle two.

        The median lies half-way between them.
        """
        work()
        taken = []
        for _ in range(times):
            wait()
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return sorted(taken)[len(taken) // 2]

    def mistake_unsorted(work, wait, clock, times):
        """The timing in the middle of your list needn't be in the middle by size."""
        work()
        taken = []
        for _ in range(times):
            wait()
            began = clock()
            work()
            wait()
            taken.append(clock() - began)
        return taken[len(taken) // 2]


def linear_reader(x, means, weight=1.0, bias=-0.5):
    """Return a linear layer from mean images, with factors to go wrong by."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(*means.T.shape))
    with torch.no_grad():
        network[1].weight.copy_(weight * means)
        network[1].bias.copy_(bias * means.square().sum(dim=1))
    return network


def mean_images(x, y, mean=True):
    """Return the mean (or the sum) of each class's images, flattened."""
    parts = [x[y == label].flatten(1) for label in range(int(y.max()) + 1)]
    return torch.stack([p.mean(dim=0) if mean else p.sum(dim=0) for p in parts])


class mean_reader(Function):
    """A linear layer that answers with the nearest mean."""

    number = "8.4"
    hints = (
        "Multiply out the distance of an image x from a mean m: |x|² − 2 x·m + |m|², "
        "where x·m multiplies pixel by pixel and adds up. Which of the three terms "
        "doesn't depend on the class?",
        "That term can be dropped. What remains is linear in x, as the logit of a "
        "class should be, but smallest for the nearest mean, where it should be "
        "largest.",
        "A row of `weight` meets x, pixel by pixel, and `bias` is added: so which "
        "number that knows nothing of x is the bias? Set both in `torch.no_grad()`.",
    )
    right = (
        "On the page's data it reads about four in five validation images, and was "
        "never trained. A first linear layer begins as noise; it could begin as this."
    )

    def inputs():
        x = torch.tensor([[0.0, 1.0], [0.0, 3.0], [4.0, 0.0]]).reshape(3, 1, 1, 2)
        new = torch.tensor([[0.0, 2.0], [2.5, 0.0], [1.0, 0.0], [1.0, 0.5], [2.0, 2.5]])
        yield x, torch.tensor([0, 0, 1]), new.reshape(5, 1, 1, 2)
        for classes, rows, columns, size in [(3, 4, 4, 1), (10, 5, 3, 1), (4, 2, 2, 3)]:
            ink = torch.linspace(0.2, 1, classes)[torch.randperm(classes)]
            pattern = torch.rand(classes, 1, rows, columns) * ink.reshape(-1, 1, 1, 1)
            y = torch.cat([torch.arange(classes), torch.randint(classes, (60,))])
            y = y[torch.randperm(len(y))]
            x = (pattern[y] + 0.1 * torch.rand(len(y), 1, rows, columns)) * size
            near = pattern[torch.arange(60) % classes]
            new = (near + 0.4 * torch.randn(60, 1, rows, columns)) * size
            yield x, y, new
        x = torch.rand(9, 2, 2, 1, dtype=torch.float64) + 3
        yield x, torch.arange(9) % 3, torch.rand(20, 2, 2, 1, dtype=torch.float64) + 3
        yield torch.rand(2, 1, 1, 1), torch.tensor([0, 1]), torch.rand(20, 1, 1, 1)

    def probe(answer, x, y, new):
        network = answer(x, y)
        facts = {"a network comes back": isinstance(network, nn.Module)}
        one = "the only layer with weights is one nn.Linear"
        shape = "each image gets as many logits as there are digits"
        if not isinstance(network, nn.Module):
            return facts | {one: True, shape: True, "its reading": x}
        layers = [m for m in network.modules() if [*m.parameters(recurse=False)]]
        facts[one] = [type(layer) for layer in layers] == [nn.Linear]
        with torch.no_grad():
            first = next(network.parameters(), new)
            logits = network(new.to(first.device, first.dtype))
        facts[shape] = logits.shape == (len(new), int(y.max()) + 1)
        return facts | {"its reading": logits.argmax(dim=-1).tolist()}

    def solution(x, y):
        # |x - m|² = |x|² - 2 x·m + |m|². Leave out |x|², which is the same for all
        # classes, and multiply by -1/2: what was the smallest is now the largest.
        images = x.flatten(1)
        classes = int(y.max()) + 1
        means = torch.stack([images[y == c].mean(dim=0) for c in range(classes)])
        network = nn.Sequential(nn.Flatten(), nn.Linear(images.shape[1], classes))
        with torch.no_grad():
            network[1].weight.copy_(means)
            network[1].bias.copy_(-means.square().sum(dim=1) / 2)
        return network

    def mistake_no_bias(x, y):
        """It likes the mean with most ink, whatever it is shown.

        The weights are good, but the biases don't tell the means apart.
        """
        return linear_reader(x, mean_images(x, y), bias=0)

    def mistake_whole(x, y):
        """It likes the means with little ink too much.

        Weights and biases are of the right kind, but they don't fit each other: look at
        the factors once more.
        """
        return linear_reader(x, mean_images(x, y), bias=-1)

    def mistake_sign(x, y):
        """It likes the means with much ink even better than without a bias.

        Check the signs.
        """
        return linear_reader(x, mean_images(x, y), bias=0.5)

    def mistake_farthest(x, y):
        """It takes each image for the digit whose mean is farthest away."""
        return linear_reader(x, mean_images(x, y), weight=-1, bias=0.5)

    def mistake_sums(x, y):
        """It uses the sum of each digit's images.

        A digit that occurs more often must not weigh more.
        """
        return linear_reader(x, mean_images(x, y, mean=False))

    def mistake_square_of_sum(x, y):
        """The weights are right.

        In the bias you add up first and square then; it is the other way round.
        """
        network = linear_reader(x, mean_images(x, y))
        with torch.no_grad():
            network[1].bias.copy_(-network[1].weight.sum(dim=1).square() / 2)
        return network

    def mistake_mean_of_squares(x, y):
        """The weights are right.

        For the bias you take a mean over the pixels, where the distance has a sum.
        """
        network = linear_reader(x, mean_images(x, y))
        with torch.no_grad():
            network[1].bias.copy_(-network[1].weight.square().mean(dim=1) / 2)
        return network

    def mistake_fresh(x, y):
        """The layer still has the random weights with which it was made."""
        return nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), int(y.max()) + 1))

    def mistake_angle(x, y):
        """You compare directions, as if all means were equally long.

        Distances are something else.
        """
        means = mean_images(x, y)
        return linear_reader(x, means / means.norm(dim=1, keepdim=True), bias=0)


def slope(model, images, labels):
    """Return the gradient of the mean loss with respect to the pixels."""
    images = images.detach().clone().requires_grad_()
    loss = nn.functional.cross_entropy(model(images), labels)
    return torch.autograd.grad(loss, images)[0]


class fooled(Function):
    """Move every pixel a little, so that the loss rises as far as possible."""

    number = "8.5"
    hints = (
        "What would training do? Forward, backward, and then a step of the weights, "
        "downhill. Here something else takes a step, and in another direction.",
        "Make a copy of the images that asks for gradients. After `backward()`, its "
        "`grad` says for each pixel which way the loss rises.",
        "Each pixel may go as far as `most`, whether its slope is steep or gentle. So "
        "which part of its slope matters, and which doesn't?",
    )
    right = (
        "No pixel moves far, but there are 784 of them and all pull the same way. That "
        "adds up, and it is why large networks are fooled as well."
    )

    def inputs():
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        images = torch.tensor([[0.0, 0.2, 0.5, 1.0], [1.0, 0.9, 0.1, 0.3]])
        images = images.reshape(2, 1, 2, 2)
        yield model, images, torch.tensor([0, 2]), 0.1
        for hidden, count, most in [(8, 20, 0.05), (16, 30, 0.02), (8, 1, 0.1)]:
            layers = nn.Flatten(), nn.Linear(36, hidden), nn.ReLU()
            model = nn.Sequential(*layers, nn.Linear(hidden, 10))
            images = torch.rand(count, 1, 6, 6)
            labels = model(images).argmax(dim=1)  # all of them read rightly
            if hidden == 16:  # and here hardly one
                labels = torch.randint(10, (count,))
            yield model, images, labels, most
        model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()
        images = (torch.rand(5, 1, 3, 3) > 0.5).double()  # nothing but ink and paper
        yield model, images, torch.tensor([0, 1, 0, 1, 1]), 0.3

    def probe(answer, model, images, labels, most):
        given = images.clone()
        new = answer(model, images, labels, most)
        images = given
        facts = [
            "a tensor with the shape of `images` comes back",
            "every pixel is a number from 0 to 1",
            "no pixel is moved by more than `most`",
            "some pixels are moved",
            "the loss is higher than before",
            "the loss is about as high as such small moves can make it",
        ]

        def loss(x):
            with torch.no_grad():
                return nn.functional.cross_entropy(model(x.to(images)), labels)

        def far():
            step = most * slope(model, images, labels).sign()
            return loss((images + step).clamp(0, 1))

        before = loss(images)
        tests = [
            lambda: isinstance(new, torch.Tensor) and new.shape == images.shape,
            lambda: bool((new >= -1e-6).all() and (new <= 1 + 1e-6).all()),
            lambda: bool(((new - images).abs() <= most + 1e-6).all()),
            lambda: bool(((new - images).abs() > 1e-4 * most).any()),
            lambda: bool(loss(new) > before),
            lambda: bool(loss(new) - before > 0.9 * (far() - before)),
        ]
        return held(facts, tests, given)

    def solution(model, images, labels, most):
        # The pixels are what is changed, so the gradient is asked for them.
        pixels = images.detach().clone().requires_grad_()
        loss = nn.functional.cross_entropy(model(pixels), labels)
        loss.backward()
        # Uphill, each pixel all the way: a gentle slope counts like a steep one.
        moved = images + most * pixels.grad.sign()
        # Ink can't be blacker than black, nor paper whiter than white.
        return moved.clamp(0, 1)

    def mistake_no_clamp(model, images, labels, most):
        """Some of your pixels are less than paper or more than ink."""
        return images + most * slope(model, images, labels).sign()

    def mistake_downhill(model, images, labels, most):
        """You go downhill, and the model is surer of the label than ever."""
        return (images - most * slope(model, images, labels).sign()).clamp(0, 1)

    def mistake_gradient(model, images, labels, most):
        """The direction is right, but most pixels hardly move.

        A pixel with a gentle slope could go just as far as one with a steep slope.
        """
        return (images + most * slope(model, images, labels)).clamp(0, 1)

    def mistake_too_far(model, images, labels, most):
        """You forgot `most`: each pixel goes a whole 1 up or down."""
        return (images + slope(model, images, labels).sign()).clamp(0, 1)

    def mistake_unchanged(model, images, labels, most):
        """The images come back as they were."""
        return images.clone()

    def mistake_own_answers(model, images, labels, most):
        """You move away from the model's own answer.

        Where that was wrong to begin with, you help it.
        """
        own = model(images).argmax(dim=1)
        return (images + most * slope(model, images, own).sign()).clamp(0, 1)

    def mistake_noise(model, images, labels, most):
        """You move the pixels without asking which way.

        Among hundreds of random moves, about half undo what the others do.
        """
        images = images + most * (2 * torch.arange(images[0].numel()) % 4 - 1).reshape(
            images[0].shape
        )
        return images.clamp(0, 1)

    def mistake_weights(model, images, labels, most):
        """It is the model that you change.

        The images were to be moved, and the model is to stay as it is.
        """
        loss = nn.functional.cross_entropy(model(images), labels)
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for weight, gradient in zip(parameters, gradients, strict=True):
                weight += most * gradient
        return images.clone()


class Labels:
    """Sells the labels of images, and keeps the books."""

    def __init__(self, labels):
        self.labels, self.sold = labels, []

    def __call__(self, numbers):
        """Return the labels of the images with these numbers."""
        numbers = torch.as_tensor(numbers).detach().cpu()
        if numbers.dtype == torch.bool:
            numbers = numbers.nonzero()
        numbers = numbers.flatten().long()
        found = self.labels[numbers]
        self.sold += (numbers % len(self.labels)).tolist()
        return found

    def __repr__(self):
        return "a function that gives labels"


@functools.cache
def some_mnist():
    """Return 10,000 of the page's training images and 2,000 validation images."""
    from helpers.data import load_mnist

    x, y = load_mnist().train
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    rows = order[:10_000], order[50_000:52_000]
    return (*((x[part], y[part]) for part in rows),)


def small_network(x, y, epochs):
    """Return a network trained on a few images in the plainest way."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.004, fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
    return network


class learn_from_a_thousand(Function):
    """A thousand labels, and as much as possible made of them."""

    number = "8.6"
    hints = (
        "A thousand labels bought at once, at random, bring you to 89 or 90 %. Buy a "
        "part of them and train on it. What does the network know now about those "
        "nine thousand images and more that have no label yet?",
        "Its probabilities tell which images it is sure of. The label of such an image "
        "would teach it little. Which ones would teach it more?",
        "Buy in several rounds, a hundred or two at a time, and train a little in "
        "between. Each time, take those for which the two largest probabilities lie "
        "closest together, and never one that you have already.",
        "Or stretch what you buy: notebook 06 moved images about to make more of them. "
        "The two ways get on well with each other.",
    )
    right = (
        "On this page it took three times as many labels, drawn at random, to get "
        "about as far. Choosing what to label is called active learning."
    )
    may_change_inputs = True  # x is a copy

    def inputs():
        (x, y), _ = some_mnist()
        yield x.clone(), Labels(y)

    def probe(answer, x, ask):
        network = answer(x, ask)
        _, (new, labels) = some_mnist()
        facts = [
            "a network comes back",
            "it asks for labels",
            "it asks for 1,000 labels at most",
            "no image's label is asked for twice",
            "the network gives ten logits for each image",
            "the network is right about more than two in five of 2,000 new images",
            "the network is right about more than 85 % of 2,000 new images",
            "the network is right about at least 91 % of 2,000 new images",
        ]

        @functools.cache
        def logits():
            judged = copy.deepcopy(network).eval()
            some = next(judged.parameters(), new)
            with torch.no_grad():
                return judged(new.to(some.device, some.dtype)).cpu()

        def share():
            return (logits().argmax(dim=1) == labels).double().mean().item()

        tests = [
            lambda: isinstance(network, nn.Module),
            lambda: len(ask.sold) > 0,
            lambda: len(set(ask.sold)) <= 1000,
            lambda: len(set(ask.sold)) == len(ask.sold),
            lambda: logits().shape == (len(new), 10),
            lambda: share() > 0.4,
            lambda: share() > 0.85,
            lambda: share() >= 0.91,
        ]
        return held(facts, tests)

    def solution(x, ask):
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=0.004, fused=True)
        loss_fn = nn.CrossEntropyLoss()
        # To begin with, any two hundred will do.
        mine = torch.randperm(len(x))[:200]
        labels = ask(mine)
        while True:
            # A few epochs on what there is; the network is kept from round to round.
            for _ in range(5):
                for rows in torch.randperm(len(mine)).split(32):
                    optimizer.zero_grad()
                    loss = loss_fn(network(x[mine[rows]]), labels[rows])
                    loss.backward()
                    optimizer.step()
            if len(mine) == 1000:
                return network
            # It is in doubt where its two best guesses are about equally likely.
            with torch.no_grad():
                best = network(x).softmax(dim=1).topk(2).values
            lead = best[:, 0] - best[:, 1]
            lead[mine] = 2  # these have a label
            chosen = lead.argsort()[:100]
            mine = torch.cat([mine, chosen])
            labels = torch.cat([labels, ask(chosen)])

    def mistake_at_random(x, ask):
        """That is about what an ordinary training on a thousand images brings.

        Every label costs the same, but do they all teach the same? And is there nothing
        else that you know about these images?
        """
        return small_network(x[:1000], ask(torch.arange(1000)), epochs=12)

    def mistake_too_little(x, ask):
        """A thousand images taken at random would do better than this.

        Either the training ends too early, or you buy labels that tell the network
        nothing new.
        """
        return small_network(x[:1000], ask(torch.arange(1000)), epochs=1)

    def mistake_mixed_up(x, ask):
        """It reads hardly better than somebody who guesses.

        Do the labels belong to the images that you train on, in the same order? And is
        it the trained network that you return?
        """
        return small_network(x[:300], ask(torch.arange(300)).flip(0), epochs=2)

    def mistake_unlimited(x, ask):
        """You are over your budget. Count all the labels of all the rounds."""
        return small_network(x[:64], ask(torch.arange(len(x)))[:64], epochs=1)

    def mistake_twice(x, ask):
        """You buy a label that you have already.

        It teaches nothing new, and is paid for again.
        """
        numbers = torch.arange(64).repeat(2)
        return small_network(x[numbers], ask(numbers), epochs=1)

    def mistake_no_labels(x, ask):
        """You never ask for a label, so what could the network have learned from?"""
        return small_network(x[:0], torch.tensor([]), epochs=0)

    def mistake_no_network(x, ask):
        """Return the trained network itself; it is tested on images of its own."""
        return ask([0])
