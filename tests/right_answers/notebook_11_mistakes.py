import copy
import itertools

import numpy as np
import torch
from torch import nn


def leaked_by_sets(x_train, x_val):
    known = {tuple(row) for row in x_train.tolist()}
    return sum(tuple(row) in known for row in x_val.tolist())


def leaked_at_once(x_train, x_val):
    return (x_val.unsqueeze(1) == x_train).all(-1).any(-1).sum()


def leaked_by_numpy(x_train, x_val):
    known = x_train.numpy()
    return np.int64(sum((known == row).all(axis=1).any() for row in x_val.numpy()))


class Sequential(nn.Sequential):
    def __init__(self, sizes):
        layers = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers[:-1])


class ByName(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.depth = len(sizes) - 1
        for i in range(self.depth):
            layer = nn.Linear(sizes[i], sizes[i + 1])
            nn.init.normal_(layer.weight)
            self.add_module(f"layer{i}", layer)

    def forward(self, x):
        for i in range(self.depth):
            x = self.get_submodule(f"layer{i}")(x)
            if i < self.depth - 1:
                x = torch.nn.functional.relu(x)
        return x


def tune_by_features(model, new_layer, loader, loss_fn, epochs):
    model.eval()
    model[-1] = new_layer
    optimizer = torch.optim.SGD(new_layer.parameters(), 0.1)
    history = []
    while len(history) < epochs:
        losses = []
        for x, y in loader:
            with torch.no_grad():
                features = model[:-1](x)
            loss = loss_fn(new_layer(features), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += [loss.detach()] * len(x)
        history.append(torch.stack(losses).mean())
    return history


def tune_frozen(model, new_layer, loader, loss_fn, epochs):
    model.requires_grad_(False)
    model[-1] = new_layer
    model[:-1].eval()
    new_layer.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []
    for _ in range(epochs):
        losses, sizes = [], []
        for x, y in loader:
            model.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            sizes.append(len(y))
        history.append(np.average(losses, weights=sizes))
    return history


def unmoved_by_putting_back(model, x, y, loss_fn, optimizer):
    modes = {module: module.training for module in model.modules()}
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    state = copy.deepcopy(model.state_dict())
    of_optimizer = copy.deepcopy(optimizer.state_dict())
    model.zero_grad(set_to_none=True)
    model.train()
    loss_fn(model(x), y).backward()
    optimizer.step()
    names = {n for n, p in model.named_parameters() if bool((p == state[n]).all())}
    model.load_state_dict(state)
    optimizer.load_state_dict(of_optimizer)
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        p.grad = gradient
    for module, mode in modes.items():
        module.training = mode
    return names


def unmoved_by_dict(model, x, y, loss_fn, optimizer):
    pair = copy.deepcopy({"model": model, "optimizer": optimizer})
    twin = pair["model"]
    for p in twin.parameters():
        p.grad = None
    loss_fn(twin.train()(x), y).backward()
    pair["optimizer"].step()
    both = zip(model.named_parameters(), twin.parameters(), strict=True)
    return [name for (name, p), q in both if not (p != q).any()]


ANSWERS = {
    "11.1": [leaked_by_sets, leaked_at_once, leaked_by_numpy],
    "11.2": ["dcab", ("d", "c", "a", "b")],
    "11.3": [
        [[1, 1, 3, 3], [5, 7, 7, 5]],
        (np.array([-1.0, 0, 0, 1]), torch.tensor([2, 5, 9, 2])),
        [[1, 2, 3, 4], [1, 0, 0, 1]],
    ],
    "11.4": [Sequential, ByName],
    "11.5": [tune_by_features, tune_frozen],
    "11.6": [unmoved_by_putting_back, unmoved_by_dict],
}
