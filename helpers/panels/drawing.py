"""A square to draw a digit in, and what a network makes of it while one draws."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from helpers.data import Split
from helpers.panels.base import Panel, buttons
from helpers.plotting import logits_of

SIDE = 140  # pixels of the square, each with as much ink as its byte says
EMPTY = {"ink": bytes(SIDE * SIDE), "example": None}


class DrawingPad(Panel):
    """Draw a digit with the mouse, a pen or a finger, and see the network answer.

    `model` takes images as `load_mnist` gives them. The first of `examples` that it
    gets wrong can be chosen to look at.
    """

    def __init__(self, model: nn.Module, examples: Split):
        self.model, self.maps = model, torch.zeros(0, 1, 1)
        x, y = (part[:2000].cpu() for part in examples)
        wrong = (self.predict(x).argmax(1) != y).nonzero().flatten()[:8]
        self.images, self.labels = x[wrong], y[wrong].tolist()
        fixed = {"images": (255 * self.images).byte(), "labels": self.labels}
        super().__init__(buttons({"Clear": self.clear}), hand=EMPTY, **fixed)

    def predict(self, x: Tensor) -> Tensor:
        """Return probabilities, and keep the maps of the first convolution."""
        x = x.to(next(self.model.parameters()).device)
        layers = (m for m in self.model.modules() if isinstance(m, nn.Conv2d))
        layer = next(layers, nn.Identity())
        with layer.register_forward_hook(self._keep_maps):
            return logits_of(self.model, x).softmax(1).cpu()

    def _keep_maps(self, _layer, _inputs, output):
        maps = output[0, :16].relu().cpu()
        self.maps = maps / maps.max().clamp(min=1e-9)

    def clear(self) -> None:
        """Empty the square."""
        self.picture.hand = EMPTY

    def numbers(self) -> dict:
        """Compute the image, the probabilities and the feature maps."""
        chosen, shares, note = self.picture.hand["example"], torch.zeros(0), ""
        drawing = Image.frombytes("L", (SIDE, SIDE), bytes(self.picture.hand["ink"]))
        x, maps = like_mnist(drawing), shares.view(0, 1, 1)
        if chosen is not None:
            x, note = self.images[chosen][None], f"Its label is {self.labels[chosen]}."
        if x.any():
            shares, maps = self.predict(x)[0], self.maps
        return {
            "image": (255 * x).byte(), "probabilities": shares, "note": note,
            "maps": (255 * maps).byte(), "shape": list(maps.shape),
        }  # fmt: skip


def like_mnist(drawing: Image.Image) -> Tensor:
    """Turn a drawing, light on dark, into an image made as MNIST's own are.

    The drawing is scaled to fit 20 × 20 pixels, and put into 28 × 28 so that its
    centre of mass is in the middle.
    """
    image = Image.new("L", (28, 28))
    if box := drawing.getbbox():
        drawing = drawing.crop(box)
        size = [max(1, round(20 * n / max(drawing.size))) for n in drawing.size]
        small = drawing.resize(size, Image.Resampling.BOX)
        mass = np.asarray(small, dtype=float)
        image.paste(small, [_start(mass.sum(axis)) for axis in (0, 1)])
    return torch.tensor(np.asarray(image) / 255, dtype=torch.float32)[None, None]


def _start(mass):
    """Return where rows or columns begin if their centre of mass is to be at 14."""
    start = round(14 - mass @ np.arange(len(mass)) / mass.sum())
    return min(max(start, 0), 28 - len(mass))
