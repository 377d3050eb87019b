"""Live panels: adapters around the training loop and the plots, never inside them.

A panel's picture is a plain matplotlib figure, sent as an image whenever a control
has moved or training has got further.
"""

import functools
import gc
import io
import math
import textwrap
import threading
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import ipywidgets as widgets
import numpy as np
import torch
from ipycanvas import Canvas
from IPython import get_ipython
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import nn

from helpers import plotting
from helpers.data import Split, TensorLoader
from helpers.training import Record, train_epochs

OPTIMIZERS = {
    "SGD": torch.optim.SGD,
    "SGD, momentum 0.9": functools.partial(torch.optim.SGD, momentum=0.9),
    "RMSprop": torch.optim.RMSprop,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
}
SENTENCE = "A picture of a live panel: run this cell in JupyterLab to use it."
LOOK_EVERY = 0.2  # seconds between two looks at the clock
DRAWING_SHARE = 0.04  # of a run's time, at most
DPI = 100
# Where the panel itself is on the page, the picture that stands in for it is not.
STYLE = """<style>
.jp-OutputArea-child:has(.live-panel) + .jp-OutputArea-child {display: none}
.live-panel .widget-inline-hbox {max-width: 100%}
.live-panel .panel-status {height: auto; white-space: normal; line-height: 1.5}
.live-panel canvas {touch-action: none}
</style>"""


# A control with its label at the left, and enough room.
LABELLED = {
    "style": {"description_width": "9em"},
    "layout": {"width": "420px", "max_width": "100%"},
}


def row(*controls: widgets.Widget) -> widgets.HBox:
    """Put controls beside each other, or below where the page is narrow."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))


def status_line(text: str = "") -> widgets.Label:
    """Return a line of text that is wrapped rather than cut."""
    label = widgets.Label(text)
    label.add_class("panel-status")
    return label


class Panel:
    """Controls above a picture; where no widgets live, the picture and a sentence."""

    def __init__(self, width: int):
        self.image = widgets.Image(
            format="png", layout=widgets.Layout(width=f"{width}px", max_width="100%")
        )

    def arrange(self, *rows: widgets.Widget) -> None:
        """Make the panel of these rows."""
        self.box = widgets.VBox([*rows, widgets.HTML(STYLE)])
        self.box.add_class("live-panel")

    def picture(self) -> Figure:
        """Return the picture for the present state."""
        raise NotImplementedError

    def redraw(self, _=None) -> None:
        """Send a new picture to the page."""
        self.image.value = to_png(FigureCanvasAgg(self.picture()), draw=True)

    def __repr__(self):
        return SENTENCE

    def _ipython_display_(self):
        live = self.box._repr_mimebundle_() | {"text/plain": ""}
        display(live, raw=True)
        try:
            figure = self.picture()
        except Exception:  # the live panel says what went wrong
            return
        figure.text(0.5, -0.01, SENTENCE, ha="center", va="top", style="italic")
        stand_in = io.BytesIO()
        figure.savefig(stand_in, format="png", dpi=DPI, bbox_inches="tight")
        display({"text/plain": SENTENCE, "image/png": stand_in.getvalue()}, raw=True)


def to_png(canvas: FigureCanvasAgg, draw: bool = False) -> bytes:
    """Return what is drawn as the bytes of a PNG file, without savefig's extra pass."""
    if draw:
        canvas.draw()
    buffer = io.BytesIO()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    pixels.save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def _tidy():
    """Search for garbage now, and not while a slider moves: it takes 0.2 s.

    What is found to be in use is left out of later searches, until the next call.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Explorer(Panel):
    """A picture that is drawn anew whenever a slider moves.

    `draw` is given a matplotlib figure, and the value of each slider by its name.
    """

    def __init__(
        self,
        draw: Callable,
        *,
        figsize: tuple[float, float] = (7.5, 3.6),
        **sliders: widgets.Widget,
    ):
        self.draw, self.sliders, self.figsize = draw, sliders, figsize
        self._places = []
        self.status = status_line()
        super().__init__(width=int(80 * figsize[0]))
        for name, slider in sliders.items():
            slider.description = slider.description or name.replace("_", " ")
            slider.style, slider.layout = LABELLED.values()
            slider.observe(self.redraw, "value")
        self.arrange(*sliders.values(), self.status, self.image)
        _tidy()
        self.redraw()

    def picture(self) -> Figure:
        """Draw with the sliders' present values."""
        figure = Figure(figsize=self.figsize, dpi=DPI, layout="constrained")
        values = {name: slider.value for name, slider in self.sliders.items()}
        self.draw(figure, **values)
        # Finding room for all labels takes half the time, so it is done once, with
        # room for longer ones.
        if len(self._places) != len(figure.axes):
            figure.get_layout_engine().set(w_pad=0.12)
            figure.draw_without_rendering()
            self._places = [ax.get_position() for ax in figure.axes]
        figure.set_layout_engine("none")
        for ax, place in zip(figure.axes, self._places, strict=True):
            ax.set_position(place)
        return figure

    def redraw(self, _=None) -> None:
        """Send a new picture, or say what went wrong."""
        try:
            super().redraw()
            self.status.value = ""
        except Exception as error:
            self.status.value = f"{type(error).__name__}: {error}"


class Curves:
    """Loss and accuracy of several runs, of which one may be growing.

    To draw everything takes long beside an epoch. It is done when a run begins and
    when the scale has to change; in between, only the growing lines are drawn, over
    a copy of the rest.
    """

    def __init__(
        self,
        runs: Mapping[str, Sequence[Record]],
        *,
        epochs: int,
        guess: float,
        growing: str | None = None,
    ):
        self.runs, self.history, self.guess = runs, runs.get(growing), guess
        self.limits = self.wanted_limits()
        self.figure = Figure(figsize=(11, 3.4), dpi=DPI, layout="none")
        loss, accuracy = axes = self.figure.subplots(1, 2)
        self.figure.subplots_adjust(0.06, 0.15, 0.74, 0.97, wspace=0.23)
        runs = {name: list(history) for name, history in runs.items()}
        if runs:
            plotting.plot_runs(runs, "val_loss", loss).get_legend().remove()
            plotting.plot_runs(runs, "val_accuracy", accuracy).get_legend().remove()
            labels = [textwrap.fill(str(name), 32) for name in runs]
            self.figure.legend(
                *(accuracy.lines, labels),
                loc="upper left",
                bbox_to_anchor=(0.745, 1),
                fontsize=min(9, 140 / sum(1 + label.count("\n") for label in labels)),
            )
        for line, history in zip(list(loss.lines), runs.values(), strict=True):
            loss.plot(
                *_points(history, "train_loss"),
                color=line.get_color(),
                linestyle=line.get_linestyle(),
                linewidth=0.9,
                marker="." if len(history) == 1 else "",
            )
        last = max([epochs, *(h[-1]["epoch"] for h in runs.values() if h)])
        for ax in axes:
            ax.set(xlabel="epoch", xlim=(0, 1.02 * last))
        loss.set(ylabel="validation loss (thin: training)", ylim=(0, self.limits[0]))
        accuracy.set(
            ylabel="validation accuracy",
            ylim=(self.limits[1], 1 + 0.02 * (1 - self.limits[1])),
        )
        self.canvas = FigureCanvasAgg(self.figure)
        if growing:
            place = list(runs).index(growing)
            self.lines = {
                "val_loss": (loss, loss.lines[place]),
                "train_loss": (loss, loss.lines[len(runs) + place]),
                "val_accuracy": (accuracy, accuracy.lines[place]),
            }
            for _, line in self.lines.values():
                line.set(animated=True, markevery=max(1, epochs // 10))
            self.canvas.draw()
            self.rest = self.canvas.copy_from_bbox(self.figure.bbox)

    def wanted_limits(self) -> tuple[float, float]:
        """Return the highest loss and the lowest accuracy that the frame should show.

        A loss beyond twice that of guessing is not worth the room it would take.
        """
        records = [record for history in self.runs.values() for record in history]
        if not records:
            return 1.2 * self.guess, 0.0
        losses = [record["train_loss"] for record in records]
        losses += [record["val_loss"] for record in records]
        highest = max(filter(math.isfinite, losses), default=math.inf)
        lowest = min([0.98, *(record["val_accuracy"] for record in records)])
        return (
            min(1.05 * highest + 0.001, 2 * self.guess),
            max(0.0, lowest - 0.05 * (1 - lowest)),
        )

    def png(self) -> bytes:
        """Return the picture as it is now."""
        if self.history is None:
            return to_png(self.canvas, draw=True)
        self.canvas.restore_region(self.rest)
        for name, (ax, line) in self.lines.items():
            line.set_data(*_points(self.history, name))
            ax.draw_artist(line)
        return to_png(self.canvas)


def _points(history, name):
    """Return epochs and figures; a training loss is the mean over its epoch."""
    shift = 0.5 if name == "train_loss" else 0
    epochs = [record["epoch"] - shift for record in history]
    return epochs, [record[name] for record in history]


class Stopped(Exception):
    """Somebody has pressed Stop, or interrupted the kernel."""


class TrainingPanel(Panel):
    """Train with settings of your own, watch the curves, and compare the runs.

    `make_model` returns a new model; it is called with the seed set, and dropout
    layers draw from a generator of their own, so that equal settings give equal
    curves whatever other cells do. (Other random draws inside a model come from the
    state that all cells share.) `runs` are histories to compare with. A thread
    trains, so that other cells can run meanwhile; only one panel of a notebook
    trains at a time.
    """

    _training = None  # the panel that trains at present

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        train: Split,
        val: Split,
        *,
        runs: Mapping[str, Sequence[Record]] | None = None,
        learning_rate: float = 0.01,
        epochs: int = 20,
        batch_size: int = 32,
        optimizer: str = "Adam",
        device: torch.device | str | None = None,
        seed: int = 0,
    ):
        self.make_model, self.train_split, self.val_split = make_model, train, val
        self.device, self.seed = device, seed
        self.runs = dict(runs or {})
        for name, history in self.runs.items():
            _check(name, history)
        self.thread = None
        self._guess = math.log(max(2, len(train.y.unique())))
        self._name, self.history = None, []
        self._stopping, self._drawing = threading.Event(), threading.Lock()
        if TrainingPanel._training is not None:
            TrainingPanel._training.stop()
        super().__init__(width=880)
        self._make_controls(learning_rate, epochs, batch_size, optimizer)
        self._set_training(False)
        self.redraw()

    def _make_controls(self, learning_rate, epochs, batch_size, optimizer):
        self.learning_rate = widgets.FloatLogSlider(
            learning_rate, min=-5, max=1, step=0.1, readout_format=".2g",
            description="learning rate", continuous_update=False, **LABELLED,
        )  # fmt: skip
        self.epochs = widgets.IntSlider(
            epochs, min=1, max=max(100, 25 * epochs),
            description="epochs", continuous_update=False, **LABELLED,
        )  # fmt: skip
        self.optimizer = widgets.Dropdown(
            options=list(OPTIMIZERS), value=optimizer, description="optimizer",
            **LABELLED,
        )  # fmt: skip
        self.batch_size = widgets.Dropdown(
            options=sorted({8, 16, 32, 64, 128, 256, 512, batch_size}),
            value=batch_size, description="batch size", **LABELLED,
        )  # fmt: skip
        self.train_button = widgets.Button(
            description="Train", icon="play", button_style="primary"
        )
        self.stop_button = widgets.Button(description="Stop", icon="stop")
        self.clear_button = widgets.Button(description="Clear", icon="trash")
        self.train_button.on_click(self.start)
        self.stop_button.on_click(self.stop)
        self.clear_button.on_click(self.clear)
        self.progress = widgets.FloatProgress(max=1, description="progress", **LABELLED)
        self.time_left = widgets.Label()
        self.status = status_line("Choose the settings, then press Train.")
        self.arrange(
            row(self.learning_rate, self.epochs),
            row(self.optimizer, self.batch_size),
            row(self.train_button, self.stop_button, self.clear_button),
            row(self.progress, self.time_left),
            self.status,
            self.image,
        )

    @property
    def is_training(self) -> bool:
        """Tell whether a run is under way."""
        return self.train_button.disabled

    def start(self, _=None) -> None:
        """Begin a run with the present settings, unless one is under way."""
        if self.is_training:
            return
        self.thread, self.history, self._epochs = None, [], self.epochs.value
        try:
            self._set_training(True)
            if TrainingPanel._training is not None:
                TrainingPanel._training.stop()
            TrainingPanel._training = self
            self._stopping.clear()
            self.progress.value = 0
            self._name = self._make_name()
            self.status.value = f"Training {self._name}"
            arguments = self._make_arguments()
            self.redraw()
            _stop_on_interrupt()
            self.thread = threading.Thread(
                target=self._train, args=arguments, name="training panel", daemon=True
            )
            self.thread.start()
        except BaseException as error:
            self.stop(word="Interrupted")
            if self.thread is None or not self.thread.is_alive():
                self._end(self._explain(error))

    def stop(self, _=None, *, word: str = "Stopped") -> None:
        """Ask the run to end after its present step."""
        self._word = word
        self._stopping.set()

    def clear(self, _=None) -> None:
        """Forget all runs but the one under way."""
        self.runs.clear()
        if not self.is_training:
            self.status.value = ""
        self.redraw()

    def _make_name(self):
        number = 1
        while any(str(name).startswith(f"{number}: ") for name in self.runs):
            number += 1
        return (
            f"{number}: {self.optimizer.value}, "
            f"lr {self.learning_rate.value:.3g}, batch {self.batch_size.value}"
        )

    def _make_arguments(self):
        """Return model, loaders, loss and optimizer, the same for equal settings."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = self.make_model().to(self.device)
        _isolate_dropout(model, self.seed)
        make_optimizer = OPTIMIZERS[self.optimizer.value]
        return (
            model,
            TensorLoader(
                *self.train_split,
                batch_size=self.batch_size.value,
                shuffle=True,
                seed=self.seed,
                device=self.device,
            ),
            _Watched(
                TensorLoader(*self.val_split, batch_size=200, device=self.device),
                self._pulse,
            ),
            nn.CrossEntropyLoss(),
            make_optimizer(model.parameters(), lr=self.learning_rate.value),
        )

    def _train(self, *arguments):
        """Be the thread: train, show what happens, and leave the buttons usable."""
        epochs, (_, train_loader, val_loader, *_) = self._epochs, arguments
        self._steps, self._all_steps = 0, epochs * (len(train_loader) + len(val_loader))
        self._began = self._next_look = perf_counter()
        self._next_drawing, self._drawing_time = math.inf, 0.0
        # Two pools of threads, this one's and the cells', would wait for each other.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for record in train_epochs(*arguments, epochs=epochs, watch=self._watch):
                self.history.append(record)
                if len(self.history) == 1:
                    self._next_drawing = perf_counter() + LOOK_EVERY
            self.progress.value = 1
            message = f"Finished in {perf_counter() - self._began:.1f} s."
        except BaseException as error:
            message = self._explain(error)
        torch.set_num_threads(threads)  # for threads that begin later
        self._end(message)

    def _explain(self, error):
        """Say in words how a run ended."""
        match error:
            case FloatingPointError():
                return str(error)
            case Stopped() | KeyboardInterrupt():
                word = self._word if isinstance(error, Stopped) else "Interrupted"
                return f"{word} after {len(self.history)} of {self._epochs} epochs."
        return f"{type(error).__name__}: {error}"

    def _watch(self, steps):
        """Wrap the steps of an epoch: pass them on, with a look at each."""
        for step in steps:
            self._pulse()
            yield step

    def _pulse(self):
        """Count a step, obey Stop, and show how far the run is if it is time to."""
        self._steps += 1
        if self._stopping.is_set():
            raise Stopped
        now = perf_counter()
        if now >= self._next_look:
            done = self._steps / self._all_steps
            self.progress.value = done
            left = (now - self._began) * (1 - done) / done
            self.time_left.value = f"{left:.0f} s left"
            self._next_look = now + LOOK_EVERY
        if now >= self._next_drawing:
            self._draw_growth(now)

    def _draw_growth(self, now):
        """Draw the growing run, and everything where the scale should change.

        The first drawing is due soon after the first epoch, any other one when it
        keeps within its share of the time.
        """
        curves = self._curves
        allowed = DRAWING_SHARE * (now - self._began) - self._drawing_time
        rescale = curves.limits != curves.wanted_limits() and self._cost <= allowed
        if rescale:
            self.redraw()
        else:
            with self._drawing:
                self.image.value = curves.png()
        cost = perf_counter() - now
        self._drawing_time += cost
        next_time = self._drawing_time + (0.015 if rescale else cost)
        due = self._began + next_time / DRAWING_SHARE
        self._next_drawing = max(now + 0.25, due)

    def _end(self, message):
        """Show how a run ended, and which is the best."""
        name, self._name = self._name, None
        try:
            if name and self.history:
                early = len(self.history) < self._epochs
                self.runs[name + " (ended early)" * early] = self.history
            self.time_left.value = ""
            self.status.value = " ".join([message, self._best()])
        finally:
            if TrainingPanel._training is self:
                TrainingPanel._training = None
            self._set_training(False)
        self.redraw()

    def _best(self):
        finals = {name: history[-1] for name, history in self.runs.copy().items()}
        if not finals:
            return ""
        losses = {name: record["val_loss"] for name, record in finals.items()}
        best = min(losses, key=lambda name: (math.isnan(losses[name]), losses[name]))
        return (
            f"Of all runs, “{best}” ends with the lowest validation loss: "
            f"{losses[best]:.3f} (accuracy {finals[best]['val_accuracy']:.1%})."
        )

    def _set_training(self, training):
        if training:
            self.train_button.disabled = True
        self.stop_button.disabled = not training
        if not training:  # last, as the next run may begin at once
            self.train_button.disabled = False

    def redraw(self, _=None) -> None:
        """Send the curves to the page; two threads may ask for it."""
        with self._drawing:
            began = perf_counter()
            curves = self._make_curves()
            self.image.value = curves.png()
            self._curves = curves if self._name else None
            self._cost = perf_counter() - began

    def _make_curves(self):
        name = self._name
        return Curves(
            self.runs | ({name: self.history} if name else {}),
            epochs=self._epochs if name else self.epochs.value,
            guess=self._guess,
            growing=name,
        )

    def picture(self) -> Figure:
        """Draw the loss and the accuracy of every run."""
        return self._make_curves().figure


class DrawingPad(Panel):
    """Draw a digit with the mouse or a finger, and see what a model makes of it.

    `predict` takes images as `load_mnist` gives them and returns logits: a model
    will do. `examples`, images and labels, can be chosen with the keyboard instead.
    """

    SIDE, PEN = 280, 22

    def __init__(self, predict: Callable, examples: Split):
        self.predict, self.examples = predict, examples
        self.strokes, self._down = [], False
        side = f"{self.SIDE}px"
        self.canvas = Canvas(
            width=self.SIDE,
            height=self.SIDE,
            layout=widgets.Layout(
                width=side, height=side, border="1px solid #888", margin="0 8px 0 0"
            ),
        )
        self.example = widgets.IntSlider(
            0,
            min=0,
            max=len(examples.x) - 1,
            description="test image no.",
            **LABELLED,
        )
        self.clear_button = widgets.Button(description="Clear", icon="trash")
        self.status = status_line()
        for begin in (self.canvas.on_mouse_down, self.canvas.on_touch_start):
            begin(self._begin)
        for go_on in (self.canvas.on_mouse_move, self.canvas.on_touch_move):
            go_on(self._go_on)
        for end in (
            self.canvas.on_mouse_up,
            self.canvas.on_mouse_out,
            self.canvas.on_touch_end,
            self.canvas.on_touch_cancel,
        ):
            end(self._lift)
        self.clear_button.on_click(self.clear)
        self.example.observe(self.show_example, "value")
        super().__init__(width=560)
        self.arrange(
            row(self.canvas, self.image),
            row(self.clear_button, self.example),
            self.status,
        )
        self.show_example()

    def clear(self, _=None) -> None:
        """Empty the square."""
        self._wipe()
        self._recognize(None)

    def show_example(self, _=None) -> None:
        """Put the chosen example into the square."""
        self._wipe()
        x = self.examples.x[self.example.value]
        size = (self.SIDE, self.SIDE)
        ink = Image.fromarray((255 * (1 - x[0])).byte().cpu().numpy()).resize(size)
        self.canvas.put_image_data(np.asarray(ink.convert("RGB")))
        label = self.examples.y[self.example.value].item()
        self._recognize(x[None], f" Its label is {label}.")

    def _wipe(self):
        self._down = False
        self.strokes.clear()
        self.canvas.fill_style = "white"
        self.canvas.fill_rect(0, 0, self.SIDE, self.SIDE)
        self.canvas.line_width, self.canvas.line_cap = self.PEN, "round"
        self.canvas.fill_style = self.canvas.stroke_style = "black"

    def _begin(self, *place):
        if not self.strokes:
            self._wipe()
        self._down = True
        point = _point(place)
        self.strokes.append([point])
        self.canvas.fill_circle(*point, self.PEN / 2)

    def _go_on(self, *place):
        if self._down:
            start, end = self.strokes[-1][-1], _point(place)
            self.canvas.stroke_line(*start, *end)
            self.strokes[-1].append(end)

    def _lift(self, *_):
        if self._down:
            self._down = False
            self._recognize(like_mnist(self.strokes, self.SIDE, self.PEN))

    def _recognize(self, x, remark=""):
        self.x, self.remark = x, remark
        self.status.value = "Draw a digit in the square."
        try:
            self.redraw()
        except Exception as error:
            self.status.value = f"{type(error).__name__}: {error}"

    def picture(self) -> Figure:
        """Draw the image as the model sees it, and ten probabilities."""
        x, probabilities, colours = torch.zeros(1, 1, 28, 28), [0] * 10, plotting.BLUE
        if self.x is not None:
            x, logits = self.x, plotting.logits_of(self.predict, self.x)[0]
            probabilities = logits.softmax(0).tolist()
            best = logits.argmax().item()
            colours = [plotting.GREY] * best + [plotting.BLUE]
            colours += [plotting.GREY] * (9 - best)
            p = probabilities[best]
            sure = f"{p:.1%}" if p < 0.9995 else "over 99.9%"
            self.status.value = f"The model says {best} ({sure}).{self.remark}"
        figure = Figure(figsize=(7, 3.5), dpi=DPI, layout="none")
        image, bars = figure.subplots(1, 2, width_ratios=(1, 1.6))
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.14, top=0.9, wspace=0.25)
        image.imshow(x[0, 0].cpu().numpy(), cmap="cividis", vmin=0, vmax=1)
        image.set_title("as the model sees it")
        image.axis("off")
        bars.bar([str(digit) for digit in range(10)], probabilities, color=colours)
        bars.set(ylim=(0, 1), ylabel="probability", xlabel="digit")
        return figure


def _point(place):
    """Read a mouse's place (x, y), or that of the first finger [(x, y), …]."""
    return tuple(place if len(place) == 2 else place[0][0])


def like_mnist(strokes: Sequence[Sequence], side: int, pen: int) -> torch.Tensor:
    """Turn strokes on a square into an image made as MNIST's own are.

    The drawing is scaled to fit 20 × 20 pixels, and put into 28 × 28 so that its
    centre of mass is in the middle.
    """
    drawing = Image.new("L", (side, side))
    brush = ImageDraw.Draw(drawing)
    for stroke in strokes:
        brush.line(stroke, fill=255, width=pen, joint="curve")
        for x, y in (stroke[0], stroke[-1]):
            r = pen / 2
            brush.ellipse((x - r, y - r, x + r, y + r), fill=255)
    box = drawing.getbbox()
    if box is None:
        return torch.zeros(1, 1, 28, 28)
    drawing = drawing.crop(box)
    scale = 20 / max(drawing.size)
    size = [max(1, round(scale * length)) for length in drawing.size]
    small = np.asarray(drawing.resize(size, Image.Resampling.BOX), dtype=np.float32)
    rows, columns = (np.arange(length) for length in small.shape)
    top = round(14 - (small.sum(1) @ rows) / small.sum())
    left = round(14 - (small.sum(0) @ columns) / small.sum())
    top = min(max(top, 0), 28 - small.shape[0])
    left = min(max(left, 0), 28 - small.shape[1])
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, top : top + len(rows), left : left + len(columns)] = torch.from_numpy(
        small / 255
    )
    return image


class _Watched:
    """A loader that calls a function before it hands over each batch."""

    def __init__(self, loader, call):
        self.loader, self.call = loader, call

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            self.call()
            yield batch


def _check(name, history):
    """Refuse a run that cannot be drawn beside the others."""
    for figure in ("train_loss", "val_loss", "val_accuracy"):
        if not history or figure not in history[-1]:
            raise ValueError(
                f"The run {name!r} has no {figure}: give `runs` histories of fit, with "
                "a validation loader and the usual metrics."
            )


def _isolate_dropout(model, seed):
    """Let dropout draw from a generator that no other cell uses."""
    kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
    layers = [layer for layer in model.modules() if isinstance(layer, kinds)]
    parameters = next(model.parameters(), torch.zeros(0))
    generator = torch.Generator(parameters.device).manual_seed(seed)
    for layer in layers:
        layer.forward = functools.partial(_dropout, layer, generator)


def _dropout(layer, generator, x):
    if not layer.training:
        return x
    alone = isinstance(layer, nn.Dropout)  # the others drop whole channels
    shape = x.shape if alone else (*x.shape[:2], *[1] * (x.ndim - 2))
    kept = torch.rand(shape, generator=generator, device=x.device) >= layer.p
    return x * kept / (1 - layer.p) if layer.p < 1 else x * 0


def _stop_on_interrupt():
    """Let the square button stop the training too, whether or not a cell runs."""
    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if hasattr(kernel, "saved_sigint_handler"):
        # A kernel ignores interrupts between cells, unless it finds a handler here.
        kernel.saved_sigint_handler = _interrupt
        shell.events.register("post_run_cell", _after_cell)


def _interrupt(*_):
    if TrainingPanel._training is not None:
        TrainingPanel._training.stop(word="Interrupted")


def _after_cell(result):
    if isinstance(result.error_in_exec, KeyboardInterrupt):
        _interrupt()
