import itertools
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler


def walk():
    """Let PyTorch do it."""
    w = torch.tensor(5.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    for _ in range(10):
        loss = 2 * w
        loss.backward()
        optimizer.step()
    return w


def rate_by_tensor(step, steps, warm_up, highest):
    climb = torch.arange(1, warm_up + 1) / max(warm_up, 1)
    fall = torch.linspace(0, torch.pi, steps - warm_up + 1)[:-1].cos().add(1).div(2)
    return torch.cat([climb, fall])[step].mul(highest)


def rate_by_sine(step, steps, warm_up, highest):
    left = (steps - step) / (steps - warm_up)
    if step >= warm_up:
        return np.float32(highest * np.sin(np.pi / 2 * left) ** 2)
    return highest - highest * (warm_up - step - 1) / warm_up


def rate_by_scheduler(step, steps, warm_up, highest):
    """Let PyTorch's cosine come down."""
    if step < warm_up:
        return sum(highest / warm_up for _ in range(step + 1))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=highest)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - warm_up)
    for _ in range(step - warm_up):
        optimizer.step()
        scheduler.step()
    return optimizer.param_groups[0]["lr"]


def in_small_functions(model, train_loader, val_loader, loss_fn, optimizer, epochs):
    def mean_loss(loader, train):
        model.train(train)
        total = torch.zeros((), dtype=torch.float64)
        for x, y in loader:
            with torch.set_grad_enabled(train):
                loss = loss_fn(model(x), y)
            if train:
                model.zero_grad()
                loss.backward()
                optimizer.step()
            total += len(x) * loss.detach()
        return total / sum(len(x) for x, _ in loader)

    return [
        [mean_loss(train_loader, True), mean_loss(val_loader, False)]
        for _ in range(epochs)
    ]


@torch.no_grad()
def loss_over(model, loader, loss_fn):
    model.train(mode=False)
    losses = [loss_fn(model(x), y) for x, y in loader]
    return np.average(
        [float(loss) for loss in losses], weights=[len(x) for x, _ in loader]
    )


def with_weights(model, train_loader, val_loader, loss_fn, optimizer, epochs):
    history = []
    while len(history) < epochs:
        losses, sizes = [], []
        model.train()
        for x, y in train_loader:
            loss = loss_fn(model(x), y)
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            sizes.append(len(x))
        weights = torch.tensor(sizes) / sum(sizes)
        train_loss = (torch.stack(losses) * weights).sum()
        history.append((train_loss, loss_over(model, val_loader, loss_fn)))
    return tuple(history)


def by_groups(model, loader, loss_fn, optimizer, parts):
    batches = iter(loader)
    model.train()
    while group := list(itertools.islice(batches, parts)):
        size = sum(len(x) for x, _ in group)
        optimizer.zero_grad()
        mean = 0.0
        for x, y in group:
            loss = loss_fn(model(x), y) * (len(x) / size)
            loss.backward()
            mean += loss.item()
        optimizer.step()
        yield [mean, size]


def with_gradients_of_its_own(model, loader, loss_fn, optimizer, parts):
    model.train()
    weights = list(model.parameters())
    waiting = SimpleNamespace(grads=[0] * len(weights), loss=0.0, size=0)

    def step():
        for p, grad in zip(weights, waiting.grads, strict=True):
            p.grad = grad / waiting.size
        optimizer.step()

    for number, (x, y) in enumerate(loader):
        losses = nn.functional.cross_entropy(model(x), y, reduction="sum")
        grads = torch.autograd.grad(losses, weights)
        waiting.grads = [a + b for a, b in zip(waiting.grads, grads, strict=True)]
        waiting.loss += losses.detach()
        waiting.size += len(y)
        if (number + 1) % parts == 0:
            step()
            yield waiting.loss / waiting.size, torch.tensor(waiting.size)
            waiting = SimpleNamespace(grads=[0] * len(weights), loss=0.0, size=0)
    if waiting.size > 0:
        step()
        yield waiting.loss / waiting.size, waiting.size


ANSWERS = {
    "5.1": [-6, walk(), np.float64(-6.0), torch.tensor([-6])[0]],
    "5.2": [
        (torch.tensor([0, 0, 1, 0, 0, 0, 0, 0, 1, 1]), [1, 1, 1, 1] + [0] * 6),
        np.array([[0, 1, 1, 0, 0, 0, 1, 0, 1, 1], [1.0] * 6 + [0.0] * 4]),
        [[False] * 8 + [True] * 2, [True] * 3 + [False] * 7],
        torch.tensor([[0] * 8 + [1] * 2, [1] * 3 + [0] * 7]),
    ],
    "5.3": ["c", "C.", " C "],
    "5.4": [rate_by_tensor, rate_by_sine, rate_by_scheduler],
    "5.5": [in_small_functions, with_weights],
    "5.6": [by_groups, with_gradients_of_its_own],
}
