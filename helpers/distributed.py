"""The same loop in the processes that torchrun starts, as if they were one.

Each process holds a copy of the model and its share of the examples. A batch is made
by all together, each adding those of its rows that it holds, so it is the same batch
whatever the number of processes. A process that is alone holds everything.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """Return the number of this process, from 0, as torchrun gave it."""
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    """Return how many processes torchrun started, on all machines together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def may_restart() -> bool:
    """Tell whether torchrun starts all processes anew after a fault, or just did."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0


@contextlib.contextmanager
def process_group(device: str = "auto") -> Iterator[torch.device]:
    """Meet the other processes, if there are any; yield this one's device.

    torchrun keeps one store for all attempts, and after a restart the addresses in it
    are no longer right. The count of restarts tells them apart, but of several machines
    each has its own count: there, TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 makes torchrun
    begin with a new store.
    """
    if device == "auto":
        device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
    if world_size() > 1:
        kind = "gloo"
        if torch.device(device).type == "cuda":
            kind = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        store, number, processes = next(dist.rendezvous("env://"))
        if os.environ.get("GROUP_WORLD_SIZE") == "1":
            store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
        dist.init_process_group(kind, store=store, rank=number, world_size=processes)
    yield torch.empty(0, device=device).device
    if dist.is_initialized():
        dist.barrier()  # the threads of gloo let go of what they have summed
        dist.destroy_process_group()


class ShardLoader:
    """The rows that this process adds to batches made by all processes together.

    It is used like a TensorLoader, in each process with the same arguments: it keeps
    this process's share of the tensors, and `batch_size` is that of all together. The
    batches don't depend on the number of processes, up to 16 of them. A rest of fewer
    than 16 rows joins the batch before it, so that nobody is left without a row.
    """

    def __init__(self, *tensors, batch_size=32, shuffle=False, seed=0, device=None):
        self.parts = max(16, world_size())  # each of them is held by one process
        if batch_size < self.parts and world_size() > 1:
            raise ValueError(f"Several processes need batches of {self.parts} or more.")
        self.mine = torch.arange(len(tensors[0])) % self.parts % world_size() == rank()
        self.tensors = tuple(tensor[self.mine].to(device) for tensor in tensors)
        self.share = len(self.tensors[0]) / len(self.mine)
        self.shuffle, self.generator = shuffle, torch.Generator().manual_seed(seed)
        whole, rest = divmod(len(self.mine), batch_size)
        self.sizes = [batch_size] * whole + [rest]  # of all processes together
        if whole and rest < self.parts:
            self.sizes[-2:] = [batch_size + rest]

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Go through the data once, in a new order if shuffled."""
        order = torch.where(self.mine, self.mine.cumsum(0) - 1, -1)  # -1: another's
        for part in range(self.parts if self.shuffle else 0):
            rows = order[part :: self.parts]  # they change places with each other only
            rows[:] = rows[torch.randperm(len(rows), generator=self.generator)]
        for rows in order.split(self.sizes):
            own = rows[rows >= 0].to(self.tensors[0].device)
            self.weight = len(own) / len(rows)  # of this share in the batch
            yield tuple(tensor[own] for tensor in self.tensors)


def replicate(model: nn.Module, train_loader: ShardLoader) -> nn.Module:
    """Return the model to train: a copy in each process, kept equal to the others.

    Each step is taken with the gradient of the whole batch. DistributedDataParallel
    takes the mean of the shares' gradients; here each counts by its number of rows.
    """
    if world_size() > 1:
        for weight in filter(lambda p: p.requires_grad, model.parameters()):
            weight.register_hook(lambda grad: grad * train_loader.weight * world_size())
        model = nn.parallel.DistributedDataParallel(model)
    return model


def over_all(means: dict, loader: ShardLoader) -> dict:
    """Turn means over this process's share of a loader's rows into means over all."""
    sums = torch.tensor(list(means.values()), dtype=torch.float64) * loader.share
    if world_size() > 1:
        dist.all_reduce(sums)
    return dict(zip(means, sums.tolist(), strict=True))


def averaged(record: dict, train_loader: ShardLoader, val_loader: ShardLoader) -> dict:
    """Return an epoch's record with the means over the examples of all processes."""
    of_val = {name: mean for name, mean in record.items() if name.startswith("val_")}
    of_train = {"train_loss": record["train_loss"]}
    return record | over_all(of_train, train_loader) | over_all(of_val, val_loader)
