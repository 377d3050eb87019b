"""The panels, driven by their controls, without a kernel or a browser."""

import contextlib
import io
import statistics
import threading
import time
from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers import plotting
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


def test_untouched_panel_starts_no_thread(make_panel):
    before = threading.active_count()
    panel = make_panel()
    assert threading.active_count() == before
    assert panel.thread is None
    assert bytes(panel.image.value).startswith(PNG)
    assert usable(panel)


def test_run_ends_as_a_labelled_line_and_the_best_is_named(make_panel):
    panel = make_panel()
    empty = bytes(panel.image.value)
    train(panel)
    first = bytes(panel.image.value)
    panel.learning_rate.value = 0.1
    train(panel)

    assert list(panel.runs) == [
        "1: Adam, lr 0.01, batch 16",
        "2: Adam, lr 0.1, batch 16",
    ]
    assert all(len(history) == 3 for history in panel.runs.values())
    assert len({empty, first, bytes(panel.image.value)}) == 3
    losses = {name: history[-1]["val_loss"] for name, history in panel.runs.items()}
    best = min(losses, key=losses.get)
    assert f"Of all runs, “{best}” ends" in panel.status.value
    assert f"{losses[best]:.3f}" in panel.status.value
    assert legend_of(panel) == list(panel.runs)
    assert usable(panel)


def test_curves_differ_by_line_style_too(make_panel):
    panel = make_panel()
    for _ in range(3):
        train(panel)
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


@pytest.mark.parametrize(
    ("control", "value"), [("optimizer", "SGD"), ("batch_size", 64)]
)
def test_another_setting_gives_another_curve(make_panel, control, value):
    panel = make_panel()
    train(panel)
    getattr(panel, control).value = value
    train(panel)
    one, two = panel.runs.values()
    assert one[-1]["train_loss"] != two[-1]["train_loss"]


def expect_equal_curves(panel):
    """Train twice, while others draw from the shared random state."""
    train(panel)
    torch.rand(10)
    panel.train_button.click()
    while panel.is_training:
        torch.rand(10)
    wait(panel)
    one, two = panel.runs.values()
    assert without_times(one) == without_times(two)


def test_equal_settings_give_equal_curves_whatever_else_draws(make_panel):
    panel = make_panel(epochs=6)
    expect_equal_curves(panel)


@pytest.mark.parametrize("layer", [nn.Dropout(0.4), nn.Dropout1d(0.4)])
def test_dropout_draws_alike_whatever_else_draws(make_panel, layer):
    def with_dropout():
        return nn.Sequential(
            nn.Linear(4, 8), nn.Unflatten(1, (4, 2)), type(layer)(layer.p),
            nn.Flatten(), nn.Linear(8, 3),
        )  # fmt: skip

    panel = make_panel(with_dropout, epochs=5)
    expect_equal_curves(panel)


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


def test_making_a_model_leaves_the_shared_random_state_alone(make_panel):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(make_panel())
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


def test_stop_ends_the_run_in_the_middle_of_validation(make_panel):
    panel = make_panel(Slow, epochs=2)
    panel.val_split = make_split(100_000)
    panel.train_button.click()
    until(lambda: panel._steps > 8 and panel.progress.value > 0)
    panel.stop_button.click()
    wait(panel)
    assert panel.status.value.startswith("Stopped after 0 of 2 epochs.")


def test_train_is_the_last_button_to_change_when_a_run_ends(make_panel):
    panel, seen = make_panel(), []

    def note(change):
        seen.append((change["new"], panel.stop_button.disabled))

    panel.train_button.observe(note, "disabled")
    train(panel)
    assert seen == [(True, True), (False, True)]


def test_interrupt_while_the_run_is_prepared_ends_in_a_line(make_panel, monkeypatch):
    panel = make_panel()
    train(panel)
    for name in ("_make_name", "_make_arguments", "redraw"):
        monkeypatch.setattr(panel, name, raise_interrupt)
        with contextlib.suppress(KeyboardInterrupt):  # redraw fails at the end, too
            panel.start()
        monkeypatch.undo()
        assert panel.status.value.startswith("Interrupted after 0 of 3 epochs.")
        assert usable(panel)
        assert len(panel.runs) == 1
    train(panel)
    assert panel.status.value.startswith("Finished")


def raise_interrupt(*_):
    raise KeyboardInterrupt


def test_interrupted_cell_ends_the_run(make_panel):
    panel = make_panel(Slow, epochs=1000)
    panel.train_button.click()
    until(lambda: panel.history)
    panels._after_cell(SimpleNamespace(error_in_exec=ValueError()))
    time.sleep(0.05)
    assert panel.is_training
    panels._after_cell(SimpleNamespace(error_in_exec=KeyboardInterrupt()))
    wait(panel)
    assert panel.status.value.startswith("Interrupted after")
    assert usable(panel)


def test_run_ends_usable_even_if_its_end_fails(make_panel, monkeypatch):
    panel = make_panel()
    monkeypatch.setattr(panel, "_best", lambda: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    train(panel)
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


def test_a_new_panel_stops_the_run_of_the_one_before(make_panel):
    old = make_panel(Slow, epochs=1000)
    old.train_button.click()
    until(lambda: old.history)
    new = make_panel()
    wait(old)
    assert old.status.value.startswith("Stopped")
    train(new)
    assert list(new.runs) == ["1: Adam, lr 0.01, batch 16"]


def test_starting_another_panel_stops_the_first(make_panel):
    one, two = make_panel(Slow, epochs=1000), make_panel(Slow, epochs=1000)
    one.train_button.click()
    until(lambda: one.history)
    two.train_button.click()
    wait(one)
    assert two.is_training
    assert not one.is_training


def test_threads_of_other_cells_are_left_alone(make_panel):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    train(make_panel())
    found = [torch.get_num_threads()]
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    torch.set_num_threads(before)
    assert found == [3, 3]


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


def test_progress_ends_full(make_panel):
    panel = make_panel()
    train(panel)
    assert panel.progress.value == 1


def test_a_growing_curve_looks_as_it_will_in_the_end():
    records = [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "val_loss": 1.1 / e,
            "val_accuracy": 1 - 1 / e,
        }
        for e in range(1, 21)
    ]
    settings = {"epochs": 20, "guess": 1.0}
    history = records[:1]
    growing = panels.Curves({"a": history}, growing="a", **settings)
    history.extend(records[1:])
    whole = panels.Curves({"a": records}, **settings)
    assert growing.limits == whole.wanted_limits()
    with_one, with_all = pixels(growing.png()), pixels(whole.png())
    assert np.abs(with_one - with_all).mean() < 0.5


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"), dtype=float)


def test_other_code_runs_while_it_trains(make_panel):
    panel = make_panel(epochs=60)
    panel.train_button.click()
    count = 0
    while panel.is_training:
        count += 1
        time.sleep(0.001)
    assert count > 10


def test_loss_that_diverges_is_told_in_words(make_panel):
    panel = make_panel(lambda: nn.Sequential(nn.Linear(4, 3), Overflow()), epochs=30)
    train(panel)
    assert panel.status.value.startswith("The loss became")
    assert "ten times smaller" in panel.status.value
    assert usable(panel)
    panel.make_model = make_model
    train(panel)
    assert panel.status.value.startswith("Finished")


class Overflow(nn.Module):
    def forward(self, x):
        return x * float("inf")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a bad shape"), "ValueError: a bad shape"),
        (KeyboardInterrupt(), "Interrupted after 0 of 3 epochs."),
        (SystemExit("leave"), "SystemExit: leave"),
    ],
)
def test_error_in_the_model_ends_in_a_line_and_usable_buttons(make_panel, error, line):
    panel = make_panel(lambda: Slow(0, error))
    train(panel)
    assert panel.status.value.startswith(line)
    assert usable(panel)


def test_error_while_the_model_is_made_is_told_too(make_panel):
    def broken():
        raise RuntimeError("no such layer")

    panel = make_panel(broken)
    panel.train_button.click()
    assert panel.thread is None
    assert panel.status.value.startswith("RuntimeError: no such layer")
    assert usable(panel)


def test_data_that_do_not_fit_are_told_in_words(make_panel):
    x, y = make_split()
    panel = make_panel(train=Split(x, y.float()))
    train(panel)
    assert "use y.long()" in panel.status.value
    assert usable(panel)


def test_values_beyond_the_range_are_clamped(make_panel):
    panel = make_panel()
    panel.learning_rate.value = 1e6
    assert panel.learning_rate.value == 10
    panel.learning_rate.value = 1e-12
    assert panel.learning_rate.value == 1e-5
    panel.epochs.value = 10**6
    assert panel.epochs.value == 100
    panel.epochs.value = -1
    assert panel.epochs.value == 1


def test_clear_forgets_what_is_finished(make_panel):
    panel = make_panel(Slow, epochs=2)
    train(panel)
    panel.epochs.value = 100
    panel.train_button.click()
    until(lambda: panel.history)
    panel.clear_button.click()
    assert panel.runs == {}
    assert panel.is_training
    panel.stop_button.click()
    wait(panel)
    assert list(panel.runs) == ["2: Adam, lr 0.01, batch 16 (ended early)"]
    panel.clear_button.click()
    assert panel.runs == {}
    assert panel.status.value == ""
    assert legend_of(panel) == []


def test_runs_of_the_notebook_are_there_to_compare_with(make_panel):
    train(first := make_panel())
    history = next(iter(first.runs.values()))
    panel = make_panel(runs={"lr 0.01": history})
    train(panel)
    assert list(panel.runs) == ["lr 0.01", "1: Adam, lr 0.01, batch 16"]


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


def test_perfect_and_diverged_runs_are_drawn(make_panel):
    runs = {
        0.1: [record(train_loss=0.0, val_loss=0.0, val_accuracy=1.0)],
        "diverged": [record(train_loss=1e30, val_loss=float("nan"))],
    }
    panel = make_panel(runs={0.1: runs[0.1]})
    assert panel.picture().axes[1].get_ylim()[0] < 1
    panel = make_panel(runs=dict(reversed(runs.items())))
    train(panel)
    assert "“0.1” ends with the lowest" in panel.status.value


def test_new_runs_do_not_take_the_names_of_given_ones(make_panel):
    train(first := make_panel())
    second = make_panel(runs=first.runs)
    train(second)
    assert list(second.runs) == [
        "1: Adam, lr 0.01, batch 16",
        "2: Adam, lr 0.01, batch 16",
    ]


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

    def draw(figure, start, rate):
        seen.append((start, rate))
        plotting.plot_descent_step(torch.square, start, rate, ax=figure.subplots())

    explorer = Explorer(
        draw,
        start=widgets.FloatSlider(1.0, min=-3, max=3),
        rate=widgets.FloatSlider(0.1, min=0, max=1),
    )
    before = bytes(explorer.image.value)
    explorer.sliders["start"].value = 2.0
    assert seen == [(1.0, 0.1), (2.0, 0.1)]
    assert bytes(explorer.image.value) != before


def test_explorer_may_draw_another_number_of_axes():
    explorer = Explorer(
        lambda figure, n: figure.subplots(1, n), n=widgets.IntSlider(1, min=1, max=3)
    )
    explorer.sliders["n"].value = 3
    assert explorer.status.value == ""
    assert len(explorer.picture().axes) == 3


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


@pytest.mark.parametrize("shift", [(0, 0), (-60, 20), (90, -20)])
def test_drawing_is_centred_and_scaled_as_mnists_own_digits(shift):
    strokes = [[(x + shift[0], y + shift[1]) for x, y in stroke] for stroke in ONE]
    image = like_mnist(strokes, 280, 22)
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


def test_empty_square_is_an_empty_image():
    assert not like_mnist([], 280, 22).any()


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


def test_moving_without_pressing_draws_nothing():
    pad = make_pad()
    pad._go_on(10, 10)
    assert pad.strokes == []


def test_fingers_draw_as_the_mouse_does():
    with_mouse, with_finger = make_pad(), make_pad()
    draw(with_mouse, ONE)
    draw(with_finger, [[([place],) for place in stroke] for stroke in ONE])
    assert with_finger.strokes == with_mouse.strokes


def test_clear_empties_the_square():
    pad = make_pad()
    draw(pad, ONE)
    pad.clear_button.click()
    assert pad.strokes == []
    assert pad.x is None
    assert pad.status.value == "Draw a digit in the square."
    draw(pad, ONE)
    assert pad.strokes == ONE


def test_test_images_can_be_chosen_by_keyboard():
    pad = make_pad()
    pad.example.value = 3
    assert torch.equal(pad.x, pad.examples.x[3:4])
    assert pad.status.value.endswith("Its label is 3.")


def test_clear_while_the_pen_is_down_ends_the_stroke():
    pad = make_pad()
    pad._begin(5, 5)
    pad.clear_button.click()
    pad._go_on(6, 6)
    pad._lift()
    assert pad.strokes == []


def test_a_drawing_takes_the_place_of_a_test_image():
    pad = make_pad()
    pad.example.value = 2
    assert pad.strokes == []
    draw(pad, ONE)
    assert torch.equal(pad.x, like_mnist(ONE, pad.SIDE, pad.PEN))
    pad.example.value = 1
    assert pad.strokes == []


def test_model_that_fails_is_told_in_words():
    pad = make_pad()

    def broken(x):
        raise RuntimeError("no")

    pad.predict = broken
    draw(pad, ONE)
    assert pad.status.value == "RuntimeError: no"


def test_redrawn_digits_look_like_the_originals():
    """Blow real images up to the square, as dots of ink, and bring them back."""
    likenesses = []
    data = load_mnist()
    if data.name != "MNIST":
        pytest.skip("the small digits are not centred as MNIST's own are")
    for image in data.test.x[:40]:
        strokes = [
            [(10 * column + 5, 10 * row + 5)] * 2
            for row, column in (image[0] > 0.5).nonzero().tolist()
        ]
        both = torch.stack([like_mnist(strokes, 280, 12)[0, 0], image[0]]).flatten(1)
        likenesses.append(torch.corrcoef(both)[0, 1].item())
    assert statistics.mean(likenesses) > 0.8
