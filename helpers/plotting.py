"""Numbers in, matplotlib Axes out: one style and one palette for every notebook."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

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
    if not history:
        raise ValueError("The history is empty: no epoch was finished.")
    metrics = [k for k in history[0] if k.startswith("val_") and k != "val_loss"]
    if axes is None:
        _, axes = plt.subplots(1, 1 + len(metrics), squeeze=False)
        axes = axes[0]
    groups = [["train_loss", "val_loss"], *([name] for name in metrics)]
    for ax, names in zip(axes, groups, strict=True):
        for name in (name for name in names if name in history[0]):
            of_training = name == "train_loss"
            shift = train_shift if of_training else 0
            ax.plot(
                [record["epoch"] + shift for record in history],
                [record[name] for record in history],
                **_line_style(0 if of_training else 1),
                markevery=max(1, len(history) // 10),
                label="training" if of_training else "validation",
            )
        if best is not None:
            label = f"best epoch ({best})"
            ax.axvline(best, color=BLACK, linestyle=":", linewidth=1.2, label=label)
        ax.set(xlabel="epoch", ylabel=names[-1].removeprefix("val_"))
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.legend(loc="upper right" if names[-1] == "val_loss" else "lower right")
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
        ax.plot(
            [record["epoch"] for record in history],
            [record[figure] for record in history],
            **_line_style(i),
            markevery=max(1, len(history) // 10),
            markersize=5,
            label=name,
        )
    if not runs:
        raise ValueError("There are no runs to draw.")
    words = {"val": "validation", "train": "training", "lr": "learning rate"}
    ylabel = " ".join(words.get(word, word) for word in figure.split("_"))
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.legend()
    return ax


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


def plot_confusion(
    y: Tensor, predicted: Tensor, class_names: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Draw how often each class was taken for each: counts, and shares of the row."""
    if ax is None:
        size = 1.6 + 0.85 * len(class_names)
        _, ax = plt.subplots(figsize=(size + 0.8, size))
    kinds = len(class_names)
    y, predicted = y.long().cpu(), predicted.long().cpu()
    both = torch.cat([y, predicted])
    if y.shape != predicted.shape or both.min() < 0 or both.max() >= kinds:
        raise ValueError(
            "y and predicted must be class numbers of the same examples, from 0 to "
            f"{kinds - 1}; they have the shapes {tuple(y.shape)} and "
            f"{tuple(predicted.shape)} and run from {both.min()} to {both.max()}."
        )
    counts = torch.bincount(y * kinds + predicted, minlength=kinds**2)
    counts = counts.view(kinds, kinds)
    totals = counts.sum(dim=1, keepdim=True)
    rates = counts / totals.clamp(min=1)
    places = 1 if totals.max() >= 200 else 0  # 199 of 200 are not 100 %
    ax.imshow(rates.numpy(), cmap="cividis", vmin=0, vmax=1)
    for row in range(kinds):
        for column in range(kinds):
            count, rate = counts[row, column], rates[row, column]
            share = f"\n{rate:.{places}%}" if rate >= 0.005 else ""
            text = f"{count}{share}" if totals[row] else "–"
            color = "white" if rate < 0.47 else "black"
            ax.text(column, row, text, ha="center", va="center", color=color)
    ax.set_xticks(range(kinds), class_names)
    ax.set_yticks(range(kinds), class_names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(False)
    return ax


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
    if len(class_names) > len(PALETTE):
        raise ValueError(f"No more than {len(PALETTE)} classes can be told apart.")
    if ax is None:
        _, ax = plt.subplots(figsize=(5, 4))
    low, high = x.amin(0) - 0.3, x.amax(0) + 0.3
    sides = [torch.linspace(low[i].item(), high[i].item(), 400) for i in (0, 1)]
    grid = torch.cartesian_prod(*sides)
    sides = [side.numpy() for side in sides]
    classes = logits_of(predict, grid).argmax(1).view(400, 400).T.numpy()
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


def plot_descent_step(
    curve: Callable[[Tensor], Tensor],
    start: float,
    learning_rate: float,
    span: tuple[float, float] = (-3, 3),
    ax: Axes | None = None,
) -> Axes:
    """Draw a curve, its tangent at `start`, and the descent step from there."""
    if ax is None:
        _, ax = plt.subplots()
    x = torch.tensor(float(start), requires_grad=True)
    y = curve(x)
    (slope,) = torch.autograd.grad(y, x)
    x0, y0, slope = x.item(), y.item(), slope.item()
    x1 = x0 - learning_rate * slope
    xs = torch.linspace(min(*span, x1), max(*span, x1), 300)
    with torch.no_grad():
        y1, ys = curve(torch.tensor(x1)).item(), curve(xs)
    ax.plot(xs, ys, label="loss")
    ax.axline(
        (x0, y0), slope=slope, color=ORANGE, ls="--", label=f"slope {_text(slope)}"
    )
    ax.plot(x0, y0, "o", color=BLACK, markersize=8, label="start")
    ax.plot(x1, y1, "*", color=BLACK, markersize=13, label="after one step")
    arrow = {"arrowstyle": "-|>", "linewidth": 2, "color": BLACK}
    ax.annotate("", (x1, y0), (x0, y0), arrowprops=arrow)
    ax.vlines(x1, y0, y1, color=BLACK, ls=":")
    low, high = ys.min().item(), ys.max().item()
    margin = 0.1 * (high - low)
    ax.set(xlabel="weight", ylabel="loss", ylim=(low - margin, high + margin))
    ax.legend()
    return ax


def plot_logits(
    logits: Sequence[float], true_class: int, axes: Sequence[Axes] | None = None
):
    """Draw logits, their softmax, and the gradient of the cross-entropy."""
    if axes is None:
        _, axes = plt.subplots(1, 3)
    logits = torch.tensor(logits, dtype=torch.float32)
    p = logits.softmax(0)
    gradient = p.clone()
    gradient[true_class] -= 1
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(true_class))
    names = [chr(ord("A") + i) for i in range(len(logits))]
    titles = ("logits", "probabilities", "gradient")
    axes[0].figure.suptitle(
        f"true class: {names[true_class]} (hatched), loss {loss:.3f}"
    )
    for ax, title, values in zip(axes, titles, (logits, p, gradient), strict=True):
        bars = ax.bar(names, values.tolist(), color=PALETTE[: len(names)])
        bars[true_class].set(hatch="//", edgecolor="white")
        ax.bar_label(bars, [_text(value) for value in values.tolist()], padding=2)
        ax.axhline(0, color=BLACK, linewidth=0.8)
        ax.margins(y=0.15)
        ax.set(title=title, xlabel="class", yticks=[])
    axes[1].set_ylim(0, 1.1)
    return axes


class GraphNode(NamedTuple):
    """One node of an autograd graph: an operation's result, or a leaf."""

    operation: str
    name: str
    value: float | None
    grad: float | None
    inputs: tuple[int, ...]


def trace_graph(output: Tensor, **named: Tensor) -> list[GraphNode]:
    """List the graph behind `output`, each node after its inputs.

    Values and gradients are shown for the tensors passed by name. Gradients
    are read, not computed: call `retain_grad()` on inner tensors and run
    `backward()` first.
    """
    if output.grad_fn is None:
        raise ValueError(
            "This tensor has no graph: compute it from tensors with requires_grad=True."
        )
    # Keyed by the objects themselves, which the dictionary keeps alive: autograd may
    # drop a function's Python object as soon as nobody holds it.
    inner = {t.grad_fn: (name, t) for name, t in named.items() if not t.is_leaf}
    leaves = {id(t): (name, t) for name, t in named.items() if t.is_leaf}
    nodes, index = [], {}

    def visit(function):
        if function in index:
            return index[function]
        inputs = tuple(visit(f) for f, _ in function.next_functions if f is not None)
        leaf = getattr(function, "variable", None)
        found = inner.get(function) if leaf is None else leaves.get(id(leaf))
        name, tensor = found or ("", None)
        operation = function.name().split("::")[-1].split("Backward")[0]
        index[function] = len(nodes)
        nodes.append(
            GraphNode(
                operation if leaf is None else "leaf",
                name,
                None if tensor is None else tensor.item(),
                _gradient(tensor),
                inputs,
            )
        )
        return index[function]

    visit(output.grad_fn)
    return nodes


def plot_graph(output: Tensor, ax: Axes | None = None, **named: Tensor) -> Axes:
    """Draw the autograd graph behind `output`, leaves at the left."""
    nodes = trace_graph(output, **named)
    places = _places(nodes)
    if ax is None:
        columns, rows = (len({p[i] for p in places}) for i in (0, 1))
        _, ax = plt.subplots(figsize=(1.9 * columns + 0.4, 0.62 * rows + 1.1))
    boxes = [
        _draw_box(ax, place, _node_text(node), GREY if node.inputs else BLUE)
        for node, place in zip(nodes, places, strict=True)
    ]
    for node, box in zip(nodes, boxes, strict=True):
        for i in node.inputs:
            _draw_arrow(ax, boxes[i], box)
    xs, ys = zip(*places, strict=True)
    ax.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.axis("off")
    return ax


def plot_training_loop(ax: Axes | None = None) -> Axes:
    """Draw the circle of training, and the notebook that opens each part of it."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 3))
    places = {
        "a batch x, y\nnotebook 04": (0, 1),
        "model\nnotebook 05": (1, 1),
        "loss_fn\nnotebook 02": (2, 1),
        "loss.backward()\nnotebook 01": (2, 0),
        "optimizer.step()\nnotebook 03": (1, 0),
    }
    boxes = [
        _draw_box(ax, place, text, BLUE if place[1] else ORANGE)
        for text, place in places.items()
    ]
    arrows = [(0, 1, "x"), (1, 2, "logits"), (2, 3, "loss"), (3, 4, "gradients")]
    for start, end, label in [*arrows, (4, 1, "new weights")]:
        _draw_arrow(ax, boxes[start], boxes[end], label)
    _draw_arrow(ax, boxes[0], boxes[2], "y", rise=0.4, bend=-0.3)
    ax.set(xlim=(-0.3, 2.4), ylim=(-0.35, 1.65))
    ax.axis("off")
    return ax


def plot_paths(
    surface: Callable,
    paths: Mapping[str, Sequence],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    minimum: tuple[float, float] | None = None,
    labels: Sequence[str] = ("first weight", "second weight"),
    ax: Axes | None = None,
) -> Axes:
    """Draw where each path of (x, y) points went on the contours of `surface`."""
    if ax is None:
        _, ax = plt.subplots()
    x, y = np.meshgrid(np.linspace(*xlim, 120), np.linspace(*ylim, 120))
    height = surface(x, y)
    height = np.log10(height - height.min() + 1e-2 * np.ptp(height))
    ax.contourf(x, y, height, levels=12, cmap="viridis", alpha=0.35, antialiased=False)
    for i, (name, points) in enumerate(paths.items()):
        points = np.asarray(points, dtype=float)
        style = _line_style(i)
        every = max(1, len(points) // 12)
        ax.plot(*points.T, **style, markersize=4, markevery=every, label=name)
        ax.plot(*points[-1], **style, markersize=10, markeredgecolor="w")
    if minimum is not None:
        ax.plot(*minimum, "*k", markersize=13, label="minimum", zorder=1.9)
    ax.set(xlim=xlim, ylim=ylim, xlabel=labels[0], ylabel=labels[1])
    ax.locator_params(nbins=6)
    ax.grid(False)
    ax.legend(frameon=True, framealpha=0.85)
    return ax


def _text(number):
    return f"{number:.2f}".replace("-", "−")


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


def _draw_box(ax, place, text, colour):
    """Write text in a rounded box; return the text."""
    box = {"boxstyle": "round,pad=0.45", "edgecolor": colour, "facecolor": "white"}
    return ax.text(*place, text, ha="center", va="center", bbox=box, zorder=3)


def _draw_arrow(ax, start, end, label="", rise=0.0, bend=0.0):
    """Draw an arrow from box to box, with a label beside its middle."""
    (x0, y0), (x1, y1) = start.get_position(), end.get_position()
    style = {
        "arrowstyle": "-|>",
        "color": GREY,
        "connectionstyle": f"arc3,rad={bend}",
        "patchA": start.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
    }
    ax.annotate("", (x1, y1), (x0, y0), arrowprops=style)
    upright = x0 == x1
    x, y = (x0 + x1) / 2 + 0.04 * upright, (y0 + y1) / 2 + 0.05 * (not upright) + rise
    side = {"va": "center"} if upright else {"ha": "center", "va": "bottom"}
    ax.text(x, y, label, color=GREY, **side)


def _gradient(tensor):
    """Read a tensor's gradient where autograd has kept one."""
    if tensor is None or not (tensor.is_leaf or tensor.retains_grad):
        return None
    return None if tensor.grad is None else tensor.grad.item()


def _node_text(node):
    title = node.name if node.operation == "leaf" else node.operation
    if node.value is None:
        return title
    value = f"{node.name} = {node.value:.4g}"
    first = value if node.operation == "leaf" else f"{node.operation}\n{value}"
    return first if node.grad is None else f"{first}\ngrad {node.grad:.4g}"


def _places(nodes):
    """Put each node one column before what uses it, and between its inputs."""
    column, row, leaves = [0] * len(nodes), [0.0] * len(nodes), 0
    for i in reversed(range(len(nodes))):
        for j in nodes[i].inputs:
            column[j] = min(column[j], column[i] - 1)
    for i, node in enumerate(nodes):
        if node.inputs:
            row[i] = math.fsum(row[j] for j in node.inputs) / len(node.inputs)
        else:
            row[i], leaves = -1.25 * leaves, leaves + 1
    return list(zip(column, row, strict=True))
