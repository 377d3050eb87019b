"""A panel that trains: an asyncio task goes from event to event of the learner's loop.

It pauses between them, so that the page is drawn, buttons answer, and other cells run.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import torch
from ipywidgets import Dropdown, FloatLogSlider, HBox, IntSlider
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from helpers.data import Split, TensorLoader
from helpers.panels.base import Panel, buttons, labelled, packed, told
from helpers.plotting import logits_of
from helpers.training import train_events

OPTIMIZERS = {"SGD": SGD, "SGD with momentum": lambda ps, lr: SGD(ps, lr, 0.9)}
OPTIMIZERS |= {"RMSprop": RMSprop, "Adam": Adam, "AdamW": AdamW}
SPEEDS = {f"{steps} steps a second": steps for steps in (2, 10, 30, 60)}
SPEEDS["as fast as possible"] = math.inf
TURN, GRID, MOST_POINTS = 0.08, 56, 600  # seconds of training between two pictures


class Run:
    """One line of the panel: what is known of a training run so far."""

    def __init__(self, number: int, name: str, epochs: int, history: Sequence = ()):
        self.number, self.name, self.epochs, self.end = number, name, epochs, ""
        self.records, self.batches, self.steps = list(history), 1, len(history)
        self.losses = torch.tensor([record["train_loss"] for record in history])

    @property
    def is_over(self) -> bool:
        """Tell whether all epochs are done."""
        return len(self.records) == self.epochs

    def drawn(self) -> dict:
        """Return what the page draws: of very many batches, means of some at a time."""
        together = max(1, math.ceil(self.steps / MOST_POINTS))
        whole = self.losses[: self.steps // together * together]
        val = [(record["val_loss"], record["val_accuracy"]) for record in self.records]
        words = {"id": self.number, "name": self.name, "end": self.end}
        figures = {"train": whole.view(-1, together).mean(1), "val": torch.tensor(val)}
        places = {"width": together / self.batches, "epochs": self.epochs}
        return packed(words | figures | places)


class TrainingPanel(Panel):
    """Train with settings of your own, watch the curves grow, and compare the runs.

    `make_model` returns a new model. A run has random numbers of its own, so equal
    settings give equal curves whatever other cells do. `runs` are histories of `fit`
    to compare with. Where the inputs are points of a plane, the regions that the
    network gives to each class are drawn while they move. `speed` is 2, 10, 30 or 60
    steps a second, or as fast as possible.
    """

    training: Run | None = None  # the only run of the kernel that may go on

    def __init__(
        self, make_model: Callable[[], nn.Module], train: Split, val: Split, *,
        runs: Mapping[str, Sequence[Mapping]] | None = None, epochs: int = 20,
        learning_rate: float = 0.01, batch_size: int = 32, optimizer: str = "Adam",
        class_names: Sequence[str] = (), feature_names: Sequence[str] = ("x", "y"),
        speed: float = math.inf, device: torch.device | str = "cpu", seed: int = 0,
    ):  # fmt: skip
        self.make_model, self.splits, self.seed = make_model, (train, val), seed
        self.device, self.line = torch.device(device), ""
        given = enumerate((runs or {}).items())
        self.runs = [Run(i, name, len(run), run) for i, (name, run) in given]
        self.given = self.made = len(self.runs)
        self.run = self.task = self.grid = self.regions = None
        # Training belongs to the thread of the cells; buttons may call from others.
        self.loop = asyncio._get_running_loop()
        self.stop()
        rows = self._controls(learning_rate, epochs, optimizer, batch_size, speed)
        names = [*class_names] or [str(i) for i in range(int(train.y.max()) + 1)]
        fixed = {"given": self.given, "classes": names, "features": [*feature_names]}
        if train.x.shape[1:] == (2,):
            fixed |= self._plane(*train)
        super().__init__(*rows, hand={"hidden": []}, **fixed)
        self.picture.on_msg(lambda _, content, __: self.remove(content["remove"]))

    def _controls(self, learning_rate, epochs, optimizer, batch_size, speed):
        rates = {"min": -5, "max": 1, "step": 0.1, "readout_format": ".2g"}
        sizes = sorted({8, 16, 32, 64, 128, 256, 512, batch_size})
        row = (
            labelled(FloatLogSlider, "learning rate", learning_rate, **rates),
            labelled(IntSlider, "epochs", epochs, min=1, max=max(100, 5 * epochs)),
            labelled(Dropdown, "optimizer", optimizer, options=[*OPTIMIZERS]),
            labelled(Dropdown, "batch size", batch_size, options=sizes),
            labelled(Dropdown, "speed", speed, options=SPEEDS),
        )
        self.rate, self.epochs, self.optimizer, self.size, self.speed = row
        actions = {"Train": self.train, "Stop": self.stop, "Step": self.step}
        below = buttons(actions | {"Clear my runs": self.remove})
        self.train_button = below.children[0]
        return HBox(row), below

    def _plane(self, x, y):
        """Return the points of a plane, and keep a grid on which regions are drawn."""
        xlim, ylim = torch.stack([x.amin(0) - 0.3, x.amax(0) + 0.3], dim=1).tolist()
        across, down = torch.linspace(*xlim, GRID), torch.linspace(*ylim, GRID).flip(0)
        self.grid = torch.cartesian_prod(down, across).flip(1).to(self.device, x.dtype)
        return {"points": x, "labels": y.byte(), "xlim": xlim, "ylim": ylim}

    def train(self) -> None:
        """Begin a run; while one is under way, pause it or let it go on."""
        self._go()

    def step(self) -> None:
        """Take a single step, of a new run if none is under way, and wait."""
        self._go(paused=True, wanted=1)

    def stop(self) -> None:
        """End the run that is under way, in whichever panel."""
        TrainingPanel.training = None

    def remove(self, number: int | None = None) -> None:
        """Remove a run, or all but those that were there from the beginning."""
        gone = range(self.given, self.made) if number is None else {number}
        self.runs = [run for run in self.runs if run.number not in gone]
        self.update()

    def _go(self, paused=None, wanted=0):
        """Go on as told, with a new run if none is under way."""
        going = (
            self.task and not self.task.done() and self.run is TrainingPanel.training
        )
        self.paused = going and not self.paused if paused is None else paused
        self.wanted = wanted + (self.wanted if going else 0) if self.paused else 0
        self.train_button.description = "Go on" if self.paused else "Pause"
        if not going:
            settings = f"{self.optimizer.value}, lr {self.rate.value:.3g}"
            name = f"{self.made - self.given + 1}: {settings}, batch {self.size.value}"
            self.run = TrainingPanel.training = Run(self.made, name, self.epochs.value)
            self.made, self.allowed = self.made + 1, 0
            loop = self.loop or asyncio.get_running_loop()
            self.task = asyncio.run_coroutine_threadsafe(self._advance(self.run), loop)

    async def _advance(self, run):
        """Be the task: train in short turns, and say how it ended."""
        # No time passed would be no number of steps: 0 × ∞.
        took, passed, shown, before = 0, 0.001, None, perf_counter()
        try:
            random = OwnRandomNumbers(self.seed, self.device)
            events = self._events(run, random)
            while TrainingPanel.training is run and not run.is_over:
                self._take_turn(run, events, random, passed)
                before, passed = perf_counter(), perf_counter() - before
                took += passed * (not self.paused)
                if shown != (shown := (run.steps, len(run.records), self.paused)):
                    self._show_growth(run, took)
                await asyncio.sleep(0.002 if self.allowed == math.inf else 0.02)
            if not run.is_over:
                run.end = f"stopped after {len(run.records)} of {run.epochs} epochs."
        except (Exception, KeyboardInterrupt) as error:  # of the learner's own model
            run.end = told(error).removeprefix("FloatingPointError: ")
        self._end(run, run.end or f"finished in {took:.1f} s.")

    def _events(self, run, random):
        """Make all that training takes; return its events."""
        (train, val), more = self.splits, {"seed": self.seed, "device": self.device}
        train = TensorLoader(*train, batch_size=self.size.value, shuffle=True, **more)
        val = TensorLoader(*val, batch_size=500, **more)
        with random:
            self.model = self.make_model().to(self.device)
        make_optimizer = OPTIMIZERS[self.optimizer.value]
        optimizer = make_optimizer(self.model.parameters(), lr=self.rate.value)
        run.batches, run.losses = len(train), torch.empty(run.epochs * len(train))
        parts = self.model, train, val, nn.CrossEntropyLoss(), optimizer
        return train_events(*parts, epochs=run.epochs)

    def _take_turn(self, run, events, random, seconds):
        """Train for a short while; an epoch's last step and its validation belong."""
        until, speed = perf_counter() + (TURN if run.steps else 0.02), self.speed.value
        self.allowed = min(self.allowed + speed * seconds, 1 + speed * TURN)
        if self.paused:
            self.allowed, self.wanted = self.wanted, 0
        with random:
            while self.allowed >= 1 or run.steps // run.batches > len(run.records):
                if run.is_over or perf_counter() > until:
                    break
                event = next(events)
                if isinstance(event, dict):
                    run.records.append(event)
                elif event is not None:
                    run.losses[run.steps] = event
                    run.steps, self.allowed = run.steps + 1, self.allowed - 1

    def _show_growth(self, run, seconds):
        """Send the growing run to the page."""
        self.regions = self.grid is not None and self._regions()
        live = {"run": run.drawn(), "seconds": seconds, "paused": self.paused}
        self.picture.live = packed(live | {"regions": self.regions})

    def _regions(self):
        """Return the class at each point of the grid, and how sure the network is."""
        logits = logits_of(self.model, self.grid).nan_to_num()
        shares, classes = logits.softmax(1).max(1)
        return torch.cat([classes, 255 * shares]).byte()

    def _end(self, run, how):
        """Keep the run, and show how it ended."""
        self.line = f"Run {run.name}: {how}"
        self.runs = self.runs + [run] * (run.steps > 0)
        if self.run is run:
            self.train_button.description = "Train"
        self.update()
        self.picture.live = {}

    def numbers(self) -> dict:
        """Return all runs but the growing one, and how the latest ended."""
        runs = [run.drawn() for run in self.runs]
        return {"runs": runs, "line": self.line, "regions": self.regions}


class OwnRandomNumbers:
    """Random numbers that do not depend on what is drawn outside of `with`."""

    def __init__(self, seed: int, device: torch.device):
        cpu = device.type == "cpu"
        self.sources = [torch] if cpu else [torch, torch.get_device_module(device)]
        self.states = [source.get_rng_state() for source in self.sources]
        torch.manual_seed(seed)
        self._swap()

    def _swap(self, *_):
        for i, source in enumerate(self.sources):
            state, self.states[i] = self.states[i], source.get_rng_state()
            source.set_rng_state(state)

    __enter__ = __exit__ = _swap
