"""The panels, driven by their controls, without a kernel or a browser."""

import statistics
import threading
import time

import ipywidgets as widgets
import pytest
import torch
from torch import nn

from helpers import widgets as panels
from helpers.data import Split, load_mnist
from helpers.widgets import DrawingPad, Explorer, TrainingPanel, like_mnist

PNG = b"\x89PNG"


def make_split(rows=120):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, generator=generator)
    return Split(x, (x[:, 0] > 0).long() + (x[:, 1] > 1).long())


def make_model():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


class Slow(nn.Module):
    """A model whose steps take a while, and that can be made to fail."""

    def __init__(self, seconds=0.005, error=None):
        super().__init__()
        self.layer, self.seconds, self.error = nn.Linear(4, 3), seconds, error

    def forward(self, x):
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.layer(x)


@pytest.fixture
def make_panel():
    """Return a function that makes panels, and end their threads afterwards."""
    made = []

    def make(make_model=make_model, train=None, **options):
        options = {"epochs": 3, "batch_size": 16} | options
        panel = TrainingPanel(
            make_model, train or make_split(), make_split(60), **options
        )
        made.append(panel)
        return panel

    yield make
    for panel in made:
        panel.stop()
        wait(panel)


def wait(panel):
    if panel.thread is not None:
        panel.thread.join(20)
        assert not panel.thread.is_alive()


def train(panel):
    panel.train_button.click()
    wait(panel)


def until(condition, seconds=20):
    """Wait until something holds, however slow the machine is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


def legend_of(panel):
    boxes = panel.picture().legends
    return [" ".join(t.get_text().split()) for box in boxes for t in box.get_texts()]


def without_times(history):
    return [{k: v for k, v in r.items() if k != "seconds"} for r in history]


def usable(panel):
    return not panel.train_button.disabled and panel.stop_button.disabled


def test_runs_end_as_labelled_lines_and_the_best_is_named(make_panel):
    panel = make_panel()
    assert panel.thread is None
    assert usable(panel)
    pictures = [bytes(panel.image.value)]
    for lr in (0.01, 0.1):
        panel.learning_rate.value = lr
        train(panel)
        pictures.append(bytes(panel.image.value))

    names = ["1: Adam, lr 0.01, batch 16", "2: Adam, lr 0.1, batch 16"]
    assert list(panel.runs) == legend_of(panel) == names
    assert all(len(history) == 3 for history in panel.runs.values())
    assert len(set(pictures)) == 3
    losses = {name: history[-1]["val_loss"] for name, history in panel.runs.items()}
    best = min(losses, key=losses.get)
    assert f"Of all runs, “{best}” ends" in panel.status.value
    assert f"{losses[best]:.3f}" in panel.status.value
    assert panel.progress.value == 1
    assert usable(panel)


def test_curves_differ_by_line_style_too(make_panel):
    panel = make_panel(runs={name: [record()] for name in "abc"})
    loss, accuracy = panel.picture().axes
    for lines in (accuracy.lines, loss.lines[:3], loss.lines[3:]):
        assert len({line.get_linestyle() for line in lines}) == 3


def test_every_setting_is_used(make_panel):
    panel = make_panel()
    panel.optimizer.value = "SGD"
    panel.batch_size.value = 64
    panel.epochs.value = 5
    panel.learning_rate.value = 0.001
    train(panel)
    ((name, history),) = panel.runs.items()
    assert name == "1: SGD, lr 0.001, batch 64"
    assert len(history) == 5
    assert history[-1]["lr"] == pytest.approx(0.001)


def test_equal_settings_give_equal_curves_whatever_else_draws(make_panel):
    def with_dropout():
        return nn.Sequential(
            nn.Linear(4, 8), nn.Unflatten(1, (4, 2)), nn.Dropout(0.4),
            nn.Dropout1d(0.4), nn.Flatten(), nn.Linear(8, 3),
        )  # fmt: skip

    panel = make_panel(with_dropout, epochs=5)
    train(panel)
    panel.train_button.click()
    while panel.is_training:
        torch.rand(10)
    wait(panel)
    one, two = panel.runs.values()
    assert without_times(one) == without_times(two)


def test_dropout_drops_as_many_as_asked():
    layer = nn.Dropout(0.25)
    panels._isolate_dropout(nn.Sequential(nn.Linear(1, 1), layer), seed=0)
    x = torch.ones(200, 500)
    once, again = layer(x), layer(x)
    assert (once == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert once.unique().tolist() == pytest.approx([0, 4 / 3])
    assert not torch.equal(once, again)
    assert torch.equal(layer.eval()(x), x)
    all_of_it = nn.Dropout(1.0)
    panels._isolate_dropout(all_of_it, seed=0)
    assert torch.equal(all_of_it(x), torch.zeros_like(x))


def test_channel_dropout_drops_whole_channels():
    layer = nn.Dropout2d(0.5)
    panels._isolate_dropout(nn.Sequential(nn.Conv2d(1, 1, 1), layer), seed=0)
    shares = layer(torch.ones(20, 30, 4, 4)).ne(0).float().mean((2, 3))
    assert set(shares.unique().tolist()) == {0, 1}


def test_training_leaves_random_state_and_threads_of_other_cells_alone(make_panel):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(make_panel())
    found = [torch.get_num_threads()]
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    torch.set_num_threads(before)
    assert found == [3, 3]
    assert torch.equal(torch.rand(1), expected)


def test_train_is_disabled_while_it_trains_and_a_second_click_does_nothing(make_panel):
    panel = make_panel(Slow, epochs=50)
    panel.train_button.click()
    thread, threads = panel.thread, threading.active_count()
    assert panel.train_button.disabled
    assert not panel.stop_button.disabled
    panel.start()
    panel.train_button.click()
    assert panel.thread is thread
    assert threading.active_count() == threads


def test_stop_ends_the_run_in_the_middle_of_an_epoch(make_panel):
    panel = make_panel(Slow, train=make_split(100_000), epochs=2)
    panel.train_button.click()
    until(lambda: panel.progress.value > 0)
    panel.stop_button.click()
    wait(panel)
    assert panel.status.value.startswith("Stopped after 0 of 2 epochs.")
    assert panel.runs == {}
    assert usable(panel)


def test_stopped_run_keeps_its_line_and_train_starts_afresh(make_panel):
    panel = make_panel(Slow, epochs=1000)
    panel.train_button.click()
    until(lambda: panel.history)
    panel.stop_button.click()
    wait(panel)
    (stopped,) = panel.runs
    assert stopped == "1: Adam, lr 0.01, batch 16 (ended early)"
    panel.epochs.value = 2
    train(panel)
    history = panel.runs["2: Adam, lr 0.01, batch 16"]
    assert [record["epoch"] for record in history] == [1, 2]
    first = without_times(panel.runs[stopped])[0]
    assert first == without_times(history)[0]


def test_only_one_panel_trains_at_a_time(make_panel):
    old, second = make_panel(Slow, epochs=1000), make_panel(Slow, epochs=1000)
    old.train_button.click()
    until(lambda: old.history)
    second.train_button.click()
    wait(old)
    assert old.status.value.startswith("Stopped")
    assert second.is_training
    make_panel()
    wait(second)
    assert second.status.value.startswith("Stopped")


def test_curves_and_progress_grow_while_it_trains(make_panel):
    panel = make_panel(lambda: Slow(0.02), epochs=1000)
    pictures, progress = [], []
    panel.image.observe(lambda change: pictures.append(change["new"]), "value")
    panel.progress.observe(lambda change: progress.append(change["new"]), "value")
    panel.train_button.click()
    until(lambda: len(pictures) >= 3)  # the empty frame, and two with points
    assert panel.is_training
    assert len(panel.history) >= 1
    assert panel.time_left.value.endswith("s left")
    panel.stop_button.click()
    wait(panel)
    assert progress == sorted(progress)
    assert len(set(map(bytes, pictures))) == len(pictures)


def test_loss_that_diverges_is_told_in_words(make_panel):
    panel = make_panel(lambda: nn.Sequential(nn.Linear(4, 3), Overflow()))
    train(panel)
    assert "learning rate" in panel.status.value
    assert "Error" not in panel.status.value
    assert usable(panel)


class Overflow(nn.Module):
    def forward(self, x):
        return x * float("inf")


def test_error_in_the_model_is_told_and_leaves_usable_buttons(make_panel):
    panel = make_panel(lambda: Slow(0, ValueError("a bad shape")))
    train(panel)
    assert panel.status.value.startswith("ValueError: a bad shape")
    assert usable(panel)


def test_clear_forgets_what_is_finished(make_panel):
    panel = make_panel(Slow, epochs=100, runs={"given": [record()]})
    panel.train_button.click()
    until(lambda: panel.history)
    panel.clear_button.click()
    assert panel.runs == {}
    assert panel.is_training
    panel.stop_button.click()
    wait(panel)
    assert list(panel.runs) == ["1: Adam, lr 0.01, batch 16 (ended early)"]
    panel.clear_button.click()
    assert panel.runs == {}
    assert panel.status.value == ""
    assert legend_of(panel) == []


def test_new_runs_stand_beside_given_ones_and_take_no_name_of_theirs(make_panel):
    given = {"lr 0.01": [record()], "1: Adam, lr 0.01, batch 16": [record()]}
    panel = make_panel(runs=given)
    train(panel)
    assert list(panel.runs) == [*given, "2: Adam, lr 0.01, batch 16"]


def test_perfect_and_diverged_runs_are_drawn(make_panel):
    perfect = [record(train_loss=0.0, val_loss=0.0, val_accuracy=1.0)]
    diverged = [record(train_loss=1e30, val_loss=float("nan"))]
    panel = make_panel(runs={"diverged": diverged, 0.1: perfect})
    assert panel.picture().axes[0].get_ylim()[1] < 10
    assert "“0.1” ends with the lowest" in panel._best()


def record(**figures):
    return {
        "epoch": 1,
        "train_loss": 1.0,
        "val_loss": 1.0,
        "val_accuracy": 0.5,
    } | figures


def test_run_that_cannot_be_drawn_is_refused(make_panel):
    without = record()
    del without["val_accuracy"]
    with pytest.raises(ValueError, match="'a' has no val_accuracy"):
        make_panel(runs={"a": [without]})
    with pytest.raises(ValueError, match="'a' has no train_loss"):
        make_panel(runs={"a": []})


def test_every_control_has_a_label(make_panel):
    def controls(widget):
        for child in getattr(widget, "children", ()):
            yield from controls(child)
        if isinstance(widget, widgets.DOMWidget) and hasattr(widget, "description"):
            yield widget

    explorer = Explorer(lambda figure, speed: None, speed=widgets.FloatSlider())
    pad = make_pad()
    for panel in (make_panel(), explorer, pad):
        named = [c for c in controls(panel.box) if not isinstance(c, widgets.HTML)]
        assert named
        labels = [c.description for c in named if not isinstance(c, widgets.Label)]
        assert all(labels), labels


def displayed(panel, monkeypatch):
    shown = []
    monkeypatch.setattr(panels, "display", lambda data, raw: shown.append(data))
    panel._ipython_display_()
    return shown


def test_a_picture_and_a_sentence_stand_in_where_no_widgets_live(
    make_panel, monkeypatch
):
    live, stand_in = displayed(make_panel(), monkeypatch)
    assert "application/vnd.jupyter.widget-view+json" in live
    assert live["text/plain"] == ""
    assert stand_in["image/png"].startswith(PNG)
    assert "run this cell in JupyterLab" in stand_in["text/plain"]
    assert repr(make_panel()) == stand_in["text/plain"]


def test_panel_that_cannot_draw_says_so_and_has_no_stand_in(monkeypatch):
    pad = make_pad(lambda x: 1 / 0)
    (live,) = displayed(pad, monkeypatch)
    assert "application/vnd.jupyter.widget-view+json" in live
    assert pad.status.value == "ZeroDivisionError: division by zero"


def test_explorer_draws_anew_when_a_slider_moves():
    seen = []

    def draw(figure, start, plots):
        seen.append((start, plots))
        for ax in figure.subplots(1, plots, squeeze=False).flat:
            ax.plot([start, 1])

    explorer = Explorer(
        draw, start=widgets.FloatSlider(1.0), plots=widgets.IntSlider(1, min=1, max=3)
    )
    pictures = [bytes(explorer.image.value)]
    for name, value in (("start", 2.0), ("plots", 3)):
        explorer.sliders[name].value = value
        pictures.append(bytes(explorer.image.value))
    assert seen == [(1.0, 1), (2.0, 1), (2.0, 3)]
    assert len(set(pictures)) == 3
    assert explorer.status.value == ""


def test_error_while_drawing_is_told_in_words():
    def draw(figure, value):
        if value > 1:
            raise ValueError("too far")

    explorer = Explorer(draw, value=widgets.FloatSlider(0, min=0, max=5))
    explorer.sliders["value"].value = 2
    assert explorer.status.value == "ValueError: too far"
    explorer.sliders["value"].value = 0.5
    assert explorer.status.value == ""


ONE = [[(140, 40), (140, 240)]]


def test_drawing_is_centred_and_scaled_as_mnists_own_digits():
    moved = [[(x - 60, y + 20) for x, y in stroke] for stroke in ONE]
    image = like_mnist(moved, 280, 22)
    assert torch.equal(image, like_mnist(ONE, 280, 22))
    assert image.shape == (1, 1, 28, 28)
    assert (image.min(), image.max()) == (0, 1)
    rows, _ = image[0, 0].nonzero().T
    assert rows.max() - rows.min() + 1 == 20
    assert centre_of(image) == pytest.approx([14, 14], abs=0.6)


def test_centre_of_mass_is_in_the_middle_even_of_a_lopsided_drawing():
    image = like_mnist([[(60, 40), (220, 40)], *ONE], 280, 22)
    rows, _ = image[0, 0].nonzero().T
    assert rows.min() > 4
    assert centre_of(image) == pytest.approx([14, 14], abs=0.6)


def centre_of(image):
    mass = image[0, 0] / image.sum()
    return [(mass.sum(1 - axis) * torch.arange(28)).sum().item() for axis in (0, 1)]


def test_small_drawing_is_enlarged():
    small = [[(140, 130), (140, 150)]]
    rows, _ = like_mnist(small, 280, 4)[0, 0].nonzero().T
    assert rows.max() - rows.min() + 1 == 20


def make_pad(predict=None):
    examples = Split(torch.rand(5, 1, 28, 28), torch.arange(5))
    return DrawingPad(predict or (lambda x: 10 * x.sum(dim=(1, 2))[:, :10]), examples)


def draw(pad, strokes):
    for stroke in strokes:
        pad._begin(*stroke[0])
        for place in stroke[1:]:
            pad._go_on(*place)
        pad._lift()


def test_drawn_digit_is_given_to_the_model_when_the_pen_is_lifted():
    seen = []

    def predict(x):
        seen.append(x)
        return torch.eye(10)[[7]] * 5

    pad = make_pad(predict)
    draw(pad, ONE)
    assert torch.equal(seen[-1], like_mnist(ONE, pad.SIDE, pad.PEN))
    assert pad.status.value.startswith("The model says 7")
    assert bytes(pad.image.value).startswith(PNG)


def test_clear_empties_the_square():
    pad = make_pad()
    draw(pad, ONE)
    pad.clear_button.click()
    assert pad.strokes == []
    assert pad.x is None
    assert pad.status.value == "Draw a digit in the square."


def test_drawings_and_test_images_take_each_others_place():
    pad = make_pad()
    draw(pad, ONE)
    pad.example.value = 2
    assert pad.strokes == []
    assert torch.equal(pad.x, pad.examples.x[2:3])
    assert pad.status.value.endswith("Its label is 2.")
    draw(pad, ONE)
    assert pad.strokes == ONE
    assert torch.equal(pad.x, like_mnist(ONE, pad.SIDE, pad.PEN))


def test_redrawn_digits_look_like_the_originals():
    """Blow real images up to the square, as dots of ink, and bring them back."""
    likenesses = []
    for image in load_mnist().test.x[:40]:
        strokes = [
            [(10 * column + 5, 10 * row + 5)] * 2
            for row, column in (image[0] > 0.5).nonzero().tolist()
        ]
        both = torch.stack([like_mnist(strokes, 280, 12)[0, 0], image[0]]).flatten(1)
        likenesses.append(torch.corrcoef(both)[0, 1].item())
    assert statistics.mean(likenesses) > 0.8
