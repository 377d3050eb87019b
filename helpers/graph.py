"""The graph that autograd records, as a list of nodes and as a picture."""

import statistics
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from torch import Tensor

from helpers.plotting import BLUE, GREY


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
        operation = function.name().split("::")[-1].split("Backward")[0]
        index[function] = len(nodes)
        nodes.append(_node("leaf" if leaf is not None else operation, found, inputs))
        return index[function]

    visit(output.grad_fn)
    return nodes


def plot_graph(output: Tensor, ax: Axes | None = None, **named: Tensor) -> Axes:
    """Draw the autograd graph behind `output`, leaves at the left."""
    nodes = trace_graph(output, **named)
    places = _places(nodes)
    xs, ys = zip(*places, strict=True)
    if ax is None:
        size = 1.9 * len(set(xs)) + 0.4, 0.62 * len(set(ys)) + 1.1
        _, ax = plt.subplots(figsize=size)
    boxes = []
    for node, place in zip(nodes, places, strict=True):
        edge = GREY if node.inputs else BLUE
        style = {"boxstyle": "round,pad=0.45", "edgecolor": edge, "facecolor": "white"}
        text = ax.text(*place, _text(node), ha="center", va="center", bbox=style)
        text.set_zorder(3)
        boxes.append(text)
        for i in node.inputs:
            _draw_arrow(ax, boxes[i], text)
    ax.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.axis("off")
    return ax


def _node(operation, found, inputs):
    """Return a node with the value, and the gradient where autograd has kept one."""
    if found is None:
        return GraphNode(operation, "", None, None, inputs)
    name, tensor = found
    kept = (tensor.is_leaf or tensor.retains_grad) and tensor.grad is not None
    grad = tensor.grad.item() if kept else None
    return GraphNode(operation, name, tensor.item(), grad, inputs)


def _text(node):
    lines = [] if node.operation == "leaf" else [node.operation]
    if node.value is not None:
        lines.append(f"{node.name} = {node.value:.4g}")
    if node.grad is not None:
        lines.append(f"grad {node.grad:.4g}")
    return "\n".join(lines)


def _draw_arrow(ax, start, end):
    """Draw an arrow from box to box."""
    boxes = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    style = {"arrowstyle": "-|>", "color": GREY} | boxes
    ax.annotate("", end.get_position(), start.get_position(), arrowprops=style)


def _places(nodes):
    """Put each node one column before what uses it, and between its inputs."""
    column, row, leaves = [0] * len(nodes), [0.0] * len(nodes), 0
    for i in reversed(range(len(nodes))):
        for j in nodes[i].inputs:
            column[j] = min(column[j], column[i] - 1)
    for i, node in enumerate(nodes):
        if node.inputs:
            row[i] = statistics.fmean(row[j] for j in node.inputs)
        else:
            row[i], leaves = -1.25 * leaves, leaves + 1
    return list(zip(column, row, strict=True))
