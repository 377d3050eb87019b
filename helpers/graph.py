"""The graph that autograd records, as a list of nodes and as a picture."""

import statistics
from functools import partial
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from helpers.plotting import BLUE, GREY, ORANGE


class GraphNode(NamedTuple):
    """One node of an autograd graph: an operation's result, or a leaf.

    `passed` holds what the operation passes back to each of its `inputs`.
    """

    operation: str
    name: str
    value: float | None
    grad: float | None
    inputs: tuple[int, ...]
    passed: tuple[float, ...] = ()


def trace_graph(output: Tensor, **named: Tensor) -> list[GraphNode]:
    """List the graph behind `output`, each node after its inputs.

    Values and gradients are shown for the tensors passed by name. The gradients
    come from a rehearsal of `backward()` that leaves every `.grad` alone. Where a
    `backward()` has already freed the graph, they are those the tensors kept.
    """
    # Keyed by the objects themselves, which the dictionary keeps alive: autograd may
    # drop a function's Python object as soon as nobody holds it.
    index = _index(output.grad_fn, {})
    passed, grads = _rehearse(output, index)
    tensors = {(t.grad_fn or id(t)): (name, t) for name, t in named.items()}
    nodes = []
    for function in index:
        leaf = getattr(function, "variable", None)
        name, tensor = tensors.get(function if leaf is None else id(leaf), ("", None))
        operation = function.name().split("::")[-1].split("Backward")[0]
        value = None if tensor is None else tensor.item()
        nodes.append(
            GraphNode(
                operation if leaf is None else "leaf",
                name,
                value,
                grads.get(function, _kept(tensor)) if name else None,
                tuple(index[f] for f in _sources(function)),
                passed.get(function, ()),
            )
        )
    return nodes


def plot_graph(output: Tensor, ax: Axes | None = None, **named: Tensor) -> Axes:
    """Draw the graph behind `output`: values run right, and gradients back left."""
    nodes = trace_graph(output, **named)
    places = _places(nodes)
    xs, ys = zip(*places, strict=True)
    if ax is None:
        size = 2.1 * len(set(xs)) + 0.4, 0.95 * (max(ys) - min(ys)) + 1.6
        _, ax = plt.subplots(figsize=size)
    boxes, arrived = [], {i: [] for i in range(len(nodes))}
    for node, place in zip(nodes, places, strict=True):
        edge = GREY if node.inputs else BLUE
        style = {"boxstyle": "round,pad=0.45", "edgecolor": edge, "facecolor": "white"}
        text = ax.text(*place, _text(node), ha="center", va="center", bbox=style)
        text.set_zorder(3)
        boxes.append(text)
        _draw_edges(ax, node, boxes, arrived)
    for i, node in enumerate(nodes):
        if not node.inputs:
            _draw_sum(ax, places[i], arrived[i])
    ax.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.9, max(ys) + 0.6))
    ax.axis("off")
    return ax


def _index(function, found):
    """Give each function of a graph a number, larger than those of its sources."""
    if function not in found:
        for source in _sources(function):
            _index(source, found)
        found[function] = len(found)
    return found


def _sources(function):
    return [source for source, _ in function.next_functions if source is not None]


def _rehearse(output, functions):
    """Return what each function passes back, and what arrives at each in total."""
    passed, grads = {}, {output.grad_fn: 1.0}

    def note(function, given, _):
        passed[function] = tuple(g.item() for g in given if g is not None)
        for source, grad in zip(_sources(function), passed[function], strict=True):
            grads[source] = grads.get(source, 0.0) + grad

    hooks = [f.register_hook(partial(note, f)) for f in functions if _sources(f)]
    leaves = [f.variable for f in functions if not _sources(f)]
    try:
        torch.autograd.grad(output, leaves, retain_graph=True)
    except RuntimeError:  # the graph is freed
        return {}, {}
    finally:
        for hook in hooks:
            hook.remove()
    return passed, grads


def _kept(tensor):
    """Return the gradient that a tensor has kept, if any."""
    if tensor is None or not (tensor.is_leaf or tensor.retains_grad):
        return None
    return None if tensor.grad is None else tensor.grad.item()


def _text(node):
    lines = [] if node.operation == "leaf" else [node.operation]
    if node.value is not None:
        lines.append(f"{node.name} = {node.value:.4g}")
    if node.grad is not None:
        lines.append(f"grad {node.grad:.4g}")
    return "\n".join(lines)


def _draw_edges(ax, node, boxes, arrived):
    """Draw an arrow from each input, and another one back beside it."""
    end = boxes[-1]
    for k, i in enumerate(node.inputs):
        ends = {"patchA": boxes[i].get_bbox_patch(), "patchB": end.get_bbox_patch()}
        style = {"arrowstyle": "-|>", "color": GREY} | ends
        start, stop = boxes[i].get_position(), end.get_position()
        ax.annotate("", stop, start, arrowprops=style)
        above = start[1] > stop[1] or node.inputs.index(i) < k
        side = 0.2 if above else -0.2
        _draw_back(ax, start, stop, side, ends)
        if node.passed:
            middle = (start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2 + side
            label = ax.text(*middle, f"{node.passed[k]:.4g}", color=ORANGE)
            label.set(ha="center", va="center", size="small", zorder=4)
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
            arrived[i].append(label.get_text())


def _draw_back(ax, start, stop, side, ends):
    """Draw an arrow that carries a gradient from right to left."""
    shifted = [(x, y + side) for x, y in (stop, start)]
    look = {"arrowstyle": "-|>", "color": ORANGE, "linestyle": "--", "zorder": 3}
    size = {"mutation_scale": 11, "shrinkA": 0, "shrinkB": 0}
    arrow = FancyArrowPatch(
        *shifted, patchA=ends["patchB"], patchB=ends["patchA"], **look, **size
    )
    ax.add_patch(arrow)


def _draw_sum(ax, place, arrived):
    """Name the node that adds up what arrives at a leaf, and show the sum."""
    text = "AccumulateGrad" + ("\n" if arrived else "") + " + ".join(arrived)
    style = {"ha": "center", "va": "top", "size": "small", "color": ORANGE}
    ax.text(place[0], place[1] - 0.36, text, **style)


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
            row[i], leaves = -1.5 * leaves, leaves + 1
    return list(zip(column, row, strict=True))
