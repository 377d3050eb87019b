"""Panels that answer a hand at once: a curve, three logits, a race, noisy steps."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from ipywidgets import HBox, SelectionSlider, ToggleButtons
from torch import Tensor
from torch.nn import functional as F

from helpers.panels.base import Panel, buttons, labelled, slider


class TangentPanel(Panel):
    """Drag a ball along a curve: see the slope, and where a step of learning leads."""

    def __init__(
        self, curve: Callable[[Tensor], Tensor], *, start: float = 0.0,
        learning_rate: float = 0.1, limits: tuple[float, float] = (-3.0, 3.0),
    ):  # fmt: skip
        self.curve, self.limits = curve, limits
        self.trail, self.path, self.rolls = [], [], 0
        self.rate = slider("learning rate", learning_rate, 2.0, self.update)
        steps = {"One step": 1, "Roll": 100, "Clear the trail": 0}
        row = buttons({name: lambda n=n: self.roll(n) for name, n in steps.items()})
        x = torch.linspace(*limits, 301)
        super().__init__(self.rate, row, hand={"weight": start}, x=x, y=curve(x))

    def at(self, weight: float) -> tuple[float, float]:
        """Return the loss at a weight, and the slope there."""
        w = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
        loss = self.curve(w)
        (slope,) = torch.autograd.grad(loss, w)
        return loss.item(), slope.item()

    def numbers(self) -> dict:
        """Compute the tangent, and one step."""
        weight, rate = float(self.picture.hand["weight"]), self.rate.value
        loss, slope = self.at(weight)
        after = weight - rate * slope
        values = weight, loss, slope, rate, after, self.at(after)[0]
        steps = {"trail": self.trail, "path": self.path, "rolls": self.rolls}
        return {"values": torch.tensor(values)} | steps

    def roll(self, steps: int) -> None:
        """Take steps while they move the ball and stay in sight; 0 forgets all."""
        self.path, (low, high) = [self.picture.hand["weight"]], self.limits
        for _ in range(steps):
            after = self.path[-1] - self.rate.value * self.at(self.path[-1])[1]
            if not low <= after <= high or abs(after - self.path[-1]) < 1e-4:
                break
            self.path.append(after)
        self.trail = self.trail + self.path[:-1] if steps else []
        self.rolls += 1
        self.picture.hand = {"weight": self.path[-1]}
        self.update()


class LogitsPanel(Panel):
    """Drag the logit of each class: see probabilities, the loss and the gradient."""

    def __init__(self, logits: Mapping[str, float], *, true_class: str):
        self.names = list(logits)
        settings = ToggleButtons, "true class", true_class, self.update
        self.true_class = labelled(*settings, options=self.names)
        hand = {"logits": list(logits.values())}
        super().__init__(self.true_class, hand=hand, names=self.names)

    def numbers(self) -> dict:
        """Compute softmax, cross-entropy and its gradient."""
        logits = torch.tensor(self.picture.hand["logits"], dtype=torch.float32)
        logits.requires_grad_()
        true = self.names.index(self.true_class.value)
        loss = F.cross_entropy(logits, torch.tensor(true))
        (gradient,) = torch.autograd.grad(loss, logits)
        bars = {"probabilities": logits.softmax(0), "gradient": gradient}
        return bars | {"true": true, "loss": loss.item()}


class RacePanel(Panel):
    """Let four optimizers run down a surface, from a start that a click chooses."""

    steps, racers = 40, ("SGD", "momentum", "RMSprop", "Adam")

    def __init__(
        self, surface: Callable[[Tensor, Tensor], Tensor], *,
        start: tuple[float, float], minimum: tuple[float, float],
        xlim: tuple[float, float], ylim: tuple[float, float],
        learning_rate: float = 0.3, momentum: float = 0.8,
    ):  # fmt: skip
        self.surface = surface
        self.rate = slider("learning rate", learning_rate, 1.2, self.update)
        self.momentum = slider("momentum", momentum, 0.99, self.update)
        sides = torch.linspace(*xlim, 240), torch.linspace(*ylim[::-1], 120)
        heights = surface(*torch.meshgrid(*sides, indexing="xy"))
        shade = (heights - heights.min()) / (heights.max() - heights.min())
        super().__init__(
            HBox([self.rate, self.momentum]), hand={"start": start}, minimum=minimum,
            xlim=xlim, ylim=ylim, names=list(self.racers), shade=shade.sqrt(),
        )  # fmt: skip

    @np.errstate(all="ignore")
    def numbers(self) -> dict:
        """Compute where each racer is after each step, and how high."""
        lr, beta, (b, c) = self.rate.value, self.momentum.value, (0.99, 0.999)
        place = np.array([self.picture.hand["start"]] * 4, dtype=np.float32)
        path, heights, speed, mean, size, slow_size = [], [], 0, 0, 0, 0
        for t in range(1, self.steps + 2):
            path.append(torch.from_numpy(place).requires_grad_())
            heights.append(self.surface(*path[-1].T))
            (gradient,) = torch.autograd.grad(heights[-1].sum(), path[-1])
            g = gradient.numpy()  # which is faster with so few numbers
            speed, mean = beta * speed + g, beta * mean + (1 - beta) * g
            size, slow_size = b * size + (1 - b) * g**2, c * slow_size + (1 - c) * g**2
            adam = mean[3] / (1 - beta**t) / (np.sqrt(slow_size[3] / (1 - c**t)) + 1e-8)
            rmsprop = g[2] / (np.sqrt(size[2]) + 1e-8)
            place = place - lr * np.stack([g[0], speed[1], rmsprop, adam])
        return {"paths": torch.stack(path, 1), "heights": torch.stack(heights, 1)}


class NoisePanel(Panel):
    """Draw many batches of one size: see how far their steps differ.

    `gradients` has a row for each example: the gradient of its loss by two weights.
    """

    sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256)

    def __init__(self, gradients: Tensor, *, batch_size: int = 8):
        self.gradients = gradients
        settings = SelectionSlider, "batch size", batch_size, self.update
        self.size = labelled(*settings, options=self.sizes)
        spreads = [self.batches(size).std(0).norm() for size in self.sizes]
        super().__init__(
            self.size, hand={}, sizes=torch.tensor(self.sizes),
            spreads=torch.stack(spreads), full=-gradients.mean(0),
            reach=2.5 * gradients.std(0) + gradients.mean(0).abs(),
        )  # fmt: skip

    def batches(self, size: int) -> Tensor:
        """Return the mean gradients of many batches of examples chosen at random."""
        generator = torch.Generator().manual_seed(size)
        rows = torch.randint(len(self.gradients), (1000, size), generator=generator)
        return self.gradients[rows].mean(1)

    def numbers(self) -> dict:
        """Compute the steps of the batches; each goes against its gradient."""
        steps, size = -self.batches(self.size.value), self.size.value
        return {"steps": steps, "size": size, "spread": steps.std(0).norm().item()}
