import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.contour import QuadContourSet

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


def test_style_tells_lines_apart_without_colour():
    plotting.set_style()
    cycle = list(plt.rcParams["axes.prop_cycle"])
    assert len({str(style["linestyle"]) for style in cycle}) == len(cycle)
