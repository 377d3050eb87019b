"""The command line: what it prints and saves, and how it ends when it can't go on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest
import torch
from PIL import Image, ImageDraw
from processes import records
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torchvision.datasets import MNIST, FashionMNIST

from helpers import checkpoints, commands, data
from helpers.__main__ import main, make_parser
from helpers.distributed import ShardLoader

ROOT = data.DATA.parent
IRIS = "train --dataset iris --epochs 6 --device cpu"
COMMAND = [sys.executable, "-m", "helpers"]
PLACES = {"cwd": ROOT, "env": os.environ | {"OMP_NUM_THREADS": "1"}}


@pytest.fixture
def run(monkeypatch, capsys):
    """Return what calls the command in this process; its status, output and errors."""

    def call(line, *more):
        monkeypatch.setattr(sys, "argv", ["helpers", *line.split(), *map(str, more)])
        try:
            status = main()
        except SystemExit as error:
            status = error.code
        return status or 0, *capsys.readouterr()

    return call


@pytest.fixture
def files(tmp_path):
    """Return the options that name the files of a run."""
    return "--checkpoint", tmp_path / "run.pt", "--history", tmp_path / "run.jsonl"


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """Train as usual on MNIST; return the checkpoint and what was printed."""
    path = tmp_path_factory.mktemp("mnist") / "mlp.pt"
    line = ["train", "--device", "cpu", "--checkpoint", str(path)]
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as out:
        patched.setattr(sys, "argv", ["helpers", *line])
        main()
    return path, out.getvalue().splitlines()


def states(path):
    """Return the weights and the optimizer's moments in a checkpoint, as text."""
    torch.set_printoptions(precision=17, threshold=10**6)
    return str(checkpoints.read_checkpoint(path)["states"])


def test_defaults_reach_what_is_promised_on_mnist(mnist):
    *epochs, test = mnist[1]
    assert [line.split(",")[0] for line in epochs] == [
        f"epoch {i}" for i in range(1, 5)
    ]
    assert float(test.split("accuracy ")[1]) >= 0.972


def test_saved_network_is_evaluated_as_at_the_end_of_its_training(mnist, run):
    assert run("evaluate --device cpu", mnist[0]) == (0, mnist[1][-1] + "\n", "")


def test_one_line_an_epoch_and_the_same_in_the_history(run, files):
    status, out, err = run(IRIS, *files)
    *epochs, test = out.splitlines()
    history = [json.loads(line) for line in files[3].read_text().splitlines()]
    assert (status, err) == (0, "")
    assert epochs == [commands.in_words(record) for record in history]
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6]
    assert test.startswith("test: loss ")


def test_same_seed_gives_the_same_run_and_another_seed_another(run, tmp_path):
    paths = [tmp_path / f"{i}.jsonl" for i in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        run(IRIS, "--seed", seed, "--history", path)
    first, again, other = map(records, paths)
    assert first == again != other


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("optimizer", commands.OPTIMIZERS)
def test_each_model_learns_with_each_optimizer(
    run, files, monkeypatch, model, optimizer
):
    x = torch.rand(320, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    y = torch.arange(320) % 10
    x[torch.arange(320), 0, y * 2] = 0  # the class is the row that is black
    loader = ShardLoader(x, y, shuffle=True)
    monkeypatch.setattr(commands, "make_loaders", lambda *_: [loader] * 3)
    line = f"train --model {model} --epochs 6 --lr 0.01 --device cpu"
    assert run(line, "--optimizer", optimizer, *files)[0] == 0
    losses = [record["train_loss"] for record in records(files[3])]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "none"])
def test_learning_rate_follows_its_schedule(run, files, schedule):
    run(f"{IRIS} --lr 0.5 --optimizer sgd --schedule {schedule}", *files)
    rates = [record["lr"] for record in records(files[3])]
    if schedule == "none":
        assert rates == [0.5] * 6
    else:
        assert max(rates) < 0.5
        assert rates[1:] == sorted(rates[1:], reverse=True)
        assert rates[-1] < 0.02


@pytest.mark.parametrize("step", [0, 5, 6, 20, 35])
def test_interrupted_run_ends_its_step_and_goes_on_bit_for_bit(
    run, files, tmp_path, step
):
    run(IRIS, "--checkpoint", tmp_path / "whole.pt", "--history", tmp_path / "whole")
    ended = []

    def interrupt(*_):
        if len(ended) == step:
            signal.raise_signal(signal.SIGINT)

    before = register_optimizer_step_pre_hook(interrupt)
    after = register_optimizer_step_post_hook(lambda *_: ended.append("a step"))
    status, out, err = run(IRIS, *files)
    before.remove()
    after.remove()
    assert len(ended) == step + 1
    done = step // 6
    assert (status, out.count("\n")) == (130, done)
    assert re.fullmatch(r"Stopped\. .* --checkpoint .* --resume\.\n", err)
    assert run(IRIS, *files, *["--resume"] * (done > 0))[0] == 0
    assert records(files[3]) == records(tmp_path / "whole")
    assert states(files[1]) == states(tmp_path / "whole.pt")


def test_interrupt_between_the_two_files_loses_nothing(
    run, files, tmp_path, monkeypatch
):
    run(IRIS, "--history", tmp_path / "whole")
    replace = checkpoints.replace_file

    def interrupted(path, content):
        if path == files[3] and content.count(b"\n") == 3:
            raise KeyboardInterrupt
        replace(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "replace_file", interrupted)
        assert run(IRIS, *files)[0] == 130
    assert len(records(files[3])) == 2  # and the checkpoint holds three
    assert run(IRIS, *files, "--resume")[0] == 0
    assert records(files[3]) == records(tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_control_c_ends_a_running_command_that_goes_on_as_if_undisturbed(
    run, files, tmp_path
):
    line = IRIS.replace("6", "100")
    command = subprocess.Popen(
        [*COMMAND, *line.split(), *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **PLACES,
    )
    try:
        assert command.stdout.readline().startswith("epoch 1,")
        os.killpg(command.pid, signal.SIGINT)
        _, err = command.communicate(timeout=300)
    finally:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
    assert command.returncode == 130
    assert re.fullmatch(r"Stopped\. .* --checkpoint .* --resume\.\n", err)
    assert 0 < len(records(files[3])) < 100
    run(line, *files, "--resume")
    run(line, "--history", tmp_path / "whole")
    assert records(files[3]) == records(tmp_path / "whole")


def test_resumed_run_may_have_more_epochs_but_no_other_settings(run, files):
    run(IRIS, *files)
    status, out, _ = run(f"{IRIS} --resume --epochs 8", *files)
    assert (status, len(records(files[3]))) == (0, 8)
    assert [line.split(",")[0] for line in out.splitlines()[:2]] == [
        "epoch 7",
        "epoch 8",
    ]
    status, out, err = run(f"{IRIS} --resume --lr 0.5", *files)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "lr is 0.5 here, and 0.01 in the file" in err


def test_settings_of_a_resumed_run_need_not_be_said_again(run, files, tmp_path):
    line = f"{IRIS} --seed 3 --optimizer sgd --schedule cosine"
    run(line, *files)
    run("train --resume --epochs 8 --device cpu", *files)
    run(line + " --history", tmp_path / "said")
    run(f"{line} --epochs 8 --resume", *files)
    assert records(files[3])[:6] == records(tmp_path / "said")


def test_files_that_are_there_are_not_overwritten(run, files):
    run(IRIS, *files)
    before = [path.read_bytes() for path in files[1::2]]
    for one in (files[:2], files[2:]):
        assert run(IRIS, *one) == (
            2,
            "",
            f"{one[1]} is there already: add --resume, or rename it.\n",
        )
    assert [path.read_bytes() for path in files[1::2]] == before


def test_run_that_may_be_restarted_goes_on_with_what_is_there(run, files, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    run(IRIS, *files)
    history = records(files[3])
    status, out, _ = run(f"{IRIS} --epochs 8", *files)
    assert (status, records(files[3])[:6]) == (0, history)
    assert re.findall(r"(?m)^epoch (\d)", out) == ["7", "8"]
    files[1].unlink()
    assert run(IRIS, *files)[0] == 2
    assert len(records(files[3])) == 8


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "arguments are required"),
        ("learn", "invalid choice: 'learn'"),
        ("train --dataset cifar", "invalid choice: 'cifar'"),
        ("train --epochs many", "invalid int value: 'many'"),
        ("train --epochs -1", "Epochs"),
        ("train --lr nan", "learning rate"),
        ("train --lr -1", "learning rate"),
        ("train --batch-size 0", "batch size"),
        ("train --optimizer lion", "invalid choice: 'lion'"),
        ("train --dataset iris --model cnn", "use --model mlp"),
        ("train --device nonsense", "device string: nonsense"),
        ("train --device cuda:99", "NVIDIA|CUDA"),
        (
            "train --resume --checkpoint missing.pt",
            "missing.pt was not loaded: there is",
        ),
        ("evaluate missing.pt", "missing.pt was not loaded: there is no file"),
        ("evaluate", "the following arguments are required: checkpoint"),
        ("predict missing.pt seven.png", "missing.pt was not loaded"),
        ("predict broken.pt seven.png", "broken.pt is cut short, damaged or not a"),
        ("predict others.pt seven.png", "was not made by `python -m helpers train`"),
        ("predict iris.pt seven.png", "takes four numbers, not a picture"),
        ("train --dataset iris --epochs 1 --checkpoint file/run.pt", "file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    run, tmp_path, monkeypatch, line, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04")
    (tmp_path / "file").touch()
    torch.manual_seed(1)
    parts = {"model": torch.nn.Linear(1, 1), "train_loader": None}
    parts["optimizer"] = torch.optim.SGD(parts["model"].parameters())
    checkpoints.save_checkpoint("others.pt", [], **parts)
    if "iris.pt" in line:
        run(IRIS, "--checkpoint", "iris.pt")
    status, _, err = run(line)
    assert (status, err.count("\n")) == (2, 1)
    assert re.search(reason, err)


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_missing_or_broken_image_is_said_in_one_line(mnist, run, tmp_path, content):
    path = tmp_path / "seven.png"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("predict", mnist[0], path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "seven.png" in err


def test_run_that_diverges_ends_in_one_line(run):
    status, _, err = run(f"{IRIS} --lr 1e38 --optimizer sgd")
    assert (status, err.count("\n")) == (2, 1)
    assert "Training diverged in epoch 1" in err


@pytest.mark.parametrize("name", ["train", "evaluate", "predict"])
def test_help_has_an_example_that_can_be_read(run, name):
    status, out, _ = run(f"{name} --help")
    assert status == 0
    example = re.search(r"Example: python -m helpers ([^\n]*)", out)[1]
    assert vars(make_parser().parse_args(example.split()))["does"].__name__ == name


def drawing(ink, ground, mode="RGB"):
    """Draw a seven."""
    image = Image.new(mode, (200, 200), ground)
    ImageDraw.Draw(image).line([(60, 50), (140, 50), (95, 160)], fill=ink, width=16)
    return image


def test_drawn_digit_is_known_on_any_ground(mnist, run, tmp_path):
    pictures = {
        "dark.png": drawing("black", "white"),
        "light.png": drawing("white", "black"),
        "grey.png": drawing("black", "white").convert("L"),
        "palette.gif": drawing("black", "white").convert("P"),
        "clear.png": drawing((0, 0, 0, 255), (0, 0, 0, 0), "RGBA"),
    }
    answers = set()
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        status, out, err = run("predict", mnist[0], tmp_path / name)
        assert (status, err) == (0, "")
        answers.add(out)
    (answer,) = answers
    assert re.fullmatch(r"7: \d+\.\d%\n(\d: \d+\.\d%\n){2}", answer)


def test_clothes_are_called_by_their_names(run, files, tmp_path, monkeypatch):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (data.DATA / "MNIST" / "raw").glob("*.gz"):  # instead of clothes
        shutil.copy(path, raw)
    monkeypatch.setattr(data, "DATA", tmp_path)
    monkeypatch.setattr(FashionMNIST, "resources", MNIST.resources)
    line = "train --dataset fashion-mnist --epochs 1 --batch-size 1000 --device cpu"
    assert run(line, *files)[::2] == (0, "")
    drawing("black", "white").save(tmp_path / "seven.png")
    answer = run("predict", files[1], tmp_path / "seven.png")[1]
    assert answer.startswith("sneaker: ")


def test_clothes_without_a_network_end_in_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DATA", tmp_path)
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://localhost:1/"])
    status, _, err = run("train --dataset fashion-mnist")
    assert (status, err.count("\n")) == (2, 1)
    assert "rror downloading" in err
