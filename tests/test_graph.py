import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Annotation

from helpers import graph

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def neuron():
    """Return the tensors of one neuron, after the backward pass."""
    w = torch.tensor(5.0, requires_grad=True)
    b = torch.tensor(2.0, requires_grad=True)
    product = w * 2
    error = product + b - 7
    loss = error**2
    error.retain_grad()
    loss.backward()
    return {"w": w, "b": b, "product": product, "error": error, "loss": loss}


def test_graph_lists_operations_values_and_gradients(neuron):
    nodes = graph.trace_graph(neuron["loss"], **neuron)

    by_name = {node.name: node for node in nodes if node.name}
    operations = [node.operation for node in nodes]
    assert operations == ["leaf", "Mul", "leaf", "Add", "Sub", "Pow"]
    assert (by_name["w"].value, by_name["w"].grad) == (5, 20)
    assert (by_name["b"].value, by_name["b"].grad) == (2, 10)
    assert (by_name["product"].value, by_name["product"].grad) == (10, None)
    assert (by_name["error"].value, by_name["error"].grad) == (5, 10)
    assert by_name["loss"].value == 25
    assert nodes[3].inputs == (1, 2)
    assert nodes[3].name == ""


def test_value_used_twice_is_one_node():
    x = torch.tensor(3.0, requires_grad=True)
    nodes = graph.trace_graph(x * x, x=x)
    assert [node.inputs for node in nodes] == [(), (0, 0)]


def test_graph_is_drawn_with_a_box_for_each_node_and_arrows_along_the_flow(neuron):
    before = neuron["w"].grad.clone()
    ax = graph.plot_graph(neuron["loss"], **neuron)
    boxes = {text.get_text(): text.get_position() for text in ax.texts}
    assert "w = 5\ngrad 20" in boxes
    assert "Sub\nerror = 5\ngrad 10" in boxes
    assert "Mul\nproduct = 10" in boxes
    assert torch.equal(neuron["w"].grad, before)

    arrows = [(t.xyann, t.xy) for t in ax.texts if isinstance(t, Annotation)]
    assert len(arrows) == 5
    assert (boxes["w = 5\ngrad 20"], boxes["Mul\nproduct = 10"]) in arrows
    assert (boxes["b = 2\ngrad 10"], boxes["Add"]) in arrows


def test_every_node_of_a_graph_is_right_of_its_inputs(neuron):
    nodes = graph.trace_graph(neuron["loss"], **neuron)
    places = graph._places(nodes)
    assert len(set(places)) == len(places)
    for node, (column, _) in zip(nodes, places, strict=True):
        assert all(places[i][0] < column for i in node.inputs)


@pytest.fixture
def twice():
    """Return tensors of which one is used twice, before any backward pass."""
    a = torch.tensor(3.0, requires_grad=True)
    b = torch.tensor(2.0, requires_grad=True)
    product = a * b
    return {"a": a, "b": b, "product": product, "y": product + a}


def test_gradients_are_rehearsed_and_nothing_is_left_behind(twice):
    nodes = graph.trace_graph(twice["y"], **twice)
    assert {node.name: node.grad for node in nodes} == {
        "a": 3,
        "b": 3,
        "product": 1,
        "y": 1,
    }
    assert [node.passed for node in nodes] == [(), (), (2, 3), (1, 1)]
    assert twice["a"].grad is None
    assert twice["b"].grad is None
    twice["y"].backward()
    assert (twice["a"].grad, twice["b"].grad) == (3, 3)


def test_rehearsal_ignores_gradients_from_before(twice):
    twice["a"].grad = torch.tensor(100.0)
    nodes = graph.trace_graph(twice["y"], **twice)
    assert nodes[0].grad == 3
    assert twice["a"].grad == 100


def test_plain_number_as_first_input_does_not_shift_what_is_passed():
    x = torch.tensor(5.0, requires_grad=True)
    nodes = graph.trace_graph(2 * (7 - x), x=x)
    assert [node.passed for node in nodes] == [(), (-1 * 2,), (2,)]


def test_picture_names_accumulate_grad_and_shows_the_sum(twice):
    ax = graph.plot_graph(twice["y"], **twice)
    texts = [text.get_text() for text in ax.texts]
    assert "a = 3\ngrad 3" in texts
    assert "AccumulateGrad\n2 + 1" in texts
    assert "AccumulateGrad\n3" in texts
    assert sorted(t for t in texts if t.isdigit()) == ["1", "1", "2", "3"]


def test_freed_graph_shows_accumulate_grad_without_a_sum(neuron):
    texts = [t.get_text() for t in graph.plot_graph(neuron["loss"], **neuron).texts]
    assert texts.count("AccumulateGrad") == 2


def test_gradients_run_from_right_to_left_with_a_path_of_their_own():
    a = torch.tensor(3.0, requires_grad=True)
    ax = graph.plot_graph(a * a, a=a)
    ends = [p._posA_posB for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert len(ends) == 2
    assert all(right > left for (right, _), (left, _) in ends)
    assert ends[0] != ends[1]
