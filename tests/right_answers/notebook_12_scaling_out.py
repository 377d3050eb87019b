import math
import random

import numpy as np
import torch


def gradient_by_stack(shares, rows):
    kept = [i for i, n in enumerate(rows) if n]
    stacked = torch.stack([shares[i] for i in kept])
    weights = torch.tensor([float(rows[i]) for i in kept], dtype=stacked.dtype)
    return torch.tensordot(weights / weights.sum(), stacked, dims=1)


def gradient_by_nan_to_num(shares, rows):
    total = sum(rows)
    return sum(s.nan_to_num() * (n / total) for s, n in zip(shares, rows, strict=True))


def gradient_by_average(shares, rows):
    arrays = [np.nan_to_num(share.numpy()) for share in shares]
    return np.average(arrays, axis=0, weights=rows)


def rates_at_once(lr, k, steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    done = (step / max(warm_up, 1e-9)).clamp(max=1)
    if warm_up == 0:
        done = torch.ones(steps)
    return lr * (1 + done * (k - 1))


def rates_in_two(lr, k, steps, warm_up):
    climb = np.linspace(lr, k * lr, warm_up + 1)[:-1]
    return (list(climb) + [k * lr] * steps)[:steps]


def slowest_by_thresholds(times, n):
    mean, before = 0.0, 0.0
    for level in sorted(set(times)):
        mean += (level - before) * (1 - (sum(t <= before for t in times)) ** n
                                    / len(times) ** n)  # fmt: skip
        before = level
    return mean


def slowest_at_once(times, n):
    ordered = torch.tensor(times, dtype=torch.float64).sort().values
    cdf = torch.linspace(0, 1, len(times) + 1, dtype=torch.float64) ** n
    return ordered @ cdf.diff()


def smallest_by_division(fixed, per_row, latency, size, bandwidth):
    return 2 * (math.floor((latency + size / bandwidth) / per_row) + 1)


def smallest_by_trying(fixed, per_row, latency, size, bandwidth):
    batch = 1
    while True:
        two = fixed + (batch + 1) // 2 * per_row + latency + size / bandwidth
        if two < fixed + batch * per_row:
            return batch
        batch += 1


def share_out_by_blocks(n, batch_size, size, epoch):
    """Shuffle whole blocks' columns: each remainder has an order of blocks."""
    dice = random.Random(epoch)
    columns = []
    for part in range(16):
        column = list(range(part, n, 16))
        dice.shuffle(column)
        columns.append(column)
    plan = [[] for _ in range(size)]
    height = batch_size // 16
    for batch in range(n // batch_size):
        for rank in range(size):
            mine = columns[rank::size]
            lines = slice(batch * height, (batch + 1) * height)
            plan[rank].append([row for column in mine for row in column[lines]])
    return plan


def share_out_in_blocks_of_neighbours(n, batch_size, size, epoch):
    """Let a process hold a stretch of every sixteenth, instead of counting off."""
    rng = np.random.default_rng(epoch)
    parts = np.arange(n).reshape(16, n // 16)
    parts = rng.permuted(parts, axis=1)
    each = 16 // size
    height = batch_size // 16
    return [
        [
            parts[
                rank * each : (rank + 1) * each, b * height : (b + 1) * height
            ].ravel()
            for b in range(n // batch_size)
        ]
        for rank in range(size)
    ]


ANSWERS = {
    "12.1": [gradient_by_stack, gradient_by_nan_to_num, gradient_by_average],
    "12.2": [(5, 7, 9, 10, 11, 12, 13, 14, 15), torch.tensor([5, 7, *range(9, 16)])],
    "12.3": [rates_at_once, rates_in_two],
    "12.4": [slowest_by_thresholds, slowest_at_once],
    "12.5": [smallest_by_division, smallest_by_trying],
    "12.6": [share_out_by_blocks, share_out_in_blocks_of_neighbours],
}
