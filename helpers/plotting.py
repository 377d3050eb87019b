"""Numbers in, matplotlib Axes out: one style and one palette for every notebook."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
AMBER, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#6E6E6E"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY, BLACK)
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=PALETTE, linestyle=LINE_STYLES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 80,
    "figure.figsize": (7.5, 3.6),
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "lines.linewidth": 1.9,
}


def set_style() -> None:
    """Give every later figure the course's look, sharp on high-density screens."""
    plt.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("retina")


def plot_history(
    history: Sequence[Mapping],
    axes: Sequence[Axes] | None = None,
    *,
    best: int | None = None,
    train_shift: float = 0.0,
):
    """Draw a history's losses and its other validation figures; return the Axes.

    Every record is one epoch. The first of the Axes holds the losses, and each
    further one a metric, as in `val_accuracy`. `best` marks an epoch. The
    training loss is an average over its epoch, so its place is half an epoch
    earlier: `train_shift=-0.5` draws it there.
    """
    metrics = [k for k in history[0] if k.startswith("val_") and k != "val_loss"]
    if axes is None:
        _, axes = plt.subplots(1, 1 + len(metrics), squeeze=False)
        axes = axes[0]
    axes[0].set(ylabel="loss")
    _plot_figure(axes[0], history, "train_loss", 0, "training", train_shift)
    for ax, name in zip(axes, ["val_loss", *metrics], strict=True):
        if name in history[0]:
            _plot_figure(ax, history, name, 1, "validation")
            ax.set(ylabel=name.removeprefix("val_"))
        if best is not None:
            ax.axvline(best, color=BLACK, ls=":", lw=1.2, label=f"best epoch ({best})")
        ax.legend(loc="upper right" if name == "val_loss" else "lower right")
    return axes


def plot_runs(
    runs: Mapping[str, Sequence[Mapping]],
    figure: str = "val_loss",
    ax: Axes | None = None,
) -> Axes:
    """Draw one figure of several histories over each other, each with its name."""
    if ax is None:
        _, ax = plt.subplots()
    for i, (name, history) in enumerate(runs.items()):
        _plot_figure(ax, history, figure, i, name)
    words = {"val": "validation", "train": "training", "lr": "learning rate"}
    ax.set(ylabel=" ".join(words.get(word, word) for word in figure.split("_")))
    ax.legend()
    return ax


def _plot_figure(ax, history, figure, look, label, shift=0.0):
    """Draw one figure of each record over the epochs."""
    ax.plot(
        [record["epoch"] + shift for record in history],
        [record[figure] for record in history],
        **_line_style(look),
        markevery=max(1, len(history) // 10),
        markersize=5,
        label=label,
    )
    ax.set(xlabel="epoch")
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def plot_images(images: Tensor, titles: Sequence[str], columns: int = 5) -> np.ndarray:
    """Draw images in a grid on one scale, each with its title; return the Axes."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(1.25 * columns, 1.45 * rows)
    )
    for ax in axes.flat:
        ax.axis("off")
    low, high = images.min().item(), images.max().item()
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        ax = axes.flat[i]
        ax.imshow(
            image.reshape(image.shape[-2:]).numpy(), cmap="cividis", vmin=low, vmax=high
        )
        ax.set_title(title, fontweight="normal")
    return axes


def plot_regions(
    predict: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    class_names: Sequence[str],
    feature_names: Sequence[str],
    ax: Axes | None = None,
) -> Axes:
    """Draw which class `predict` gives to each point of a plane, and the data.

    `predict` takes points of two features and returns their logits: a model will
    do, and is left as it came.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(5, 4))
    ends = zip(x.amin(0) - 0.3, x.amax(0) + 0.3, strict=True)
    sides = [torch.linspace(low, high, 400) for low, high in ends]
    logits = logits_of(predict, torch.cartesian_prod(*sides))
    classes = logits.argmax(1).view(400, 400).T
    edges = np.arange(len(class_names) + 1) - 0.5
    tints = PALETTE[: len(class_names)]
    ax.contourf(*sides, classes, levels=edges, colors=tints, alpha=0.18)
    ax.contour(*sides, classes, levels=edges[1:-1], colors=GREY, linewidths=0.8)
    for i, name in enumerate(class_names):
        points = x[y == i].T.numpy()
        ax.scatter(*points, s=16, color=PALETTE[i], marker=MARKERS[i], label=name)
    ax.set(xlabel=feature_names[0], ylabel=feature_names[1])
    ax.grid(False)
    ax.legend(frameon=True, framealpha=0.85)
    return ax


def _line_style(i):
    """Return a look for line `i` that differs from those of many other lines."""
    turn, place = divmod(i, len(PALETTE))
    return {
        "color": PALETTE[place],
        "linestyle": LINE_STYLES[(place + turn) % len(LINE_STYLES)],
        "marker": MARKERS[(place + 2 * turn) % len(MARKERS)],
    }


def logits_of(predict: Callable, x: Tensor) -> Tensor:
    """Return predictions in eval mode, and leave a model in the mode it came in."""
    modules = list(predict.modules()) if isinstance(predict, torch.nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        with torch.no_grad():
            return predict(x)
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
