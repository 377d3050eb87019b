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
from torch.nn.parallel import DistributedDataParallel

PARTS = 16  # a row belongs to one of so many parts, and a part to one of the processes


def rank() -> int:
    """Return the number of this process, from 0, as torchrun gave it."""
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    """Return how many processes torchrun started, on all machines together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def restarts() -> int:
    """Return how often torchrun has started all processes anew, after a fault."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


@contextlib.contextmanager
def process_group(device: str = "auto") -> Iterator[torch.device]:
    """Meet the other processes, if there are any; yield this one's device."""
    if device == "auto":
        device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
    device = torch.empty(0, device=device).device
    if device.type == "cuda" and world_size() > 1:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if world_size() > 1:
        kind = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(kind, **_meeting_place())
    yield device
    if dist.is_initialized():
        dist.destroy_process_group()


def _meeting_place():
    """After a restart, don't look for the processes of the attempt before.

    torchrun keeps one store for all attempts, with addresses that are no longer right.
    The count of restarts tells them apart, but each machine has its own count: there,
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 makes torchrun begin with a new store.
    """
    store, number, processes = next(dist.rendezvous("env://"))
    alone = os.environ.get("LOCAL_WORLD_SIZE") == str(processes)
    store = dist.PrefixStore(f"attempt {restarts() if alone else 0}", store)
    return {"store": store, "rank": number, "world_size": processes}


class ShardLoader:
    """The rows that this process adds to batches made by all processes together.

    It is used like a TensorLoader, in each process with the same arguments: it keeps
    this process's share of the tensors, and `batch_size` is that of all together. The
    batches don't depend on the number of processes, up to 16 of them. A rest of fewer
    than 16 rows joins the batch before it, so that nobody is left without a row.
    """

    def __init__(
        self, *tensors: Tensor, batch_size: int = 32, shuffle: bool = False,
        seed: int = 0, device: torch.device | str | None = None,
    ):  # fmt: skip
        self.parts = max(PARTS, world_size())
        if batch_size < self.parts and world_size() > 1:
            raise ValueError(f"Several processes need batches of {self.parts} or more.")
        self.mine = torch.arange(len(tensors[0])) % self.parts % world_size() == rank()
        self.tensors = tuple(tensor[self.mine].to(device) for tensor in tensors)
        self.share = len(self.tensors[0]) / len(self.mine)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def sizes(self) -> list[int]:
        """Return how many rows each batch has in all processes together."""
        whole, rest = divmod(len(self.mine), self.batch_size)
        if whole and rest < self.parts:
            return [self.batch_size] * (whole - 1) + [self.batch_size + rest]
        return [self.batch_size] * whole + [rest]

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Go through the data once, in a new order if shuffled."""
        order = torch.arange(len(self.mine))
        for part in range(self.parts if self.shuffle else 0):
            rows = order[part :: self.parts]  # they change places with each other only
            mixed = torch.randperm(len(rows), generator=self.generator)
            order[part :: self.parts] = rows[mixed]
        places = self.mine.cumsum(0) - 1
        for rows in order.split(self.sizes):
            own = places[rows[self.mine[rows]]].to(self.tensors[0].device)
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
        model = DistributedDataParallel(model)
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
