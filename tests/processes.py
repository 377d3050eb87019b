"""Start the command in several processes, as torchrun does; kill one if asked to.

Each line of the input says what to start, and is answered by one on how it ended. The
processes are forked from this one, which has imported everything, and so start at once.
"""

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

SLOW = "helpers.__main__", "sklearn.model_selection", "torch._dynamo"


def records(path):
    """Return the records of a history, but for the times."""
    found = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in record.items() if k != "seconds"} for record in found]


def work(line, folder):
    """Be one of the processes; note who it is, and what it says."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    rank = os.environ["RANK"]
    said = os.open(folder / f"said.{rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    (folder / f"pid.{rank}").write_text(f"{os.getpid()}\n", encoding="utf-8")
    sys.argv = ["helpers", *line]
    importlib.import_module("helpers.__main__").main()


def lines(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def kill(folder, epochs, seconds, rank, times):
    """Kill a process so many seconds after so many epochs are in the history."""
    history, pid = folder / "run.jsonl", folder / f"pid.{rank}"
    while len(lines(history)) < epochs or not lines(pid):
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(int(lines(pid)[0]), signal.SIGKILL)
    times.append(time.monotonic())


def start(line, folder, processes, restarts, victim):
    """Run the command to its end; tell how it ended, and how long after the kill."""
    api = importlib.import_module("torch.distributed.launcher.api")
    config = api.LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        max_restarts=restarts,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
        monitor_interval=0.05,
        run_id=folder,
    )
    folder, times, error = Path(folder), [time.monotonic()], ""
    if victim:
        args = folder, *victim, times
        threading.Thread(target=kill, args=args, daemon=True).start()
    try:
        api.elastic_launch(config, work)(line, folder)
    except api.ChildFailedError as failed:
        error = str(failed)
    took = time.monotonic() - times[-1]
    left = len(multiprocessing.active_children())
    said = ["\n".join(lines(folder / f"said.{i}")) for i in range(processes)]
    killed = len(times) > 1
    return {"error": error, "took": took, "left": left, "said": said, "killed": killed}


if __name__ == "__main__":
    for module in SLOW:
        importlib.import_module(module)
    for request in sys.stdin:
        print(json.dumps(start(*json.loads(request))), flush=True)
