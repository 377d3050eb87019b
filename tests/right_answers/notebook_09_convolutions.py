import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ONE_ON_THE_LEFT = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
ONE_ON_THE_LEFT[0, 0, 1, 0] = 1

DOTS = [[0.9 * (row % 2) * (column % 2) for column in range(28)] for row in range(28)]


class Anywhere(nn.Module):
    """Two convolutions, and a maximum without a layer of pooling."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 10, 3)

    def forward(self, x):
        return self.second(self.norm(self.first(x)).relu()).amax(dim=(2, 3))


def pooled_by_loops(x):
    n, channels, rows, columns = x.shape
    pooled = torch.zeros(n, channels, rows // 2, columns // 2)
    for i in range(rows // 2):
        for j in range(columns // 2):
            square = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            pooled[:, :, i, j] = square.flatten(2).max(dim=2).values
    return pooled


def pooled_by_steps(x):
    rows, columns = 2 * (x.shape[2] // 2), 2 * (x.shape[3] // 2)
    x = x[:, :, :rows, :columns]
    x = torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
    return torch.maximum(x[..., 0::2], x[..., 1::2])


def pooled_by_windows(x):
    return x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-1, -2))


def reach_by_gradient(layers):
    """Ask autograd which pixels matter."""
    image = torch.zeros(1, 1, 64, 64, requires_grad=True)
    x = image
    for layer in layers:
        if layer == "conv":
            x = F.conv2d(x, torch.ones(1, 1, 3, 3), padding=1)
        else:
            x = F.avg_pool2d(x, 2)
    middle = x.shape[-1] // 2
    x[0, 0, middle, middle].backward()
    return (image.grad[0, 0] != 0).any(dim=0).sum()


def reach_by_strides(layers):
    width, stride = 1, 1
    for layer in layers:
        width += 2 * stride if layer == "conv" else stride
        stride *= 2 if layer == "pool" else 1
    return width


def reach_from_the_back(layers):
    if not layers:
        return 1
    inner = reach_from_the_back(layers[1:])
    return {"conv": inner + 2, "pool": 2 * inner}[layers[0]]


def fold_by_loop(conv, norm):
    filters = conv.weight.detach().clone()
    biases = torch.zeros(len(filters))
    for i in range(len(filters)):
        deviation = (norm.running_var[i].item() + 1e-5) ** 0.5
        factor = norm.weight[i].item() / deviation
        filters[i] *= factor
        without_mean = conv.bias[i].item() - norm.running_mean[i].item()
        biases[i] = without_mean * factor + norm.bias[i].item()
    return [filters, biases]


def fold_by_asking(conv, norm):
    """Let the normalization say what it does to 0 and to 1."""
    zeros = torch.zeros(1, norm.num_features, 1, 1, dtype=conv.weight.dtype)
    shift, factor = norm(zeros).flatten(), (norm(zeros + 1) - norm(zeros)).flatten()
    filters = torch.einsum("fcij,f->fcij", conv.weight, factor)
    return filters, shift + conv.bias * factor


def fold_into_a_layer(conv, norm):
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size)
    factor = norm.weight.div((norm.running_var + norm.eps) ** 0.5).detach()
    folded.weight.data = conv.weight.data * factor[:, None, None, None]
    folded.bias.data = (conv.bias.data - norm.running_mean) * factor + norm.bias.data
    return folded


ANSWERS = {
    "9.1": [ONE_ON_THE_LEFT, np.array([0, 0, 0, 1, 0, 0, 0, 0, 0])],
    "9.2": [pooled_by_loops, pooled_by_steps, pooled_by_windows, nn.MaxPool2d(2)],
    "9.3": [0.67, 2 / 3, torch.tensor([4.0, 1.0]).log().div(2).softmax(dim=0)[0]],
    "9.4": [
        torch.arange(28).remainder(2).expand(28, 28),
        np.indices((28, 28)).sum(axis=0) % 2,
        torch.tensor([[[[0.2, 1.0], [0.9, 0.5]]]]).repeat(1, 1, 14, 14),
        DOTS,
    ],
    "9.5": [
        Anywhere(),
        nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveMaxPool2d(1), nn.Flatten()),
        nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(28),
            nn.Flatten(),
            nn.Linear(12, 10),
            nn.Dropout(0.5),
        ).double(),
    ],
    "9.6": [reach_by_gradient, reach_by_strides, reach_from_the_back],
    "9.7": [fold_by_loop, fold_by_asking, fold_into_a_layer],
}
