import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def with_numpy(logits):
    z = logits.numpy()
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def row_by_row(logits):
    rows = []
    for row in logits:
        powers = [math.exp(z - max(row)) for z in row]
        rows.append(torch.tensor([power / sum(powers) for power in powers]))
    return torch.stack(rows)


def formula(logits, y):
    z = logits[:, 0]
    return (z.clamp(min=0) - z * y + torch.log1p(torch.exp(-z.abs()))).mean()


def two_columns(logits, y):
    return F.cross_entropy(torch.cat([torch.zeros_like(logits), logits], dim=1), y)


def in_python(logits, y):
    costs = []
    for z, truth in zip(logits.flatten().tolist(), y.tolist(), strict=True):
        wrong = z if truth == 0 else -z  # how far the logit is on the wrong side
        costs.append(max(wrong, 0) + math.log(1 + math.exp(-abs(wrong))))
    return sum(costs) / len(costs)


def with_autograd(x, y, classes, lr, steps):
    model = nn.Linear(x.shape[1], classes)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    for _ in range(steps):
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= lr * p.grad
    return [model.weight.T, model.bias]


def with_a_column_of_ones(x, y, classes, lr, steps):
    x = np.concatenate([x.numpy(), np.ones((len(x), 1))], axis=1)
    both = np.zeros((x.shape[1], classes))
    for _ in range(steps):
        p = with_numpy(torch.from_numpy(x @ both))
        p[range(len(y)), y.numpy()] -= 1
        both -= lr * x.T @ p / len(y)
    return both[:-1], both[-1]


def example_by_example(x, y, classes, lr, steps):
    weights, biases = torch.zeros(x.shape[1], classes), torch.zeros(classes)
    for _ in range(steps):
        moves = []
        for row, label in zip(x, y, strict=True):
            push = torch.softmax(row @ weights + biases, dim=0)
            push[label] -= 1
            moves.append((row.outer(push), push))
        for by_weights, by_biases in moves:
            weights -= lr / len(x) * by_weights
            biases -= lr / len(x) * by_biases
    return weights, biases


ANSWERS = {
    "3.1": [4.605, 4.6, torch.tensor(100.0).log()],
    "3.2": [lambda z: z.softmax(dim=-1), nn.Softmax(dim=1), with_numpy, row_by_row],
    "3.3": [
        0.325,
        torch.distributions.Bernoulli(torch.tensor(0.9)).entropy(),
        np.float64(0.3251),
    ],
    "3.4": [formula, two_columns, in_python],
    "3.5": [
        # by name; and probabilities are logits as well
        {
            "a": [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4], [0, 9, 0]],
            "b": [[0.9, 0, 0], [0, 0.9, 0], [0.4, 0.3, 0.3], [0.3, 0.4, 0.3]],
        },
        # one right and three undecided, against none right
        (
            torch.tensor([[1.0, 0, 0], [50, 0, 1], [50, 0, 1], [0, 50, 1]]),
            torch.tensor([[0.0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]),
        ),
        # all right but hardly, against three right and sure, and one nearly right
        np.array(
            [
                [[0.01, 0, 0], [0, 0.01, 0], [0, 0, 0.01], [0.01, 0, 0]],
                [[9, 0, 0], [0, 9, 0], [0, 0, 9], [0, 0.01, 0]],
            ]
        ),
    ],
    "3.6": [with_autograd, with_a_column_of_ones, example_by_example],
}
