"""Several processes are as one: in batches, gradients, metrics, files and faults."""

import contextlib
import json
import os
import random
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from processes import records
from torch import nn

from helpers import commands
from helpers.__main__ import main
from helpers.data import DATA
from helpers.distributed import ShardLoader, replicate

ROOT = DATA.parent
PYTHON = {
    "cwd": ROOT,
    "text": True,
    "start_new_session": True,
    "stdout": subprocess.PIPE,
}
PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": PATH}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
IRIS = "train --dataset iris --epochs 3"
LONGER = "train --dataset iris --epochs 16"
SIZES = [(105, 16), (50, 16), (1000, 48), (1000, 1000), (97, 40)]


def loaders(monkeypatch, processes, *tensors, **options):
    """Make the loaders of all processes in this one."""
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    made = []
    for rank in range(processes):
        monkeypatch.setenv("RANK", str(rank))
        made.append(ShardLoader(*tensors, **options))
    return made


def epoch_of(made):
    """Go through an epoch; return each batch's rows, and the weights of its shares."""
    batches = []
    for shares in zip(*made, strict=True):
        rows = torch.cat([share[0] for share in shares]).sort().values
        assert all(len(share[0]) > 0 for share in shares)
        assert all(torch.equal(share[0] * 2, share[1]) for share in shares)
        batches.append((rows.tolist(), [loader.weight for loader in made]))
    return batches


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 16, 17])
@pytest.mark.parametrize(("rows", "batch_size"), SIZES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_shares_make_the_batches_of_one_process(
    monkeypatch, processes, rows, batch_size, shuffle
):
    data = torch.arange(rows), torch.arange(rows) * 2
    batch_size = max(batch_size, processes)
    options = {"batch_size": batch_size, "shuffle": shuffle, "seed": 3}
    (alone,) = loaders(monkeypatch, 1, *data, **options)
    made = loaders(monkeypatch, processes, *data, **options)
    for _ in range(2):
        ours, theirs = epoch_of(made), epoch_of([alone])
        seen = [row for batch, _ in ours for row in batch]
        assert sorted(seen) == list(range(rows))
        assert [sum(weights) for _, weights in ours] == pytest.approx([1] * len(ours))
        assert [len(batch) for batch, _ in ours] == made[0].sizes
        if processes <= 16:
            assert [batch for batch, _ in ours] == [batch for batch, _ in theirs]


def test_epochs_are_shuffled_and_seeds_differ(monkeypatch):
    data = torch.arange(200), torch.arange(200) * 2
    (loader,) = loaders(monkeypatch, 1, *data, shuffle=True, seed=1)
    (again,) = loaders(monkeypatch, 1, *data, shuffle=True, seed=1)
    (other,) = loaders(monkeypatch, 1, *data, shuffle=True, seed=2)
    first, second = epoch_of([loader]), epoch_of([loader])
    assert first == epoch_of([again])
    assert first != second
    assert first != epoch_of([other])


@pytest.mark.parametrize("processes", [1, 2, 4, 16])
def test_memory_falls_with_the_number_of_processes(monkeypatch, processes):
    made = loaders(monkeypatch, processes, torch.rand(1600, 7), torch.rand(1600))
    sizes = {sum(t.nbytes for t in loader.tensors) for loader in made}
    assert sizes == {1600 * 8 * 4 // processes}
    assert sum(loader.share for loader in made) == pytest.approx(1)


def test_batch_too_small_for_several_processes_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="need batches of 16 or more"):
        loaders(monkeypatch, 2, torch.rand(100), batch_size=15)
    assert len(loaders(monkeypatch, 1, torch.rand(100), batch_size=15)[0]) == 6


def test_process_that_is_alone_trains_the_model_itself(monkeypatch):
    model = nn.Linear(1, 1)
    (loader,) = loaders(monkeypatch, 1, torch.rand(20))
    assert replicate(model, loader) is model


def test_only_the_first_process_prints_and_saves(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commands.checkpoints, "save_checkpoint", None)
    monkeypatch.setattr(commands.checkpoints, "replace_file", None)
    monkeypatch.setenv("RANK", "1")
    commands.say("it")
    commands.save([{"epoch": 1}], {}, tmp_path / "run.pt", tmp_path / "run.jsonl")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(TypeError):
        commands.save([{"epoch": 1}], {}, tmp_path / "run.pt", None)


def files(folder):
    folder.mkdir(exist_ok=True)
    paths = "--checkpoint", folder / "run.pt", "--history", folder / "run.jsonl"
    return [*map(str, paths), "--device", "cpu"]


@pytest.fixture
def alone(monkeypatch, capsys):
    """Return what runs the command in this process; what it prints."""

    def call(line, *more):
        monkeypatch.setattr(sys, "argv", ["helpers", *line.split(), *more])
        main()
        return capsys.readouterr().out

    return call


@contextlib.contextmanager
def started(command, **options):
    """Start a command; don't leave it, or what it has started, behind."""
    with subprocess.Popen(command, env=ENVIRONMENT, **PYTHON | options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # torchrun ends its processes
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def torchrun(*line, launcher="--standalone --nproc-per-node 2"):
    """Run a line under torchrun, which must end well; return what it prints."""
    with started([*TORCHRUN, *launcher.split(), *line]) as process:
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Return what runs a command in several processes, and kills one if asked to."""
    if not hasattr(os, "fork"):
        pytest.skip("processes can't be forked here")
    log = tmp_path_factory.mktemp("launch") / "stderr"
    pipes = {"stdin": subprocess.PIPE, "stderr": log.open("w")}
    with started([sys.executable, "tests/processes.py"], **pipes) as launcher:

        def call(line, folder, processes=2, restarts=0, victim=(), more=None):
            line = line.split() + (files(folder) if more is None else more)
            request = line, str(folder), processes, restarts, victim
            timer = threading.Timer(300, launcher.kill)
            timer.start()
            print(json.dumps(request), file=launcher.stdin, flush=True)
            answer = launcher.stdout.readline()
            timer.cancel()
            return json.loads(answer)

        yield call
        launcher.kill()
    pipes["stderr"].close()


@pytest.fixture(scope="module")
def undisturbed(launch, tmp_path_factory):
    """Run the longer command in two processes; return its folder and its answer."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, launch(LONGER, folder)


def assert_close(history, expected):
    assert len(history) == len(expected) > 0
    for ours, theirs in zip(history, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-5)


def test_torchrun_gives_the_history_of_one_process_on_mnist(alone, tmp_path):
    line = "train --dataset mnist --epochs 1"
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    said, by_two = alone(line, *one), torchrun("-m", "helpers", *line.split(), *two)
    assert_close(
        records(tmp_path / "two/run.jsonl"), records(tmp_path / "one/run.jsonl")
    )
    assert len(by_two.splitlines()) == len(said.splitlines()) == 2
    assert numbers(by_two) == pytest.approx(numbers(said), abs=1e-3)


def numbers(said):
    """Return the two of the last line, such as `test: loss 0.21, accuracy 0.93`."""
    return [float(part.split()[-1]) for part in said.splitlines()[-1].split(",")]


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_any_number_of_processes_gives_the_same_history(
    alone, launch, tmp_path, processes
):
    alone(IRIS, *files(tmp_path / "one"))
    answer = launch(IRIS, tmp_path / "many", processes)
    assert (answer["error"], answer["said"][1:]) == ("", [""] * (processes - 1))
    assert_close(
        records(tmp_path / "many/run.jsonl"), records(tmp_path / "one/run.jsonl")
    )


def test_evaluation_by_several_processes_is_that_of_one(
    alone, undisturbed, launch, tmp_path
):
    folder, answer = undisturbed
    checkpoint = str(folder / "run.pt")
    one = alone("evaluate --device cpu", checkpoint).splitlines()
    several = launch("evaluate", tmp_path, 3, more=[checkpoint, "--device", "cpu"])
    assert several["error"] == ""
    assert several["said"][0].splitlines()[-1] == one[-1]
    assert one[-1] == answer["said"][0].splitlines()[-1]
    assert len(records(folder / "run.jsonl")) == 16


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (2, 2)])
def test_run_goes_on_in_another_number_of_processes(
    launch, undisturbed, tmp_path, before, after
):
    folder, _ = undisturbed
    ended = launch(LONGER, tmp_path, before, victim=(7, 0.0, 0))
    assert ended["killed"]
    done = len(records(tmp_path / "run.jsonl"))
    assert 7 <= done < 16
    answer = launch(f"{LONGER} --resume", tmp_path, after)
    assert answer["error"] == ""
    history, expected = records(tmp_path / "run.jsonl"), records(folder / "run.jsonl")
    assert_close(history, expected)
    said = f"was saved by {before} processes, not {after}: sums are rounded in another"
    assert (said in answer["said"][0]) == (before != after)
    assert before != after or history == expected


def moment(seed):
    """Draw when to kill: after which epoch, how long after it, and which process."""
    chance = random.Random(seed)
    return chance.randrange(12), chance.random() * 0.04, chance.randrange(2)


@pytest.mark.parametrize("seed", range(10))
def test_killed_process_ends_the_others(launch, undisturbed, tmp_path, seed):
    answer = launch(LONGER, tmp_path, victim=moment(seed))
    assert answer["killed"]
    assert answer["took"] < 30
    assert answer["left"] == 0
    said = answer["error"] + "".join(answer["said"])
    assert "Another process has ended" in said or "(SIGKILL)" in said
    assert "FAILED" in answer["error"]
    if (tmp_path / "run.jsonl").exists():
        history = records(tmp_path / "run.jsonl")
        assert history == records(undisturbed[0] / "run.jsonl")[: len(history)]


@pytest.mark.parametrize("seed", range(10))
def test_restarted_run_ends_with_the_history_of_an_undisturbed_one(
    launch, undisturbed, tmp_path, seed
):
    answer = launch(LONGER, tmp_path, restarts=1, victim=moment(100 + seed))
    assert answer["killed"]
    assert (answer["error"], answer["left"]) == ("", 0)
    epochs = re.findall(r"(?m)^epoch (\d+),", answer["said"][0])
    assert len(epochs) == len({*epochs}), "what was saved is not done again"
    assert records(tmp_path / "run.jsonl") == records(undisturbed[0] / "run.jsonl")


def test_batch_too_small_is_said_in_one_line_by_each(launch, tmp_path):
    answer = launch(f"{IRIS} --batch-size 8", tmp_path)
    assert "FAILED" in answer["error"]
    assert {said.count("\n") for said in answer["said"] if said} == {0}


SCRIPT = """
import json, sys, torch
from torch import nn
from helpers.data import load_iris
from helpers.distributed import ShardLoader, averaged, process_group, rank, replicate
from helpers.training import train_epochs

with process_group("cpu"):
    torch.manual_seed(1)
    data = load_iris()
    train_loader = ShardLoader(*data.train, batch_size=20, shuffle=True)
    val_loader = ShardLoader(*data.val, batch_size=20)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    model = replicate(net, train_loader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    run = model, train_loader, val_loader, nn.CrossEntropyLoss(), optimizer
    for record in train_epochs(*run, epochs=4):
        record = averaged(record, train_loader, val_loader)
        with open(f"{sys.argv[1]}.{rank()}", "a") as file:
            print(json.dumps(record), file=file)
"""


def test_script_of_ones_own_gives_the_history_of_one_process(tmp_path, monkeypatch):
    script, one, two = (tmp_path / name for name in ("train.py", "one", "two"))
    script.write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(script), str(one)])
    runpy.run_path(str(script))
    torchrun(str(script), str(two))
    first, second = (records(tmp_path / f"two.{rank}") for rank in range(2))
    assert first == second
    assert_close(first, records(tmp_path / "one.0"))


@pytest.fixture
def networks():
    """Make two network namespaces, like machines with a cable between them."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    names = [f"{side}{os.getpid()}" for side in "ab"]
    steps = [["netns", "add", name] for name in names]
    a, b = names
    steps += [["link", "add", a, "netns", a, "type", "veth", "peer", b, "netns", b]]
    for i, name in enumerate(names, 1):
        steps += [["-n", name, "addr", "add", f"10.77.0.{i}/24", "dev", name]]
        steps += [["-n", name, "link", "set", link, "up"] for link in (name, "lo")]
    try:
        for step in steps:
            try:
                subprocess.run(
                    ["ip", *step], check=True, capture_output=True, text=True
                )
            except FileNotFoundError:
                pytest.skip("there is no `ip` here to make network namespaces")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield names
    finally:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                subprocess.run(["ip", "netns", "del", name], capture_output=True)


def on_two_machines(stack, networks, line):
    """Start a line on both; return what runs there, each with the pid of torchrun."""
    meet = "--nnodes 2 --nproc-per-node 1 --max-restarts 1 --monitor-interval 0.05"
    meet += " --rdzv-backend c10d --rdzv-endpoint 10.77.0.1:29500"
    for i, name in enumerate(networks):
        here = f"--local-addr 10.77.0.{i + 1} --rdzv-conf is_host={1 - i}"
        # Both have the name of this machine, which leads to neither.
        own = [f"GLOO_SOCKET_IFNAME={name}", "RES_OPTIONS=attempts:1 timeout:1"]
        own += ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"]
        torchrun = ["ip", "netns", "exec", name, "env", *own, *TORCHRUN]
        yield stack.enter_context(
            started([*torchrun, *f"{meet} {here}".split(), "-m", "helpers", *line])
        )


@pytest.mark.parametrize("victim", [None, 0, 1])
def test_two_machines_give_the_history_of_one_process(
    alone, networks, tmp_path, victim
):
    alone(LONGER, *files(tmp_path / "one"))
    history = tmp_path / "both/run.jsonl"
    with contextlib.ExitStack() as stack:
        line = LONGER.split() + files(tmp_path / "both")
        machines = list(on_two_machines(stack, networks, line))
        if victim is not None:
            while not history.exists():
                time.sleep(0.01)
            kill_child(machines[victim].pid)
            assert len(records(history)) < 16
        said = "".join(machine.communicate(timeout=300)[0] for machine in machines)
        assert [machine.returncode for machine in machines] == [0, 0]
    assert said.count("\n") in (16, 17)
    assert_close(records(history), records(tmp_path / "one/run.jsonl"))


def kill_child(pid):
    """Kill the process that torchrun has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    os.kill(int(children.split()[0]), signal.SIGKILL)
