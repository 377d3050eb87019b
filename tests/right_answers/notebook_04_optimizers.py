import numpy as np
import torch
from torch import nn


def train_by_hand(model, x, y, steps):
    weights = list(model.parameters())
    speeds = [0.0 for _ in weights]
    losses = []
    for _ in range(steps):
        loss = nn.MSELoss()(model(x), y)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for i, gradient in enumerate(gradients):
                speeds[i] = 0.9 * speeds[i] + gradient
                weights[i].sub_(0.1 * speeds[i])
        losses.append(loss.detach())
    return losses


def train_one_ahead(model, x, y, steps):
    optimizer = torch.optim.SGD(lr=0.1, momentum=0.9, params=model.parameters())
    model.zero_grad()
    losses = np.zeros(steps)
    for step in range(steps):
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        losses[step] = loss.detach()
    return tuple(losses)


def settings_from_distances(path):
    first, second = np.diff(path)
    lr = -first / (2 * path[0])
    return np.array([lr, (second + lr * 2 * path[1]) / first])


def settings_by_solving(path):
    # unknowns: lr, and lr times β
    x0, x1, x2 = path
    rows = torch.tensor([[2 * x0, 0.0], [2 * x1, 2 * x0]], dtype=torch.float64)
    moved = torch.tensor([x0 - x1, x1 - x2], dtype=torch.float64)
    lr, product = torch.linalg.solve(rows, moved)
    return [lr, product / lr]


class LionOfItsOwn:
    def __init__(self, weights, lr, betas=(0.9, 0.99), weight_decay=0.0):
        self.weights, self.lr = weights, lr
        self.betas, self.decay = betas, weight_decay
        self.memory = {}

    @torch.no_grad()
    def step(self):
        for w in self.weights:
            mean = self.memory.setdefault(id(w), torch.zeros_like(w))
            sign = torch.sign(torch.lerp(w.grad, mean, self.betas[0]))
            w.mul_(1 - self.lr * self.decay).sub_(sign, alpha=self.lr)
            mean.mul_(self.betas[1]).add_(w.grad, alpha=1 - self.betas[1])


class LionOfPyTorch(torch.optim.Optimizer):
    def __init__(self, parameters, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "betas": betas, "decay": weight_decay})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                old = self.state[p].get("mean", 0.0)
                new = p.grad.numpy()
                (b1, b2), lr = group["betas"], group["lr"]
                sign = torch.as_tensor(np.sign(b1 * old + (1 - b1) * new))
                p.data -= lr * (sign + group["decay"] * p.data)
                self.state[p]["mean"] = b2 * old + (1 - b2) * new


ANSWERS = {
    "4.1": [0.25, torch.tensor([4.0]).reciprocal()[0], np.float32(0.25)],
    "4.2": [1.5, torch.tensor(1.5), 2 - 0.5],
    "4.3": [train_by_hand, train_one_ahead],
    "4.4": [settings_from_distances, settings_by_solving],
    "4.5": [LionOfItsOwn, LionOfPyTorch],
    "4.6": [
        [100.0] + 99 * [-1.0],
        torch.cat([-torch.ones(500), torch.tensor([501.0])]),
        np.array(3 * [-0.5] + 150 * [-1] + [170.0]),
    ],
}
