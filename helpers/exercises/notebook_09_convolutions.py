"""The exercises of notebook 09, convolutions."""

import torch
from torch import nn
from torch.nn import functional as F

from helpers.exercises.base import Function, Value


class moving(Value):
    """A filter that moves the image to the right."""

    number = "9.1"
    hints = (
        "A response is written down where the middle of the window lies. To see "
        "everything further right, which of its neighbours should it show?",
        "In the page's row, 0 0 7 5 0 0, the third response should be 7. The window of "
        "the third response holds three numbers of the row: where in it is the 7?",
    )
    right = (
        "To push the picture to the right, the window looks to the left. A network "
        "can learn such a filter too, which brings distant pixels together."
    )

    def probe(answer):
        weights = _tensor(answer).float()
        image = torch.rand(7, 8, generator=torch.Generator().manual_seed(0))
        fits = weights.numel() == 9 and tuple(weights.shape[-2:]) in [(3, 3), (9,)]
        response = None
        if fits:
            response = F.conv2d(image.view(1, 1, 7, 8), weights.view(1, 1, 3, 3))[0, 0]
        return {"it is three rows of three weights": fits, "what comes out": response}

    def solution():
        # Each response is the pixel to the left of the window's middle. So whatever
        # stood there appears one place further right.
        return [[0, 0, 0], [1, 0, 0], [0, 0, 0]]

    def mistake_left():
        """Now everything stands one pixel further left.

        The response at a place shows a pixel from the side that you chose: from
        which side did it come?
        """
        return [[0, 0, 0], [0, 0, 1], [0, 0, 0]]

    def mistake_copy():
        """This is the copy itself: nothing moves."""
        return [[0, 0, 0], [0, 1, 0], [0, 0, 0]]

    def mistake_down():
        """It moves, but downwards: wrong dimension."""
        return [[0, 1, 0], [0, 0, 0], [0, 0, 0]]

    def mistake_up():
        """It moves, but upwards: wrong dimension."""
        return [[0, 0, 0], [0, 0, 0], [0, 1, 0]]

    def mistake_diagonal():
        """It moves to the right, but down as well."""
        return [[1, 0, 0], [0, 0, 0], [0, 0, 0]]

    def mistake_column():
        """Each response adds up pixels of three rows, so the picture is smeared."""
        return [[1, 0, 0], [1, 0, 0], [1, 0, 0]]

    def mistake_both():
        """The picture moves, and the one that didn't move is still there below it."""
        return [[0, 0, 0], [1, 1, 0], [0, 0, 0]]

    def mistake_edges():
        """This finds edges: it compares two sides, and should show one of them."""
        return [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]


class max_pool(Function):
    """Max pooling for images with channels, of any size."""

    number = "9.2"
    hints = (
        "Only the last two dimensions are cut into pairs; the first two stay as "
        "they are. How many dimensions has the reshaped tensor?",
        "Cut off an odd last row and column first, with slices that end at twice "
        "the number of pairs.",
        "In the reshaped tensor each number of pairs is followed by a 2, and "
        "`amax` may take several dimensions: the two that are 2.",
    )
    right = (
        "A single reshape, which copies nothing here, and no loop: images, channels "
        "and squares are all done at once."
    )

    def inputs():
        page = [[1, 5, 0, 0, 8, 1], [2, 3, 0, 7, 1, 1]]
        yield (torch.tensor(page).float().view(1, 1, 2, 6),)
        yield (torch.rand(2, 3, 4, 8),)
        yield (torch.rand(1, 2, 6, 4) - 2,)
        yield (torch.rand(2, 2, 5, 4),)
        yield (torch.rand(3, 1, 4, 7, dtype=torch.float64),)
        yield (torch.randn(2, 3, 7, 9).transpose(2, 3),)

    def solution(x):
        n, channels, rows, columns = x.shape
        # Whole pairs only: // rounds down, and the slice drops what is left over.
        down, across = rows // 2, columns // 2
        x = x[:, :, : 2 * down, : 2 * across]
        # "Which pair" comes before "which one of the pair".
        pairs = x.reshape(n, channels, down, 2, across, 2)
        return pairs.amax(dim=(3, 5))

    def mistake_halves(x):
        """The sizes are right, but you compare pixels that lie half an image apart.

        In a reshape, which number counts the pairs, and which counts within a
        pair?
        """
        down, across = x.shape[2] // 2, x.shape[3] // 2
        x = x[:, :, : 2 * down, : 2 * across]
        return x.reshape(*x.shape[:2], 2, down, 2, across).amax(dim=(2, 4))

    def mistake_wrong_dimensions(x):
        """You keep the two of each pair apart and take the largest over the pairs.

        It should be the other way round.
        """
        down, across = x.shape[2] // 2, x.shape[3] // 2
        x = x[:, :, : 2 * down, : 2 * across]
        return x.reshape(*x.shape[:2], down, 2, across, 2).amax(dim=(2, 4))

    def mistake_mean(x):
        """These are the means of the squares."""
        return F.avg_pool2d(x, 2)

    def mistake_overlap(x):
        """Your squares overlap: the next one begins after one pixel, not after two."""
        return F.max_pool2d(x, 2, stride=1)

    def mistake_odd_kept(x):
        """An odd last row or column is still there, and should be dropped."""
        return F.max_pool2d(x, 2, ceil_mode=True)

    def mistake_odd_refused(x):
        """Right for even sizes.

        With an odd number of rows or columns the reshape doesn't come out even:
        something has to go first.
        """
        n, channels, rows, columns = x.shape
        pairs = x.reshape(n, channels, rows // 2, 2, columns // 2, 2)
        return pairs.amax(dim=(3, 5))

    def mistake_page(x):
        """That is the page's trick as it stands, made for a single image of 4 × 4.

        The sizes here are in `x.shape`.
        """
        return x.reshape(2, 2, 2, 2).amax(dim=(1, 3))

    def mistake_one_maximum(x):
        """You take one maximum over all images and channels.

        Each channel of each image has its own.
        """
        pooled = F.max_pool2d(x, 2)
        return pooled.amax(dim=(0, 1), keepdim=True).expand_as(pooled)

    def mistake_not_below_zero(x):
        """Your maximum begins at 0. Where all four numbers are negative, so is theirs.

        Responses can be.
        """
        return F.max_pool2d(x, 2).clamp(min=0)

    def mistake_first_dropped(x):
        """An odd row or column is dropped, but the first; it should be the last."""
        return F.max_pool2d(x[:, :, x.shape[2] % 2 :, x.shape[3] % 2 :], 2)

    def mistake_only_rows(x):
        """You pool along one dimension only; a square has two."""
        return F.max_pool2d(x, (2, 1))


class milder(Value):
    """How sure a network sounds at a higher temperature."""

    number = "9.3"
    hints = (
        "The temperature acts on the logits, so go back to them first. Only their "
        "difference matters: which difference makes the softmax say 0.8 and 0.2?",
        "The two exponentials are to each other as 4 to 1, so the logits may be "
        "log 4 and 0. What does halving do to log 4?",
        "Half of log 4 is log 2.",
    )
    right = (
        "Odds of 4 to 1 have become 2 to 1, their square root. However high the "
        "temperature, the odds never fall below 1 to 1, and so no answer changes."
    )
    tolerance = 6e-3

    def solution():
        # The softmax says 0.8 where the logits are log 4 and 0, as 4/(4 + 1) = 0.8.
        # Halved, they are log 2 and 0.
        odds = 4**0.5
        return odds / (odds + 1)

    def mistake_half_probability():
        """You divided the probability, so that it is no longer the larger one.

        The temperature divides the logits.
        """
        return 0.4

    def mistake_halfway():
        """That is halfway from 0.8 to an even bet.

        Plausible, but the softmax bends: go back to the logits.
        """
        return 0.65

    def mistake_times():
        """Now it sounds surer than before: you doubled the logits."""
        return 16 / 17

    def mistake_unchanged():
        """The answer stays as it is, but not how sure the network sounds."""
        return 0.8

    def mistake_probabilities_as_logits():
        """You put probabilities through a softmax. They are what comes out of it."""
        return torch.tensor([0.8, 0.2]).div(2).softmax(dim=0)[0]

    def mistake_root():
        """That is surer than before.

        (If you took the root of the probability: two of those don't add up to 1.)
        """
        return 0.8**0.5

    def mistake_double_probability():
        """You doubled the probability, and nothing is more certain than 1.

        The temperature divides, and what it divides are the logits.
        """
        return 1.6

    def mistake_other_class():
        """That is what the other class gets."""
        return 1 / 3

    def mistake_percent():
        """The number is right, the unit is not: a probability is at most 1."""
        return 200 / 3


class blind_spot(Value):
    """An image that two edge filters do not see."""

    number = "9.4"
    hints = (
        "Look at where the zeros are. Which pixels does `rightwards` compare, and "
        "which does it never look at?",
        "It compares a column with the next but one. When are those always equal, "
        "although neighbours differ?",
        "The same holds for rows. A pattern that repeats after two pixels, in "
        "both directions, is invisible.",
    )
    right = (
        "Whatever repeats every two pixels is invisible to both: even a chessboard, "
        "which has an edge beside every single pixel. Silence isn't proof of absence."
    )

    def probe(answer):
        image = _tensor(answer).double()
        fits = image.numel() == 784 and tuple(image.shape[-2:]) == (28, 28)
        image = image.reshape(28, 28) if fits else torch.zeros(28, 28).double()
        right = image[:, 2:] - image[:, :-2]
        right = right[:-2] + right[1:-1] + right[2:]
        down = image[2:] - image[:-2]
        down = down[:, :-2] + down[:, 1:-1] + down[:, 2:]
        return {
            "the image has 28 rows of 28 pixels": fits,
            "all pixels are between 0 and 1": bool(((image >= 0) & (image <= 1)).all()),
            "two of its pixels differ by a half or more": bool(
                image.max() - image.min() >= 0.5
            ),
            "`rightwards` answers 0 everywhere": bool((right.abs() < 1e-4).all()),
            "`downwards` answers 0 everywhere": bool((down.abs() < 1e-4).all()),
        }

    def solution():
        # `rightwards` compares each column with the next but one, `downwards` does
        # it with rows. On a chessboard those are equal everywhere.
        image = torch.zeros(28, 28)
        image[0::2, 0::2] = 1
        image[1::2, 1::2] = 1
        return image

    def mistake_solid():
        """The filters are silent, but there is nothing to see: too little contrast."""
        return torch.ones(28, 28)

    def mistake_columns():
        """`downwards` is silent, but `rightwards` does see something."""
        image = torch.zeros(28, 28)
        image[:, 14:] = 1
        return image

    def mistake_rows():
        """`rightwards` is silent, but `downwards` does see something."""
        return blind_spot.mistake_columns().T

    def mistake_seen_by_both():
        """Both filters see it. They compare pixels at a certain distance: at which?"""
        image = torch.zeros(28, 28)
        image[10, 10] = 1
        return image

    def mistake_range():
        """The filters are silent, but pixels should be from 0 (paper) to 1 (ink)."""
        return 2 * blind_spot.solution() - 1

    def mistake_small():
        """The image should be as large as the page's."""
        return blind_spot.solution()[:4, :4]


class wherever(Value):
    """A network that doesn't mind where a digit stands."""

    number = "9.5"
    hints = (
        "The responses of a convolution move along with the digit. A linear layer "
        "would notice, so what has to happen to them before it?",
        "Pooling forgets where in its square the largest response was. Who said "
        "that the squares must be two by two?",
        "After a 3 × 3 convolution without padding each channel is 26 × 26. Keep "
        "a single number of each, and `Flatten`.",
    )
    right = (
        "The convolution lets its responses move along, and the pooling forgets where "
        "they are. The price: a digit whose parts have drifted apart looks much the "
        "same to it."
    )

    def probe(answer):
        names = (
            "it is a network, such as nn.Sequential(...)",
            "four images give a tensor of shape (4, 10)",
            "they are logits, not probabilities",
            "at most 1,000 weights",
            "different digits get different logits",
            "a digit moved by eight pixels gets the same logits",
            "a digit moved by one pixel gets the same logits",
            "a digit whose pixels are shuffled gets other logits",
        )
        if not isinstance(answer, nn.Module):
            return dict.fromkeys(names, False)
        dice = torch.Generator().manual_seed(0)
        digits = torch.rand(4, 1, 8, 8, generator=dice)
        places = torch.randperm(64, generator=dice)
        torn = digits.flatten(1)[:, places].reshape(digits.shape)
        first = next(answer.parameters(), torch.zeros(1))
        answer.to("cpu").eval()

        def logits(patch, row, column):
            borders = [column, 20 - column, row, 20 - row]
            with torch.no_grad():
                return answer(F.pad(patch, borders).to(first.dtype))

        def same(one, other):
            return torch.allclose(one, other, rtol=1e-4, atol=1e-5)

        here = logits(digits, 6, 6)
        facts = (
            True,
            tuple(here.shape) == (4, 10),
            not same(here.sum(dim=-1), torch.ones_like(here.sum(dim=-1))),
            sum(p.numel() for p in answer.parameters()) <= 1000,
            not same(here, logits(digits.flip(0), 6, 6)),
            same(here, logits(digits, 14, 14)) and same(here, logits(digits, 6, 14)),
            same(here, logits(digits, 7, 6)) and same(here, logits(digits, 6, 7)),
            not same(here, logits(torn, 6, 6)),
        )
        return dict(zip(names, facts, strict=True))

    def solution():
        # 16 × (9 + 1) weights in the filters and 10 × (16 + 1) in the linear layer.
        network = nn.Sequential(
            nn.Conv2d(1, 16, 3),  # the responses move along with the digit, and
            nn.ReLU(),
            nn.MaxPool2d(26),  # the largest of each channel is the same anywhere
            nn.Flatten(),
            nn.Linear(16, 10),
        )
        return network

    def mistake_linear():
        """A linear layer has a weight of its own for each place.

        Here it meets too many places: that is too many weights, and a moved
        digit meets other ones.
        """
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def mistake_places_left():
        """Few enough weights, but a moved digit gets other logits.

        Some part of your network still knows where things are. Print the shape
        after each layer.
        """
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(7), nn.ReLU(),
            nn.Flatten(), nn.Linear(16, 10),
        )  # fmt: skip

    def mistake_squares_on_the_way():
        """A move by eight pixels changes nothing, but one by a single pixel does.

        Pooling in small squares on the way makes it matter where in its square
        a response stands.
        """
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(14),
            nn.Flatten(), nn.Linear(8, 10),
        )  # fmt: skip

    def mistake_blind():
        """Tear up the digit, and your network doesn't notice.

        Either it never looks at neighbouring pixels together, or what it has seen there
        is lost in a mean: without a bend before it, a mean of sums is a sum of means.
        """
        return nn.Sequential(nn.MaxPool2d(28), nn.Flatten(), nn.Linear(1, 10))

    def mistake_too_many():
        """The idea is right.

        It only has too many weights: with fewer channels it will do.
        """
        return nn.Sequential(
            nn.Conv2d(1, 64, 3), nn.MaxPool2d(26), nn.Flatten(), nn.Linear(64, 10)
        )

    def mistake_softmax():
        """The idea is right, but each row adds up to 1.

        These are probabilities, and the loss function expects logits.
        """
        return nn.Sequential(wherever.solution(), nn.Softmax(dim=1))

    def mistake_not_a_row():
        """The idea is right, but each image should give a row of ten logits.

        Print the shape of what comes out.
        """
        return nn.Sequential(nn.Conv2d(1, 10, 3), nn.MaxPool2d(26))


class reach(Function):
    """How many pixels wide the square is that a number depends on."""

    number = "9.6"
    hints = (
        "Take one number at the very end and ask how many it depends on in the layer "
        "before, then in the one before that.",
        "Suppose you know that n numbers side by side matter. Under a pooling they "
        "come from 2n. And under a 3 × 3 window, which overlaps with its neighbours?",
        "Five windows side by side cover seven columns. `reversed(layers)` "
        "walks from the last layer to the first.",
    )
    right = (
        "For the CNN of this page it is 22: after its third block each number has "
        "seen a square of 22 × 22, nearly the whole digit. Three convolutions without "
        "pooling would have seen 7 × 7."
    )

    def inputs():
        yield (["conv"],)
        yield (["pool", "conv"],)
        yield (["conv", "conv"],)
        yield (["conv", "pool", "conv", "pool", "conv", "pool"],)
        yield (["pool", "pool", "conv", "conv", "conv"],)
        yield (["conv", "conv", "pool", "pool"],)
        yield ([],)

    def solution(layers):
        # From the end: one number, and how many of them it comes from.
        width = 1
        for layer in reversed(layers):
            if layer == "conv":
                width += 2  # windows overlap: one more on either side
            else:
                width *= 2  # squares don't: two for each
        return width

    def mistake_forwards(layers):
        """The rules for the layers are right, but they are used in the wrong order.

        A pooling makes everything that comes after it reach further.
        """
        width = 1
        for layer in layers:
            width = width + 2 if layer == "conv" else width * 2
        return width

    def mistake_windows_apart(layers):
        """You count as if windows didn't overlap.

        Neighbouring ones share most of their columns: draw two convolutions on
        paper.
        """
        width = 1
        for layer in reversed(layers):
            width *= 3 if layer == "conv" else 2
        return width

    def mistake_adds_three(layers):
        """A convolution adds its whole window.

        But what lies under the middle of a window is counted already.
        """
        width = 1
        for layer in reversed(layers):
            width = width + 3 if layer == "conv" else width * 2
        return width

    def mistake_one_side(layers):
        """A convolution reaches beyond its middle on one side only, as you have it."""
        width = 1
        for layer in reversed(layers):
            width = width + 1 if layer == "conv" else width * 2
        return width

    def mistake_pool_overlaps(layers):
        """Your pooling slides on by one. But its squares lie side by side."""
        width = 1
        for layer in reversed(layers):
            width += 2 if layer == "conv" else 1
        return width

    def mistake_pool_ignored(layers):
        """You count the convolutions only. Pooling has a large part in it."""
        return 1 + 2 * layers.count("conv")

    def mistake_pool_itself(layers):
        """What comes after a pooling is right, the pooling's own part is missing.

        A single pooling already sees two columns.
        """
        width = stride = 1
        for layer in layers:
            if layer == "conv":
                width += 2 * stride
            else:
                stride *= 2
        return width

    def mistake_list_reversed(layers):
        """The width is right, but the caller's list now stands the other way round."""
        layers.reverse()
        return reach.solution(layers[::-1])

    def mistake_from_nothing(layers):
        """You begin with 0. Without any layer, a number depends on itself."""
        width = 0
        for layer in reversed(layers):
            width = width + 2 if layer == "conv" else width * 2
        return width

    def mistake_area(layers):
        """That is the number of pixels in the square. How wide is it?"""
        return reach.solution(layers) ** 2


class fold(Function):
    """A convolution that does the work of the normalization after it."""

    number = "9.7"
    hints = (
        "On paper, for one channel: write down what the normalization makes of a "
        "response z, with running mean, variance, factor and shift. Which number "
        "multiplies z in the end, and which is added?",
        "z itself is w · pixels + b. Put that in, and sort: what stands before the "
        "pixels is the new filter, and the rest is the new bias.",
        "The number that multiplies z, call it `factor`, is `norm.weight` divided by "
        "a deviation. The filters have four dimensions and it has one: "
        "`view(-1, 1, 1, 1)` lines it up with the first.",
        "The old bias is treated as every response is: the running mean goes off, the "
        "factor comes on, and then `norm.bias` is added.",
    )
    right = (
        "Networks are made faster like this before they are put to use. With pooling "
        "between the two, as on this page, it holds only while no factor is negative: "
        "a negative one would make the smallest of four responses the largest."
    )

    def inputs():
        yield _pair(1, 2)
        yield _pair(2, 4)
        yield _pair(4, 4)
        yield _pair(1, 3, variance=1e-5)
        yield _pair(3, 1, kernel_size=5)
        yield _pair(3, 3, dtype=torch.float64)

    def probe(answer, conv, norm):
        result = answer(conv, norm)
        is_layer = isinstance(result, nn.Conv2d)
        return (result.weight, result.bias) if is_layer else result

    def solution(conv, norm):
        # norm(z) = (z − mean) / deviation · weight + bias. So z is multiplied by this:
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        # One factor for each filter, that is, along the first of four dimensions.
        filters = conv.weight * factor.view(-1, 1, 1, 1)
        # All that doesn't depend on the pixels:
        biases = (conv.bias - norm.running_mean) * factor + norm.bias
        return filters, biases

    def mistake_variance(conv, norm):
        """You divide by the variance, and batch normalization by the deviation."""
        factor = norm.weight / (norm.running_var + norm.eps)
        biases = (conv.bias - norm.running_mean) * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_eps(conv, norm):
        """Nearly.

        Where the variance is tiny, the result is off: something small is added
        to it, which keeps the division safe.
        """
        factor = norm.weight / norm.running_var.sqrt()
        biases = (conv.bias - norm.running_mean) * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_eps_outside(conv, norm):
        """Nearly.

        Where the variance is tiny, the result is off: look in the page's cell
        whether `eps` comes before the root or after it.
        """
        factor = norm.weight / (norm.running_var.sqrt() + norm.eps)
        biases = (conv.bias - norm.running_mean) * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_bias_lost(conv, norm):
        """The filters are right. In the biases, the convolution's own one is lost."""
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = norm.bias - norm.running_mean * factor
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_bias_unscaled(conv, norm):
        """The filters are right.

        You add the convolution's bias as it was, but it is part of each
        response, and the normalization treats it like the rest.
        """
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = conv.bias - norm.running_mean * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_bias_kept(conv, norm):
        """The filters are right, and the bias is still the convolution's.

        The normalization subtracts and adds something as well.
        """
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        return conv.weight * factor.view(-1, 1, 1, 1), conv.bias

    def mistake_sign(conv, norm):
        """The filters are right. In the biases, one sign is wrong."""
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = (conv.bias + norm.running_mean) * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_in_place(conv, norm):
        """The two tensors are right, but `conv` itself has been changed.

        Whoever goes on to use it with `norm` gets everything normalized twice.
        """
        filters, biases = fold.solution(conv, norm)
        conv.weight.data, conv.bias.data = filters.detach(), biases.detach()
        return conv.weight, conv.bias

    def mistake_mean_unscaled(conv, norm):
        """The filters are right.

        In the biases, the mean has to go before anything is divided, not after.
        """
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = conv.bias * factor - norm.running_mean + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_mean_lost(conv, norm):
        """The filters are right. In the biases, nobody subtracts the running mean."""
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = conv.bias * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_shift_lost(conv, norm):
        """The filters are right. In the biases, the learned shift is missing."""
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = (conv.bias - norm.running_mean) * factor
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_shift_scaled(conv, norm):
        """The filters are right.

        In the biases, the learned shift comes last: it isn't scaled any more.
        """
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = (conv.bias - norm.running_mean + norm.bias) * factor
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_scale_forgotten(conv, norm):
        """You divide by the deviation, but the factor that was learned is missing."""
        factor = 1 / (norm.running_var + norm.eps).sqrt()
        biases = (conv.bias - norm.running_mean) * factor + norm.bias
        return conv.weight * factor.view(-1, 1, 1, 1), biases

    def mistake_not_lined_up(conv, norm):
        """The factor has one number for each filter, and you lined it up wrongly.

        Broadcasting starts at the last dimension, which is the filters'
        columns.
        """
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        biases = (conv.bias - norm.running_mean) * factor + norm.bias
        return conv.weight * factor, biases


def _pair(in_channels, channels, kernel_size=3, variance=1.0, dtype=torch.float32):
    """Return a convolution, and a normalization that looks as if it were trained."""
    conv = nn.Conv2d(in_channels, channels, kernel_size, dtype=dtype)
    norm = nn.BatchNorm2d(channels, dtype=dtype).eval()
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5 * variance, 4 * variance)
        norm.weight.normal_()
        norm.bias.normal_()
    return conv, norm


def _tensor(answer):
    """Return numbers as a tensor, and anything else as an empty one."""
    try:
        return torch.as_tensor(answer).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        return torch.empty(0)
