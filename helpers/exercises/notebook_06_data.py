"""The exercises of notebook 06, data."""

import random
import weakref
from collections.abc import Iterable
from contextlib import suppress

import torch
from torch.utils.data import Dataset

from helpers.exercises.base import Function, Value
from helpers.exercises.compare import kind


class Windows(Function):
    """A dataset of stretches of a series, each with the number that follows."""

    number = "6.1"
    hints = (
        "Write down all the examples of the series 10, 11, 12, 13, 14 with "
        "length 3. At which place does each begin, and at which is its target?",
        "How many are there? The last one needs room for its stretch and for one "
        "number more.",
        "Example `i` begins at place `i`. A slice stops before its end, so the number "
        "at that end isn't in it.",
    )
    right = (
        "Nearly every number is in several examples, and yet lies in memory only "
        "once: slices are views. Language models are fed like this, with a text for "
        "the series."
    )

    def inputs():
        yield torch.tensor([10.0, 11.0, 12.0, 13.0, 14.0]), 3
        yield torch.randn(9), 4
        yield torch.randn(6, dtype=torch.float64), 1
        yield torch.randint(50, (12,)), 5
        yield torch.randn(8, 2).T[1], 6
        yield torch.randn(4), 4
        yield torch.randn(7), 2

    def probe(answer, series, length):
        dataset = answer(series, length)
        n = min(len(dataset), len(series) - length)
        examples = {f"example {i}": dataset[i] for i in range(n)}
        return {"what len() says": len(dataset)} | examples

    class solution(Dataset):
        """Stretches of a series, each with the number that follows it."""

        def __init__(self, series, length):
            self.series, self.length = series, length

        def __len__(self):
            # A stretch may begin wherever a target is left for it: not at the last
            # `length` places.
            return len(self.series) - self.length

        def __getitem__(self, i):
            end = i + self.length
            return self.series[i:end], self.series[end]

    class mistake_one_too_many(solution):
        """You count one example too many: the last has no target.

        The loader would ask for it, and stop with an error.
        """

        def __len__(self):
            return len(self.series) - self.length + 1

    class mistake_one_too_few(solution):
        """One example is missing: there is a last one that has room."""

        def __len__(self):
            return max(len(self.series) - self.length - 1, 0)

    class mistake_as_long_as_the_series(solution):
        """Not every number of the series begins an example.

        Near the end, there isn't enough left.
        """

        def __len__(self):
            return len(self.series)

    class mistake_target_inside(solution):
        """The target is in the input already, as its last number.

        A model needn't learn anything to be perfect at that.
        """

        def __getitem__(self, i):
            end = i + self.length
            return self.series[i:end], self.series[end - 1]

    class mistake_window_with_target(solution):
        """Your stretch is one number too long, and that number is the target."""

        def __getitem__(self, i):
            end = i + self.length
            return self.series[i : end + 1], self.series[end]

    class mistake_too_far(solution):
        """You leave out a number between the stretch and its target.

        Nothing is lost by the slice: it stops *before* its end.
        """

        def __getitem__(self, i):
            end = i + self.length
            return self.series[i:end], self.series[end + 1]

    class mistake_target_as_list(solution):
        """Your target is a slice of one number. It should be the number itself."""

        def __getitem__(self, i):
            end = i + self.length
            return self.series[i:end], self.series[end : end + 1]

    class mistake_targets_of_all(solution):
        """Your target is a whole stretch, moved on by one.

        Language models are trained so; here only the one number is asked for.
        """

        def __getitem__(self, i):
            end = i + self.length
            return self.series[i:end], self.series[i + 1 : end + 1]

    class mistake_side_by_side(solution):
        """Your stretches lie side by side, so most examples are lost.

        A stretch may begin anywhere, in the middle of another one too.
        """

        def __len__(self):
            return (len(self.series) - 1) // self.length

        def __getitem__(self, i):
            start, end = i * self.length, (i + 1) * self.length
            return self.series[start:end], self.series[end]

    class mistake_side_by_side_to_the_end(mistake_side_by_side):
        """You jump a whole stretch ahead each time, and run off the end.

        A stretch may begin anywhere, in the middle of another one too.
        """

        def __len__(self):
            return len(self.series) - self.length

    class mistake_slice_with_length(solution):
        """The number behind the colon is where a slice stops, not how long it is."""

        def __getitem__(self, i):
            return self.series[i : self.length], self.series[i + self.length]

    class mistake_no_pair(solution):
        """That is a single tensor. An example is two things: an input and a target."""

        def __getitem__(self, i):
            return self.series[i : i + self.length + 1]

    class mistake_swapped(solution):
        """Right, but the wrong way round: x comes first, and then y."""

        def __getitem__(self, i):
            end = i + self.length
            return self.series[end], self.series[i:end]


class collated(Value):
    """What collation makes of a dictionary."""

    number = "6.2"
    hints = (
        "Collation goes into a dictionary and treats each key by itself: sixteen "
        "images, sixteen labels, sixteen pairs, sixteen texts.",
        "Sixteen pairs: it goes into those as well, and treats what comes first in "
        "each by itself, then what comes second.",
        'So `batch["centre"]` is a list of two things, and the first of them '
        "is made of sixteen plain numbers, just as the labels are.",
    )
    right = (
        'The rows and the columns come apart: `batch["centre"]` is a list of two '
        "tensors, not a table with a row per photograph. Whoever wants the table "
        "lets the dataset return a tensor."
    )

    def probe(answer):
        parts = list(answer) if isinstance(answer, list | tuple) else []
        names = ('batch["image"]', 'batch["label"]', 'batch["centre"][0]')
        found = {"you name four things": len(parts) == 4}
        parts = (parts + 4 * [None])[:4]
        for name, shape in zip(names, parts, strict=False):
            shape = (shape,) if isinstance(shape, int) else shape
            found[f"the shape of {name}"] = shape if shape is None else list(shape)
        length = parts[3]
        if isinstance(length, tuple | list) and len(length) == 1:
            (length,) = length
        return found | {'the length of batch["file"]': length}

    def solution():
        # A tensor gets a new dimension in front. Plain numbers become a tensor with
        # one dimension. Of sixteen pairs come two such tensors, and texts stay a list.
        return [(16, 3, 32, 48), (16,), (16,), 16]

    def mistake_pairs_as_rows():
        """You take `batch["centre"]` for a table with a row for each photograph.

        A pair isn't a tensor, though: how does collation treat it?
        """
        return [(16, 3, 32, 48), (16,), (2,), 16]

    def mistake_table():
        """That would be the shape of all the centres together.

        Asked for is what stands at place 0 of `batch["centre"]`, and that is neither
        all of them nor a table.
        """
        return [(16, 3, 32, 48), (16,), (16, 2), 16]

    def mistake_column():
        """A plain number has no dimension.

        Sixteen of them, with one new dimension in front: how many is that?
        """
        return [(16, 3, 32, 48), (16, 1), (16, 1), 16]

    def mistake_label_column():
        """The label is a plain number: it has no dimension to begin with.

        How many has it once it is stacked?
        """
        return [(16, 3, 32, 48), (16, 1), (16,), 16]

    def mistake_one_label():
        """You look at the label of a single photograph.

        A batch has as many as it has images.
        """
        return [(16, 3, 32, 48), (), (16,), 16]

    def mistake_single_numbers():
        """The image is collated; the label and the centre are still one photograph's.

        Everything in an example is collated, plain numbers included.
        """
        return [(16, 3, 32, 48), (), (), 16]

    def mistake_one_example():
        """That is a single example, before it is collated."""
        return [(3, 32, 48), (), (), 7]

    def mistake_joined():
        """You have put the images together along their channels.

        Stacking makes a new dimension for the photographs.
        """
        return [(48, 32, 48), (16,), (16,), 16]

    def mistake_text():
        """You count the letters of a name, and a batch has sixteen names.

        The rest is right.
        """
        return [(16, 3, 32, 48), (16,), (16,), 7]


class lonely(Value):
    """How many images of a random validation set have no sibling to learn from."""

    number = "6.3"
    hints = (
        "Take one validation image. For it to be alone, where must its four "
        "siblings be?",
        "A sibling lands in the validation set about once in five. What is the chance "
        "that all four of them do?",
        "That is the chance for one image. There are two hundred of them.",
    )
    right = (
        "That is why a random split can promise so much. And the lonely ones come in "
        "fives, all five or none: in about fifteen random splits out of sixteen, "
        "every single validation image has a sibling to be recognized by."
    )
    tolerance = 0.05

    def solution():
        # All four siblings must be in the validation set too. For each, the chance
        # is about 1/5; exactly 199/999 for the first, 198/998 for the second, …
        lonely = 200
        for k in range(4):
            lonely *= (199 - k) / (999 - k)
        return lonely

    def mistake_wrong_way():
        """So many have *all* four siblings in the training set.

        Those are the opposite of alone.
        """
        return 200 * 0.8**4

    def mistake_itself():
        """You count one chance in five too many.

        That the image itself is in the validation set is not in question.
        """
        return 200 * 0.2**5

    def mistake_one_sibling():
        """So many lose one particular sibling. Alone is who loses all four."""
        return 40

    def mistake_any_sibling():
        """So many lose at least one of their siblings. Alone is who loses all four."""
        return 200 * (1 - 0.8**4)

    def mistake_sum():
        """Chances of things that must *all* happen aren't added."""
        return 160

    def mistake_share():
        """That is the chance for one image. Asked for is how many of two hundred."""
        return 0.2**4

    def mistake_percent():
        """That is the chance for one image, in percent.

        Asked for is how many of two hundred.
        """
        return 100 * 0.2**4

    def mistake_thousand_or_three():
        """Either you count the lonely ones among all thousand images, or you give
        each image one sibling too few.
        """
        return 1000 * 0.2**4

    def mistake_the_others():
        """That is how many do have a sibling in the training set."""
        return 199.69

    def mistake_none():
        """For a single split that is a good guess.

        But the mean over many splits isn't quite 0, and needn't be a whole number.
        """
        return 0


class far_out(Value):
    """Pixels of which one is far out, in spite of being normalized."""

    number = "6.4"
    hints = (
        "The deviation is drawn up by every pixel that is away from the mean. To "
        "stay far out in terms of it, what must a pixel be?",
        "Take black pixels and one white one, and print where the white one lands: "
        "for ten pixels, for a hundred, for a thousand.",
        "With n pixels it lands at about the root of n. You needn't type them: "
        "`torch.zeros` makes as many as you like.",
    )
    right = (
        "How far out depends on how rare a value is, not on how bright. Data with "
        "rare, extreme values (prices, rainfall) are often tamed by a logarithm or by "
        "`clamp` first, and normalized afterwards."
    )

    def probe(answer):
        x = torch.empty(0)
        with suppress(RuntimeError, TypeError, ValueError):
            x = torch.as_tensor(answer).detach().double().flatten()
        numbers = len(x) > 0 and bool(x.isfinite().all())
        some = numbers and len(x) > 1
        inside = some and bool((x >= 0).all() and (x <= 1).all())
        differ = some and bool(x.min() < x.max())
        far = differ and bool(((x - x.mean()) / x.std()).abs().max() > 50)
        return {
            "these are numbers, in a tensor or in a list": numbers,
            "there is more than one of them": some,
            "all of them lie between 0 and 1": inside,
            "they are not all the same": differ,
            "normalized, one of them is more than 50 away from 0": far,
        }

    def solution():
        # One white pixel among many black ones: the mean is 1/n and the deviation
        # about 1/√n, so that the white one ends up at about √n.
        pixels = torch.zeros(10_000)
        pixels[0] = 1
        return pixels

    def mistake_large():
        """Pixels lie between 0 and 1.

        And a number far outside wouldn't help either: it draws up the deviation just
        as much.
        """
        return torch.tensor([0.0, 0.0, 0.0, 1000.0])

    def mistake_large_and_rare():
        """That does go far out, but pixels lie between 0 and 1.

        Do you need the large number?
        """
        return torch.cat([torch.zeros(5000), torch.tensor([1000.0])])

    def mistake_not_rare_enough():
        """All of these lie between 0 and 1. But normalized, none is far enough out.

        Would more of one kind help, or fewer of another?
        """
        return torch.cat([torch.zeros(100), torch.ones(1)])

    def mistake_constant():
        """These are all the same.

        Their deviation is 0, and nobody can divide by that.
        """
        return torch.ones(10_000)

    def mistake_one_number():
        """A single pixel has no deviation, and there isn't much to normalize."""
        return torch.tensor([1.0])


def moved(image, rows):
    """Return an image moved down by so many rows."""
    return image.roll(rows, dims=0)


def rows_moved(image, original):
    """Return by how many rows an image was moved; None for another image."""
    if not torch.is_tensor(image) or image.shape != original.shape:
        return None
    n = len(original)
    for place in (original[:, 0] == image[0, 0]).nonzero()[:, 0].tolist():
        if torch.equal(image.to(original.dtype), moved(original, -place)):
            return -place if place <= n // 2 else n - place
    return None


class Shifted(Function):
    """A dataset that moves its images, with three faults to mend."""

    number = "6.5"
    hints = (
        "When is the number of rows drawn, and how often? `__init__` runs once.",
        "`self.x[i]` is a view. Who else sees what you write into it, and what does "
        "the next epoch begin with?",
        "`torch.randint(low, high, …)` stops before `high`, as `range` does.",
    )
    right = (
        "None of the three shows in the first batch. Ask a dataset twice for the same "
        "example, look at both, and look at what it keeps."
    )
    may_change_inputs = True  # there is a condition for it, in words

    def inputs():
        yield torch.randn(3, 8, 8), torch.tensor([3, 1, 4]), 2
        yield torch.rand(2, 9, 4, dtype=torch.float64), torch.tensor([2, 7]), 1

    def probe(answer, x, y, pixels):
        original, shifts, firsts, labels = x.clone(), [], [], []
        pairs, anew, apart, same = True, False, False, True
        sideways, exchanged = False, False
        for times in [3] * 23 + [50]:  # many of one, which may have its own generator
            given = original.clone()
            dataset = answer(given, y.clone(), pixels)
            seen = []
            for i in range(len(x)):
                own = []
                for _ in range(times):
                    before = given[i].clone()  # the original, if all is well
                    example = dataset[i]
                    if not isinstance(example, tuple | list) or len(example) != 2:
                        pairs, example = False, (None, None)
                    image, label = example
                    if getattr(label, "shape", None) == before.shape:
                        pairs = False  # they are swapped
                    own.append(rows_moved(image, before))
                    if own[-1] is None and getattr(image, "shape", 0) == before.shape:
                        moves = rows_moved(image.T, before.T)
                        sideways = sideways or moves is not None
                        exchanged = exchanged or any(
                            rows_moved(image, other) is not None for other in given
                        )
                labels.append(example[1])
                anew = anew or len(set(own)) > 1
                seen.append(own[0])
                firsts.append(own[0] or 0)
                shifts += own
            apart = apart or len(set(seen)) > 1
            same = same and torch.equal(given, original)
        rows = [s for s in shifts if s is not None]
        return {
            "what len() says": len(dataset),
            "an example is a pair, an image and its label": pairs,
            "no image is moved sideways": not sideways,
            "asked for one image, it doesn't return another": not exchanged,
            "each image comes out whole, moved up or down": None not in shifts,
            "asked for the same image again, it draws anew": anew,
            "different images are moved differently": apart,
            "the images that it was given stay as they are": same,
            "no image is moved further than `pixels`": max(map(abs, firsts)) <= pixels,
            "no image is moved further than `pixels` when it is asked for again": (
                max(map(abs, rows), default=0) <= pixels
            ),
            "images are moved down by `pixels` at times": pixels in rows,
            "images are moved up by `pixels` at times": -pixels in rows,
            "each whole number between `-pixels` and `pixels` is drawn at times": (
                set(range(1 - pixels, pixels)) <= set(rows)
            ),
            "the list of labels": labels[: len(x)],
        }

    class solution(Dataset):
        """Images, moved up or down by a few rows, anew each time."""

        def __init__(self, x, y, pixels):
            self.x, self.y, self.pixels = x, y, pixels

        def __len__(self):
            return len(self.x)

        def __getitem__(self, i):
            # Drawn here, so that it is another number each time. The upper limit
            # itself is never drawn: hence one more.
            rows = torch.randint(-self.pixels, self.pixels + 1, (1,)).item()
            # roll makes a new image. What is kept in self.x isn't touched.
            return self.x[i].roll(rows, dims=0), self.y[i]

    class mistake_as_it_was(Dataset):
        """All three faults are still there.

        Ask it for one image three times, and look at the three, and at `x`.
        """

        def __init__(self, x, y, pixels):
            self.x, self.y, self.pixels = x, y, pixels
            self.rows = self.drawn()

        def __len__(self):
            return len(self.x)

        def drawn(self):
            return torch.randint(-self.pixels, self.pixels, (1,)).item()

        def __getitem__(self, i):
            self.x[i] = moved(self.x[i], self.rows)
            return self.x[i].clone(), self.y[i]

    class mistake_once(solution):
        """One fault is left.

        All images are moved alike, and the same way in every epoch.
        """

        def __init__(self, x, y, pixels):
            super().__init__(x, y, pixels)
            self.rows = torch.randint(-pixels, pixels + 1, (1,)).item()

        def __getitem__(self, i):
            return moved(self.x[i], self.rows), self.y[i]

    class mistake_once_per_image(solution):
        """You draw a number for each image, but only once.

        It will be moved the same way in every epoch.
        """

        def __init__(self, x, y, pixels):
            super().__init__(x, y, pixels)
            self.rows = torch.randint(-pixels, pixels + 1, (len(x),)).tolist()

        def __getitem__(self, i):
            return moved(self.x[i], self.rows[i]), self.y[i]

    class mistake_once_and_range(mistake_as_it_was):
        """The images you were given are safe now.

        How often is a number drawn, though, and from which?
        """

        def __getitem__(self, i):
            return moved(self.x[i], self.rows), self.y[i]

    class mistake_range(solution):
        """One fault is left.

        Your numbers of rows are lopsided: look at the smallest and the largest.
        """

        def __getitem__(self, i):
            rows = torch.randint(-self.pixels, self.pixels, (1,)).item()
            return moved(self.x[i], rows), self.y[i]

    class mistake_in_place(solution):
        """One fault is left, the most harmful.

        Your images wander off, a little further in each epoch: somewhere you write
        into the images that you keep.
        """

        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            self.x[i] = image
            return image.clone(), label

    class mistake_copy_in_place(solution):
        """The caller's images are safe, but your own copies wander off.

        In the second epoch they begin where they were left in the first.
        """

        def __init__(self, x, y, pixels):
            super().__init__(x.clone(), y, pixels)

        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            self.x[i] = image
            return image.clone(), label

    class mistake_once_in_place(mistake_as_it_was):
        """The range is mended.

        But the number is drawn once, and your images wander off by it, a little
        further in each epoch.
        """

        def drawn(self):
            return torch.randint(-self.pixels, self.pixels + 1, (1,)).item()

    class mistake_in_place_and_range(mistake_as_it_was):
        """It draws anew now. Two faults are left.

        From which numbers does it draw, and whose images does it write into?
        """

        def __getitem__(self, i):
            self.rows = self.drawn()
            return super().__getitem__(i)

    class mistake_down_only(solution):
        """Images are only ever moved down."""

        def __getitem__(self, i):
            rows = torch.randint(self.pixels + 1, (1,)).item()
            return moved(self.x[i], rows), self.y[i]

    class mistake_columns(solution):
        """You move the image sideways: `dims` counts from 0."""

        def __getitem__(self, i):
            rows = torch.randint(-self.pixels, self.pixels + 1, (1,)).item()
            return self.x[i].roll(rows, dims=1), self.y[i]

    class mistake_not_whole(solution):
        """Pixels get lost, or land in another row than their neighbours.

        Whole rows should move, and come in again at the other edge. Does `roll` know
        along which dimension?
        """

        def __getitem__(self, i):
            rows = torch.randint(-self.pixels, self.pixels + 1, (1,)).item()
            return self.x[i].roll(rows), self.y[i]


def slipped(answers, labels):
    """Return, for each image that may be the one, how many agree."""
    n = len(answers)
    return torch.tensor(
        [
            (answers[:k] == labels[:k]).sum() + (answers[k + 1 :] == labels[k:]).sum()
            for k in range(n)
        ]
    )


class lost_line(Function):
    """Which line is missing from a table of labels."""

    number = "6.6"
    hints = (
        "Suppose you knew it was photograph 3. Which label would then belong to "
        "photograph 2, and which to 4? Count how many answers agree with their labels.",
        "Now do that for every photograph that it could be, and take the best.",
        "If it is photograph k, the labels before place k belong to the photographs of "
        "the same number, and those from place k on to the ones after.",
        "A loop over k with two sums in it will do. To avoid adding up the same "
        "numbers again and again, look for `cumsum`.",
    )
    right = (
        "The model needn't be good: its mistakes are spread over the whole table, and "
        "the slip is in one place. Better still is a table with the file's name in "
        "every line. It can't slip at all."
    )

    def inputs():
        yield torch.tensor([3, 1, 4, 1, 5, 9]), torch.tensor([3, 7, 4, 5, 9])
        for n, lost, wrong in (
            (30, 11, [2, 3, 20, 28]),
            (90, 60, [5, 20, 21, 40, 53, 70, 80]),
            (40, 0, [9, 30, 38]),
            (25, 24, [1, 8, 15]),
            (60, 33, [0, 40, 59]),
        ):
            truth = torch.randint(1, 10, (n,)).cumsum(dim=0) % 10  # no label twice
            answers = truth.clone()
            answers[wrong] = (answers[wrong] + 5) % 10
            yield answers, torch.cat([truth[:lost], truth[lost + 1 :]])
        yield torch.tensor([5, 7]), torch.tensor([7])
        yield torch.tensor([2, 8, 8, 8, 0, 6]), torch.tensor([2, 8, 8, 0, 6])

    def probe(answer, answers, labels):
        found = answer(answers, labels)
        one = torch.is_tensor(found) and found.numel() == 1
        return found.item() if one else found

    def solution(answers, labels):
        # What agrees if label i belongs to photograph i, and what if to the one after.
        same = (answers[:-1] == labels).long()
        next_one = (answers[1:] == labels).long()
        # If k is the one, count `same` before place k, and `next_one` from there on.
        zero = torch.zeros(1, dtype=torch.long)
        before = torch.cat([zero, same.cumsum(dim=0)])
        after = next_one.sum() - torch.cat([zero, next_one.cumsum(dim=0)])
        return (before + after).argmax().item()

    def mistake_first_difference(answers, labels):
        """You stop at the first answer that differs from its label.

        But the model is wrong now and then, long before the line that is lost.
        """
        different = (answers[:-1] != labels).nonzero()
        return different[0, 0].item() if len(different) else len(labels)

    def mistake_last_difference(answers, labels):
        """You come from the end and stop at the first answer that differs.

        But the model is wrong now and then, there as well.
        """
        different = (answers[1:] != labels).nonzero()
        return different[-1, 0].item() + 1 if len(different) else 0

    def mistake_front_only(answers, labels):
        """You count only up to the lost line.

        Beyond it, chance agreements go on: count there, too, what agrees.
        """
        same = (answers[:-1] == labels).long().cumsum(dim=0)
        return torch.cat([same[:1] * 0, same]).argmax().item()

    def mistake_always_the_first(answers, labels):
        """You always get photograph 0.

        Do you count on both sides of the lost line, and have the labels beyond it
        slipped in your count?
        """
        return 0

    def mistake_one_late(answers, labels):
        """One too high. Photographs are counted from 0, as in `mnist[0]`."""
        return slipped(answers, labels).argmax().item() + 1

    def mistake_one_early(answers, labels):
        """One too low: you name the last photograph that still has its own label."""
        return slipped(answers, labels).argmax().item() - 1

    def mistake_never_the_last(answers, labels):
        """You never think of the last photograph. It may be the one, too."""
        return slipped(answers, labels)[:-1].argmax().item()

    def mistake_itself_too(answers, labels):
        """You compare photograph k itself with a label, and that is the next one's.

        If its own is lost, there is none that it could agree with.
        """
        return torch.tensor(
            [
                (answers[: k + 1] == labels[: k + 1]).sum()
                + (answers[k + 1 :] == labels[k:]).sum()
                for k in range(len(labels))
            ]
        ).argmax()

    def mistake_line(answers, labels):
        """That is the line of the file, with its header.

        Asked for is the number of the photograph.
        """
        return slipped(answers, labels).argmax().item() + 2

    def mistake_count(answers, labels):
        """That is how many agree. Asked for is *where* they do."""
        return slipped(answers, labels).max().item()

    def mistake_last_of_several(answers, labels):
        """If several images do equally well, it is the first of them that is asked for.

        The rest is right.
        """
        counts = slipped(answers, labels)
        return (counts == counts.max()).nonzero()[-1, 0].item()

    def mistake_worst(answers, labels):
        """You take the place where the fewest agree."""
        return slipped(answers, labels).argmin().item()

    def mistake_label(answers, labels):
        """That is what the photograph shows. Asked for is its number."""
        return answers[slipped(answers, labels).argmax()].item()


RUNS = 2000
FIRST = 100  # the streams begin with this number: an example isn't its place


def drawn(answer, n, k, generator):
    """Return which of the n examples of a stream are drawn, as a list of places."""
    found = answer(iter(range(FIRST, FIRST + n)), k, generator)
    if not isinstance(found, Iterable):
        lost = " (is a `return` missing?)" * (found is None)
        raise TypeError(f"this returns {kind(found)}{lost}, and should return a list")
    return [None if example is None else int(example) - FIRST for example in found]


def chances(answer, k, n, generator):
    """Return how often each of n examples is drawn."""
    times = [0] * n
    for _ in range(RUNS):
        for example in drawn(answer, n, k, generator):
            if example in range(n):
                times[example] += 1
    return [count / RUNS for count in times]


def in_words(chance, fair):
    """Say whether a chance is what it should be."""
    if chance in (0, 1):
        return "never" if chance == 0 else "always"
    if abs(chance - fair) < 0.053:
        return "as often as it should be"
    return "too often" if chance > fair else "too seldom"


def most_alive(answer, k, n, generator):
    """Return how many examples of a stream are held at the same time."""
    alive, most = [], 0

    def stream():
        nonlocal alive, most
        for i in range(n):
            alive = [reference for reference in alive if reference() is not None]
            most = max(most, len(alive))
            example = torch.tensor(i)
            alive.append(weakref.ref(example))
            yield example
            del example

    answer(stream(), k, generator)
    return most


class draw(Function):
    """A fair draw from a stream, with no more memory than it needs."""

    number = "6.7"
    hints = (
        "Begin with k = 1 and follow it by hand. After the first example you "
        "hold that. The second comes: with what chance must it replace the first, so "
        "that both are equally likely to be held? And the third?",
        "When example number n arrives, it must be among the k with the chance that "
        "all of the n have by then. What chance is that?",
        "A newcomer that gets in takes the place of one that is held, and each of "
        "those is as likely to go.",
        "One random number does both: draw a place from as many as there have been "
        "examples, this one included. If it is one of the k you have, the newcomer "
        "sits down there; if not, it is let go.",
    )
    right = (
        "It is known as reservoir sampling. At no moment does it know how much is "
        "still to come, and at every moment it could stop and have been fair."
    )
    may_change_inputs = True

    def inputs():
        yield ()

    def probe(answer):
        generator = torch.Generator().manual_seed(0)
        some = [drawn(answer, 9, 4, generator) for _ in range(9)]
        few = drawn(answer, 3, 5, generator)
        again = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            random.seed(seed)
            again.append(drawn(answer, 40, 5, generator.manual_seed(3)))
        facts = {
            "the number of examples that come back, with k = 4,": len(some[0]),
            "what comes back are examples of the stream": all(
                set(s) <= set(range(9)) for s in some
            ),
            "no example comes back twice": all(len(set(s)) == len(s) for s in some),
            "of a stream with fewer than k examples, all come back, and nothing else": (
                set(few) == {0, 1, 2} and len(few) == 3
            ),
            "it holds k examples and the newcomer, however long the stream": (
                most_alive(answer, 4, 40, generator) <= 2 * 4 + 2
            ),
            "all chance comes from `generator`": again[0] == again[1],
        }
        one_of_three = chances(answer, 1, 3, generator)
        for name, chance in zip(("first", "second", "last"), one_of_three, strict=True):
            kept = f"how often the {name} of three is kept, with k = 1,"
            facts[kept] = in_words(chance, 1 / 3)
        two_of_five = chances(answer, 2, 5, generator)
        del two_of_five[3]  # the others leave it no choice
        for name, chance in zip(
            ("first", "second", "third", "last"), two_of_five, strict=True
        ):
            kept = f"how often the {name} of five is kept, with k = 2,"
            facts[kept] = in_words(chance, 2 / 5)
        return facts

    def solution(stream, k, generator):
        kept = []
        for n, example in enumerate(stream, start=1):
            if len(kept) < k:
                kept.append(example)
            else:
                # A place among all n seen so far. It is one of the k that are kept
                # with chance k/n, which is just what the newcomer is due, and each
                # of those is equally likely to have to go.
                place = torch.randint(n, (1,), generator=generator).item()
                if place < k:
                    kept[place] = example
        return kept

    def mistake_first(stream, k, generator):
        """You keep the first k. Later ones have no chance."""
        return [e for i, e in enumerate(stream) if i < k]

    def mistake_last(stream, k, generator):
        """You keep the last k. Earlier ones have no chance."""
        kept = []
        for example in stream:
            kept = [*kept, example][-k:]
        return kept

    def mistake_nothing(stream, k, generator):
        """Nothing comes back.

        Do you go through the stream a second time? It comes by only once.
        """
        return []

    def mistake_places(stream, k, generator):
        """You keep the numbers of the examples. Asked for are the examples themselves.

        There is no way back in a stream to fetch them.
        """
        kept = []
        for n, _ in enumerate(stream, start=1):
            if len(kept) < k:
                kept.append(n - 1)
            else:
                place = torch.randint(n, (1,), generator=generator).item()
                if place < k:
                    kept[place] = n - 1
        return kept

    def mistake_everything(stream, k, generator):
        """Fair, but you hold the whole stream, and it doesn't fit into memory."""
        examples = list(stream)
        order = torch.randperm(len(examples), generator=generator)
        return [examples[i] for i in order[:k]]

    def mistake_always(stream, k, generator):
        """You let every newcomer in. The last one is then always kept.

        Whoever came early has been thrown out long since.
        """
        kept = []
        for example in stream:
            if len(kept) < k:
                kept.append(example)
            else:
                kept[torch.randint(k, (1,), generator=generator).item()] = example
        return kept

    def mistake_one_too_many(stream, k, generator):
        """Of the k examples and the newcomer, any may have to go, and equally likely.

        It looks fair each time. But who came early has to survive that far more often
        than who comes late.
        """
        kept = []
        for example in stream:
            kept.append(example)
            if len(kept) > k:
                del kept[torch.randint(k + 1, (1,), generator=generator).item()]
        return kept

    def mistake_grows(stream, k, generator):
        """You add newcomers, and nobody goes. Any number may come back."""
        kept = []
        for n, example in enumerate(stream, start=1):
            if torch.rand(1, generator=generator).item() < k / n:
                kept.append(example)
        return kept

    def mistake_coin(stream, k, generator):
        """You toss the same coin for every newcomer.

        The later it is, the more examples there have been, and the smaller the share
        that is due to it.
        """
        kept = []
        for example in stream:
            if len(kept) < k:
                kept.append(example)
            elif torch.rand(1, generator=generator).item() < 0.5:
                kept[torch.randint(k, (1,), generator=generator).item()] = example
        return kept

    def mistake_one_off(stream, k, generator):
        """Nearly. The first newcomer after the k is certain to get in.

        Your counting of those that have been seen is off by one.
        """
        kept = []
        for n, example in enumerate(stream):
            if len(kept) < k:
                kept.append(example)
            else:
                place = torch.randint(n, (1,), generator=generator).item()
                if place < k:
                    kept[place] = example
        return kept

    def mistake_one_place(stream, k, generator):
        """Right for k = 1. With more places, a newcomer is due more.

        It gets in with a chance of one in n, whatever k is.
        """
        kept = []
        for n, example in enumerate(stream, start=1):
            if len(kept) < k:
                kept.append(example)
            elif torch.randint(n, (1,), generator=generator).item() == 0:
                kept[torch.randint(k, (1,), generator=generator).item()] = example
        return kept

    def mistake_oldest_goes(stream, k, generator):
        """A newcomer gets in with the right chance. But it is not by chance who goes.

        You always turn out the same place.
        """
        kept = []
        for n, example in enumerate(stream, start=1):
            if len(kept) < k:
                kept.append(example)
            elif torch.randint(n, (1,), generator=generator).item() < k:
                kept[0] = example
        return kept

    def mistake_oldest_in_row(stream, k, generator):
        """A newcomer gets in with the right chance.

        But whoever has been there longest has to go, and should have a fair chance to
        stay.
        """
        kept = []
        for n, example in enumerate(stream, start=1):
            if len(kept) < k:
                kept.append(example)
            elif torch.randint(n, (1,), generator=generator).item() < k:
                kept = [*kept[1:], example]
        return kept

    def mistake_several_draws(stream, k, generator):
        """You make k draws that don't know of each other.

        Now and then the same example comes back twice.
        """
        kept = []
        for n, example in enumerate(stream, start=1):
            if not kept:
                kept = [example] * k
            places = torch.randint(n, (k,), generator=generator)
            kept = [example if p == 0 else e for e, p in zip(kept, places, strict=True)]
        return kept

    def mistake_other_generator(stream, k, generator):
        """Fair. But your chance doesn't come from `generator`.

        When that is put back to the same seed, it should be the same draw again.
        """
        kept = []
        for n, example in enumerate(stream, start=1):
            if len(kept) < k:
                kept.append(example)
            else:
                place = torch.randint(n, (1,)).item()
                if place < k:
                    kept[place] = example
        return kept
