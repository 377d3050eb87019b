"""The exercises of notebook 02, autograd."""

import torch

from helpers.exercises import base
from helpers.exercises.compare import numbers


class two_walks(base.Value):
    """What two calls of backward() leave in a gradient."""

    number = "2.1"
    hints = (
        "Take one walk at a time. What does the first leave in `a.grad`, and does "
        "anything clear it before the second?",
        "For the second walk, `y.detach()` is a plain number, the value of y. What is "
        "the slope of z then?",
    )
    right = (
        "The second walk saw a times a number, and not a cubed: `detach` keeps the "
        "value and cuts the path. What the first had left was still there."
    )

    def solution():
        # The slope of a² is 2a.
        first = 2 * 5
        # y.detach() is a plain 25, so z is a · 25, with the slope 25.
        second = 25
        # Nobody has cleared anything: the two add up.
        return first + second

    def mistake_cleared():
        """That is what the second walk brings. What was in `a.grad` before it?"""
        return 25

    def mistake_first_only():
        """That is what the first walk brings.

        In the second, the path through y is cut; is there another one?
        """
        return 10

    def mistake_cube():
        """You take z for a³, and the second walk for the only one.

        What does `detach` do?
        """
        return 75

    def mistake_cube_added():
        """You have added up both walks. But the second didn't go through y as well."""
        return 85

    def mistake_wrong_half():
        """In the second walk you followed the path that is cut, not the one left."""
        return 60

    def mistake_first_again():
        """You have added up two walks, but the second brings another slope."""
        return 20

    def mistake_wrong_half_only():
        """You have followed the path that is cut, and forgotten the first walk."""
        return 50


class _Named:
    """A function with a text to show."""

    def __init__(self, function, text):
        self.function, self.text = function, text

    def __call__(self, x):
        return self.function(x)

    def __repr__(self):
        return self.text


def _cubes(x):
    return (x**3).sum()


def _chain(x):
    flat = x.flatten()
    by_columns = (x.sum(dim=0) ** 2).sum()  # so that the shape matters
    return (flat[1:] * flat[:-1] ** 2).sum() + flat.prod() + by_columns


def _sine(x):
    return torch.sin(x * x).sum()


def _nudged(f, x, h, i):
    """Return the central difference in one element."""
    nudge = torch.zeros(x.numel(), dtype=x.dtype)
    nudge[i] = h
    nudge = nudge.reshape(x.shape)
    return (f(x + nudge) - f(x - nudge)) / (2 * h)


def _left_nudged(f, x, h):
    """Nudge an element up and down, and don't put it back."""
    slopes = []
    for i in range(x.numel()):
        nudge = torch.zeros(x.numel(), dtype=x.dtype)
        nudge[i] = h
        nudge = nudge.reshape(x.shape)
        x += nudge
        up = f(x)
        x -= 2 * nudge
        slopes.append((up - f(x)) / (2 * h))
    return torch.stack(slopes).reshape(x.shape)


class numerical_gradient(base.Function):
    """A gradient by central differences, element by element."""

    number = "2.2"
    hints = (
        "For one element: make a copy of x in which it is h larger, another in which "
        "it is h smaller, and call f on both.",
        "A table of zeros with h in one place can be added to x, and taken away from "
        "it. The other elements stay what they are, and so does x.",
        "To number the elements of a tensor of any shape, make the zeros flat, with "
        "`x.numel()` places. Then `reshape` them to the shape of x.",
    )
    right = (
        "For n weights you call f 2n times, and backward() walks once. So this is for "
        "checking a gradient, and for a million weights nobody would train with it."
    )

    def inputs():
        cubes, chain = _Named(_cubes, "the sum of x³"), _Named(_chain, "a polynomial")
        sine = _Named(_sine, "the sum of sin(x²)")
        yield cubes, torch.tensor([1.0, 2.0]), 0.1
        yield chain, torch.randn(2, 3, dtype=torch.float64), 0.05
        yield sine, torch.tensor(3.0, dtype=torch.float64), 1e-4
        yield chain, torch.randn(3, 2, dtype=torch.float64).T, 1e-3
        yield sine, torch.randn(1, dtype=torch.float64), 0.2
        yield chain, torch.randn(2, 1, 2, dtype=torch.float64), 0.01

    def probe(answer, f, x, h):
        result = answer(f, x, h)
        zeros = hasattr(result, "any") and not result.any()
        return {"at least one of the slopes isn't 0": not zeros, "the result": result}

    def solution(f, x, h):
        slopes = []
        for i in range(x.numel()):
            # Zeros, with h in one place: the other elements stay as they are.
            nudge = torch.zeros(x.numel(), dtype=x.dtype)
            nudge[i] = h
            nudge = nudge.reshape(x.shape)
            # x + nudge is a new tensor, so there is nothing to put back.
            slopes.append((f(x + nudge) - f(x - nudge)) / (2 * h))
        return torch.stack(slopes).reshape(x.shape)

    def mistake_nothing(f, x, h):
        """Nothing comes back: is a `return` missing?"""

    def mistake_together(f, x, h):
        """You nudge all elements at once, which gives one slope for all together."""
        return (f(x + h) - f(x - h)) / (2 * h)

    def mistake_together_spread(f, x, h):
        """You nudge all elements at once, and so all get the same slope."""
        return torch.full_like(x, ((f(x + h) - f(x - h)) / (2 * h)).item())

    def mistake_one_way(f, x, h):
        """You nudge upwards only. Nudging to both sides is far more exact."""
        slopes = []
        for i in range(x.numel()):
            nudge = torch.zeros(x.numel(), dtype=x.dtype)
            nudge[i] = h
            slopes.append((f(x + nudge.reshape(x.shape)) - f(x)) / h)
        return torch.stack(slopes).reshape(x.shape)

    def mistake_distance(f, x, h):
        """Twice too large: how far apart are the two points you compare?"""
        return 2 * numerical_gradient.solution(f, x, h)

    def mistake_downwards(f, x, h):
        """The wrong sign: which of the two comes first in the difference?"""
        return -numerical_gradient.solution(f, x, h)

    def mistake_not_put_back(f, x, h):
        """An element that has been nudged stays so while you nudge the next one."""
        return _left_nudged(f, x.clone(), h)

    def mistake_not_put_back_in_x(f, x, h):
        """You nudge the caller's tensor, and don't put its elements back."""
        return _left_nudged(f, x, h)

    def mistake_list(f, x, h):
        """The numbers are right, but they lie in one long row.

        They should lie as the elements of `x` do.
        """
        slopes = [_nudged(f, x, h, i) for i in range(x.numel())]
        return torch.stack(slopes)

    def mistake_copy(f, x, h):
        """Right, except for a tensor that has been turned on its side.

        Of such a one `reshape` and `flatten` make a copy: you nudge the copy, and
        `f` never hears of it.
        """
        if x.is_contiguous():
            return numerical_gradient.solution(f, x, h)
        return torch.zeros_like(x)

    def mistake_one_tensor(f, x, h):
        """You compare f with itself.

        `up = x` makes no copy: nudged up by one name and down by the other, it is
        what it was.
        """
        return torch.zeros_like(x)

    def mistake_old_moves(f, x, h):
        """The old number that you set aside is no copy: it changes with the tensor.

        So what you put back isn't what was there.
        """
        flat, slopes = x.reshape(-1), []
        for i in range(x.numel()):
            old = flat[i]
            flat[i] = old + h
            up = f(x).clone()
            flat[i] = old - h
            slopes.append((up - f(x)) / (2 * h))
            flat[i] = old
        return torch.stack(slopes).reshape(x.shape)

    def mistake_flat(f, x, h):
        """You hand f one long row. It should get what it gets elsewhere: a tensor
        of the shape of `x`."""
        flat, slopes = x.flatten(), []
        for i in range(x.numel()):
            nudge = torch.zeros_like(flat)
            nudge[i] = h
            slopes.append((f(flat + nudge) - f(flat - nudge)) / (2 * h))
        return torch.stack(slopes).reshape(x.shape)

    def mistake_rows(f, x, h):
        """You nudge whole rows at a time. With two dimensions, `x[i]` is a row."""
        if x.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        result = torch.zeros_like(x)
        for i in range(len(x)):
            nudge = torch.zeros_like(x)
            nudge[i] = h
            result[i] = (f(x + nudge) - f(x - nudge)) / (2 * h)
        return result

    def mistake_autograd(f, x, h):
        """That is the exact gradient.

        Here the measurement is wanted, with the error that comes of its `h`.
        """
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad(f(leaf), leaf)[0]


class Value:
    """A number of the notebook's engine."""

    def __init__(self, data, sources=()):
        self.data, self.sources, self.grad = data, sources, 0.0

    def __add__(self, other):
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        slopes = [(self, other.data), (other, self.data)]
        return Value(self.data * other.data, slopes)


def _slopes(output, *inputs):
    """Walk back, and return the slopes of the inputs; no `grad` is touched."""
    ordered, seen, slopes = [], set(), {id(output): 1.0}

    def visit(number):
        if id(number) not in seen:
            seen.add(id(number))
            for source, _ in number.sources:
                visit(source)
            ordered.append(number)

    visit(output)
    for number in reversed(ordered):
        for source, slope in number.sources:
            passed = slope * slopes.get(id(number), 0.0)
            slopes[id(source)] = slopes.get(id(source), 0.0) + passed
    return [slopes.get(id(number), 0.0) for number in inputs]


def _form(result):
    """Name what stands where a Value with its pairs should be."""
    if not (hasattr(result, "sources") and hasattr(result, "data")):
        return type(result).__name__
    for pair in result.sources:
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            return "no pairs"
        number, slope = pair
        if not hasattr(number, "sources"):
            return "slopes first" if hasattr(slope, "sources") else "plain numbers"
    return "a Value"


class divide(base.Function):
    """A quotient for the engine, with the slopes for its walk back."""

    number = "2.3"
    hints = (
        "Look at `__mul__` on the page: the data of the result, and for each of the "
        "two numbers a pair of that number and the slope.",
        "Keep b = 2 and nudge a: the quotient changes by half as much. Now keep a = 6 "
        "and let b be 2.001: by how much does it change, and in which direction?",
        "The slope of 1 / b is −1 / b². Here it is a times that.",
    )
    right = (
        "With `Value.__truediv__ = divide` your engine understands the sign `/`. Each "
        "of PyTorch's hundreds of operations comes with its slopes in this way."
    )

    def inputs():
        yield from ((6.0, 2.0), (1.0, 4.0), (-3.0, 0.5), (0.0, -2.0), (5.0, 1.0))
        yield tuple(torch.randn(2).tolist())

    def probe(answer, a, b):
        x, y = Value(a), Value(b)
        result = answer(x, y)
        form = _form(result)
        pairs = form == "a Value"
        facts = {
            "what comes back is a `Value`": hasattr(result, "sources"),
            "its `sources` are pairs of a `Value` and its slope": pairs,
            "what it is": form,
        }
        slopes = twice = a, b
        if pairs:
            # Divided once more, the result must pass on what arrives at it.
            slopes, twice = _slopes(result, x, y), _slopes(answer(result, y), x, y)
        facts["the quotient"] = result.data if pairs else 0.0
        facts["`a.grad`"], facts["`b.grad`"] = slopes
        facts["`a.grad` after the walk back from a / b / b"] = twice[0]
        facts["`b.grad` after the walk back from a / b / b"] = twice[1]
        return facts

    def solution(a, b):
        # Nudge a, and the quotient changes by 1/b of it: with a slope of 1/b.
        # Nudge b, and it shrinks: a times the slope of 1/b, which is −1/b².
        slopes = [(a, 1 / b.data), (b, -a.data / b.data**2)]
        return Value(a.data / b.data, slopes)

    def mistake_nothing(a, b):
        """Nothing comes back: is a `return` missing?"""

    def mistake_number(a, b):
        """A plain number comes back.

        The engine needs a `Value`, which remembers what it was computed from.
        """
        return a.data / b.data

    def mistake_slopes_alone(a, b):
        """A slope alone doesn't tell the walk back where to go.

        In `sources`, each stands in a pair with the number that it belongs to.
        """
        return Value(a.data / b.data, [1 / b.data, -a.data / b.data**2])

    def mistake_pairs_turned(a, b):
        """In each pair, the number comes first and its slope second."""
        return Value(a.data / b.data, [(1 / b.data, a), (-a.data / b.data**2, b)])

    def mistake_plain_numbers(a, b):
        """Your `sources` name plain numbers, which have no `grad` to add to.

        The walk back has to find the very objects you were given.
        """
        slopes = [(a.data, 1 / b.data), (b.data, -a.data / b.data**2)]
        return Value(a.data / b.data, slopes)

    def mistake_sign(a, b):
        """What happens to a quotient when the number below grows?"""
        return Value(a.data / b.data, [(a, 1 / b.data), (b, a.data / b.data**2)])

    def mistake_product(a, b):
        """Those are the slopes of a product."""
        return Value(a.data / b.data, [(a, b.data), (b, a.data)])

    def mistake_upside_down(a, b):
        """That is b divided by a."""
        return Value(b.data / a.data, [(b, 1 / a.data), (a, -b.data / a.data**2)])

    def mistake_constant(a, b):
        """The walk back never gets to `b`, as if it were a plain number."""
        return Value(a.data / b.data, [(a, 1 / b.data)])

    def mistake_no_sources(a, b):
        """The quotient is right, but it has forgotten where it came from."""
        return Value(a.data / b.data)

    def mistake_square(a, b):
        """Right for `a`, and not for `b`: at b = 1 you couldn't tell.

        At another place, nudge `b` and measure.
        """
        return Value(a.data / b.data, [(a, 1 / b.data), (b, -a.data / b.data)])

    def mistake_only_below(a, b):
        """For `b` that would be right if 1 were divided by it, and not `a`."""
        return Value(a.data / b.data, [(a, 1 / b.data), (b, -1 / b.data**2)])

    def mistake_like_the_other(a, b):
        """You treat both alike, as in a product.

        But one of them is above the line, and one below.
        """
        return Value(a.data / b.data, [(a, 1 / b.data), (b, 1 / a.data)])

    def mistake_swapped(a, b):
        """Each of them has the other's slope."""
        return Value(a.data / b.data, [(b, 1 / b.data), (a, -a.data / b.data**2)])


class no_slope(base.Value):
    """A point where a measured slope and backward() disagree."""

    number = "2.4"
    hints = (
        "A measured slope is wrong where the curve isn't nearly straight between x − h "
        "and x + h. Sketch g: where is it not smooth?",
        "relu bends where its input is 0. Its input here is x² − 2.",
        "h is small, so you must hit the bend to within a thousandth: give the number "
        "with four decimals or more.",
    )
    right = (
        "At a bend there is no slope: the measurement mixes both sides, and PyTorch "
        "takes one of them. (Far out, where x² is huge, rounding alone would do it.)"
    )

    def probe(answer):
        x = numbers(answer)
        if x is None or x.ndim:
            return {"the answer is a single number": False}
        if not x.isfinite():
            return {
                "the answer is a single number": True,
                "the number is finite": False,
            }
        h, place = 1e-3, abs(x.item())
        leaf = x.clone().requires_grad_()
        torch.relu(leaf * leaf - 2).backward()
        above, below = (torch.relu(at * at - 2) for at in (x + h, x - h))
        apart = abs(((above - below) / (2 * h) - leaf.grad).item())
        facts = {
            "the answer is a single number": True,
            "the number is finite": True,
            "the two slopes differ by more than 0.1": apart > 0.1,
            "what is there": "a difference",
        }
        if not apart > 0.1:
            ends = {0.01: "the bottom", 1.3: "flat", 1.5: "near", 1.99: "steep"}
            fitting = [name for end, name in ends.items() if place < end]
            other = "two" if place < 2.01 else "steep"
            facts["what is there"] = fitting[0] if fitting else other
        return facts

    def solution():
        # relu bends where x² − 2 is 0. A bit to the left of that, backward() says 0,
        # and of the measurement's two ends one is already on the slope.
        return 1.4142

    def mistake_bottom():
        """At 0 relu itself has its bend, but what goes into it here isn't x."""
        return 0.0

    def mistake_flat():
        """Here the curve is flat, as far as h reaches: both say 0."""
        return 1.0

    def mistake_steep():
        """Here the curve is smooth as far as h reaches, and both see the same slope."""
        return 3.0

    def mistake_two():
        """Ask where what goes into relu is 0. At this point it isn't yet."""
        return 2.0

    def mistake_near():
        """You are near. But h is a thousandth, and you are farther away than that."""
        return 1.41


class update_averages(base.Function):
    """A running average of weights, in place and off the record."""

    number = "2.5"
    hints = (
        "`average = …` makes a new tensor and gives it the name `average`. Which "
        "tensor does the list hold then?",
        "A tensor's own numbers are overwritten by `average[:] = …`, by `copy_` and "
        "by all the other methods with an underscore at the end.",
        "The weights require gradients, so whatever you compute from them is recorded, "
        "even if it goes into a tensor that required none. Which block stops that?",
    )
    right = (
        "`average.lerp_(weight, 1 - keep)` does the arithmetic in one call. Recorded, "
        "each average would have held on to the graph of every step there ever was."
    )

    def inputs():
        three = torch.tensor([3.0, 4.0], requires_grad=True)
        yield [torch.tensor([1.0, 2.0])], [three], 0.9
        shapes = (
            [(3, 2), (3,)],
            [(1,), (2, 1, 2), (4,)],
            [(2,), (1, 3)],
            [(2, 2)],
            [(5,)],
        )
        for keep, sizes in zip((0.5, 0.99, 0.0, 0.1, 0.75), shapes, strict=True):
            dtype = torch.float64 if keep == 0.75 else torch.float32
            averages = [torch.randn(size, dtype=dtype) for size in sizes]
            weights = [torch.randn(size, dtype=dtype) for size in sizes]
            yield averages, [w.requires_grad_() for w in weights], keep

    def probe(answer, averages, weights, keep):
        held, before = list(averages), [weight.detach().clone() for weight in weights]
        answer(averages, weights, keep)
        same = map(torch.equal, before, weights)
        return {
            "the weights are what they were": all(same),
            "the averages that others hold": held,
            "no average requires a gradient": not any(
                average.requires_grad for average in held + list(averages)
            ),
            "each weight still is a leaf that requires its gradient": all(
                weight.is_leaf and weight.requires_grad for weight in weights
            ),
        }

    def solution(averages, weights, keep):
        # Nothing in this block is recorded.
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                # copy_ writes into the tensor that the list holds.
                average.copy_(keep * average + (1 - keep) * weight)

    def mistake_as_it_was(averages, weights, keep):
        """Nothing has changed.

        Your new numbers are in new tensors, which nobody holds when the loop goes on.
        """
        for average, weight in zip(averages, weights, strict=True):
            average = keep * average + (1 - keep) * weight

    def mistake_in_the_list(averages, weights, keep):
        """You have put new tensors into the list.

        Whoever holds the old ones doesn't see them.
        """
        for i in range(len(averages)):
            averages[i] = keep * averages[i] + (1 - keep) * weights[i].detach()

    def mistake_list_and_graph(averages, weights, keep):
        """You have put new tensors into the list, which require gradients too.

        Whoever holds the old ones doesn't see them.
        """
        for i in range(len(averages)):
            averages[i] = keep * averages[i] + (1 - keep) * weights[i]

    def mistake_recorded(averages, weights, keep):
        """The numbers are right.

        But autograd was watching: the averages have a history now.
        """
        for average, weight in zip(averages, weights, strict=True):
            average.copy_(keep * average + (1 - keep) * weight)

    def mistake_shares(averages, weights, keep):
        """The two have each other's share.

        With 0.9 for `keep`, most of the old average should stay.
        """
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.copy_((1 - keep) * average + keep * weight)

    def mistake_whole_weight(averages, weights, keep):
        """You add the whole weight, so that the average grows and grows."""
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.copy_(keep * average + weight)

    def mistake_old_whole(averages, weights, keep):
        """You add the weight's share, and leave the old average its full size."""
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.add_((1 - keep) * weight)

    def mistake_into_the_weights(averages, weights, keep):
        """You write the averages into the weights, and so change the training."""
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                weight.copy_(keep * average + (1 - keep) * weight)

    def mistake_forgot_average(averages, weights, keep):
        """Of the old average nothing is left in the new one."""
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.copy_((1 - keep) * weight)

    def mistake_two_lines(averages, weights, keep):
        """Your second line uses an average that the first has already changed."""
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.mul_(keep)
                average.copy_(keep * average + (1 - keep) * weight)

    def mistake_first_only(averages, weights, keep):
        """Only the first average is right. Does the loop end too soon?"""
        with torch.no_grad():
            averages[0].copy_(keep * averages[0] + (1 - keep) * weights[0])


def _by_hand(x, y, w1, b1, w2, b2, fault=""):
    """Walk back through two layers, with one fault."""
    before = x @ w1 + b1 * (fault != "no b1")
    hidden = before if fault == "linear forward" else before.clamp(min=0)
    error = hidden @ w2 + b2 - y
    size = {"sum": 1, "rows": len(x)}.get(fault, error.numel())
    g = (1 if fault == "no two" else 2) * error / size
    g = -g if fault == "sign" else g
    add_up = torch.mean if fault == "bias mean" else torch.sum
    w2_grad, b2_grad = hidden.T @ g, add_up(g, dim=0)
    bends = {
        "no relu": torch.ones_like(before),
        "linear forward": torch.ones_like(before),
        "hidden": hidden,
        "slope": (g @ w2.T > 0).to(before),
    }
    g = g @ w2.T * bends.get(fault, (before > 0).to(before))
    return [x.T @ g, add_up(g, dim=0), w2_grad, b2_grad]


class gradients(base.Function):
    """All four gradients of a network with a hidden layer, without autograd."""

    number = "2.6"
    hints = (
        "First forward, line by line as in `loss_of`, and give everything a name. Then "
        "go back line by line, with the slope of the loss with respect to each name. "
        "The first: what is the slope with respect to each element of the prediction?",
        "It is 2 · (prediction − y), divided by the number of elements that the mean "
        "was taken of. From there, w2 is reached as W was in `X @ W`, and the bias as "
        "in the cell about the linear layer.",
        "On to the hidden layer: the slope with respect to `hidden` is what you found "
        "in the Your turn about the slope with respect to X.",
        "relu passes a slope on where its input was above 0, and stops it elsewhere: "
        "multiply by a mask. After that, w1 and b1 are reached as w2 and b2 were.",
    )
    right = (
        "That is all there is: further layers repeat the same few lines. Autograd's "
        "merit is that you need to write only the way forward."
    )

    def inputs():
        def case(n, sizes, dtype=torch.float32):
            start, hidden, end = sizes
            shapes = (n, start), (n, end), (start, hidden), (hidden,)
            shapes += (hidden, end), (end,)
            return [torch.randn(shape, dtype=dtype) for shape in shapes]

        yield tuple(case(6, (3, 5, 2)))
        yield tuple(case(5, (2, 4, 1)))
        yield tuple(case(1, (4, 3, 3), torch.float64))
        x, y, w1, b1, w2, b2 = case(4, (4, 4, 4))
        yield x.T, y, w1.T, b1, w2.T, b2
        x, y, w1, b1, w2, b2 = case(6, (2, 5, 3))
        b1[0] -= 20  # this neuron is off for every example
        yield x, 100 * y, w1, b1, w2, b2
        yield tuple(case(8, (1, 2, 5)))

    def probe(answer, *given):
        with torch.no_grad():
            found = answer(*given)
        four = isinstance(found, list | tuple) and len(found) == 4
        kind = "four" if four else type(found).__name__
        facts = {"a list of four tensors comes back": four, "what it is": kind}
        # In the order of the walk, so that the first that is wrong is the cause.
        for name, place in {"b2": 3, "w2": 2, "b1": 1, "w1": 0}.items():
            facts[f"the gradient of {name}"] = (found if four else given)[place]
        return facts

    def solution(x, y, w1, b1, w2, b2):
        # Forward, with a name for everything that the way back needs.
        before = x @ w1 + b1
        hidden = torch.relu(before)
        error = hidden @ w2 + b2 - y
        # The slope at each element of the prediction: the mean divides by them all.
        slope = 2 * error / error.numel()
        w2_grad, b2_grad = hidden.T @ slope, slope.sum(dim=0)
        # On to the hidden layer, and only through the neurons that were on.
        slope = (slope @ w2.T) * (before > 0)
        return [x.T @ slope, slope.sum(dim=0), w2_grad, b2_grad]

    def mistake_nothing(x, y, w1, b1, w2, b2):
        """Nothing comes back: is a `return` missing?"""

    def mistake_sum(x, y, w1, b1, w2, b2):
        """Right for a loss that is a sum. What does the mean do to every slope?"""
        return _by_hand(x, y, w1, b1, w2, b2, "sum")

    def mistake_rows(x, y, w1, b1, w2, b2):
        """Right as long as there is one output.

        With several, of how many elements is the mean taken?
        """
        return _by_hand(x, y, w1, b1, w2, b2, "rows")

    def mistake_no_two(x, y, w1, b1, w2, b2):
        """All of it is half as large as it should be: what is the slope of a square?"""
        return _by_hand(x, y, w1, b1, w2, b2, "no two")

    def mistake_sign(x, y, w1, b1, w2, b2):
        """All of it points the wrong way: the error is prediction minus target."""
        return _by_hand(x, y, w1, b1, w2, b2, "sign")

    def mistake_no_relu(x, y, w1, b1, w2, b2):
        """The second layer is right. On the way to the first, the relu stops nothing.

        What is its slope where its input is negative?
        """
        return _by_hand(x, y, w1, b1, w2, b2, "no relu")

    def mistake_hidden(x, y, w1, b1, w2, b2):
        """The second layer is right.

        But at the relu you multiply by what came out of it, and not by its slope.
        """
        return _by_hand(x, y, w1, b1, w2, b2, "hidden")

    def mistake_relu_of_the_slope(x, y, w1, b1, w2, b2):
        """The second layer is right.

        At the relu you look at the sign of the slope that arrives. That isn't what
        decided, on the way forward, whether anything got through.
        """
        return _by_hand(x, y, w1, b1, w2, b2, "slope")

    def mistake_linear_forward(x, y, w1, b1, w2, b2):
        """You have left out the relu altogether, on the way forward already."""
        return _by_hand(x, y, w1, b1, w2, b2, "linear forward")

    def mistake_no_b1(x, y, w1, b1, w2, b2):
        """Your way forward is another one: what became of the first bias?"""
        return _by_hand(x, y, w1, b1, w2, b2, "no b1")

    def mistake_bias_mean(x, y, w1, b1, w2, b2):
        """The biases' gradients are too small.

        The mean over the examples has been dealt with already, at the loss.
        """
        return _by_hand(x, y, w1, b1, w2, b2, "bias mean")

    def mistake_bias_rows(x, y, w1, b1, w2, b2):
        """A bias is added to every row: its gradient has to add up over the rows."""
        before = x @ w1 + b1
        error = before.clamp(min=0) @ w2 + b2 - y
        g = 2 * error / error.numel()
        first = (g @ w2.T) * (before > 0)
        return [x.T @ first, first, before.clamp(min=0).T @ g, g]

    def mistake_order(x, y, w1, b1, w2, b2):
        """The right four in the order of the walk, last layer first.

        They are asked for in the order w1, b1, w2, b2.
        """
        w1, b1, w2, b2 = _by_hand(x, y, w1, b1, w2, b2)
        return [w2, b2, w1, b1]
