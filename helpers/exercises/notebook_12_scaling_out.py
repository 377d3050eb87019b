"""The exercises of notebook 12, scaling out."""

import math

import torch

from helpers.exercises.base import Function, Value


class batch_gradient(Function):
    """The gradient of a batch from those of its shares."""

    number = "12.1"
    hints = (
        "The gradient of a share is a mean over its rows. How do you get the sum over "
        "its rows from it, and what do you do with all the sums?",
        "Each share counts by its number of rows, divided by the number of all rows.",
        "0 times nan is nan. Skip a share that has no rows.",
    )
    right = (
        "This is what `replicate` does: each process multiplies its gradient by "
        "its part of the rows, and all_reduce adds them up."
    )

    def inputs():
        yield [torch.tensor(1.0), torch.tensor(5.0)], [3, 1]
        yield [torch.randn(4, 3) for _ in range(3)], [5, 2, 9]
        yield [torch.randn(6), torch.randn(6)], [8, 8]
        yield [torch.randn(3), torch.full((3,), torch.nan), torch.randn(3)], [2, 0, 4]
        yield [torch.full((2, 2), torch.nan), torch.randn(2, 2)], [0, 7]
        yield [torch.randn(2, 2)], [3]
        yield [torch.randn(5).double() for _ in range(4)], [1, 2, 3, 40]

    def solution(shares, rows):
        total = torch.zeros_like(shares[0])
        for share, n in zip(shares, rows, strict=True):
            # A mean over no rows is nan, and 0 * nan would be nan as well.
            if n > 0:
                # A mean times its number of rows is the sum over them.
                total += share * n
        return total / sum(rows)

    def mistake_plain_mean(shares, rows):
        """You take every process for as important as any other.

        One had three times as many rows. (And one may have had none.)
        """
        return sum(shares) / len(shares)

    def mistake_plain_mean_of_some(shares, rows):
        """You leave out the empty ones, and take the rest for equally important."""
        some = [share for share, n in zip(shares, rows, strict=True) if n]
        return sum(some) / len(some)

    def mistake_nan(shares, rows):
        """Right, but for a process without rows: what is 0 times nan?"""
        whole = sum(rows)
        return sum(share * n / whole for share, n in zip(shares, rows, strict=True))

    def mistake_sum(shares, rows):
        """That is the sum over all rows. A batch's loss is a mean."""
        return sum(s * n for s, n in zip(shares, rows, strict=True) if n)

    def mistake_by_processes(shares, rows):
        """You weigh by rows, and then divide by the number of processes.

        What do the weights add up to?
        """
        total = sum(s * n for s, n in zip(shares, rows, strict=True) if n)
        return total / len(shares)

    def mistake_plain_sum(shares, rows):
        """What all_reduce gives is the sum; the mean is your business."""
        return sum(s for s, n in zip(shares, rows, strict=True) if n)

    def mistake_inverse(shares, rows):
        """You divide a share by its rows. It is divided by them already."""
        some = [s / n for s, n in zip(shares, rows, strict=True) if n]
        return sum(some) * sum(rows) / len(some)


class one_too_many(Value):
    """With how many processes the last one brings nothing."""

    number = "12.2"
    hints = (
        "How many parts has the busiest of three processes, of four, of five? Make a "
        "table, from 1 to 16.",
        "16 parts dealt out to N processes: the busiest gets 16 / N, rounded up.",
        "That is 16, 8, 6, 4, 4, 3 and so on. Where does the table repeat itself?",
    )
    right = (
        "From 9 to 15, somebody always has two parts, as with 8. So machines are "
        "bought in powers of two, and batches made in multiples of them."
    )

    def probe(answer):
        form = "a list of numbers from 2 to 16"
        try:
            numbers = sorted({int(number) for number in answer})
        except (TypeError, ValueError):
            numbers = [0]
        fits = all(2 <= number <= 16 for number in numbers)
        right = {}
        for n in range(2, 17):
            is_one = -(-16 // n) == -(-16 // (n - 1))
            right[f"{n} is judged rightly"] = (n in numbers) == is_one
        return {form: fits and not isinstance(answer, str), **right}

    def solution():
        numbers = []
        for size in range(2, 17):
            # Parts are dealt out one by one, so the busiest has 16 / size, rounded up.
            if math.ceil(16 / size) == math.ceil(16 / (size - 1)):
                numbers.append(size)
        return numbers

    def mistake_no_divisor():
        """Those are the numbers for which the shares are unequal.

        With three, the busiest has more than a third, and still less than a half.
        """
        return [3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]

    def mistake_rounded_down():
        """You round down. That is the share of the idlest process."""
        return [7, 8, 10, 11, 12, 13, 14, 15, 16]

    def mistake_none():
        """You share out as if parts could be cut. Try it with five processes."""
        return []

    def mistake_odd():
        """Not every odd number is one too many, and some even ones are."""
        return [3, 5, 7, 9, 11, 13, 15]

    def mistake_above_eight():
        """Right above eight. Below it there are some, too."""
        return list(range(9, 16))

    def mistake_not_the_last():
        """Nearly: at 16 everybody has one part, and that is faster than two."""
        return [5, 7, *range(9, 17)]


class rates(Function):
    """The learning rates of a large batch, with a gradual warm-up."""

    number = "12.3"
    hints = (
        "First the two ends: which learning rate has step 0, and which the steps "
        "after the warm-up?",
        "During the warm-up, a share step / warm_up of the way from the one to the "
        "other is done.",
        "After the warm-up that share is 1, and it stays there.",
    )
    right = (
        "That is the warm-up of the group in the introduction. It starts where a "
        "single process would start, which is known to be safe."
    )

    def inputs():
        yield 0.1, 8, 6, 4
        yield 0.02, 16, 10, 5
        yield 0.1, 1, 5, 3
        yield 0.05, 4, 5, 0
        yield 0.3, 2, 3, 10
        yield 1.0, 3, 8, 1

    def probe(answer, *given):
        result = answer(*given)
        return [float(lr) for lr in result] if hasattr(result, "__iter__") else result

    def solution(lr, k, steps, warm_up):
        result = []
        for step in range(steps):
            # The share of the way that is done; all of it after the warm-up.
            done = step / warm_up if step < warm_up else 1.0
            result.append(lr + done * (k * lr - lr))
        return result

    def mistake_from_zero(lr, k, steps, warm_up):
        """Yours starts at 0, and the first step would be wasted.

        It should start where one process would.
        """
        return [k * lr * min(1, step / max(1, warm_up)) if warm_up else k * lr
                for step in range(steps)]  # fmt: skip

    def mistake_early(lr, k, steps, warm_up):
        """You count the steps from 1, so the warm-up is over a step too early."""
        done = [min(1, (step + 1) / max(1, warm_up)) for step in range(steps)]
        return [lr + share * (k - 1) * lr for share in done]

    def mistake_too_soon(lr, k, steps, warm_up):
        """Yours is at the top a step too early: step `warm_up` is the first there."""
        done = [min(1, step / max(1, warm_up - 1)) for step in range(steps)]
        return [lr + (share if warm_up else 1) * (k - 1) * lr for share in done]

    def mistake_unscaled(lr, k, steps, warm_up):
        """Yours climbs to the learning rate of the small batch, and stays there."""
        done = [step / warm_up if step < warm_up else 1.0 for step in range(steps)]
        return [lr * share for share in done]

    def mistake_left_alone(lr, k, steps, warm_up):
        """You have left the learning rate alone."""
        return [lr] * steps

    def mistake_no_warm_up(lr, k, steps, warm_up):
        """Scaled it is, and at full height from the first step on."""
        return [k * lr] * steps

    def mistake_root(lr, k, steps, warm_up):
        """You scale by the root of k.

        Some do that, for Adam above all. Here it was to be k.
        """
        done = [step / warm_up if step < warm_up else 1.0 for step in range(steps)]
        return [lr + share * (k**0.5 - 1) * lr for share in done]

    def mistake_too_high(lr, k, steps, warm_up):
        """You add k times the learning rate to it, so it ends one lr too high."""
        done = [step / warm_up if step < warm_up else 1.0 for step in range(steps)]
        return [lr + share * k * lr for share in done]

    def mistake_never_stops(lr, k, steps, warm_up):
        """Yours goes on climbing after the warm-up."""
        return [lr + step / max(1, warm_up) * (k - 1) * lr for step in range(steps)]


class expected_slowest(Function):
    """How long a step takes that ends when the slowest is done."""

    number = "12.4"
    hints = (
        "Sort the times. How likely is it that *all* n processes draw one of the "
        "i smallest of m times?",
        "That is (i / m) ** n. So how likely is it that the slowest of them draws "
        "exactly the i-th?",
        "It is the difference of two such numbers, for i and for i - 1. The mean is "
        "the sum of the times, each multiplied by how likely it is.",
    )
    right = (
        "With 200 processes, a hiccup that comes in one step of a hundred comes in 87 "
        "steps of a hundred, since 0.99 ** 200 is 0.13."
    )

    def inputs():
        yield [1.0, 3.0], 2
        yield [2.0, 1.0, 6.0], 1
        yield [1.0] * 99 + [10.0], 200
        yield torch.rand(20).tolist(), 8
        yield [0.5, 0.5, 0.5], 16
        yield [3.0, 1.0, 2.0, 2.0], 3
        yield [4.0], 5

    def solution(times, n):
        times = sorted(times)
        m = len(times)
        mean = 0.0
        for i, seconds in enumerate(times, start=1):
            # All n are among the i fastest, but not all among the i - 1 fastest:
            # then the slowest is exactly the i-th.
            likely = (i / m) ** n - ((i - 1) / m) ** n
            mean += seconds * likely
        return mean

    def mistake_worst(times, n):
        """You take the worst time there is. It isn't drawn every time."""
        return max(times)

    def mistake_mean(times, n):
        """That is the mean of one process. All wait for the slowest of n."""
        return sum(times) / len(times)

    def mistake_first(times, n):
        """You take the first n of the times. Each process draws at random."""
        return max(times[:n])

    def mistake_fastest(times, n):
        """You have the fastest of them. Are the times sorted the other way round?"""
        times, m = sorted(times, reverse=True), len(times)
        steps = enumerate(times, start=1)
        return sum(t * ((i / m) ** n - ((i - 1) / m) ** n) for i, t in steps)

    def mistake_unsorted(times, n):
        """Right, for times that come in rising order. Do they?"""
        m, steps = len(times), enumerate(times, start=1)
        return sum(t * ((i / m) ** n - ((i - 1) / m) ** n) for i, t in steps)

    def mistake_sum(times, n):
        """You add up all processes. They work at the same time."""
        return n * sum(times) / len(times)

    def mistake_any(times, n):
        """You weigh the very worst time alone, and the mean with the rest.

        Without the worst, the slowest of n still isn't an average one.
        """
        m = len(times)
        never = ((m - 1) / m) ** n
        return (1 - never) * max(times) + never * sum(times) / m


class smallest_batch(Function):
    """From which batch on a second process pays."""

    number = "12.5"
    hints = (
        "Write down both times, and subtract them. What stands on both sides doesn't "
        "matter.",
        "Two processes save the arithmetic of the rows that the *smaller* half has, "
        "since the larger half is what everybody waits for.",
        "The smaller half has batch // 2 rows. It must be worth more than the "
        "message: latency + bytes / bandwidth.",
    )
    right = (
        "The fixed part doesn't matter for whether it pays, only for how much. And "
        "the answer is always even: the odd row helps nobody."
    )

    def inputs():
        yield 1.0, 0.25, 1.0, 8.0, 16.0
        yield 4.0, 0.25, 1.0, 8.0, 16.0
        yield 0.0, 0.5, 0.25, 1.0, 4.0  # the message costs just one row
        yield 0.001, 1e-5, 0.0005, 407_080, 1e9
        yield 0.002, 3e-4, 0.0005, 81_960, 1e9
        yield 0.5, 2.0, 0.125, 1.0, 8.0
        yield 0.0, 0.03, 2.0, 3.0, 1.7

    def solution(fixed, per_row, latency, size, bandwidth):
        message = latency + size / bandwidth
        batch = 2
        # Two take as long as the larger half: they save what the smaller one costs.
        # (A division does it as well: 2 * (message // per_row + 1).)
        while batch // 2 * per_row <= message:
            batch += 2
        return batch

    def mistake_not_shared(fixed, per_row, latency, size, bandwidth):
        """You compare the message with the arithmetic of the whole batch.

        Two processes save half of it.
        """
        return math.floor((latency + size / bandwidth) / per_row) + 1

    def mistake_equal(fixed, per_row, latency, size, bandwidth):
        """For a batch of yours, both may be equally fast. It should be less."""
        return 2 * math.ceil((latency + size / bandwidth) / per_row)

    def mistake_odd(fixed, per_row, latency, size, bandwidth):
        """You share out half a row.

        Of an odd batch, one process has the larger half, and all wait for it.
        """
        return math.floor(2 * (latency + size / bandwidth) / per_row) + 1

    def mistake_smaller_half(fixed, per_row, latency, size, bandwidth):
        """You wait for the smaller half of an odd batch. The larger takes longer."""
        return max(1, 2 * math.floor((latency + size / bandwidth) / per_row) + 1)

    def mistake_latency(fixed, per_row, latency, size, bandwidth):
        """You have forgotten the latency."""
        return 2 * (math.floor(size / bandwidth / per_row) + 1)

    def mistake_bytes(fixed, per_row, latency, size, bandwidth):
        """You pay for the trip, and not for the load."""
        return 2 * (math.floor(latency / per_row) + 1)

    def mistake_fixed(fixed, per_row, latency, size, bandwidth):
        """You make the second process pay for the fixed part.

        One process has it as well.
        """
        return 2 * (math.floor((fixed + latency + size / bandwidth) / per_row) + 1)

    def mistake_fixed_shared(fixed, per_row, latency, size, bandwidth):
        """You share out the fixed part. Each process has it in full."""
        saved = latency + size / bandwidth - fixed / 2
        return max(1, 2 * (math.floor(saved / per_row) + 1))


class share_out(Function):
    """A shuffle that no row has to move for."""

    number = "12.6"
    hints = (
        "The rows are counted off: row i is held by process i % size. What has to be "
        "true of the numbers of the rows at the places of a batch, so that each "
        "process finds an equal share in it, be it one of 2, 4, 8 or 16?",
        "If place j of the order always holds a row with the same remainder by 16 as "
        "j, every 16 neighbours have one row of each remainder.",
        "So shuffle within each remainder: the rows 0, 16, 32 … change places with "
        "each other only, and so do 1, 17, 33 … Then cut the order into batches.",
    )
    right = (
        "Compare it with `ShardLoader.__iter__`. What it costs is a little chance: "
        "two rows with the same remainder never meet in a batch of 16."
    )

    def inputs():
        yield 96, 32
        yield 64, 16
        yield 160, 32
        yield 96, 96

    def probe(answer, n, batch_size):
        sizes = (1, 2, 4, 8, 16)
        plans = {}
        for epoch in (0, 1, 2):
            for size in sizes:
                plan = answer(n, batch_size, size, epoch)
                plans[epoch, size] = [_batches_of(share) for share in plan]
        again = [_batches_of(share) for share in answer(n, batch_size, 2, 1)]
        return _facts(plans, again, n, batch_size, sizes)

    def solution(n, batch_size, size, epoch):
        generator = torch.Generator().manual_seed(epoch)
        order = torch.arange(n)
        for part in range(16):
            # The rows of one part change places with each other, and no others.
            rows = order[part::16]
            order[part::16] = rows[torch.randperm(len(rows), generator=generator)]
        plan = []
        for rank in range(size):
            # So place j holds a row of part j % 16, which one process has for good.
            batches = order.split(batch_size)
            plan.append([batch[batch % size == rank].tolist() for batch in batches])
        return plan

    def mistake_any_order(n, batch_size, size, epoch):
        """Everybody takes what they hold of a batch that was drawn at random.

        Nearly. Chance deals some of them more than others, and all wait for those.
        """
        order = _order(n, epoch)
        return [
            [batch[batch % size == rank].tolist() for batch in order.split(batch_size)]
            for rank in range(size)
        ]

    def mistake_cut(n, batch_size, size, epoch):
        """You shuffle, and then cut each batch into equal pieces.

        Nearly. But now each process needs other rows in each epoch, and so it has to
        hold them all. (PyTorch's DistributedSampler does just this.)
        """
        batches = _order(n, epoch).split(batch_size)
        return [[batch[rank::size].tolist() for batch in batches]
                for rank in range(size)]  # fmt: skip

    def mistake_own_dice(n, batch_size, size, epoch):
        """Each process shuffles what it holds, with dice of its own.

        Fine in itself, and it makes other batches for two processes than for four.
        """
        plan = []
        for rank in range(size):
            own = torch.arange(rank, n, size)
            own = own[_order(len(own), 100 * epoch + rank)]
            plan.append([rows.tolist() for rows in own.split(batch_size // size)])
        return plan

    def mistake_not_shuffled(n, batch_size, size, epoch):
        """Equal shares, nothing moves, and nothing is shuffled."""
        batches = torch.arange(n).split(batch_size)
        return [[batch[batch % size == rank].tolist() for batch in batches]
                for rank in range(size)]  # fmt: skip

    def mistake_whole_batches(n, batch_size, size, epoch):
        """You shuffle the batches, and the same rows meet again in every epoch.

        What should change is who is with whom.
        """
        batches = torch.arange(n).split(batch_size)
        batches = [batches[i] for i in _order(len(batches), epoch)]
        return [[batch[batch % size == rank].tolist() for batch in batches]
                for rank in range(size)]  # fmt: skip

    def mistake_same_epoch(n, batch_size, size, epoch):
        """A good order, and the same in every epoch. What is the epoch for?"""
        return share_out.solution(n, batch_size, size, 0)


def _order(n, seed):
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def _batches_of(share):
    """Return a process's batches as lists of whole numbers."""
    return [[int(row) for row in batch] for batch in share]


def _flat(lists):
    return sorted(row for one in lists for row in one)


def _facts(plans, again, n, batch_size, sizes):
    """Return what holds for the plans of some epochs, by epoch and processes."""
    shape = "it returns a list for each process, with a list of rows for each batch"
    once = "each row is in an epoch once"
    sized = "each batch has batch_size rows, in all processes together"
    held = "a process holds the same rows in every epoch"
    even = "all processes have equally many rows of each batch"
    same = "a batch has the same rows, whatever the number of processes"
    mixed = "it is a shuffle: epoch 0 hasn't its rows in rising order"
    changed = "another epoch is another plan"
    new = "another epoch puts other rows together"
    repeats = "asked twice for the same epoch, it returns the same"
    count = n // batch_size
    facts = {}
    facts[shape] = all(
        len(plan) == size and all(len(share) == count for share in plan)
        for (_, size), plan in plans.items()
    )
    if not facts[shape]:
        return facts
    batches, rows = {}, {}
    for key, plan in plans.items():
        batches[key] = [_flat(parts) for parts in zip(*plan, strict=True)]
        rows[key] = [_flat(share) for share in plan]
    epochs = {epoch for epoch, _ in plans}
    facts[once] = all(_flat(batch) == list(range(n)) for batch in batches.values())
    facts[sized] = all(
        len(one) == batch_size for batch in batches.values() for one in batch
    )
    facts[repeats] = again == plans[1, 2]
    facts[held] = all(rows[e, s] == rows[0, s] for e in epochs for s in sizes)
    facts[even] = all(
        len({len(batch) for batch in parts}) == 1
        for plan in plans.values()
        for parts in zip(*plan, strict=True)
    )
    facts[same] = all(batches[e, s] == batches[e, 1] for e in epochs for s in sizes)
    rising = _flat(batches[0, 1]) == [r for one in batches[0, 1] for r in one]
    if count > 1:  # a single batch has all the rows
        facts[mixed] = not rising
        facts[changed] = all(batches[e, 1] != batches[0, 1] for e in (1, 2))
        facts[new] = all(sorted(batches[e, 1]) != sorted(batches[0, 1]) for e in (1, 2))
    return facts
