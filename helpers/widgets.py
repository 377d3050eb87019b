"""Live panels: adapters around the training loop and the plots, never inside them.

A panel's picture is a plain matplotlib figure, sent as an image whenever a control
has moved or training has got further.
"""

import functools
import io
import threading
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import ipywidgets as widgets
import numpy as np
import torch
from ipycanvas import Canvas
from IPython import get_ipython
from IPython.display import display
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
SENTENCE = "A picture of a live panel: open the notebook in JupyterLab to use it."
LOOK_EVERY = 0.2  # seconds between two looks at the clock
WIDE = {"description_width": "9em"}
# Where the panel itself is on the page, the picture that stands in for it is not.
HIDE_STAND_IN = (
    "<style>.jp-OutputArea-child:has(.live-panel) ~ .jp-OutputArea-child "
    "{display: none}</style>"
)


class Panel:
    """Controls above a picture; where no widgets live, the picture and a sentence."""

    def __init__(self, controls: Sequence[widgets.Widget], width: int):
        self.image = widgets.Image(
            format="png", layout=widgets.Layout(width=f"{width}px", max_width="100%")
        )
        self.box = widgets.VBox([*controls, self.image, widgets.HTML(HIDE_STAND_IN)])
        self.box.add_class("live-panel")

    def picture(self) -> Figure:
        """Return the picture for the present state."""
        raise NotImplementedError

    def redraw(self, _=None) -> None:
        """Send a new picture to the page."""
        self.image.value = to_png(self.picture())

    def _ipython_display_(self):
        display({"text/plain": SENTENCE} | self._live_bundle(), raw=True)
        figure = self.picture()
        figure.text(0.5, -0.01, SENTENCE, ha="center", va="top", style="italic")
        stand_in = to_png(figure, bbox_inches="tight")
        display({"text/plain": SENTENCE, "image/png": stand_in}, raw=True)

    def _live_bundle(self):
        bundle = self.box._repr_mimebundle_()
        return {kind: data for kind, data in bundle.items() if kind != "text/plain"}


def to_png(figure: Figure, **options) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, **options)
    return buffer.getvalue()


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
        self._places = None
        self.status = widgets.Label()
        super().__init__([*sliders.values(), self.status], int(80 * figsize[0]))
        for name, slider in sliders.items():
            slider.description = slider.description or name.replace("_", " ")
            slider.style = WIDE
            slider.observe(self.redraw, "value")
        self.redraw()

    def picture(self) -> Figure:
        """Draw with the sliders' present values."""
        figure = Figure(figsize=self.figsize, layout="constrained")
        values = {name: slider.value for name, slider in self.sliders.items()}
        self.draw(figure, **values)
        # Finding room for all labels takes half the time, so it is done once.
        if self._places is None:
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


class Stopped(Exception):
    """Somebody has pressed Stop."""


class TrainingPanel(Panel):
    """Train with settings of your own, watch the curves, and compare the runs.

    `make_model` returns a new model; it is called with the seed set, so that equal
    settings give equal curves. (Dropout draws from a random state that all cells
    share, so with dropout other cells may change them.) `runs` are histories to
    compare with. A thread trains, so that other cells can run meanwhile; only one
    panel of a notebook trains at a time.
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
        self.thread = None
        self._count = 0
        self._stopping = threading.Event()
        self._drawing = threading.Lock()
        if TrainingPanel._training is not None:
            TrainingPanel._training.stop()
        self._make_controls(learning_rate, epochs, batch_size, optimizer)
        rows = [
            widgets.HBox([self.learning_rate, self.epochs]),
            widgets.HBox([self.optimizer, self.batch_size]),
            widgets.HBox([self.train_button, self.stop_button, self.clear_button]),
            widgets.HBox([self.progress, self.time_left]),
            self.status,
        ]
        super().__init__(rows, width=720)
        self._set_training(False)
        self.redraw()

    def _make_controls(self, learning_rate, epochs, batch_size, optimizer):
        common = {"style": WIDE, "continuous_update": False}
        self.learning_rate = widgets.FloatLogSlider(
            learning_rate, min=-5, max=1, step=0.1, readout_format=".2g",
            description="learning rate", **common,
        )  # fmt: skip
        self.epochs = widgets.IntSlider(
            epochs, min=1, max=max(100, 25 * epochs), description="epochs", **common
        )
        self.optimizer = widgets.Dropdown(
            options=list(OPTIMIZERS),
            value=optimizer,
            description="optimizer",
            style=WIDE,
        )
        sizes = sorted({8, 16, 32, 64, 128, 256, 512, batch_size})
        self.batch_size = widgets.Dropdown(
            options=sizes, value=batch_size, description="batch size", style=WIDE
        )
        self.train_button = widgets.Button(description="Train", icon="play")
        self.stop_button = widgets.Button(description="Stop", icon="stop")
        self.clear_button = widgets.Button(description="Clear", icon="trash")
        self.train_button.on_click(self.start)
        self.stop_button.on_click(self.stop)
        self.clear_button.on_click(self.clear)
        self.progress = widgets.FloatProgress(max=1, description="progress", style=WIDE)
        self.time_left = widgets.Label()
        self.status = widgets.Label("Choose the settings, then press Train.")

    @property
    def is_training(self) -> bool:
        """Tell whether a run is under way."""
        return self.train_button.disabled

    def start(self, _=None) -> None:
        """Begin a run with the present settings, unless one is under way."""
        if self.is_training:
            return
        if TrainingPanel._training not in (None, self):
            TrainingPanel._training.stop()
        TrainingPanel._training = self
        self._set_training(True)
        self._stopping.clear()
        self._history = []
        try:
            arguments = self._make_arguments()
        except Exception as error:
            self._end(f"{type(error).__name__}: {error}")
            return
        self._count += 1
        name = (
            f"{self._count}: {self.optimizer.value}, "
            f"lr {self.learning_rate.value:.2g}, batch {self.batch_size.value}"
        )
        _stop_on_interrupt(self)
        self.thread = threading.Thread(
            target=self._train, args=(name, self.epochs.value, arguments), daemon=True
        )
        self.thread.start()

    def stop(self, _=None) -> None:
        """Ask the run to end after its present step."""
        self._stopping.set()

    def clear(self, _=None) -> None:
        """Forget all runs but the one under way."""
        for name in list(self.runs):
            if not (self.is_training and self.runs[name] is self._history):
                del self.runs[name]
        self.redraw()

    def _make_arguments(self):
        """Return model, loaders, loss and optimizer, the same for equal settings."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = self.make_model().to(self.device)
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
            TensorLoader(*self.val_split, batch_size=1000, device=self.device),
            nn.CrossEntropyLoss(),
            make_optimizer(model.parameters(), lr=self.learning_rate.value),
        )

    def _train(self, name, epochs, arguments):
        """Be the thread: train, show what happens, and leave the buttons usable."""
        # Two pools of threads, this one's and the cells', would wait for each other.
        torch.set_num_threads(1)
        history = self._history
        self._epochs, self._began = epochs, perf_counter()
        self._next_look, self._next_drawing = self._began, None
        self.status.value = f"Training {name}"
        try:
            for record in train_epochs(*arguments, epochs=epochs, watch=self._watch):
                history.append(record)
                self.runs[name] = history
                self._look(0)
            message = f"Finished in {perf_counter() - self._began:.1f} s."
        except Stopped:
            message = f"Stopped after {len(history)} of {epochs} epochs."
        except KeyboardInterrupt:
            message = f"Interrupted after {len(history)} of {epochs} epochs."
        except BaseException as error:
            kind = type(error).__name__
            diverged = isinstance(error, FloatingPointError)
            message = str(error) if diverged else f"{kind}: {error}"
        if history and len(history) < epochs:
            self.runs[f"{name} (ended early)"] = self.runs.pop(name)
        self._end(message)

    def _watch(self, steps):
        """Wrap the steps of an epoch: pass them on, look at the clock, obey Stop."""
        for done, step in enumerate(steps, start=1):
            if self._stopping.is_set():
                raise Stopped
            yield step
            if perf_counter() >= self._next_look:
                self._look(done / len(steps))

    def _look(self, share):
        """Show progress, and the curves if that costs little beside the training.

        The first drawing comes 0.2 s after the first epoch, and each further one when
        twenty times the cost of the last has passed.
        """
        if self._stopping.is_set():
            raise Stopped
        now = perf_counter()
        if now >= self._next_look:
            done = (len(self._history) + share) / self._epochs
            self.progress.value = done
            left = (now - self._began) * (1 - done) / done
            self.time_left.value = f"{left:.0f} s left"
            self._next_look = now + LOOK_EVERY
        if self._history and self._next_drawing is None:
            self._next_drawing = now + LOOK_EVERY
        elif self._history and now >= self._next_drawing:
            self.redraw()
            cost = perf_counter() - now
            self._next_drawing = now + max(0.25, 20 * cost)

    def _end(self, message):
        """Show how a run ended, and which is the best."""
        self.progress.value = 0
        self.time_left.value = ""
        self.status.value = " ".join([message, self._best()])
        self.redraw()
        if TrainingPanel._training is self:
            TrainingPanel._training = None
        self._set_training(False)

    def _best(self):
        finals = {name: history[-1] for name, history in self.runs.items() if history}
        if not finals:
            return ""
        best = min(finals, key=lambda name: finals[name]["val_loss"])
        return (
            f"Lowest validation loss at the end: {finals[best]['val_loss']:.3f}, with "
            f"accuracy {finals[best]['val_accuracy']:.1%}, in run {best}."
        )

    def _set_training(self, training):
        self.train_button.disabled = training
        self.stop_button.disabled = not training

    def redraw(self, _=None) -> None:
        """Send the curves to the page; two threads may ask for it."""
        with self._drawing:
            super().redraw()

    def picture(self) -> Figure:
        """Draw the loss and the accuracy of every run."""
        figure = Figure(figsize=(9, 3.4), layout="none")
        axes = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.07, right=0.99, bottom=0.14, top=0.97, wspace=0.2)
        runs = {name: list(history) for name, history in list(self.runs.items())}
        if not runs:
            for ax, ylabel in zip(axes, ("loss", "accuracy"), strict=True):
                ax.set(xlabel="epoch", ylabel=ylabel, xlim=(0, self.epochs.value))
            return figure
        plotting.plot_runs(runs, "val_accuracy", axes[1])
        plotting.plot_runs(runs, "val_loss", axes[0]).get_legend().remove()
        for line, history in zip(list(axes[0].lines), runs.values(), strict=True):
            middles = [record["epoch"] - 0.5 for record in history]
            losses = [record["train_loss"] for record in history]
            axes[0].plot(middles, losses, color=line.get_color(), ls="-", lw=0.9)
        axes[0].set_ylabel("validation loss (thin lines: training)")
        first = max(history[0]["train_loss"] for history in runs.values())
        axes[0].set_ylim(0, min(axes[0].get_ylim()[1], 2 * first))
        axes[1].legend(loc="lower right", fontsize="small")
        return figure


class DrawingPad(Panel):
    """Draw a digit with the mouse or a finger, and see what a model makes of it.

    `predict` takes images as `load_mnist` gives them and returns logits: a model
    will do. `examples` are images to look at with the keyboard instead.
    """

    SIDE, PEN = 280, 22

    def __init__(self, predict: Callable, examples: torch.Tensor):
        self.predict, self.examples = predict, examples
        self.strokes, self.x, self._down = [], None, False
        side = f"{self.SIDE}px"
        self.canvas = Canvas(
            width=self.SIDE,
            height=self.SIDE,
            layout=widgets.Layout(width=side, height=side, border="1px solid #888"),
        )
        self.example = widgets.IntSlider(
            0, min=0, max=len(examples) - 1, description="or a test image", style=WIDE
        )
        self.clear_button = widgets.Button(description="Clear", icon="trash")
        self.status = widgets.Label("Draw a digit in the square.")
        for begin in (self.canvas.on_mouse_down, self.canvas.on_touch_start):
            begin(self._begin)
        for go_on in (self.canvas.on_mouse_move, self.canvas.on_touch_move):
            go_on(self._go_on)
        for end in (
            self.canvas.on_mouse_up,
            self.canvas.on_mouse_out,
            self.canvas.on_touch_end,
        ):
            end(self._lift)
        self.clear_button.on_click(self.clear)
        self.example.observe(self._show_example, "value")
        rows = [self.canvas, self.clear_button, self.example, self.status]
        super().__init__(rows, width=480)
        self.clear()
        self.x = examples[:1]
        self.redraw()

    def clear(self, _=None) -> None:
        """Empty the square."""
        self.strokes.clear()
        self.canvas.fill_style = "white"
        self.canvas.fill_rect(0, 0, self.SIDE, self.SIDE)
        self.canvas.line_width, self.canvas.line_cap = self.PEN, "round"
        self.canvas.stroke_style = "black"
        self.status.value = "Draw a digit in the square."

    def _begin(self, *place):
        self._down = True
        self.strokes.append([_point(place)])

    def _go_on(self, *place):
        if self._down:
            start, end = self.strokes[-1][-1], _point(place)
            self.canvas.stroke_line(*start, *end)
            self.strokes[-1].append(end)

    def _lift(self, *_):
        if self._down:
            self._down = False
            self._recognize(like_mnist(self.strokes, self.SIDE, self.PEN))

    def _show_example(self, change):
        self._recognize(self.examples[change["new"]][None])

    def _recognize(self, x):
        self.x = x
        try:
            self.redraw()
        except Exception as error:
            self.status.value = f"{type(error).__name__}: {error}"

    def picture(self) -> Figure:
        """Draw the image as the model sees it, and ten probabilities."""
        probabilities = plotting.logits_of(self.predict, self.x)[0].softmax(0).tolist()
        best = max(range(10), key=probabilities.__getitem__)
        self.status.value = f"The model says {best}, with {probabilities[best]:.1%}."
        figure = Figure(figsize=(6, 2.6), layout="none")
        image, bars = figure.subplots(1, 2, width_ratios=(1, 2))
        figure.subplots_adjust(left=0.01, right=0.98, bottom=0.2, top=0.88, wspace=0.3)
        image.imshow(self.x[0, 0].numpy(), cmap="cividis", vmin=0, vmax=1)
        image.set_title("as the model sees it")
        image.axis("off")
        colours = [plotting.GREY] * 10
        colours[best] = plotting.BLUE
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


def _stop_on_interrupt(panel):
    """Let the square button, pressed while no cell runs, stop the training too."""
    kernel = getattr(get_ipython(), "kernel", None)
    if hasattr(kernel, "saved_sigint_handler"):
        # A kernel ignores interrupts between cells, unless it finds a handler here.
        kernel.saved_sigint_handler = lambda *_: panel.stop()
