import math

import numpy as np
import torch

from helpers.exercises.notebook_02_autograd import Value


def walks():
    """Let PyTorch do it."""
    a = torch.tensor(5.0, requires_grad=True)
    y = a**2
    y.backward()
    z = a * y.detach()
    z.backward()
    return a.grad


def by_indices(f, x, h):
    result = torch.zeros(x.shape, dtype=torch.float64)
    for place in np.ndindex(*x.shape):
        up, down = x.clone(), x.clone()
        up[place] += h
        down[place] -= h
        result[place] = (f(up) - f(down)) / (2 * h)
    return result


def in_place_and_back(f, x, h):
    slopes = []
    for place in np.ndindex(*x.shape):
        old = x[place].clone()
        x[place] = old + h
        up = f(x).item()
        x[place] = old - h
        slopes.append((up - f(x).item()) / h / 2)
        x[place] = old
    return np.array(slopes).reshape(x.shape)


def by_a_table(f, x, h):
    nudges = h * torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
    return torch.tensor(
        [(f(x + n) - f(x - n)) / (2 * h) for n in nudges], dtype=x.dtype
    ).view(x.shape)


def in_float32(f, x, h):
    slopes = []
    for i in range(x.numel()):
        nudge = torch.zeros(x.numel())
        nudge[i] = h
        nudge = nudge.reshape(x.shape)
        slopes.append(((f(x + nudge) - f(x - nudge)) / (2 * h)).item())
    return torch.tensor(slopes).reshape(x.shape)


def by_measuring(a, b):
    h = 1e-6
    for_a = ((a.data + h) / b.data - (a.data - h) / b.data) / (2 * h)
    for_b = (a.data / (b.data + h) - a.data / (b.data - h)) / (2 * h)
    return Value(a.data / b.data, [(a, for_a), (b, for_b)])


def by_reciprocal(a, b):
    return a * Value(1 / b.data, [(b, -1 / b.data**2)])


def by_quotient(a, b):
    quotient = np.float64(a.data) / b.data
    return Value(quotient, ((b, -quotient / b.data), (a, 1 / b.data)))


def by_logarithm(a, b):
    """Give the reciprocal as the exponential of a logarithm."""
    sign = math.copysign(1.0, b.data)
    log = Value(math.log(abs(b.data)), [(b, 1 / b.data)])
    below = math.exp(-log.data)
    return Value(sign, []) * Value(below, [(log, -below)]) * a


def with_lerp(averages, weights, keep):
    with torch.no_grad():
        for average, weight in zip(averages, weights, strict=True):
            average.lerp_(weight, 1 - keep)
    return averages


def with_detach(averages, weights, keep):
    for i in range(len(averages)):
        averages[i] *= keep
        averages[i] += (1 - keep) * weights[i].detach()


@torch.inference_mode()
def with_data(averages, weights, keep):
    for average, weight in zip(averages, weights, strict=True):
        average[...] = average + (1 - keep) * (weight - average)


def by_loops(x, y, w1, b1, w2, b2):
    """Go example by example, and output by output."""
    grads = [torch.zeros_like(w) for w in (w1, b1, w2, b2)]
    for row, targets in zip(x, y, strict=True):
        hidden = (row @ w1 + b1).clamp(min=0)
        for c, target in enumerate(targets):
            slope = 2 * (hidden @ w2[:, c] + b2[c] - target) / y.numel()
            back = slope * w2[:, c] * torch.sign(hidden)
            grads[0] += torch.outer(row, back)
            grads[1] += back
            grads[2][:, c] += slope * hidden
            grads[3][c] += slope
    return grads


def with_numpy(x, y, w1, b1, w2, b2):
    x, y, w1, b1, w2, b2 = (t.double().numpy() for t in (x, y, w1, b1, w2, b2))
    before = x @ w1 + b1
    hidden = np.maximum(before, 0)
    g = (hidden @ w2 + b2 - y) * 2 / y.size
    first = np.where(before > 0, g @ w2.T, 0)
    return x.T @ first, first.sum(axis=0), hidden.T @ g, g.sum(axis=0)


def with_einsum(x, y, w1, b1, w2, b2):
    hidden = torch.relu(x @ w1 + b1)
    g = (hidden @ w2 + b2 - y).mul(2).div(y.numel())
    first = torch.einsum("no,ho->nh", g, w2)
    first[hidden == 0] = 0
    ones = torch.ones(len(x), dtype=x.dtype)
    return (
        torch.einsum("ni,nh->ih", x, first),
        ones @ first,
        torch.einsum("nh,no->ho", hidden, g),
        ones @ g,
    )


ANSWERS = {
    "2.1": [35, walks(), np.float32(35.0), torch.tensor(35, dtype=torch.int8)],
    "2.2": [by_indices, in_place_and_back, by_a_table, in_float32],
    "2.3": [by_reciprocal, by_quotient, by_logarithm, by_measuring],
    "2.4": [
        math.sqrt(2),
        -1.4145,
        torch.tensor(1.4138),
        np.float64(2) ** 0.5,
        1e9,  # rounding
    ],
    "2.5": [with_lerp, with_detach, with_data],
    "2.6": [by_loops, with_numpy, with_einsum],
}
