"""Data for the notebooks: batches in memory, Iris, and MNIST."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

DATA = Path(__file__).resolve().parent.parent / "data"


class Split(NamedTuple):
    """Examples and their targets, row by row."""

    x: Tensor
    y: Tensor


class IrisData(NamedTuple):
    """Iris in three parts, scaled, with what is needed to scale a new flower."""

    train: Split
    val: Split
    test: Split
    scaler: object
    feature_names: list[str]
    class_names: list[str]


class ImageData(NamedTuple):
    """Labelled images, to learn from and to be tested on."""

    train: Split
    test: Split


class TensorLoader:
    """Batches of tensors held in memory: a DataLoader without its per-item cost.

    It is given the tensors where a DataLoader is given a data set. Shuffling
    draws from a generator of the loader's own, started from `seed`, so neither
    other cells nor other loaders change the order. `device` moves the tensors
    there once. Batches are copies: changing one is safe.
    """

    def __init__(
        self, *tensors: Tensor, batch_size: int = 32, shuffle: bool = False,
        drop_last: bool = False, seed: int = 0,
        device: torch.device | str | None = None,
    ):  # fmt: skip
        rows = [len(tensor) for tensor in tensors]
        if len(set(rows)) > 1:
            raise ValueError(
                f"The tensors have {' and '.join(map(str, rows))} rows; "
                "each must have one row per example."
            )
        self.tensors = tuple(tensor.to(device) for tensor in tensors)
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
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


def load_iris(fractions: Sequence[float] = (0.7, 0.2, 0.1), seed: int = 42) -> IrisData:
    """Load Iris, split by class into training, validation and test, and scaled.

    The scaler takes its means and deviations from the training part alone.
    """
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    iris = datasets.load_iris()
    _, of_val, of_test = (fraction / sum(fractions) for fraction in fractions)
    rest, parts = (iris.data, iris.target), []
    for share in (of_val + of_test, of_test / (of_val + of_test)):
        x, x_rest, y, y_rest = train_test_split(
            *rest,
            test_size=round(share * len(rest[1])),
            stratify=rest[1],
            random_state=seed,
        )
        parts.append((x, y))
        rest = x_rest, y_rest
    scaler = StandardScaler().fit(parts[0][0])
    splits = (
        Split(torch.tensor(scaler.transform(x), dtype=torch.float32), torch.tensor(y))
        for x, y in (*parts, rest)
    )
    return IrisData(*splits, scaler, iris.feature_names, iris.target_names.tolist())


def load_mnist() -> ImageData:
    """Load MNIST from the files that come with the course.

    Images are float32 in 0 … 1, shaped (N, 1, 28, 28); labels are int64.
    """
    return ImageData(*(_load_split(f"MNIST/raw/{part}") for part in ("train", "t10k")))


def load_fashion_mnist() -> ImageData:
    """Load FashionMNIST, like MNIST, but with clothes; torchvision fetches it once."""
    from torchvision.datasets import FashionMNIST

    FashionMNIST(DATA, download=True)
    parts = ("FashionMNIST/raw/train", "FashionMNIST/raw/t10k")
    return ImageData(*map(_load_split, parts))


def _load_split(part):
    images = _read_idx(f"{part}-images-idx3-ubyte.gz")
    labels = _read_idx(f"{part}-labels-idx1-ubyte.gz")
    return Split(images.unsqueeze(1).float().div_(255), labels.long())


def _read_idx(name):
    """Read a packed file in MNIST's format: type and shape, then the bytes."""
    try:
        with gzip.open(DATA / name) as file:
            content = bytearray(file.read())  # gzip checks length and sum
    except (OSError, EOFError, zlib.error) as error:
        raise FileNotFoundError(
            f"data/{name} is missing or damaged. To restore it, run "
            "`git restore :/data/MNIST` in the folder of the course, or download the "
            "course again."
        ) from error
    start = 4 + 4 * content[3]  # the fourth byte tells the number of dimensions
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(shape)
