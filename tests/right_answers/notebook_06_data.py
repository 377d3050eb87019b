import collections
import itertools

import numpy as np
import torch
from torch.utils.data import Dataset


class Cut:
    """Cut everything at once; not even a Dataset."""

    def __init__(self, series, length):
        self.examples = [
            (series[end - length : end], series[end])
            for end in range(length, len(series))
        ]

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, i):
        return self.examples[i]


class Joined(Dataset):
    """Put each example together, number by number."""

    def __init__(self, series, length):
        self.series = series.numpy().copy()
        self.places = range(len(series) - length)
        self.length = length

    def __len__(self):
        return len(self.places)

    def __getitem__(self, i):
        start = self.places[i]
        *window, target = self.series[start : start + self.length + 1]
        return np.array(window), target


class AllShifts(Dataset):
    """Choose from all the shifted copies."""

    def __init__(self, x, y, pixels):
        self.copies = [x.roll(rows, dims=1) for rows in range(-pixels, pixels + 1)]
        self.y = y

    def __len__(self):
        return self.y.numel()

    def __getitem__(self, i):
        which = torch.randint(len(self.copies), ())
        return self.copies[which][i], self.y[i].item()


class Sliced(Dataset):
    """Change a copy, in place, with slices."""

    def __init__(self, x, y, pixels):
        self.data, self.rng = (x, y), np.random.default_rng(0)
        self.pixels = pixels

    def __len__(self):
        return len(self.data[0])

    def __getitem__(self, i):
        x, y = self.data
        image = x[i].clone()
        rows = self.rng.integers(-self.pixels, self.pixels, endpoint=True)
        image[:] = torch.cat([x[i][-rows:], x[i][:-rows]]) if rows else x[i]
        return image, y[i]


class OwnGenerator(Dataset):
    """Draw from a generator of its own, the same in each dataset."""

    def __init__(self, x, y, pixels):
        self.x, self.y, self.pixels = x, y, pixels
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        rows = torch.randint(2 * self.pixels + 1, (1,), generator=self.generator)
        return torch.roll(self.x[i], rows.item() - self.pixels, -2), self.y[i]


def lost_by_loops(answers, labels):
    answers, labels = answers.tolist(), labels.tolist()
    best, most = 0, -1
    for k in range(len(answers)):
        filled = [*labels[:k], None, *labels[k:]]
        agree = sum(a == b for a, b in zip(answers, filled, strict=True))
        if agree > most:
            best, most = k, agree
    return best


def lost_by_table(answers, labels):
    n = len(answers)
    late = torch.arange(n - 1) >= torch.arange(n).unsqueeze(1)
    images = torch.arange(n - 1) + late
    return (answers[images] == labels).double().mean(dim=1).argmax()


def draw_places(stream, k, generator):
    """Fill k places first, then ask whether to let in, and who goes."""
    stream = iter(stream)
    kept = collections.deque(itertools.islice(stream, k))
    seen = k
    for example in stream:
        seen += 1
        if torch.rand((), generator=generator) < k / seen:
            kept.rotate(torch.randint(k, (1,), generator=generator).item())
            kept.popleft()
            kept.append(example)
    return kept


def draw_keys(stream, k, generator):
    """Give each a random number and keep the k largest."""
    kept = []
    for example in stream:
        kept.append((torch.rand(1, generator=generator).item(), example))
        kept.sort(key=lambda pair: pair[0])
        if len(kept) > k:
            del kept[0]
    return tuple(example for _, example in kept)


def draw_in_two_steps(stream, k, generator):
    """Ask whether to let in, then throw one out; a generator, and not a list."""
    kept, seen = [], 0
    for example in stream:
        seen += 1
        if seen > k:
            if torch.randint(seen, (), generator=generator) >= k:
                continue
            kept.pop(torch.randint(k, (), generator=generator))
        kept.append(example)
    yield from kept


def lost_with_a_gap(answers, labels):
    """Put an impossible label into every gap."""
    gap = torch.tensor([-1])
    filled = [torch.cat([labels[:k], gap, labels[k:]]) for k in range(len(answers))]
    return max(range(len(answers)), key=lambda k: (filled[k] == answers).sum())


ANSWERS = {
    "6.1": [Cut, Joined],
    "6.2": [
        ((16, 3, 32, 48), (16), torch.Size([16]), torch.tensor(16)),
        [[16, 3, 32, 48], [16], [16], (16,)],
        [torch.Size((16, 3, 32, 48)), 16, (16,), 16],
    ],
    "6.3": [0.32, torch.tensor(0.3073), np.float64(200 * 0.2**4), 0.31],
    "6.4": [
        [0] * 2600 + [1],
        1 - torch.eye(1, 10_000).reshape(100, 100),
        np.array([0.2] * 5000 + [0.3]),
        torch.tensor([False] * 9999 + [True]),
    ],
    "6.5": [AllShifts, Sliced, OwnGenerator],
    "6.6": [lost_by_loops, lost_by_table, lost_with_a_gap],
    "6.7": [draw_places, draw_keys, draw_in_two_steps],
}
