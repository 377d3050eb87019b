"""Data for the notebooks: batches in memory, and MNIST with its offline default."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

MNIST_BYTES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}


class TensorLoader:
    """Batches of tensors held in memory: a DataLoader without its per-item cost.

    It is given the tensors where a DataLoader is given a data set. Shuffling
    draws from a generator of the loader's own, started from `seed`, so neither
    other cells nor other loaders change the order. `device` moves the tensors
    there once. Batches are copies: changing one is safe.
    """

    def __init__(
        self,
        *tensors: Tensor,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
    ):
        if not tensors or not all(isinstance(t, Tensor) for t in tensors):
            kinds = ", ".join(type(t).__name__ for t in tensors) or "nothing"
            raise TypeError(
                f"TensorLoader holds tensors and was given {kinds}; "
                "torch.as_tensor makes one from an array or a list."
            )
        lengths = [len(t) for t in tensors]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"The tensors have {' and '.join(map(str, lengths))} rows; "
                "each must have one row per example."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; {batch_size} was given.")
        self.tensors = tuple(t.to(device) for t in tensors)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def dataset(self) -> TensorDataset:
        """The same tensors as a data set, so that `len(loader.dataset)` works."""
        return TensorDataset(*self.tensors)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, rest = divmod(len(self.tensors[0]), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Go through the data once, in a new order if shuffled."""
        first = self.tensors[0]
        if self.shuffle:
            order = torch.randperm(len(first), generator=self.generator)
            batches = order.to(first.device).split(self.batch_size)
        for i in range(len(self)):
            if self.shuffle:
                yield tuple(t.index_select(0, batches[i]) for t in self.tensors)
            else:
                rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
                yield tuple(t[rows].clone() for t in self.tensors)


class Split(NamedTuple):
    """Examples and their targets, row by row."""

    x: Tensor
    y: Tensor


class ImageData(NamedTuple):
    """A set of labelled images, with the name of what it really is."""

    name: str
    train: Split
    test: Split


def load_mnist() -> ImageData:
    """Load MNIST, or scikit-learn's small digits where its files are missing.

    Images come as float32 in 0 … 1, shaped (N, 1, 28, 28), and labels as int64.
    The offline default says so in a printed line and in `name` ("digits").
    """
    if not mnist_is_here():
        print(
            f"MNIST was not found in {data_folder().name}/: scikit-learn's 1,797 "
            "digits, resized to 28×28, stand in."
        )
        return _load_digits()
    from torchvision.datasets import MNIST

    parts = (MNIST(data_folder(), train=train) for train in (True, False))
    splits = (Split(d.data.unsqueeze(1).float().div_(255), d.targets) for d in parts)
    return ImageData("MNIST", *splits)


def data_folder() -> Path:
    """Return the folder for data: HELPERS_DATA, or data/ beside this package."""
    return Path(os.environ.get("HELPERS_DATA") or Path(__file__).parent.parent / "data")


def mnist_is_here() -> bool:
    """Tell whether the four files of MNIST are in the data folder, in full."""
    raw = data_folder() / "MNIST" / "raw"
    paths = {raw / name: size for name, size in MNIST_BYTES.items()}
    return all(p.is_file() and p.stat().st_size == size for p, size in paths.items())


def _load_digits() -> ImageData:
    """Split scikit-learn's 8×8 digits into 1,500 and 297, in MNIST's format."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.as_tensor(digits.images, dtype=torch.float32).div(16).unsqueeze(1)
    x = torch.nn.functional.interpolate(x, (28, 28), mode="bilinear").clamp(0, 1)
    y = torch.as_tensor(digits.target, dtype=torch.int64)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    train, test = order[:1500], order[1500:]
    return ImageData("digits", Split(x[train], y[train]), Split(x[test], y[test]))
