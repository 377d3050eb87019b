"""The exercises of notebook 01, tensors."""

import torch

from helpers.exercises.base import Function, Value


class trim(Function):
    """Images without the outermost four pixels on each side."""

    number = "1.1"
    hints = (
        "There are four dimensions. Which two of them do you want to cut, and what "
        "do you write for one that should stay whole?",
        "A negative number counts from the end: `row[1:-1]` is a row without its "
        "first and its last number.",
    )
    right = (
        "Half of MNIST's pixels are gone now, and 3 % of its ink. Did you spell out "
        "all four dimensions? Three dots can stand for those that stay whole."
    )

    def inputs():
        yield (torch.rand(5, 1, 28, 28),)
        yield (torch.rand(3, 1, 12, 10),)
        yield (torch.randn(1, 3, 9, 16, dtype=torch.float64),)
        yield (torch.rand(2, 14, 11, 3).permute(0, 3, 1, 2),)
        yield (torch.randint(256, (12, 1, 20, 20), dtype=torch.uint8),)

    def solution(images):
        # All images, all channels, and of rows and columns what lies inside.
        return images[:, :, 4:-4, 4:-4]

    def mistake_first_dimensions(images):
        """You cut away images and channels, the first two of the four dimensions."""
        return images[4:-4, 4:-4]

    def mistake_fixed_size(images):
        """Right for images of 28 by 28, but there are others: count from the end."""
        return images[:, :, 4:24, 4:24]

    def mistake_channel(images):
        """You lose the channels on the way: an index removes its dimension."""
        return images[:, 0, 4:-4, 4:-4]

    def mistake_off_by_one(images):
        """You cut away five pixels at the end.

        A slice stops before its second number, even when that is negative.
        """
        return images[:, :, 4:-5, 4:-5]

    def mistake_start(images):
        """You start too far in: counted from 0, the fifth pixel has the index 4."""
        return images[:, :, 5:-4, 5:-4]

    def mistake_one_corner(images):
        """The top and the left are trimmed; the bottom and the right aren't."""
        return images[:, :, 4:, 4:]

    def mistake_rows_only(images):
        """The top and the bottom are trimmed; the left and the right aren't."""
        return images[:, :, 4:-4]

    def mistake_columns_only(images):
        """The left and the right are trimmed; the top and the bottom aren't."""
        return images[..., 4:-4]


class which_change(Value):
    """The lines that write into the table itself, as letters."""

    number = "1.2"
    hints = (
        "For each line ask: by the time 99 is written, whose numbers are they, the "
        "table's or a copy's?",
        "A mask or a list of rows *picks out* a copy. Does line b pick something out "
        "first and then write? Does line c?",
        "A view needs one stride that walks through the strip. Read the transposed "
        "table row by row, and write down where in the strip each number lies: 0, "
        "4, 8, then where?",
    )
    right = (
        "Lines d and e differ by two characters: `reshape` gives a view where it can "
        "and a copy where it can't, so don't write into what it returns."
    )

    def probe(answer):
        import re

        found = re.findall(r"[a-z]+", str(answer).lower())
        named = {
            letter for word in found if set(word) <= set("abcdef") for letter in word
        }
        return {
            "you name at least one line, by its letter": bool(named),
            "each line that you name changes the table": named <= set("acd"),
            "each line that changes the table is named": named >= set("acd"),
            "the lines": "".join(sorted(named)),
        }

    def solution():
        # a: a column is a view; its stride is 4.
        # b: the list of rows makes a copy, and 99 is written into that.
        # c: left of the equals sign, a mask says where in the table to write.
        # d: the table lies in memory in just this order, so this is a view.
        # e: the transposed table doesn't (0, 4, 8, 1, …), so reshape must copy.
        # f: arithmetic makes new numbers.
        return "acd"

    def mistake_reshape():
        """One `reshape` too many.

        It shares numbers only where one stride can walk through them in the
        order that is asked.
        """
        return "acde"

    def mistake_no_reshape():
        """You don't trust `reshape` at all, and it does share numbers when it can."""
        return "ac"

    def mistake_mask():
        """One is missing.

        A mask copies when you take something out with it; on the left of an
        equals sign it is another matter.
        """
        return "ad"

    def mistake_list():
        """One too many: a list of rows was picked out *before* anything was written."""
        return "abcd"

    def mistake_column():
        """One is missing.

        The numbers of a column don't lie side by side in memory, and needn't:
        what is a stride for?
        """
        return "cd"

    def mistake_arithmetic():
        """One too many: adding makes new numbers, even when what is added is 0."""
        return "acdf"

    def mistake_inverted():
        """These are exactly the lines that leave the table alone."""
        return "bef"


class brighten(Function):
    """Bytes made lighter, without running over and without harm to the original."""

    number = "1.3"
    hints = (
        "`a += 1` writes into the tensor that `a` is a name for, and so into the "
        "caller's. `a = a + 1` makes a new one.",
        "Once a byte has run over, no `clamp` can tell. Calculate with another dtype.",
        "Convert, add, `clamp` to what a byte can hold, convert back: in this order.",
    )
    right = (
        "Convert first, calculate afterwards, and leave alone what isn't yours. "
        "The same lines would do for sound or for the readings of a sensor."
    )

    def inputs():
        yield torch.tensor([0, 10, 50], dtype=torch.uint8), -20
        yield torch.tensor([[100, 200, 250], [0, 155, 156]], dtype=torch.uint8), 100
        yield torch.randint(256, (4, 5, 3), dtype=torch.uint8), 60
        yield torch.randint(256, (3, 5, 4), dtype=torch.uint8).permute(1, 2, 0), -90
        yield torch.randint(256, (7,), dtype=torch.uint8), 0
        yield torch.randint(256, (1, 9), dtype=torch.uint8), 255
        yield torch.randint(256, (2, 6), dtype=torch.uint8), -300

    def probe(answer, pixels, amount):
        result = answer(pixels, amount)
        dtype = str(getattr(result, "dtype", "none"))
        return {
            "the result": result,
            "its dtype": dtype.removeprefix("torch."),
            "for pixels of shape": pixels.shape,  # so a missing return is told as such
        }

    def solution(pixels, amount):
        # int() makes a copy with room for any sum, below 0 as well as above 255.
        result = pixels.int() + amount
        # Only now is there something that clamp can see and cut off.
        return result.clamp(0, 255).byte()

    def mistake_as_it_was(pixels, amount):
        """That does what the function in the text does.

        The bytes run over, and the original changes along with the result.
        """
        pixels += amount
        return pixels

    def mistake_runs_over(pixels, amount):
        """The original is safe now. But what doesn't fit into a byte runs over."""
        return (pixels + amount).clamp(0, 255)

    def mistake_writes_back(pixels, amount):
        """The result is right.

        But `pixels` has changed too: somewhere you write into it.
        """
        pixels[:] = (pixels.int() + amount).clamp(0, 255).byte()
        return pixels

    def mistake_dtype(pixels, amount):
        """The numbers are right. The result should consist of bytes again."""
        return (pixels.float() + amount).clamp(0, 255)

    def mistake_unit(pixels, amount):
        """You have gone over to numbers between 0 and 1.

        Here white is 255, and the amount is counted in the same unit.
        """
        return (pixels.float() / 255 + amount / 255).clamp(0, 1)

    def mistake_no_floor(pixels, amount):
        """The light end is right.

        But amounts can be negative, and below 0 a byte starts again from the
        top.
        """
        return (pixels.int() + amount).clamp(max=255).byte()

    def mistake_no_ceiling(pixels, amount):
        """The dark end is right.

        But what goes past 255 still begins again from below.
        """
        return (pixels.int() + amount).clamp(min=0).byte()

    def mistake_cut_off(pixels, amount):
        """Nearly: some bytes are one too small.

        Multiplied by 255 again, a few end up a hair below a whole number, and
        `.byte()` drops whatever stands behind the point.
        """
        return (255 * (pixels.float() / 255 + amount / 255).clamp(0, 1)).byte()

    def mistake_clamp_to_one(pixels, amount):
        """You cut off at 1, the white of a photograph made of floats.

        Bytes go further.
        """
        return (pixels.int() + amount).clamp(0, 1).byte()


class lying_table(Value):
    """A table for which the wrong function runs, and is wrong."""

    number = "1.4"
    hints = (
        "What shape does `table.mean(dim=1)` have for a table of shape (n, m), and "
        "what does broadcasting make of that next to (n, m)?",
        "Aligned at the right, the n means stand below the m columns. For which "
        "shapes does that go through?",
        "Having found a shape, see that the numbers don't hide it: it is the means "
        "of the rows that must not be the same.",
    )
    right = (
        "Square tables are common (distances, likenesses, as many examples as "
        "classes), so a test with one shape proves little. `keepdim=True` mends it."
    )

    def probe(table):
        table = torch.as_tensor(table)
        flat, floats = table.ndim == 2, table.is_floating_point()
        runs = wrong = False
        if flat and floats:
            wanted = table - table.mean(dim=1, keepdim=True)
            try:
                got = table - table.mean(dim=1)
                runs, same_shape = True, got.shape == wanted.shape
                wrong = not (same_shape and torch.allclose(got, wanted, equal_nan=True))
            except RuntimeError:  # the shapes don't fit
                pass
        return {
            "it is a table, a tensor with two dimensions": flat,
            "its numbers have a decimal point, so that they have a mean": floats,
            "`centred` runs on it without an error": runs,
            "it has more than one row": runs and len(table) > 1,
            "what comes out is wrong": wrong,
        }

    def solution():
        # Square: (2, 2) − (2,). Each mean is taken from a column, not from its row.
        return torch.tensor([[1.0, 2.0], [30.0, 40.0]])

    def mistake_stops():
        """Here it stops with an error.

        That is the harmless case: nobody could overlook it.
        """
        return torch.arange(12.0).reshape(3, 4)

    def mistake_one_row():
        """With a single row there is a single mean, and it lands where it should."""
        return torch.tensor([[1.0, 2.0, 3.0]])

    def mistake_equal_means():
        """It runs, but the result is right, if only by luck.

        Look at the means that your rows have.
        """
        return torch.eye(3)

    def mistake_whole_numbers():
        """Of whole numbers `mean` won't take the mean at all: write a decimal point."""
        return torch.tensor([[1, 2], [3, 4]])

    def mistake_row():
        """That isn't a table: a table has two dimensions, rows and columns."""
        return torch.tensor([1.0, 2.0, 3.0])


class tiles(Function):
    """An image cut into squares, in reading order."""

    number = "1.5"
    hints = (
        "First get it right with two loops, over rows of tiles and over columns of "
        "tiles: cut one tile out with slices, collect them, `torch.stack`.",
        "Without loops: number a row of the image by two numbers instead of one, "
        "which row of tiles it is in and which row of that tile. The same for a "
        "column. That makes four dimensions.",
        "For an image of shape (4, 6) and size 2 that is `reshape(2, 2, 3, 2)`: tile "
        "row, row inside, tile column, column inside. In which order do you want them?",
        "`permute` puts both numbers of the tile first and both numbers inside it "
        "last. Then one more `reshape` merges the first two.",
    )
    right = (
        "A vision transformer begins in just this way: it cuts a picture into tiles "
        "and then reads them one after another, like the words of a sentence."
    )

    def inputs():
        yield torch.arange(24).reshape(4, 6), 2
        yield torch.rand(28, 28), 7
        yield torch.rand(6, 3), 3
        yield torch.randn(3, 6, dtype=torch.float64), 1
        yield torch.rand(12, 8).T, 4
        yield torch.rand(5, 5), 5

    def solution(image, size):
        rows, columns = image.shape[0] // size, image.shape[1] // size
        # Say of each pixel: tile row, row inside, tile column, column inside.
        four = image.reshape(rows, size, columns, size)
        # Which tile first, where inside it last; then count the tiles in one go.
        return four.permute(0, 2, 1, 3).reshape(rows * columns, size, size)

    def mistake_only_reshape(image, size):
        """The right shape and the wrong pixels, as with the palace.

        A `reshape` alone follows the rows across the whole image.
        """
        return image.reshape(-1, size, size)

    def mistake_downwards(image, size):
        """Your tiles are right but run down the image first.

        Count them as you read: from left to right, then the next line.
        """
        rows, columns = image.shape[0] // size, image.shape[1] // size
        four = image.reshape(rows, size, columns, size)
        return four.permute(2, 0, 1, 3).reshape(-1, size, size)

    def mistake_turned(image, size):
        """The right tiles in the right order.

        But inside each of them rows and columns have changed places.
        """
        rows, columns = image.shape[0] // size, image.shape[1] // size
        four = image.reshape(rows, size, columns, size)
        return four.permute(0, 2, 3, 1).reshape(-1, size, size)

    def mistake_overlapping(image, size):
        """Your tiles overlap, as each begins only one pixel after the one before.

        How far is it from the start of a tile to the start of the next?
        """
        rows, columns = image.shape[0] // size, image.shape[1] // size
        corners = [(i, j) for i in range(rows) for j in range(columns)]
        return torch.stack([image[i : i + size, j : j + size] for i, j in corners])

    def mistake_joined(image, size):
        """The tiles are right, but joined into one tall strip.

        You need a new dimension to count them.
        """
        rows, columns = image.shape[0] // size, image.shape[1] // size
        four = image.reshape(rows, size, columns, size)
        return four.permute(0, 2, 1, 3).reshape(-1, size)

    def mistake_combed(image, size):
        """Each of your tiles has pixels from all over the image.

        Its pixels should be neighbours.
        """
        rows, columns = image.shape[0] // size, image.shape[1] // size
        four = image.reshape(size, rows, size, columns)
        return four.permute(1, 3, 0, 2).reshape(-1, size, size)

    def mistake_grid(image, size):
        """The tiles are right, but they lie in rows and columns.

        One dimension should count them all.
        """
        rows, columns = image.shape[0] // size, image.shape[1] // size
        return image.reshape(rows, size, columns, size).permute(0, 2, 1, 3)

    def mistake_flattened(image, size):
        """The tiles are right, but each has become a single row of numbers."""
        rows, columns = image.shape[0] // size, image.shape[1] // size
        four = image.reshape(rows, size, columns, size)
        return four.permute(0, 2, 1, 3).reshape(rows * columns, -1)


class read(Function):
    """The labels of new images, by a vote among the nearest that are known."""

    number = "1.6"
    hints = (
        "Three steps: a table of distances with one row for each new image, in each "
        "row the k smallest, and a vote among the labels of those.",
        "`torch.cdist` makes the table, once each image is a row of numbers. In a "
        "table, `argsort(dim=1)` sorts every row; which of its columns do you keep?",
        "A tensor of indices between square brackets picks for each of them: "
        "`labels[near]`, with `near` of shape (m, k), is a table of m times k votes.",
        "To count, compare the votes with each class from 0 to 9 in turn: a mask, "
        "summed over dim=1, is the number of votes for that class. Stack the ten "
        "counts; along which dimension does `argmax` name the winner?",
    )
    right = (
        "With `cdist` (broadcasting would take 31 GB), `read(x[:5000], y[:5000], "
        "x[50_000:52_000], 3)` gets 93 in 100 right; ten averages of the same 5,000 "
        "get 80. The price: every example must be kept, and compared with each time."
    )

    def inputs():
        line = torch.tensor([[0.0], [1.0], [10.0], [11.0], [12.0]])
        new = torch.tensor([[2.0], [9.0], [-5.0]])
        yield line, torch.tensor([3, 3, 8, 8, 8]), new, 3
        # Two classes and an odd k, so that no vote is a tie.
        either = torch.tensor([2, 7])
        yield (
            torch.rand(20, 1, 4, 4),
            either[torch.randint(2, (20,))],
            _wide(9, 1, 4, 4),
            5,
        )
        yield torch.randn(15, 3, 2), torch.randint(10, (15,)), torch.randn(8, 3, 2), 1
        numbers = torch.randn(11, 6, dtype=torch.float64)
        yield numbers, either.repeat(6)[:11], torch.randn(6, 6).double(), 3
        bright = 20 * torch.rand(12, 1, 3, 3)
        yield bright, either.flip(0).repeat(6), 10 * torch.rand(1, 1, 3, 3), 7
        # Most votes, but not more than half: 9 near the one, 4 near the other.
        ends = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]])
        names = torch.tensor([9, 0, 9, 1, 2, 4, 4, 7, 5, 8])
        yield torch.cat([ends, ends + 50]), names, torch.tensor([[1.6], [51.6]]), 5

    def solution(images, labels, new, k):
        # One row for each new image, one column for each that is known.
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        near = distances.argsort(dim=1)[:, :k]
        votes = labels[near]
        # For each class, one row with the numbers of its votes.
        counts = [(votes == digit).sum(dim=1) for digit in range(10)]
        return torch.stack(counts).argmax(dim=0)

    def mistake_nearest_only(images, labels, new, k):
        """Only the nearest has a say. Let all k of them vote."""
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return labels[distances.argmin(dim=1)]

    def mistake_places(images, labels, new, k):
        """You say *where* the nearest image is. What is its label?"""
        return torch.cdist(new.flatten(1), images.flatten(1)).argmin(dim=1)

    def mistake_farthest(images, labels, new, k):
        """You ask those who are farthest away."""
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return _vote(labels[distances.argsort(dim=1, descending=True)[:, :k]])

    def mistake_average(images, labels, new, k):
        """You take the mean of the labels.

        But they are names: a 3 and an 8 don't make five and a half.
        """
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        votes = labels[distances.argsort(dim=1)[:, :k]]
        return votes.double().mean(dim=1).round().long()

    def mistake_average_unrounded(images, labels, new, k):
        """You take the mean of the labels, and get what is no digit at all."""
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return labels[distances.argsort(dim=1)[:, :k]].double().mean(dim=1)

    def mistake_median(images, labels, new, k):
        """You take the label in the middle, not the one with the most votes."""
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return labels[distances.argsort(dim=1)[:, :k]].median(dim=1).values

    def mistake_product(images, labels, new, k):
        """The largest dot products aren't the smallest distances.

        An image with much ink has a large dot product with everybody.
        """
        products = new.flatten(1).to(images.dtype) @ images.flatten(1).T
        return _vote(labels[products.argsort(dim=1, descending=True)[:, :k]])

    def mistake_signed(images, labels, new, k):
        """You add up the differences as they are, and those of opposite signs cancel.

        Square them first.
        """
        differences = new.flatten(1).unsqueeze(1) - images.flatten(1)
        return _vote(labels[differences.sum(dim=2).argsort(dim=1)[:, :k]])

    def mistake_signed_otherwise(images, labels, new, k):
        """You add up the differences as they are, and those of opposite signs cancel.

        Square them first.
        """
        differences = images.flatten(1) - new.flatten(1).unsqueeze(1)
        return _vote(labels[differences.sum(dim=2).argsort(dim=1)[:, :k]])

    def mistake_absolute(images, labels, new, k):
        """Absolute differences make a distance too, but another one.

        Here they are squared before they are added, as for the ten averages.
        """
        distances = torch.cdist(new.flatten(1), images.flatten(1), p=1)
        return _vote(labels[distances.argsort(dim=1)[:, :k]])

    def mistake_skipped(images, labels, new, k):
        """You leave out the nearest, as if it were the new image itself.

        It isn't: the new ones are not among those that are known.
        """
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return _vote(labels[distances.argsort(dim=1)[:, 1 : k + 1]])

    def mistake_all(images, labels, new, k):
        """All the images vote, so everybody gets the same answer.

        Only k of them should.
        """
        return _vote(labels.expand(len(new), len(labels)))

    def mistake_first_rows(images, labels, new, k):
        """You keep k rows of the sorted table, and in each of them everybody votes.

        A row belongs to a new image; where in it are the nearest?
        """
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return _vote(labels[distances.argsort(dim=1)[:k]])

    def mistake_sorted_down(images, labels, new, k):
        """You sort along the wrong dimension.

        That ranks the new images for each known one, not the known for each new one.
        """
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        return _vote(labels[distances.argsort(dim=0)[:, :k]])

    def mistake_number_of_votes(images, labels, new, k):
        """You say *how many* votes the winner has. Who is it?"""
        distances = torch.cdist(new.flatten(1), images.flatten(1))
        votes = labels[distances.argsort(dim=1)[:, :k]]
        return torch.stack([row.bincount().max() for row in votes])

    def mistake_turned(images, labels, new, k):
        """There is one answer for each image that is known.

        Your table of distances is on its side.
        """
        distances = torch.cdist(images.flatten(1), new.flatten(1))
        return _vote(labels[distances.argsort(dim=1)[:, :k]])


def _vote(votes):
    return torch.stack([row.bincount(minlength=10).argmax() for row in votes])


def _wide(*shape):
    return 2 * torch.rand(shape) - 0.5
