import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from matplotlib.text import Annotation

from helpers import plotting

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


history = [
    {"epoch": 1, "train_loss": 0.9, "val_loss": 0.8, "val_accuracy": 0.5, "lr": 0.1},
    {"epoch": 2, "train_loss": 0.6, "val_loss": 0.7, "val_accuracy": 0.6, "lr": 0.1},
]


def test_history_is_drawn_as_it_was_recorded():
    losses, accuracy = plotting.plot_history(history)
    train, val = losses.lines
    assert train.get_xydata().tolist() == [[1, 0.9], [2, 0.6]]
    assert val.get_xydata().tolist() == [[1, 0.8], [2, 0.7]]
    assert accuracy.lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.6]]
    assert accuracy.get_ylabel() == "accuracy"


def test_curves_differ_by_more_than_colour():
    plotting.set_style()
    losses, _ = plotting.plot_history(history)
    train, val = losses.lines
    assert train.get_color() != val.get_color()
    assert train.get_linestyle() != val.get_linestyle()
    assert train.get_marker() != val.get_marker()


def test_best_epoch_is_marked_and_training_may_be_moved():
    losses, accuracy = plotting.plot_history(history, best=2, train_shift=-0.5)
    train, val, mark = losses.lines
    assert train.get_xdata().tolist() == [0.5, 1.5]
    assert val.get_xdata().tolist() == [1, 2]
    assert list(mark.get_xdata()) == [2, 2]
    assert mark.get_label() == "best epoch (2)"
    assert len(accuracy.lines) == 2


def test_runs_are_overlaid_and_told_apart():
    ax = plotting.plot_runs({"slow": history, "fast": history[:1]}, "train_loss")
    slow, fast = ax.lines
    assert slow.get_xydata().tolist() == [[1, 0.9], [2, 0.6]]
    assert fast.get_xydata().tolist() == [[1, 0.9]]
    assert [line.get_label() for line in ax.lines] == ["slow", "fast"]
    assert slow.get_linestyle() != fast.get_linestyle()
    assert slow.get_marker() != fast.get_marker()
    assert ax.get_ylabel() == "training loss"


def test_many_runs_are_told_apart():
    runs = {str(i): history for i in range(20)}
    lines = plotting.plot_runs(runs).lines
    looks = {(x.get_color(), str(x.get_linestyle()), x.get_marker()) for x in lines}
    assert len(looks) == 20


def test_class_without_examples_is_drawn_as_such():
    ax = plotting.plot_confusion(torch.tensor([0]), torch.tensor([0]), ["a", "b"])
    assert [text.get_text() for text in ax.texts] == ["1\n100%", "0", "–", "–"]


@pytest.mark.parametrize("predicted", [[0, 1, 3], [0, 1], [0, -1, 2]])
def test_answers_that_do_not_fit_the_classes_are_refused_in_words(predicted):
    with pytest.raises(ValueError, match="must be class numbers of the same examples"):
        plotting.plot_confusion(
            torch.tensor([0, 1, 2]), torch.tensor(predicted), ["a", "b", "c"]
        )


def test_images_share_one_scale():
    images = torch.tensor([[[0.0, 1.0]], [[0.5, 0.51]]])
    axes = plotting.plot_images(images, ["a", "b"])
    assert axes[0, 1].images[0].get_clim() == (0, 1)


def test_images_are_drawn_in_order_with_their_titles():
    images = torch.arange(3 * 4.0).view(3, 1, 2, 2)
    axes = plotting.plot_images(images, ["a", "b", "c"], columns=2)
    assert axes.shape == (2, 2)
    assert [ax.get_title() for ax in axes.flat] == ["a", "b", "c", ""]
    shown = axes[1, 0].images[0].get_array()
    assert shown.tolist() == images[2, 0].tolist()


def test_confusion_matrix_counts_and_shares():
    y = torch.tensor([0, 0, 0, 1, 2])
    predicted = torch.tensor([0, 0, 1, 1, 0])
    ax = plotting.plot_confusion(y, predicted, ["a", "b", "c"])
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells[(0, 0)] == "2\n67%"
    assert cells[(1, 0)] == "1\n33%"
    assert cells[(1, 1)] == "1\n100%"
    assert cells[(0, 2)] == "1\n100%"
    assert cells[(2, 2)] == "0"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]


def test_confusion_matrix_is_readable_without_colour():
    y = torch.tensor([0] * 20 + [1] * 20 + [2])
    predicted = torch.tensor([0] * 10 + [1] * 10 + [1] * 9 + [2] * 11 + [2])
    ax = plotting.plot_confusion(y, predicted, ["a", "b", "c"])
    image = ax.images[0]
    for text in ax.texts:
        column, row = (int(place) for place in text.get_position())
        background = image.cmap(image.norm(image.get_array()[row, column]))[:3]
        linear = [((c + 0.055) / 1.055) ** 2.4 for c in background]
        light = np.dot(linear, [0.2126, 0.7152, 0.0722])
        white = text.get_color() == "white"
        contrast = 1.05 / (light + 0.05) if white else (light + 0.05) / 0.05
        assert contrast > 4.3, text.get_text()


def test_regions_show_what_the_model_says_and_leave_it_alone():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.5), torch.nn.Linear(2, 2)
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model[0].eval()
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    ax = plotting.plot_regions(model, x, torch.tensor([0, 1]), ["a", "b"], "pq")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("p", "q")
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, False, True, True]
    assert len([c for c in ax.collections if isinstance(c, QuadContourSet)]) == 2
    points = [c.get_offsets().tolist() for c in ax.collections[-2:]]
    assert points == [[[0, 0]], [[1, 2]]]


def test_regions_lie_where_the_classes_are():
    def right_of_zero(points):
        return torch.stack([-points[:, 0], points[:, 0]], dim=1)

    x = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    ax = plotting.plot_regions(
        right_of_zero, x, torch.tensor([0, 1]), ["a", "b"], ["p", "q"]
    )
    filled = next(c for c in ax.collections if isinstance(c, QuadContourSet))
    left, right = filled.get_paths()
    assert left.vertices[:, 0].max() < 0.02
    assert right.vertices[:, 0].min() > -0.02


def test_history_without_validation_has_one_curve():
    (ax,) = plotting.plot_history([{"epoch": 1, "train_loss": 0.9, "lr": 0.1}])
    assert [line.get_label() for line in ax.lines] == ["training"]


def test_empty_history_is_refused_in_words():
    with pytest.raises(ValueError, match="history is empty"):
        plotting.plot_history([])


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
    nodes = plotting.trace_graph(neuron["loss"], **neuron)

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
    nodes = plotting.trace_graph(x * x, x=x)
    assert [node.inputs for node in nodes] == [(), (0, 0)]


def test_graph_is_drawn_with_a_box_for_each_node_and_arrows_along_the_flow(neuron):
    before = neuron["w"].grad.clone()
    ax = plotting.plot_graph(neuron["loss"], **neuron)
    boxes = {text.get_text(): text.get_position() for text in ax.texts}
    assert "w = 5\ngrad 20" in boxes
    assert "Sub\nerror = 5\ngrad 10" in boxes
    assert "Mul\nproduct = 10" in boxes
    assert torch.equal(neuron["w"].grad, before)

    arrows = [(t.xyann, t.xy) for t in ax.texts if isinstance(t, Annotation)]
    assert len(arrows) == 5
    assert (boxes["w = 5\ngrad 20"], boxes["Mul\nproduct = 10"]) in arrows
    assert (boxes["b = 2\ngrad 10"], boxes["Add"]) in arrows


def test_tensor_without_a_graph_is_refused_in_words():
    with pytest.raises(ValueError, match="has no graph: compute it from tensors"):
        plotting.plot_graph(torch.tensor(1.0))


def test_every_node_of_a_graph_is_right_of_its_inputs(neuron):
    nodes = plotting.trace_graph(neuron["loss"], **neuron)
    places = plotting._places(nodes)
    assert len(set(places)) == len(places)
    for node, (column, _) in zip(nodes, places, strict=True):
        assert all(places[i][0] < column for i in node.inputs)


def test_paths_are_drawn_point_by_point():
    paths = {"one": [(0, 0), (1, 1)], "two": [(0, 1), (2, 0), (3, 3)]}
    ax = plotting.plot_paths(
        lambda x, y: x**2 + y**2, paths, xlim=(-3, 3), ylim=(-3, 3), minimum=(0, 0)
    )
    one, end_of_one, two, _, star = ax.lines
    assert end_of_one.get_xydata().tolist() == [[1, 1]]
    assert one.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert two.get_xydata().tolist() == [[0, 1], [2, 0], [3, 3]]
    assert star.get_xydata().tolist() == [[0, 0]]
    assert one.get_linestyle() != two.get_linestyle()
    assert one.get_marker() != two.get_marker()


def test_surface_is_drawn_with_its_lowest_colour_at_the_minimum():
    paths = {"one": [(0, 0), (1, 1)]}
    ax = plotting.plot_paths(
        lambda x, y: x**2 + y**2, paths, xlim=(-3, 3), ylim=(-3, 3)
    )
    (contours,) = [c for c in ax.collections if isinstance(c, QuadContourSet)]
    lowest, highest = contours.get_paths()[0], contours.get_paths()[-1]
    assert abs(lowest.vertices).max() < 1 < abs(highest.vertices).max()
    assert contours.levels[0] < contours.levels[-1]


def test_descent_step_follows_the_slope():
    ax = plotting.plot_descent_step(lambda x: x**2, start=2.0, learning_rate=0.25)
    lines = {line.get_label(): line for line in ax.lines}
    x, y = lines["loss"].get_data()
    np.testing.assert_allclose(y, np.square(x), rtol=1e-5)
    assert lines["slope 4.00"].get_slope() == 4
    assert lines["start"].get_xydata().tolist() == [[2, 4]]
    assert lines["after one step"].get_xydata().tolist() == [[1, 1]]
    (arrow,) = (text for text in ax.texts if isinstance(text, Annotation))
    assert (arrow.xyann, arrow.xy) == ((2, 4), (1, 4))
    (drop,) = ax.collections
    assert drop.get_segments()[0].tolist() == [[1, 4], [1, 1]]


def test_descent_on_a_curve_with_weights_of_its_own_leaves_them_alone():
    w = torch.tensor(2.0, requires_grad=True)
    plotting.plot_descent_step(lambda x: (w * x) ** 2, start=1.0, learning_rate=0.1)
    assert w.grad is None


def test_descent_step_that_leaves_the_span_is_still_seen():
    ax = plotting.plot_descent_step(lambda x: x**2, start=2.0, learning_rate=2.0)
    assert ax.get_xlim()[0] < -6
    assert ax.get_ylim()[1] > 36


def test_logits_probabilities_and_gradient_are_drawn():
    logits, probabilities, gradient = plotting.plot_logits([1.0, 2.0, 4.0], 1)

    def heights(ax):
        return [bar.get_height() for bar in ax.patches]

    p = np.exp([1, 2, 4]) / np.exp([1, 2, 4]).sum()
    assert heights(logits) == [1, 2, 4]
    np.testing.assert_allclose(heights(probabilities), p, rtol=1e-5)
    np.testing.assert_allclose(heights(gradient), p - [0, 1, 0], rtol=1e-5)
    assert "loss 2.170" in gradient.figure.get_suptitle()
    assert logits.patches[1].get_hatch()


def test_training_loop_shows_each_part_and_its_notebook():
    ax = plotting.plot_training_loop()
    texts = " ".join(text.get_text() for text in ax.texts)
    for word in ("model", "loss_fn\nnotebook 02", "optimizer.step()\nnotebook 03"):
        assert word in texts


def test_style_tells_lines_apart_without_colour():
    plotting.set_style()
    cycle = list(plt.rcParams["axes.prop_cycle"])
    assert len({str(style["linestyle"]) for style in cycle}) == len(cycle)
