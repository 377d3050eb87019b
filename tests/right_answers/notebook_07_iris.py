import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from helpers.exercises.notebook_07_iris import choose_features


def scaled_by_hand(train, new):
    mean = train.sum(0) / len(train)
    variance = ((train - mean) ** 2).sum(0) / len(train)
    return (new - mean) / variance**0.5


def scaled_column_by_column(train, new):
    train, new = train.numpy(), new.numpy()
    columns = []
    for j in range(train.shape[1]):
        columns.append((new[:, j] - np.mean(train[:, j])) / np.std(train[:, j]))
    return np.stack(columns, axis=1)


def scaled_safely(train, new):
    """Leave a feature alone that doesn't vary."""
    deviation = train.var(0, correction=0) ** 0.5
    deviation[deviation == 0] = 1
    return (new - train.mean(0)) / deviation


def honest_with_rows(x, y, fold):
    """Name the rows by their numbers; scale in torch."""
    margins = torch.empty(len(y))
    for k in fold.unique():
        (a,), (b,) = torch.where(fold != k), torch.where(fold == k)
        z = (x - x[a].mean(dim=0)) / x[a].std(dim=0, correction=0)
        z = z[:, choose_features(z[a], y[a])]
        centres = [z[a[y[a] == label]].mean(dim=0) for label in (0, 1)]
        distances = torch.cdist(z[b], torch.stack(centres))
        margins[b] = distances[:, 0] - distances[:, 1]
    return margins


def honest_example_by_example(x, y, fold):
    margins = []
    for row, mine in zip(x, fold, strict=True):
        train, labels = x[fold != mine], y[fold != mine]
        scaler = StandardScaler().fit(train)
        train = torch.from_numpy(scaler.transform(train))
        new = torch.from_numpy(scaler.transform(row.unsqueeze(0)))[0]
        kept = choose_features(train, labels)
        to = [(new - train[labels == c].mean(dim=0))[kept].norm() for c in (0, 1)]
        margins.append((to[0] - to[1]).item())
    return torch.tensor(margins)


def folded_in_new_layer(layer, mean, deviation):
    new = nn.Linear(layer.in_features, layer.out_features)
    with torch.no_grad():
        new.weight.copy_(layer.weight @ torch.diag(1 / deviation))
        new.bias.copy_(layer((-mean / deviation).unsqueeze(0))[0])
    return new


def folded_by_loops_in_float64(layer, mean, deviation):
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    for i, row in enumerate(weight):
        for j in range(len(row)):
            row[j] /= deviation[j].item()
            bias[i] -= row[j] * mean[j].item()
    new = nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64)
    new.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))
    new.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float64))
    return new


def island_of_thirds():
    angles = torch.arange(3) * 2 * torch.pi / 3
    arrows = torch.stack([angles.sin(), angles.cos()], dim=1)
    network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))
    weights = {"0.weight": arrows, "2.weight": -torch.ones(1, 3)}
    network.load_state_dict(weights | {"2.bias": torch.tensor([1.7])})
    return network


def island_with_beach():
    """The units stay 0 for a while: a flat top. In float64."""
    first, last = nn.Linear(2, 3).double(), nn.Linear(3, 1).double()
    first.weight.data = torch.tensor([[0.0, -10], [8, 6], [-8, 6]], dtype=torch.float64)
    first.bias.data = torch.full((3,), -10.0, dtype=torch.float64)
    last.weight.data = torch.tensor([[-3.0, -2, -2]], dtype=torch.float64)
    last.bias.data = torch.tensor([1.0], dtype=torch.float64)
    return nn.Sequential(first, nn.ReLU(), last)


ANSWERS = {
    "7.1": [
        scaled_by_hand,
        scaled_column_by_column,
        scaled_safely,
        lambda train, new: StandardScaler().fit(train).transform(new),
    ],
    "7.2": [
        torch.tensor(299),
        np.ceil(np.log(0.05) / np.log(0.99)),
        299.0,
    ],
    "7.3": [
        torch.tensor([[50.0, 0, 0], [0, 50, 0], [5, 10, 35]]),
        np.array([[50, 0, 0], [0, 50, 0], [8, 7, 35]]),
        ((49, 1, 0), (1, 49, 0), (3, 10, 37)),
    ],
    "7.4": [honest_with_rows, honest_example_by_example],
    "7.5": [folded_in_new_layer, folded_by_loops_in_float64],
    "7.6": [island_of_thirds, island_with_beach],
}
