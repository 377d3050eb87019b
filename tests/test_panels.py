"""What the panels compute, without a kernel or a browser: their tasks are awaited."""

import asyncio
import math
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn, optim
from torch.nn import functional as F

from helpers.data import Split, TensorLoader
from helpers.panels import (
    DrawingPad,
    LogitsPanel,
    NoisePanel,
    RacePanel,
    TangentPanel,
    TrainingPanel,
    base,
    drawing,
    training,
)
from helpers.panels.drawing import like_mnist
from helpers.training import fit


def floats(content):
    return torch.frombuffer(bytearray(content), dtype=torch.float32)


def make_split(rows=120, columns=4):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, columns, generator=generator)
    return Split(x, (x[:, 0] > 0).long() + (x[:, 1] > 1).long())


def make_model(inputs=4):
    return nn.Sequential(
        nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


def make_panel(make_model=make_model, columns=4, **options):
    splits = make_split(columns=columns), make_split(60, columns)
    options = {"epochs": 3, "batch_size": 16} | options
    return apart(TrainingPanel, make_model, *splits, **options)


def apart(function, *arguments, **options):
    """Call in a thread of its own, as Playwright's loop belongs to the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments, **options).result()


def finish(coroutine):
    return apart(asyncio.run, coroutine)


def pressed(panel):
    """Press Train; return what one can wait for."""
    panel.train()
    return asyncio.wrap_future(panel.task)


async def trained(panel, **settings):
    """Train to the end; return the run."""
    for name, value in settings.items():
        getattr(panel, name).value = value
    await pressed(panel)
    return panel.runs[-1]


async def until(condition):
    """Let the panel go on until something is true."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def stopped_when(panel, condition):
    """Train until something is true, then stop."""
    task = pressed(panel)
    await until(condition)
    panel.stop()
    await task


# The training panel


def test_panel_trains_as_fit_does():
    panel = make_panel()
    done = finish(trained(panel))

    torch.manual_seed(0)
    model = make_model()
    train, val = panel.splits
    loaders = TensorLoader(*train, batch_size=16, shuffle=True), TensorLoader(*val)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = fit(model, *loaders, nn.CrossEntropyLoss(), optimizer, epochs=3)

    for ours, theirs in zip(done.records, history, strict=True):
        assert ours["train_loss"] == theirs["train_loss"]
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"])
    assert re.fullmatch(
        r"Run 1: Adam, lr 0.01, batch 16: finished in \d\.\d s\.", panel.line
    )


def test_equal_settings_give_equal_curves_whatever_other_cells_draw():
    panel = make_panel(epochs=20)

    async def draw_beside(task):
        while not task.done():
            torch.manual_seed(5)
            torch.rand(10)
            await asyncio.sleep(0)

    async def both():
        first = await trained(panel)
        await draw_beside(pressed(panel))
        return first, panel.runs[-1]

    first, second = finish(both())
    assert torch.equal(first.losses, second.losses)


def test_training_leaves_the_random_numbers_of_other_cells_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    finish(trained(make_panel()))
    assert torch.equal(torch.rand(2), expected)


class Slow(nn.Linear):
    """A model whose steps take long enough for things to happen between them."""

    error = None

    def forward(self, x):
        torch.rand(200_000).sort()
        if self.error is not None:
            raise self.error
        return super().forward(x)


def slow_panel(**options):
    return make_panel(lambda: Slow(4, 3), epochs=50, **options)


def test_first_losses_are_shown_long_before_the_first_epoch_ends():
    panel, shown = slow_panel(batch_size=8), []
    panel.picture.observe(lambda change: shown.append(change.new), "live")
    finish(stopped_when(panel, lambda: shown))
    live = shown[0]
    assert 1 <= len(floats(live["run"]["train"])) < 15
    assert len(live["run"]["val"]) == 0
    assert not live["paused"]


def test_stop_ends_a_run_within_an_epoch_and_keeps_what_it_has():
    panel = slow_panel(batch_size=8)
    finish(stopped_when(panel, lambda: panel.run.steps > 2))
    (run,) = panel.runs
    assert 2 < run.steps < 15
    assert run.end == "stopped after 0 of 50 epochs."
    assert panel.line == f"Run {run.name}: {run.end}"
    assert (panel.picture.live, panel.train_button.description) == ({}, "Train")


def test_paused_run_waits_and_goes_on():
    panel = slow_panel()

    async def pause():
        panel.train()
        await until(lambda: panel.run.steps)
        assert panel.train_button.description == "Pause"
        panel.train()
        assert panel.train_button.description == "Go on"
        await asyncio.sleep(0.2)
        steps = panel.run.steps
        await asyncio.sleep(0.1)
        assert panel.run.steps == steps
        assert panel.picture.live["paused"]
        panel.train()
        await until(lambda: panel.run.steps > steps)
        panel.stop()
        await asyncio.wrap_future(panel.task)

    finish(pause())


def test_step_takes_one_step_and_goes_on_over_the_end_of_an_epoch():
    panel = make_panel(batch_size=60, epochs=2)

    async def step():
        taken = []
        for _ in range(3):
            panel.step()
            await until(lambda: not panel.wanted)
            await asyncio.sleep(0.1)
            taken.append((panel.run.steps, len(panel.run.records)))
        panel.step()
        await asyncio.wrap_future(panel.task)
        return taken

    assert finish(step()) == [(1, 0), (2, 1), (3, 1)]
    assert len(panel.runs[0].records) == 2


def test_speed_is_kept_by_the_clock(monkeypatch):
    clock, sleep = [0.0], asyncio.sleep

    def pass_time(seconds):
        clock[0] += seconds
        return sleep(0)

    monkeypatch.setattr(training, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(asyncio, "sleep", pass_time)
    run = finish(trained(make_panel(speed=10)))
    assert run.steps == 24
    assert clock[0] == pytest.approx(2.4, abs=0.1)


def test_run_stopped_before_its_task_began_is_not_mixed_with_the_next():
    panel = make_panel()

    async def press_quickly():
        first = pressed(panel)
        panel.stop()
        await asyncio.gather(first, pressed(panel))

    finish(press_quickly())
    (run,) = panel.runs
    assert (run.number, run.steps, len(run.records)) == (1, 24, 3)


def test_long_validation_goes_on_after_a_single_step():
    panel = make_panel(lambda: Slow(4, 3), batch_size=120, epochs=2)
    panel.splits = panel.splits[0], make_split(5000)

    async def step():
        panel.step()
        await until(lambda: panel.run.records)
        panel.stop()
        await asyncio.wrap_future(panel.task)

    finish(step())
    assert panel.runs[0].steps == 1


def test_training_stays_in_the_thread_of_the_cells_whoever_presses_the_button():
    threads = []

    def make_and_note():
        threads.append(threading.current_thread())
        return make_model()

    async def press():
        panel = TrainingPanel(make_and_note, make_split(), make_split(60), epochs=3)
        await asyncio.to_thread(panel.train)
        await asyncio.wrap_future(panel.task)
        return threading.current_thread()

    assert finish(press()) is threads[0]


def test_train_right_after_stop_begins_a_new_run():
    panel = slow_panel()

    async def stop_and_train():
        first = pressed(panel)
        await until(lambda: panel.run.steps)
        panel.stop()
        second = pressed(panel)
        await first
        await until(lambda: panel.run.steps)
        assert panel.train_button.description == "Pause"
        panel.stop()
        await second

    finish(stop_and_train())
    assert [run.number for run in panel.runs] == [0, 1]


def test_only_one_run_of_a_kernel_goes_on():
    first, second = slow_panel(), make_panel()

    async def both():
        first.train()
        await until(lambda: first.run.steps)
        second.train()
        await asyncio.gather(*map(asyncio.wrap_future, (first.task, second.task)))

    finish(both())
    assert first.runs[0].end.startswith("stopped")
    assert second.runs[0].end == ""


def test_a_new_panel_ends_the_run_of_one_before():
    first = slow_panel()

    async def run_the_cell_again():
        first.train()
        await until(lambda: first.run.steps)
        make_panel()
        await asyncio.wrap_future(first.task)

    finish(run_the_cell_again())
    assert first.runs[0].end.startswith("stopped")


def test_diverged_run_is_told():
    panel = make_panel(optimizer="SGD")

    async def both():
        await trained(panel, rate=0.1)
        panel.splits[0].x.mul_(1e30)
        await trained(panel)

    finish(both())
    assert ": Training diverged in epoch 1" in panel.line
    assert "try a tenth of it" in panel.line
    assert panel.runs[1].records == []


@pytest.mark.parametrize("error", [RuntimeError("No such layer."), KeyboardInterrupt()])
def test_error_or_interrupt_is_told_and_the_panel_stays_usable(error):
    panel = slow_panel()

    async def fail():
        Slow.error = error
        try:
            await pressed(panel)
        finally:
            Slow.error = None
        assert type(error).__name__ in panel.line
        assert str(error) in panel.line
        assert panel.runs == []
        panel.train()
        await until(lambda: panel.run.steps)
        panel.stop()
        await asyncio.wrap_future(panel.task)

    finish(fail())
    assert panel.runs[0].end.startswith("stopped")


def test_model_that_cannot_be_made_is_told():
    panel = make_panel(lambda: 1 / 0)
    finish(panel_task(panel))
    assert "ZeroDivisionError" in panel.line


async def panel_task(panel):
    await pressed(panel)


def test_very_long_run_is_drawn_as_means_of_some_batches():
    run = training.Run(0, "long", epochs=1)
    run.losses, run.batches, run.steps = torch.arange(2503.0), 2503, 2503
    drawn = run.drawn()
    assert floats(drawn["train"])[:2].tolist() == [2, 7]
    assert (len(drawn["train"]) // 4, drawn["width"]) == (500, 5 / 2503)


def test_given_runs_stay_when_ones_own_are_removed():
    panel = make_panel(
        runs={
            "given": [
                {"epoch": 1, "train_loss": 2.0, "val_loss": 1.5, "val_accuracy": 0.5}
            ]
        }
    )

    async def three():
        for _ in range(3):
            await pressed(panel)

    finish(three())
    names = [run["name"].split(":")[0] for run in panel.picture.data["runs"]]
    assert names == ["given", "1", "2", "3"]
    panel.picture._handle_custom_msg({"remove": 2}, [])
    assert [run["id"] for run in panel.picture.data["runs"]] == [0, 1, 3]
    panel.remove()
    assert [run["id"] for run in panel.picture.data["runs"]] == [0]
    assert floats(panel.picture.data["runs"][0]["val"]).tolist() == [1.5, 0.5]


def test_regions_of_a_plane_are_those_of_the_network_and_move():
    panel = make_panel(lambda: make_model(2), columns=2, class_names="XYZ", epochs=30)
    seen = set()
    panel.picture.observe(lambda change: seen.add(change.new.get("regions")), "live")
    panel.speed.value = 60
    finish(stopped_when(panel, lambda: panel.run.steps > 5))
    n, fixed = training.GRID, panel.picture.fixed
    top_left = torch.tensor([[fixed["xlim"][0], fixed["ylim"][1]]])
    panel.model.eval()
    share, winner = panel.model(top_left).softmax(1).max(1)
    regions = panel.picture.data["regions"]
    assert len(regions) == 2 * n * n
    assert regions[0] == winner
    assert regions[n * n] == int(255 * share)
    assert len(seen - {None}) > 3
    assert fixed["classes"] == ["X", "Y", "Z"]


def test_network_of_four_features_has_no_regions():
    panel = make_panel()
    assert "points" not in panel.picture.fixed
    assert panel.picture.data["regions"] is None


# The explorers


def curve(w):
    return w**2 / 2 + torch.sin(2 * w)


def test_tangent_and_step_are_those_of_the_curve():
    panel = TangentPanel(curve, start=-1.5, learning_rate=0.15)
    panel.picture.hand = {"weight": 1.0}
    slope = 1 + 2 * math.cos(2)
    after = 1 - 0.15 * slope
    values = [1, 0.5 + math.sin(2), slope, 0.15, after]
    values.append(after**2 / 2 + math.sin(2 * after))
    assert floats(panel.picture.data["values"]).tolist() == pytest.approx(values)


def test_ball_rolls_into_the_valley_and_leaves_a_trail():
    panel = TangentPanel(curve, start=-1.5, learning_rate=0.15)
    panel.roll(1)
    first = panel.picture.hand["weight"]
    panel.roll(100)
    slope = panel.at(panel.picture.hand["weight"])[1]
    assert abs(slope) < 1e-3
    assert 5 < len(panel.picture.data["path"]) < 50  # it stops when nothing moves
    assert panel.picture.data["trail"][:2] == [-1.5, first]
    assert panel.picture.data["path"][0] == first
    panel.roll(0)
    assert panel.picture.data["trail"] == []


def test_ball_does_not_leave_the_picture():
    panel = TangentPanel(curve, start=-1.5, learning_rate=2.0)
    panel.roll(100)
    assert panel.picture.hand["weight"] == -1.5
    assert floats(panel.picture.data["values"])[4] > 3


def test_error_of_a_learners_function_is_told_and_the_rest_kept():
    def fussy(w):
        if w.dim() == 0 and w > 0:
            raise ValueError("No weight above 0.")
        return w**2

    panel = TangentPanel(fussy, start=-1.0)
    panel.picture.hand = {"weight": 1.0}
    assert panel.picture.data["error"] == "ValueError: No weight above 0."
    panel.picture.hand = {"weight": -2.0}
    assert "error" not in panel.picture.data


def test_logits_give_torchs_own_loss_and_gradient():
    panel = LogitsPanel({"A": 1, "B": 2, "C": 4}, true_class="B")
    panel.true_class.value = "C"
    panel.picture.hand = {"logits": [1, 2, 3]}  # as JSON brings whole numbers
    assert "error" not in panel.picture.data
    panel.picture.hand = {"logits": [0.5, -8, 3]}
    logits = torch.tensor([0.5, -8, 3])
    data = panel.picture.data
    assert data["loss"] == pytest.approx(
        F.cross_entropy(logits, torch.tensor(2)).item()
    )
    torch.testing.assert_close(floats(data["probabilities"]), logits.softmax(0))
    gradient = logits.softmax(0) - torch.tensor([0.0, 0, 1])
    torch.testing.assert_close(floats(data["gradient"]), gradient)


def ravine(x, y):
    return 0.02 * x**2 + y**2


def test_racers_go_where_each_optimizer_would_go_alone():
    view = {"xlim": (-10, 3), "ylim": (-2, 2), "minimum": (0, 0)}
    panel = RacePanel(ravine, start=(-9.0, 1.5), **view)
    panel.picture.hand = {"start": [-5.0, 1.0]}
    paths = floats(panel.picture.data["paths"]).view(4, panel.steps + 1, 2)
    heights = floats(panel.picture.data["heights"]).view(4, panel.steps + 1)
    optimizers = {
        "SGD": lambda place: optim.SGD([place], 0.3),
        "momentum": lambda place: optim.SGD([place], 0.3, momentum=0.8),
        "RMSprop": lambda place: optim.RMSprop([place], 0.3),
        "Adam": lambda place: optim.Adam([place], 0.3, betas=(0.8, 0.999)),
    }
    for path, racer in zip(paths, panel.racers, strict=True):
        place = torch.tensor([-5.0, 1.0], requires_grad=True)
        optimizer = optimizers[racer](place)
        for expected in path:
            torch.testing.assert_close(place.detach(), expected, rtol=1e-4, atol=1e-5)
            optimizer.zero_grad()
            ravine(*place).backward()
            optimizer.step()
    torch.testing.assert_close(heights, ravine(paths[..., 0], paths[..., 1]))


def test_racer_that_diverges_ends_in_numbers_that_the_page_can_read():
    view = {"xlim": (-10, 3), "ylim": (-2, 2), "minimum": (0, 0)}
    panel = RacePanel(lambda x, y: x**4 + y**4, start=(-9, 1.5), **view)
    panel.rate.value = 1.2
    assert not floats(panel.picture.data["heights"]).isfinite().all()


def test_spread_of_noisy_steps_falls_with_the_root_of_the_batch_size():
    torch.manual_seed(0)
    gradients = torch.randn(5000, 2) + torch.tensor([1.0, 2.0])
    panel = NoisePanel(gradients, batch_size=4)
    small = panel.picture.data
    panel.size.value = 64
    large = panel.picture.data
    assert small["spread"] / large["spread"] == pytest.approx(4, rel=0.1)
    centre = floats(large["steps"]).view(-1, 2).mean(0)
    torch.testing.assert_close(centre, -gradients.mean(0), atol=0.02, rtol=0)


# The drawing pad


def inked(*lines):
    """Return the square with some lines drawn on it, each from place to place."""
    square = Image.new("L", (drawing.SIDE, drawing.SIDE))
    for line in lines:
        ImageDraw.Draw(square).line(line, fill=255, width=11)
    return square


ONE = (70, 20, 70, 120)


def centre_of(image):
    mass = image[0, 0] / image.sum()
    return [(mass.sum(1 - axis) * torch.arange(28)).sum().item() for axis in (0, 1)]


def test_drawing_is_scaled_and_centred_as_mnists_digits_are():
    image = like_mnist(inked(ONE))
    assert image.shape == (1, 1, 28, 28)
    assert (image.min(), image.max()) == (0, 1)
    for digit in (image, like_mnist(inked((30, 30, 30, 80)))):
        rows, _ = digit[0, 0].nonzero().T
        assert rows.max() - rows.min() + 1 == 20
        assert centre_of(digit) == pytest.approx([14, 14], abs=0.6)


def test_centre_of_mass_is_in_the_middle_even_of_a_lopsided_drawing():
    image = like_mnist(inked((30, 20, 110, 20), ONE))
    rows, _ = image[0, 0].nonzero().T
    assert rows.min() > 4
    assert centre_of(image) == pytest.approx([14, 14], abs=0.6)


def test_nothing_in_the_square_is_an_empty_image():
    assert like_mnist(inked()).sum() == 0


class Network(nn.Module):
    """Say 7 to whatever has ink in the middle, and 3 to anything else."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        self.conv(x)
        answers = torch.where(x[:, 0, 10:18, 10:18].sum(dim=(1, 2)) > 0, 7, 3)
        return 5 * F.one_hot(answers, num_classes=10).float()


@pytest.fixture
def pad():
    x = torch.zeros(6, 1, 28, 28)
    x[3:, :, 14, 14] = 1
    return DrawingPad(Network(), Split(x, torch.tensor([3, 3, 8, 7, 7, 0])))


def test_strokes_are_answered_with_probabilities_and_maps(pad):
    pad.picture.hand = {"ink": inked(ONE).tobytes(), "example": None}
    data = pad.picture.data
    assert floats(data["probabilities"]).argmax() == 7
    assert data["image"] == (255 * like_mnist(inked(ONE))).byte().numpy().tobytes()
    assert data["shape"] == [4, 26, 26]
    assert max(data["maps"]) == 255


def test_test_images_that_it_gets_wrong_can_be_looked_at(pad):
    assert pad.picture.fixed["labels"] == [8, 0]
    pad.picture.hand = {"ink": inked().tobytes(), "example": 0}
    assert pad.picture.data["note"] == "Its label is 8."
    pad.picture.hand = {"ink": inked().tobytes(), "example": 1}
    assert floats(pad.picture.data["probabilities"]).argmax() == 7
    assert pad.picture.data["note"] == "Its label is 0."


def test_clear_empties_the_square(pad):
    pad.picture.hand = {"ink": inked(ONE).tobytes(), "example": None}
    pad.clear()
    assert pad.picture.hand == {"ink": inked().tobytes(), "example": None}
    assert len(pad.picture.data["probabilities"]) == 0
    assert pad.picture.data["shape"][0] == 0


def test_network_is_left_as_it_came(pad):
    pad.model.train()
    pad.picture.hand = {"ink": inked(ONE).tobytes(), "example": None}
    assert pad.model.training
    assert not pad.model.conv._forward_hooks


def test_network_without_convolutions_has_no_maps():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    pad = DrawingPad(model, Split(torch.rand(5, 1, 28, 28), torch.arange(5)))
    pad.picture.hand = {"ink": inked(ONE).tobytes(), "example": None}
    assert pad.picture.data["shape"][0] == 0
    assert len(pad.picture.data["probabilities"]) == 40


# All of them


def test_page_is_answered_even_if_nothing_changes():
    panel = make_panel()
    before = panel.picture.data
    panel.picture.hand = {"hidden": [7]}
    assert panel.picture.data != before


def test_what_the_browser_loads_is_one_module(tmp_path):
    text = base.javascript()
    assert "import" not in re.findall(r"^\w+", text, re.MULTILINE)
    assert re.findall(r"^export .*", text, re.MULTILINE) == [
        "export default { render };"
    ]
    if shutil.which("node"):
        (tmp_path / "module.mjs").write_text(text, encoding="utf-8")
        subprocess.run(["node", "--check", tmp_path / "module.mjs"], check=True)


def test_where_no_widget_lives_a_sentence_stands(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(base, "display", lambda data, raw: shown.append(data))
    panel = LogitsPanel({"yes": 1, "no": 0}, true_class="no")
    panel._ipython_display_()
    widget, stand_in = shown
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert widget["text/plain"] == ""
    assert stand_in["text/plain"] == repr(panel) == base.SENTENCE
    assert base.SENTENCE in stand_in["text/html"]
